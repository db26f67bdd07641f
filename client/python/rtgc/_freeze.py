# SPDX-License-Identifier: MIT
"""Setting the start-up heap aside."""

import gc
import os
import threading
import time

from . import _rtgc

LONGEST = 1e9  # seconds that a thread can be told to sleep
PATIENCE = 60  # seconds for a window, before it is collected without
LOOKS = 0.1  # seconds from one question whether the program is warm to the next


class _Freezer:
    """Waits for the warm-up in a thread, and in gc.callbacks for the next full collection.

    What the program gave us is never called from within a collection: the program may hold, right
    there, the very lock that its function takes."""

    def __init__(self, is_warm):
        self.is_warm = is_warm
        self.warm = False
        self.dropped = False
        gc.callbacks.append(self.on_gc)

    def on_gc(self, phase, info):
        if self.warm and phase == "stop" and info["generation"] == 2:
            self.forget()
            gc.freeze()

    def forget(self):
        """Nothing is frozen any more, unless it was."""
        self.dropped = True
        if self.on_gc in gc.callbacks:
            gc.callbacks.remove(self.on_gc)

    def start(self):
        thread = threading.Thread(target=self._work, daemon=True)
        thread.name = "rtgc freeze_after"
        thread.start()

    def _work(self):
        try:
            while not self.dropped and not self.is_warm():
                time.sleep(LOOKS)
        except BaseException:
            self.forget()
            raise  # the program is told, as of any thread of its own
        self.warm = True
        self._collect()

    def _collect(self):
        """By the daemon's leave, where it gives any within PATIENCE."""
        until = time.monotonic() + PATIENCE
        while not self.dropped and _rtgc.status()["supervised"]:
            left = until - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(left, 1))
        while not self.dropped and gc.isenabled():
            gc.collect()
            time.sleep(0.01)  # it did nothing where another collection was running


_freezer = None


def _after_fork_child():
    """Threads are not inherited."""
    if _freezer is not None and not _freezer.dropped:
        _freezer.start()


os.register_at_fork(after_in_child=_after_fork_child)


def freeze_after(warmup):
    """Sets the start-up heap aside: gc.freeze(), behind a full collection after the warm-up.

    warmup: a number of seconds from now; or a function without arguments that says whether the
    program is warm (`lambda: requests >= 1000`), which a thread asks ten times a second, never
    from within a collection. If it raises, nothing is frozen. What lives then is never walked again, so
    that later full collections cost what has come since: good for programs that
    load much at the start and keep it. What of it dies later stays allocated if it is in a
    cycle; gc.unfreeze() undoes it.

    In a supervised process the collection is the next one in a window; if none comes within a
    minute, or without a daemon, it is run by a thread. Calling it again starts anew. A forked
    child goes on waiting by itself.
    """
    global _freezer
    if callable(warmup):
        is_warm = warmup
    else:
        if not 0 <= float(warmup) <= LONGEST:
            raise ValueError(f"warmup: not a number of seconds to wait for: {warmup}")
        at = time.monotonic() + float(warmup)

        def is_warm():
            time.sleep(max(0, at - time.monotonic()))
            return True

    if _freezer is not None:
        _freezer.forget()
    _freezer = _Freezer(is_warm)
    _freezer.start()
