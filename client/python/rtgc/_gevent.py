# SPDX-License-Identifier: MIT
"""gevent: its hub waits inside libev or libuv. While a window is announced or open, a greenlet of
our own looks for the moment at which the hub has nothing to do: finalizers may block there as in
any other greenlet."""

import os

from . import _hooks, _rtgc

_waker = None  # of the main thread's hub


def _turns():
    from gevent import idle

    again = True
    while again:
        idle()
        again = _rtgc.turn(-1)


def _after_fork_child():
    # Unlike an asyncio loop, the hub goes on in a forked child.
    if _waker is not None:
        _rtgc.enter_loop(_waker)


def arrived(module):
    def make(run):
        def run_hub(self):
            global _waker
            from gevent import Greenlet

            def waker():
                self.loop.run_callback_threadsafe(Greenlet.spawn, _turns)

            outer = _rtgc.enter_loop(waker)
            if _rtgc.in_main_thread():
                _waker = waker
            try:
                return run(self)
            finally:
                _rtgc.leave_loop(outer)

        return run_hub

    _hooks.wrap(module.Hub, "run", make)
    os.register_at_fork(after_in_child=_after_fork_child)
