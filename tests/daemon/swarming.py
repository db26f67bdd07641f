# SPDX-License-Identifier: MIT
"""Processes with many heaps (swarm.c), and what their own records of their pauses say."""

import collections
import os
import subprocess
import time

from common import harness

SWARM = os.path.join(harness.BUILDDIR, "tests", "daemon", "swarm")
IN_WINDOW = 0  # enum rtgc_cause

# Instants are of CLOCK_MONOTONIC, in nanoseconds; the daemon opened the window at `opens`.
Pause = collections.namedtuple("Pause", "heap cause begin end window opens")


class Swarm:
    """swarm SERVICE HEAPS BUDGET RATE PAUSE_US, started by `start(command, pipes)`."""

    def __init__(self, start, *args):
        self.proc = start([SWARM, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pauses = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.finish()

    def ask(self, what="status"):
        """How many of its heaps are supervised."""
        self.proc.stdin.write(what + "\n")
        self.proc.stdin.flush()
        while True:
            words = self.proc.stdout.readline().split()
            if words[0] == "status":
                return int(words[1])
            self.pauses.append(Pause(*map(int, words[1:])))

    def finish(self):
        """All pauses."""
        if self.proc.poll() is None:
            out, _ = self.proc.communicate()
            self.pauses += [Pause(*map(int, line.split()[1:])) for line in out.splitlines()
                            if line.startswith("pause")]
        return self.pauses


def started_for(d):
    """Starts a program as a client of that daemon."""
    return lambda command, **pipes: subprocess.Popen(command, env=d.env(), **pipes)


class Counter:
    """A count that only grows, asked for now and then: between which bounds was it at an instant?"""

    def __init__(self):
        self.samples = []  # (asked, answered, count)

    def ask(self, call):
        """Takes down over_limit of the status that call() returns, and hands the status on."""
        asked = time.monotonic_ns()
        status = call()
        self.samples.append((asked, time.monotonic_ns(), status["over_limit"]))
        return status

    def at_most(self, instant):
        return next(count for asked, _, count in self.samples if asked >= instant)

    def at_least(self, instant):
        return max((count for _, answered, count in self.samples if answered <= instant), default=0)


def most_over(pauses, limit, over_limit):
    """
    By how many the pauses in windows that overlap ever exceed the limit and those that the daemon
    has counted as over the limit since it opened the first of the windows in use at that instant.
    """
    edges = sorted([(p.begin, 1, i) for i, p in enumerate(pauses) if p.cause == IN_WINDOW] +
                   [(p.end, 0, i) for i, p in enumerate(pauses) if p.cause == IN_WINDOW])
    present, most = set(), -limit
    for instant, begins, i in edges:
        if not begins:  # at one instant, the end comes before the next beginning
            present.discard(i)
            continue
        present.add(i)
        if len(present) > limit:
            first = min(pauses[j].opens for j in present)
            counted = over_limit.at_most(instant) - over_limit.at_least(first)
            most = max(most, len(present) - limit - counted)
        else:
            most = max(most, len(present) - limit)
    return most
