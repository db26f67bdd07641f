# SPDX-License-Identifier: MIT
"""Budget= with real interpreters, which count objects and bring no budget."""

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
