# SPDX-License-Identifier: MIT
"""Heaps without garbage: few full collections, then gc.freeze(), and nothing leaks for it."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program, environment, harness, read_record

CONFIG = "[Service:web]\nMaxConcurrent=1\nMinYield=2%\n"

# So many objects live, the oldest being replaced as new ones come. clean() leaves no garbage; dirty() leaves
# cycles for the oldest generation, and counts those that are freed.
APP = """
    import collections, select
    rtgc.supervise(service="web", collector="window")
    while not rtgc.status()["supervised"]:
        time.sleep(0.001)
    live = collections.deque([] for _ in range(400000))

    class Node:
        freed = 0
        def __del__(self):
            Node.freed += 1

    def clean():
        live.extend([] for _ in range(4000))
        for _ in range(4000):
            live.popleft()

    held = collections.deque()

    def dirty():
        "Cycles that have grown old when they are dropped."
        for _ in range(2000):
            node = Node()
            node.cycle = [node]
            held.append(node)
        while len(held) > 20000:
            held.popleft()

    def turn(work):
        "By some 200,000 objects a second at most. True: told to stop."
        if rtgc.status()["used"] < 0.9 * rtgc.status()["budget"]:
            work()
        return bool(select.select([sys.stdin], [], [], 0.02)[0])

    def until(done, work):
        while not done():
            turn(work)
        say(status=rtgc.status(), full=len(full), frozen=gc.get_freeze_count(), freed=Node.freed)
"""


def heap_of(daemon, program):
    return next((h for h in daemon.heaps() if h["pid"] == program.pid), None)


@pytest.mark.parametrize("collector", ["window", "snapshot"])
def test_frozen_and_found_again(tmp_path, collector):
    record = str(tmp_path / "record")
    app = APP.replace('collector="window"', f'collector="{collector}"')
    with harness.Daemon(config=CONFIG) as d, Program(app + """
    until(lambda: rtgc.status()["freezes"] == 1, clean)
    sys.stdin.readline()
    until(lambda: rtgc.status()["frozen"] == 0 and Node.freed > 10000, dirty)
    sys.stdin.readline()
    """, environment(d.env(), RTGC_RECORD=record), launcher=()) as p:
        said = p.next()
        assert said["status"]["frozen"] >= 300000 and said["frozen"] >= 300000
        assert said["status"]["used"] < said["status"]["budget"] / 2
        heap = d.wait(lambda d: (h := heap_of(d, p)) and h["collections"]["freeze"] == 1 and h,
                      "the freeze is known")
        # Two were empty; those before are of the time when it was being built.
        assert 2 <= heap["collections"]["major"] + heap["collections"]["snapshot"] <= 10
        assert heap["declined"] >= 1
        forced = heap["forced"]     # while it was being built, faster than any window comes

        reasons = [x["reason"] for x in d.call("Explain", heap=str(heap["id"]))["decisions"]]
        assert "low-yield" in reasons
        p.tell()
        said = p.next()
        # What grew old before the freeze and after.
        assert said["status"]["frozen"] == 0 and said["frozen"] < 1000
        heap = d.wait(lambda d: (h := heap_of(d, p)) and h["yield_last"] > 10000 and h,
                      "the collection is known")
        assert heap["forced"] == forced
        p.tell()
    lines = read_record(record)
    freezes = [line for line in lines if line["kind"] == "freeze"]
    assert freezes and all(line["cause"] == "window" for line in freezes)


def test_collecting_everything_means_everything():
    with harness.Daemon(config=CONFIG) as d, Program(APP + """
    old = [Node() for _ in range(1000)]
    for node in old:
        node.self = node
    until(lambda: rtgc.status()["freezes"] == 1, clean)
    del node, old
    gc.collect()
    say(status=rtgc.status(), freed=Node.freed, frozen=gc.get_freeze_count())
    """, environment(d.env()), launcher=()) as p:
        assert p.next()["frozen"] >= 300000
        said = p.next()
        assert said["freed"] == 1000 and said["frozen"] < 1000
        assert said["status"]["frozen"] == 0 and said["status"]["uncoordinated"] == 1


def test_without_a_daemon_nothing_is_frozen():
    with harness.Daemon(config=CONFIG) as d, Program(APP + """
    until(lambda: rtgc.status()["freezes"] == 1, clean)
    until(lambda: not rtgc.status()["supervised"], clean)
    seen = young[1]
    while young[1] < seen + 2:
        clean()
    say(status=rtgc.status(), frozen=gc.get_freeze_count(), full=len(full))
    sys.stdin.readline()
    """, environment(d.env()), launcher=()) as p:
        assert p.next()["frozen"] >= 300000
        d.kill()
        full = p.next()["full"]
        said = p.next()
        assert said["frozen"] < 1000 and said["status"]["frozen"] == 0
        # And CPython's rule goes by all of it again: no burst of full collections.
        assert said["full"] <= full + 1
        p.tell()
        d.restart()


def test_what_the_program_froze_stays_frozen():
    with harness.Daemon(config=CONFIG) as d, Program(APP + """
    kept = [[] for _ in range(5000)]
    gc.freeze()
    live.clear()
    live.extend([] for _ in range(400000))
    until(lambda: rtgc.status()["freezes"] == 1, clean)
    until(lambda: rtgc.status()["collections_in_window"] >= 5, clean)
    say(status=rtgc.status(), frozen=gc.get_freeze_count())
    sys.stdin.readline()
    """, environment(d.env()), launcher=()) as p:
        p.next()
        p.next()
        said = p.next()
        # The daemon sees that it does not help, and has it collected.
        assert said["status"]["frozen"] == 0 and said["frozen"] >= 5000
        assert said["status"]["freezes"] <= 2
        p.tell()
