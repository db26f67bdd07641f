# SPDX-License-Identifier: MIT
"""
A control loop of 100 Hz over a big live heap, which makes cyclic garbage, some of it old. Says what it saw
as JSON. A miss is a turn whose work ends after the next one was due. Of each one is said what it was:

    forks  the turn of a fork, or one that the stop of a fork has made late
    woken  it was woken up more than half a period late, and no snapshot was being worked off: the machine
    work   anything else
"""

import argparse
import gc
import json
import os
import random
import time

PERIOD = 0.01
GARBAGE = 150  # young cycles a turn, and as many old ones


class Node:
    def __init__(self):
        self.me = self


def rss():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


class Turns:
    def __init__(self):
        self.responses, self.misses = [], {"forks": 0, "woken": 0, "work": 0}
        self.taken = self.late_by_fork = 0

    def add(self, due, begin, done, reaping):
        self.responses.append(done - due + PERIOD)
        if done <= due:
            return
        if self.late_by_fork:
            self.misses["forks"] += 1
        elif begin - due + PERIOD > PERIOD / 2 and not reaping:
            self.misses["woken"] += 1
        else:
            self.misses["work"] += 1

    def forked(self, taken, end, due):
        """After the slack before `due`, which ended at `end`."""
        self.late_by_fork = taken != self.taken and end > due - PERIOD / 2
        self.taken = taken

    def said(self):
        ordered = sorted(self.responses)
        return {"turns": len(ordered), "misses": sum(self.misses.values()), "misses_by": self.misses,
                "p999_ms": ordered[int(len(ordered) * 0.999)] * 1000,
                "longest_ms": ordered[-1] * 1000}


def run(given):
    rng = random.Random(1)
    live = [[i] for i in range(given.objects - given.objects // 10)]
    cache = [Node() for _ in range(given.objects // 20)]
    gc.collect()
    rtgc = None
    if given.mode == "off":
        gc.disable()
    if given.mode == "snapshot":
        import rtgc

        rtgc.supervise(service="loop", collector="snapshot")
        while not rtgc.status()["supervised"]:
            time.sleep(0.01)
    begin_rss, turns, snapshots = rss(), Turns(), {"taken": 0, "running": False}
    due = time.monotonic() + PERIOD
    end = due + given.seconds
    while due < end:
        begin = time.monotonic()
        for _ in range(GARBAGE):
            Node()                                       # young garbage
            cache[rng.randrange(len(cache))] = Node()    # evicts an old cycle
        done = time.monotonic()
        turns.add(due, begin, done, snapshots["running"])
        due = max(due, done)
        if rtgc:
            rtgc.slack(due)
            snapshots = rtgc.status()["snapshots"]
        left = due - time.monotonic()
        if left > 0:
            time.sleep(left)
        if rtgc:
            turns.forked(snapshots["taken"], time.monotonic(), due + PERIOD)
        due += PERIOD
    said = {"live": len(live), "rss_begin_bytes": begin_rss, "rss_end_bytes": rss(), **turns.said()}
    if rtgc:
        status = rtgc.status()
        said.update(snapshots=status["snapshots"], forced=status["forced"])
    print(json.dumps(said))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=("default", "off", "snapshot"), required=True)
    parser.add_argument("--objects", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    run(parser.parse_args())


if __name__ == "__main__":
    main()
