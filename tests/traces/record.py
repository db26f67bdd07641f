# SPDX-License-Identifier: MIT
"""
Records the full collections of real CPython programs, for tests/unit/test_predict.c:

    RTGC_BUILDDIR=b /usr/bin/python3 tests/traces/record.py growing > tests/traces/growing.csv

The machine must have nothing else to do meanwhile. What is recorded is never edited: a new
recording takes the place of the old one. Columns (objects as CPython's collector counts them, as
the module rtgc reports them):

    at_us       when the collection began, since the recording began
    pause_ns    how long it took
    used        grown old since the last full collection; known before this one
    live        in the heap, used included; known before this one
    freed       what this one found unreachable
    live_after  what it left

Nobody supervises: the module only reads the figures, and CPython collects by its own rule, or
where the program itself calls gc.collect(). Collections at the interpreter's exit are not
recorded.
"""
import array
import ast
import collections
import gc
import glob
import os
import platform
import random
import sys
import sysconfig
import time

PAUSES = 300
# Of the machine's CPU time: what other programs and other machines on the host may take.
OTHERS_MAX = 0.05

sys.path.insert(0, os.path.join(os.environ["RTGC_BUILDDIR"], "client/python/stage"))
os.environ["RTGC_SOCKET"] = "/nonexistent/rtgcd"  # alone: CPython's own policy stays
import rtgc

rows = array.array("q", bytes(8 * 6 * PAUSES))  # allocated now, not in a callback
filled = 0
began = ended = 0
known = (0, 0)


def enough():
    return filled == PAUSES


def time_it(phase, info):
    """Runs last at the start and first at the end: nothing but the collection lies between."""
    global began, ended
    if info["generation"] == 2:
        if phase == "start":
            began = time.monotonic_ns()
        else:
            ended = time.monotonic_ns()


