# SPDX-License-Identifier: MIT
"""Put on PYTHONPATH in every run of the demo: the process's own record of its collections.

RECORD_DIR   where the record goes, PID.pauses: lines of
             begin_ns,end_ns,generation,collected (CLOCK_MONOTONIC), flushed once a second
             and at the end
GC_POLICY    what the operator of this run has chosen: default, off (the collector is switched
             off) or freeze (on SIGUSR1, once the service is up: collect, freeze, and raise the
             first threshold; answered by a line on stdout)

It knows CPython's gc module and nothing else; whoever else looks after the collector in this
process is recorded like the process's own doing.
"""

import array
import atexit
import gc
import os
import signal
import threading
import time

CAPACITY = 1 << 16
FIELDS = 4


class Recorder:
    def __init__(self, directory):
        self.file = open(os.path.join(directory, f"{os.getpid()}.pauses"), "w")
        # Allocated now: a callback of the collector is no place to allocate.
        self.rows = array.array("q", bytes(8 * FIELDS * CAPACITY))
        self.filled = 0
        self.flushed = 0
        self.began = 0
        self.stop = threading.Event()

    def on_collection(self, phase, info):
        if phase == "start":
            self.began = time.monotonic_ns()
            return
        at = self.filled % CAPACITY * FIELDS
        self.rows[at] = self.began
        self.rows[at + 1] = time.monotonic_ns()
        self.rows[at + 2] = info["generation"]
        self.rows[at + 3] = info["collected"]
        self.filled += 1

    def flush(self):
        filled = self.filled
        if filled - self.flushed > CAPACITY:
            raise RuntimeError("the record of pauses has overflowed")
        while self.flushed < filled:
            at = self.flushed % CAPACITY * FIELDS
            self.file.write(",".join(map(str, self.rows[at:at + FIELDS])) + "\n")
            self.flushed += 1
        self.file.flush()

    def flush_often(self):
        while not self.stop.wait(1):
            self.flush()

    def start(self):
        gc.callbacks.append(self.on_collection)
        thread = threading.Thread(target=self.flush_often, name="recorder", daemon=True)
        thread.start()
        atexit.register(self.finish, thread)

    def finish(self, thread):
        self.stop.set()
        thread.join()
        gc.callbacks.remove(self.on_collection)
        self.flush()
        self.file.close()


def freeze_now(signum, frame):
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)
    os.write(1, b"frozen\n")  # not print(): whom the signal meets may be in it


def main():
    directory = os.environ.get("RECORD_DIR")
    if directory:
        Recorder(directory).start()
    policy = os.environ.get("GC_POLICY", "default")
    if policy == "off":
        gc.disable()
    elif policy == "freeze":
        signal.signal(signal.SIGUSR1, freeze_now)
    elif policy != "default":
        raise ValueError(f"GC_POLICY={policy}: default, off or freeze")


main()
