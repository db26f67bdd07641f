# SPDX-License-Identifier: MIT
"""uvloop waits inside libuv, where no selector of Python's is. Only while a window is announced
or open is it called upon, between two turns of the loop; otherwise nothing is added to it."""

import functools

from . import _hooks, _listen, _rtgc


def arrived(module):
    def make(run):
        def run_forever(self):
            backend = self._get_backend_id

            def turn():
                if _rtgc.turn(backend()):
                    self.call_soon(turn)

            outer = _rtgc.enter_loop(functools.partial(self.call_soon_threadsafe, turn))
            try:
                return run(self)
            finally:
                _rtgc.leave_loop(outer)

        return run_forever

    _hooks.wrap(module.Loop, "run_forever", make)
    _hooks.wrap(module.Loop, "create_server", _listen._create_server)