def note(phase, info):
    """What was known before, and what came of it."""
    global filled, known
    if info["generation"] != 2 or enough():
        return
    figures = rtgc.status()
    if phase == "start":
        known = figures["used"], figures["live"]
        return
    rows[filled * 6:filled * 6 + 6] = array.array("q", (
        began // 1000, ended - began, *known, info["collected"], figures["live"]))
    filled += 1


# ---- The programs ---------------------------------------------------------------------------


def growing():
    """An analyser of source code that keeps every syntax tree, and collects after every second file."""
    files = [name for name in sorted(glob.glob(os.path.join(sysconfig.get_path("stdlib"), "*.py")))
             if os.path.getsize(name) < 20_000]
    trees = []
    while True:
        for name in files:
            with open(name, encoding="utf-8") as file:
                trees.append(ast.parse(file.read()))
            if len(trees) % 2:
                continue
            gc.collect()
            if enough():
                return


class Session:
    """Refers to its items, and they to it: only the collector frees it."""

    def __init__(self, number, items):
        self.number = number
        self.items = [{"session": self, "item": n, "tags": [n]} for n in range(items)]


def steady():
    """A server with a cache of sessions that drops the oldest."""
    rng = random.Random(1)
    cache = collections.OrderedDict()
    number = 0
    while not enough():
        number += 1
        cache[number] = Session(number, rng.randrange(4, 30))
        if len(cache) > 3000:
            cache.popitem(last=False)
        for _ in range(3):  # requests look things up and make short-lived objects
            session = cache.get(rng.randrange(max(1, number - 3000), number + 1))
            if session:
                sorted(str(item["tags"]) for item in session.items)


def bursts():
    """A service with a settled heap; now and then a job of some other size comes and goes."""
    rng = random.Random(2)
    settled = [Session(n, 10) for n in range(3000)]
    while not enough():
        for n in range(rng.randrange(100, 1500)):  # everyday work
            settled[rng.randrange(len(settled))] = Session(n, 10)
        if rng.random() < 0.3:
            job = [Session(n, 12) for n in range(rng.randrange(500, 5000))]
            sum(len(session.items) for session in job)
            del job
        if rng.random() < 0.2:
            gc.collect()  # as services do between requests


# The next three are held out: recorded when the prediction was finished, and never tuned to.


def documents():
    """An importer that keeps each document it reads, flat or deep, and collects after every thirtieth."""
    rng = random.Random(3)

    def part(depth):
        if depth == 0 or rng.random() < 0.2:
            return rng.choice(("text", 1.5, (rng.random(), "pair")))
        if rng.random() < 0.5:
            return {f"key{n}": part(depth - 1) for n in range(rng.randrange(1, 7))}
        return [part(depth - 1) for _ in range(rng.randrange(1, 9))]

    kept = []
    while not enough():
        kept.append(part(rng.randrange(2, 7)))
        if len(kept) % 30 == 0:
            gc.collect()


class Entry:
    """Of a linked list in both directions; hangs together with its neighbours."""

    __slots__ = ("before", "after", "value")

    def __init__(self, before, value):
        self.before = before
        self.after = None
        self.value = value
        if before is not None:
            before.after = self


def chain(length):
    first = last = Entry(None, [0])
    for n in range(1, length):
        last = Entry(last, {n} if n % 5 == 0 else [n])
    return first


def entries():
    """A store of chains of quite different length; each request replaces one at random."""
    rng = random.Random(4)

    def length():
        return min(2000, int(rng.lognormvariate(2.5, 1.2)) + 1)

    store = [chain(length()) for _ in range(4000)]
    while not enough():
        store[rng.randrange(len(store))] = chain(length())


def batches():
    """Hardly any work, and from time to time a batch, now small, now large, that is kept until the next one."""
    rng = random.Random(5)
    settled = {n: chain(10) for n in range(1500)}
    batch = None
    while not enough():
        for _ in range(rng.randrange(50, 400)):
            settled[rng.randrange(len(settled))] = chain(10)
        if rng.random() < 0.15:
            batch = [chain(rng.randrange(5, 60)) for _ in range(int(40 * 60 ** rng.random()))]
        if rng.random() < 0.1:
            gc.collect()
    del batch


PROGRAMS = {program.__name__: program
            for program in (growing, steady, bursts, documents, entries, batches)}


def cpu_ticks():
    """(spent by anybody, our own host's other guests included; there were in all)"""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def taken_by_others(before, after):
    own = sum(os.times()[:2]) * os.sysconf("SC_CLK_TCK")
    return max(0, after[0] - before[0] - own) / (after[1] - before[1])


def main():
    program = PROGRAMS[sys.argv[1]]
    rtgc.supervise()
    own = gc.callbacks[:]
    gc.callbacks[:] = []

    def at_start(phase, info):
        if phase == "start":
            note(phase, info)

    def at_stop(phase, info):
        if phase == "stop":
            note(phase, info)

    def timed_stop(phase, info):
        if phase == "stop":
            time_it(phase, info)

    def timed_start(phase, info):
        if phase == "start":
            time_it(phase, info)

    gc.callbacks += [timed_stop, *own, at_stop, at_start, timed_start]
    ticks = cpu_ticks()
    start = time.monotonic_ns() // 1000
    program()
    gc.callbacks.clear()
    others = taken_by_others(ticks, cpu_ticks())
    if others > OTHERS_MAX:
        sys.exit(f"others took {others:.1%} of the CPUs: not a quiet machine, nothing recorded")
    print(f"# {program.__name__}: {' '.join(program.__doc__.split())}")
    print(f"# {platform.python_implementation()} {platform.python_version()}, {platform.machine()},"
          f" {os.cpu_count()} CPUs, others took {others:.1%} of them; recorded by record.py, not edited")
    print("at_us,pause_ns,used,live,freed,live_after")
    for i in range(PAUSES):
        at_us, *rest = rows[i * 6:i * 6 + 6]
        print(at_us - start, *rest, sep=",")
    sys.stdout.flush()
    os._exit(0)  # what happens at exit is another thing


main()
