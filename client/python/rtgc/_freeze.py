# SPDX-License-Identifier: MIT
"""Setting the start-up heap aside."""

import gc
import threading
import time

from . import _rtgc

LONGEST = 1e9  # seconds that a thread can be told to sleep
PATIENCE = 60  # seconds for a window, before it is collected without


class _Freezer:
    """Waits in gc.callbacks for a full collection after the warm-up."""

    def __init__(self, is_warm):
        self.is_warm = is_warm
        self.warm = False
        self.asked = False
        gc.callbacks.append(self.on_gc)

    def on_gc(self, phase, info):
        if phase != "stop" or info["generation"] == 0:
            return
        if not self.warm:
            self.warm = self.is_warm()
        if self.warm and info["generation"] == 2:
            self.forget()
            gc.freeze()
        elif self.warm and not self.asked:
            self.collect_by(0)

    def forget(self):
        """Nothing is frozen any more, unless it was."""
        if self.on_gc in gc.callbacks:
            gc.callbacks.remove(self.on_gc)

    def collect_by(self, seconds):
        """Has a full collection run when that time is over: by the daemon's leave, where it
        gives any within PATIENCE."""
        self.asked = True
        thread = threading.Thread(target=self._collect, args=(seconds,), daemon=True)
        thread.name = "rtgc freeze_after"
        thread.start()

    def _collect(self, seconds):
        time.sleep(seconds)
        self.warm = self.warm or self.is_warm()
        until = time.monotonic() + PATIENCE
        while self.on_gc in gc.callbacks and _rtgc.status()["supervised"]:
            left = until - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(left, 1))
        while self.on_gc in gc.callbacks and gc.isenabled():
            gc.collect()
            time.sleep(0.01)  # it did nothing where another collection was running


_freezer = None


def freeze_after(warmup):
    """Sets the start-up heap aside: gc.freeze(), behind a full collection after the warm-up.

    warmup: a number of seconds from now; or a function without arguments that says whether the
    program is warm (`lambda: requests >= 1000`), which is asked at the end of collections of the
    middle and oldest generation and must be quick. What lives then is never walked again, so
    that later full collections cost what has come since: good for programs that
    load much at the start and keep it. What of it dies later stays allocated if it is in a
    cycle; gc.unfreeze() undoes it.

    In a supervised process the collection is the next one in a window; if none comes within a
    minute, or without a daemon, it is run by a thread. Calling it again starts anew.
    """
    global _freezer
    if callable(warmup):
        is_warm = warmup
    else:
        if not 0 <= float(warmup) <= LONGEST:
            raise ValueError(f"warmup: not a number of seconds to wait for: {warmup}")
        at = time.monotonic() + float(warmup)

        def is_warm():
            return time.monotonic() >= at

    if _freezer is not None:
        _freezer.forget()
    _freezer = _Freezer(is_warm)
    if not callable(warmup):
        _freezer.collect_by(float(warmup))
