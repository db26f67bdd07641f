# SPDX-License-Identifier: MIT
"""A service with so much that lives and such a rate of garbage that grows old; the same work each time.

    app.py LIVE RATE WARM_UP WORK      objects, objects a second, seconds, seconds

Says on stdout, one JSON object a line, what it holds before the work; begins with the work at a line on
stdin; and says in the end what the collector took for that part of it which comes after the warm-up. The
work is a number of ticks, each due at its own instant; who is late catches up.
"""

import collections
import gc
import json
import sys
import time

import rtgc

TICK = 0.02  # seconds
GRAPH = 16  # objects that refer to each other in a ring
REMEMBERED = 16_000  # objects; long enough to outlive the young generations
PAYLOAD = 400  # bytes that the collector does not walk
FULL = 2


class Node:
    __slots__ = ("next", "payload")

    def __init__(self, next):
        self.next = next
        self.payload = bytes(PAYLOAD)


def ring(size):
    first = node = Node(None)
    for _ in range(size - 1):
        node = Node(node)
    first.next = node
    return first


class Collector:
    """
    What full collections took of the clock and of the CPU, and how many objects they walked. Of each, that share
    counts in which the cycle it ends lies within what is measured; of one that is yet to come, as much of the last
    one as its cycle has run. (Else it is chance whether the first and the last of few large ones are counted.)
    """

    def __init__(self, stays):
        self.stays = stays  # objects that live, those remembered among them
        self.made = self.made_before = 0  # objects since the start; by the last full collection
        self.cycle = None  # what was made between the last two
        self.began = None
        self.last = (0, 0, 0)
        self.reset()
        gc.callbacks.append(self.on_collection)

    def reset(self):
        self.count = 0
        self.since = self.made
        self.taken = [0, 0, 0]

    def _add(self, share):
        self.taken = [taken + share * one for taken, one in zip(self.taken, self.last)]

    def on_collection(self, phase, info):
        if info["generation"] != FULL:
            return
        now = time.monotonic_ns(), time.thread_time_ns()
        if phase == "start":
            self.began = now
        elif self.began:
            self.count += 1
            self.cycle = max(self.made - self.made_before, 1)
            # What was made since the last one lives or has grown old and is garbage: both are walked.
            self.last = now[0] - self.began[0], now[1] - self.began[1], self.stays + self.cycle
            self._add((self.made - max(self.made_before, self.since)) / self.cycle)
            self.made_before = self.made

    def end(self):
        """(ns of the clock, ns of CPU time, objects walked)"""
        if self.cycle:
            self._add(min((self.made - max(self.made_before, self.since)) / self.cycle, 1))
        return self.taken


def memory(field):
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    raise KeyError(field)


def say(**values):
    print(json.dumps(values), flush=True)


def work(recent, ticks, rate, collector):
    done, start = 0, time.monotonic()
    for tick in range(1, ticks + 1):
        while done < tick * TICK * rate:
            recent.append(ring(GRAPH))
            done += GRAPH
            collector.made += GRAPH
        rtgc.checkpoint()
        left = start + tick * TICK - time.monotonic()
        if left > 0:
            time.sleep(left)


def main():
    live, rate, warm_up, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    keep = [ring(GRAPH) for _ in range(live // GRAPH)]
    recent = collections.deque((ring(GRAPH) for _ in range(REMEMBERED // GRAPH)), maxlen=REMEMBERED // GRAPH)
    gc.collect()
    say(live_bytes=memory("VmRSS"))
    sys.stdin.readline()
    collector = Collector(live + REMEMBERED)
    work(recent, int(warm_up / TICK), rate, collector)
    collector.reset()
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")  # the peak begins here as well
    work(recent, int(seconds / TICK), rate, collector)
    wall_ns, cpu_ns, walked = collector.end()
    say(collections=collector.count, wall_s=wall_ns / 1e9, cpu_s=cpu_ns / 1e9, walked=walked,
        peak_bytes=memory("VmHWM"), kept=len(keep))
    sys.stdin.readline()


if __name__ == "__main__":
    main()
