# SPDX-License-Identifier: MIT
"""Budget= and MemoryBudget= with real interpreters, which count objects and bring no budget."""

import contextlib
import os

import pytest

from program import Program, environment, harness

MB = 1 << 20
RULE = 100_000  # objects: CPython's own rule for heaps of this size
YOUNG = 3 * MB  # what may be allocated between two looks of the collector at the oldest objects
# It grows by thousands of objects at each line of input. Nothing is collected in windows: only at the budget.
GROWS = """
    keep = []
    grow(int(sys.argv[1]), keep)
    gc.collect()
    rtgc.supervise(service="web")
    full.clear()
    say(grown=0, full=0, **rtgc.status())
    with rtgc.critical():
        for line in sys.stdin:
            grown = 0
            while grown < int(line) and not full:
                grow(1000, keep)
                grown += 1
            gc.collect(1)                    # figures are published
            say(grown=1000 * grown, full=len(full), **rtgc.status())
"""


def heap_of(d, p):
    return next((h for h in d.heaps() if h["pid"] == p.pid), None)


def bytes_of(heap):
    """What lives in it, and what it may allocate beyond that. Before its first collection an object takes
    what the latest figures say."""
    each = heap["rss_bytes"] / heap["live"]
    return (heap["live"] - heap["used"]) * each, heap["budget"] * each


@pytest.mark.skipif(bool(os.environ.get("SANITIZE")), reason="what is freed stays resident under the sanitizers")
@pytest.mark.parametrize("room", [4 * MB, 40 * MB])
def test_budget_of_a_service(room):
    """It goes before CPython's rule, be it less or more: the heap is collected there and nowhere else."""
    with harness.Daemon() as d, Program(GROWS, environment(d.env()), arguments=["200000"], launcher=()) as p:
        p.next()
        d.wait(lambda d: p.ask("1")["supervised"] and heap_of(d, p)["rss_bytes"], "its first figures")
        limit = heap_of(d, p)["rss_bytes"] + room
        d.write_config(f"[Service:web]\nBudget={limit}\n")
        d.call("Reload")
        told = d.wait(lambda d: (lambda heap, said: heap["budget_from"] == "service" and
                                 heap["budget"] == said["budget"] and heap)(heap_of(d, p), p.ask("0")),
                      "it is told its budget")
        assert 0.7 * room < bytes_of(told)[1] < 1.2 * room
        assert told["budget"] < 0.8 * RULE if room < 10 * MB else told["budget"] > 1.5 * RULE
        grown = p.ask("1000")
        assert (grown["full"], grown["forced"]) == (1, 1)
        # (As it grows more is learned of what its objects take: what stands is the limit in bytes.)
        assert heap_of(d, p)["rss_bytes"] < limit + YOUNG
        assert grown["grown"] < 0.9 * RULE if room < 10 * MB else grown["grown"] > 1.2 * RULE
        d.write_config("")
        d.call("Reload")
        d.wait(lambda d: heap_of(d, p)["budget_from"] == "runtime", "the rule holds again")


# At each line of input as much garbage that has grown old as it is told to make.
SHARES = """
    import collections
    live, more = map(int, sys.argv[1:])
    keep = []
    grow(live, keep)
    recent = collections.deque(maxlen=10_000)   # long enough to outlive the young generations
    rtgc.supervise(service="web", heap=f"live-{live}")
    say(ready=True)
    for line in sys.stdin:
        for _ in range(more):
            node = []
            node.append(node)
            recent.append(node)
        rtgc.checkpoint()
        say(done=True)
"""
# Objects that live, objects made at a time: by the square-root rule each has some four times the room of the one before.
SIZES = (5_000, 200), (100_000, 1_000), (500_000, 5_000)


@pytest.mark.skipif(bool(os.environ.get("SANITIZE")), reason="what is freed stays resident under the sanitizers")
def test_shares_of_memory():
    """Several processes of different size: together they stay within MemoryBudget=, whatever they say of themselves."""
    with contextlib.ExitStack() as stack:
        d = stack.enter_context(harness.Daemon())
        programs = [stack.enter_context(Program(SHARES, environment(d.env()), arguments=[str(n) for n in size],
                                                launcher=())) for size in SIZES]
        for p in programs:
            p.next()

        def shares():
            """What each may reach, and what it may allocate, after all have worked a little."""
            for p in programs:
                p.tell("on")
            for p in programs:
                p.next()
            heaps = [heap_of(d, p) for p in programs]
            return heaps if all(h["budget_bytes"] for h in heaps) else None

        d.wait(lambda d: (shares(), all(heap_of(d, p)["rss_bytes"] for p in programs))[1], "all have reported")
        total = sum(heap_of(d, p)["rss_bytes"] for p in programs) + 60 * MB
        d.write_config(f"[Daemon]\nMemoryBudget={total}\n")
        d.call("Reload")

        def in_order():
            heaps = shares()
            if not heaps:
                return None
            reach, rooms = sum(h["budget_bytes"] for h in heaps), [h["budget"] for h in heaps]
            # (What lives is measured: it may turn out to be a little more than thought.)
            assert reach <= 1.05 * total
            return reach <= total and all(1.5 * less < more for less, more in zip(rooms, rooms[1:])) and heaps

        heaps = d.wait(lambda d: in_order(), "the shares are what the rule says")
        assert {h["budget_from"] for h in heaps} == {"shared"}
        d.wait(lambda d: in_order() and all(heap_of(d, p)["collections"]["major"] >= 2 for p in programs[1:]),
               "they have collected, and the shares are still that")
        # One that leaves leaves its room to the others.
        before = heap_of(d, programs[1])["budget"]
        programs.pop().proc.stdin.close()
        d.wait(lambda d: shares() and heap_of(d, programs[1])["budget"] > 2 * before, "the others have its room")
        assert sum(h["budget_bytes"] for h in shares()) <= 1.05 * total
