# SPDX-License-Identifier: MIT
"""Records full collections of CPython: record_pauses.py growing|steady|bursts > traces/NAME.csv

Each line is one collection: what it walked (objects in the oldest generation before it and the
young ones), what it freed, the pause in nanoseconds. The program allocates as a service does and the
collections are started every so often, as windows would. Run it on an otherwise idle machine.
"""
import collections
import gc
import sys
import time


class Entry:
    def __init__(self, number):
        self.number = number
        self.fields = {"name": f"entry {number}", "tags": [number, number + 1], "up": self}


def keep(cache, n):
    for i in range(n):
        cache.append(Entry(i))


def growing():
    cache = []
    for _ in range(150):
        keep(cache, 2000)
        yield


def steady():
    cache = collections.deque(maxlen=100_000)
    keep(cache, 100_000)
    for _ in range(150):
        keep(cache, 10_000)
        yield


def bursts():
    cache = collections.deque(maxlen=60_000)
    keep(cache, 60_000)
    for i in range(150):
        keep(cache, 5_000)
        if i % 10 == 0:
            keep([], 60_000)
        yield


def main():
    began = 0

    def note(phase, info):
        nonlocal began
        if info["generation"] != 2:
            return
        now = time.monotonic_ns()
        if phase == "start":
            began = now
        else:
            print(f"{walked},{info['collected']},{now - began}")

    gc.set_threshold(700, 10, 1_000_000)
    gc.callbacks.append(note)
    print("# walked,freed,pause_ns: CPython", sys.version.split()[0], sys.argv[1])
    for _ in {"growing": growing, "steady": steady, "bursts": bursts}[sys.argv[1]]():
        walked = len(gc.get_objects())
        gc.collect()


main()
