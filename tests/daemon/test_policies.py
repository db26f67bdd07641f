# SPDX-License-Identifier: MIT
"""Each key of the configuration that says who pauses with whom, and on how much memory."""

import contextlib
import re

import pytest

from common import BUDGET, due, harness, window
from frames import ANNOUNCE, DIRECTIVE, IDLE, NEVER, REPORT, WINDOW, CAP_MARKS, CAP_PAGE, Client, now

HOST = "[Daemon]\nMaxConcurrent=2\n"


def decisions(d, heap):
    return [x["reason"] for x in d.call("Explain", heap=heap)["decisions"]]


def service(d, name):
    return [s for s in d.services() if s["name"] == name][0]


@pytest.mark.parametrize("section, names, apart", [
    ("web", "ledger", True), ("ledger", "web", True), ("web", '"x y" ledger z', True),
    ("web", "nobody", False), ("nobody", "web ledger", False),
])
def test_never_with(section, names, apart):
    config = f"{HOST}[Service:{section}]\nNeverWith={names}\n"
    with harness.Daemon(config=config) as d, Client(d, budget=BUDGET, service="web", heap="a") as a, \
            Client(d, budget=BUDGET, service="ledger", heap="b") as b:
        due(a)
        first = window(a)
        begun = a.begin(first.window)
        a.sync()
        due(b)
        if apart:
            b.sync()
            b.nothing_pending()
            last = d.call("Explain", heap="b")["decisions"][-1]
            assert (last["reason"], last["holder"]) == ("rival-busy", "a")
            a.end(first.window, begun)
        b.collect(window(b).window)
        b.sync()
        assert d.call("GetStatus")["paused_max"] == (1 if apart else 2)
        assert ("rival-busy" in decisions(d, "b")) == apart


def test_never_with_by_reload():
    with harness.Daemon(config=HOST) as d, Client(d, budget=BUDGET, service="web", heap="a") as a, \
            Client(d, budget=BUDGET, service="ledger", heap="b") as b:
        due(a)
        begun = a.begin(first := window(a).window)
        a.sync()
        d.write_config(f"{HOST}[Service:ledger]\nNeverWith=web\n")
        d.call("Reload")
        due(b)
        b.sync()
        b.nothing_pending()
        d.write_config(HOST)
        d.call("Reload")
        window(b)
        a.end(first, begun)


def test_together():
    """One is due, and all that have something to free get a window at the same instant."""
    config = f"{HOST}[Service:web]\nPolicy=together\n"
    with harness.Daemon(config=config) as d, Client(d, budget=BUDGET, heap="a") as a, \
            Client(d, budget=BUDGET, heap="b") as b, Client(d, budget=BUDGET, heap="c") as c:
        b.report(used=BUDGET // 2)
        c.report(used=BUDGET // 100)
        b.sync()
        c.sync()
        due(a)
        wa, wb = window(a), window(b)
        assert (wa.opens, wa.closes) == (wb.opens, wb.closes) and wa.window != wb.window
        c.nothing_pending()  # it has hardly anything to free
        # These cannot say "quiet", so the round does not wait for them.
        assert decisions(d, "a")[-2:] == decisions(d, "b")[-2:] == ["together", "no-drain"]
        begun = a.begin(wa.window)
        b.collect(wb.window)
        a.end(wa.window, begun)
        a.sync()
        b.sync()
        web = service(d, "web")
        assert (web["policy"], web["dropped_out"], web["schedulable"]) == ("together", 0, True)
        assert web["advice"].endswith(", all at once")
        assert d.call("GetStatus")["over_limit"] == 0


def test_who_misses_the_round_is_counted():
    with harness.Daemon(config=f"{HOST}[Service:web]\nPolicy=together\n") as d, \
            Client(d, budget=BUDGET, heap="a") as a, Client(d, budget=BUDGET, heap="b") as b:
        b.report(used=BUDGET // 2)
        b.sync()
        due(a)
        a.collect(window(a).window)
        d.wait(lambda d: service(d, "web")["dropped_out"] == 1, "the other one has missed it")
        assert [h["expired"] for h in d.heaps()] == [0, 1]


def test_idle():
    """An idle application is taken at its word, though it does not say for how long."""
    config = "[Service:web]\nPolicy=idle\n[Service:other]\n"
    with harness.Daemon(config=config) as d, \
            Client(d, budget=BUDGET, service="web", heap="a", caps=CAP_MARKS) as a, \
            Client(d, budget=BUDGET, service="other", heap="b", caps=CAP_MARKS) as b:
        for client in (a, b):
            client.report(used=BUDGET * 6 // 10)
            client.sync()
            client.send(IDLE, until=NEVER)
        assert window(a).must == 0
        b.nothing_pending()
        assert decisions(d, "a") == ["slack"] and decisions(d, "b") == []


def test_observe():
    """Every window opens at once, beyond the slots, and what would have waited is counted."""
    config = f"{HOST}[Service:web]\nPolicy=observe\nMaxConcurrent=1\n"
    with harness.Daemon(config=config) as d, Client(d, budget=BUDGET, heap="a") as a, \
            Client(d, budget=BUDGET, heap="b") as b, Client(d, budget=BUDGET, heap="c") as c:
        for client in (a, b, c):
            due(client)
            client.begin(client.expect(WINDOW, skip=(DIRECTIVE, ANNOUNCE)).window)
            client.sync()
        status = d.call("GetStatus")
        assert (status["paused_now"], status["over_limit"]) == (3, 0)
        assert service(d, "web")["would_wait"] == 2
        assert [w["slot"] for w in d.windows()] == [False] * 3
        assert decisions(d, "a") == ["observed", "began"]
        assert decisions(d, "c") == ["would-wait", "observed", "began"]


def directive(client, predicate):
    """The first directive for which it is true."""
    while True:
        frame = client.expect(DIRECTIVE, skip=())
        if predicate(frame):
            return frame


def heap(d, name):
    return d.call("Explain", heap=name)["heap"]


@pytest.mark.parametrize("caps", [0, CAP_PAGE])
def test_memory_budget(caps):
    """A heap that brings no budget gets its share by DIRECTIVE; one with its own gets none."""
    total = 1 << 30
    with harness.Daemon(config="[Daemon]\nMemoryBudget=1G\n") as d, \
            Client(d, heap="shares", caps=0) as shares, Client(d, budget=BUDGET, heap="own", caps=caps) as own:
        for client in (shares, own):
            client.report(used=BUDGET, live=BUDGET // 2)
            client.sync()
        given = directive(shares, lambda f: f.budget > 0).budget
        assert 0.9 * total < given <= total + 1
        assert (heap(d, "shares")["budget"], heap(d, "shares")["budget_from"]) == (given, "shared")
        assert (heap(d, "own")["budget"], heap(d, "own")["budget_from"]) == (BUDGET, "own")
        assert not any(f.budget for f in own.pending if f.type == DIRECTIVE)


def test_memory_budget_is_shared():
    """Two alike get half each, more of them less; without the key nobody gets anything."""
    with harness.Daemon(config="[Daemon]\nMemoryBudget=1G\n[Service:web]\nBudget=5M\n") as d, \
            Client(d, heap="a") as a, Client(d, heap="b") as b:
        for client in (a, b, a, b):
            client.report(used=BUDGET, live=BUDGET // 2)
            client.sync()
        for h in d.heaps():
            assert 0.45 * (1 << 30) < h["budget"] < 0.55 * (1 << 30) and h["budget_from"] == "shared"
        d.write_config("[Service:web]\nBudget=5M\n")
        d.call("Reload")
        assert [(h["budget"], h["budget_from"]) for h in d.heaps()] == [(5 << 20, "service")] * 2
        assert directive(a, lambda f: f.budget == 5 << 20)


def test_memory_budget_of_objects():
    """Its share is told in the heap's own unit, by what an object takes of its memory."""
    with harness.Daemon() as d, Client(d, heap="o", unit=1) as c:
        c.send(REPORT, at=now(), used=0, allocated=0, live=BUDGET, rss_bytes=100 * BUDGET, budget=BUDGET // 4)
        c.sync()
        assert (heap(d, "o")["budget"], heap(d, "o")["budget_from"]) == (BUDGET // 4, "runtime")
        d.write_config("[Daemon]\nMemoryBudget=1G\n")
        d.call("Reload")
        given = directive(c, lambda f: f.budget > 0).budget
        expected = ((1 << 30) - 100 * BUDGET) / 100
        assert 0.9 * expected < given < 1.1 * expected
        assert (heap(d, "o")["budget"], heap(d, "o")["budget_from"]) == (given, "shared")


def test_advice():
    """Three heaps whose pauses are long against the time a budget lasts, on one slot."""
    with harness.Daemon(config="[Daemon]\nMaxConcurrent=1\n") as d, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(d, heap=f"h{i}", unit=1, budget=BUDGET)) for i in range(3)]
        for client in clients:
            client.report(used=0, live=10 * BUDGET)
            client.sync()
        web = service(d, "web")
        assert (web["schedulable"], web["needs_concurrent"], web["load_permille"]) == (True, 1, 0)
        assert web["advice"] == "nothing allocates: nothing to schedule"
        for client in clients:
            begun = now()
            client.report(used=0, live=10 * BUDGET, at=begun)
            while now() - begun < 50_000_000:  # rates of shorter spans are not believed
                client.sync()
            at = now()
            client.report(used=0, live=10 * BUDGET, allocated=BUDGET * (at - begun) // (4 * 10**9), at=at)
            client.sync()
        web, status = service(d, "web"), d.call("GetStatus")
        assert not web["schedulable"] and web["load_permille"] > 0
        said = re.fullmatch(r"MaxConcurrent=1 is too little for 3 heaps that pause (\d+ ms|\S+ s) every [34]\.\d s: "
                            r"(\d) would do", web["advice"])
        assert said and int(said[2]) == web["needs_concurrent"] > 1
        assert (status["advice"], status["schedulable"]) == (web["advice"], False)
        d.write_config(f"[Service:web]\nMaxConcurrent={said[2]}\n")
        d.call("Reload")
        assert service(d, "web")["schedulable"] is True
