# SPDX-License-Identifier: MIT
"""ListPauses: what is past, of those that are there and of those that have left."""

import os

import pytest

from common import BUDGET, DIRECTIVE, due, harness, window
from frames import ANNOUNCE, BYE, CAP_QUIET, DECLINE, FORCED, MAJOR, MINOR, REVOKE, UNCOORDINATED, Client, now
from test_control import check, members


@pytest.fixture(name="d")
def daemon():
    with harness.Daemon(config="[Service:web]\nMaxConcurrent=1\n") as d:
        yield d


def pauses(d, **parameters):
    return d.call("ListPauses", **parameters)["pauses"]


def test_a_collection_and_its_window_are_one(d):
    text = d.call("org.varlink.service.GetInterfaceDescription", interface=harness.INTERFACE)["description"]
    types = members(text, "type")
    with Client(d, budget=BUDGET, heap="a") as a:
        assert pauses(d) == []
        due(a)
        w = window(a)
        granted, = pauses(d)
        assert (granted["state"], granted["window"], granted["begin_us"], granted["outcome"]) == \
            ("open", w.window, None, None)
        begun = a.begin(w.window)
        a.sync()
        running, = pauses(d)
        assert running["state"] == "running" and running["begin_us"] <= 0 and running["end_us"] is None
        a.end(w.window, begun, freed=4321, used=1000, live=900)
        a.sync()
        reply = d.call("ListPauses")
        ended, = reply["pauses"]
        for r in granted, running, ended:
            assert check(r, "Pause", types, "pause")
        assert ended["id"] == running["id"] == granted["id"] == 1
        assert ended["changed"] > running["changed"] > granted["changed"] > 0
        assert reply["changes"] == ended["changed"] and reply["dropped"] == 0 and reply["epoch"] > 0
        assert (ended["state"], ended["outcome"], ended["cause"], ended["kind"]) == ("ended", "ended", "window", "major")
        assert (ended["heap_name"], ended["service"], ended["pid"], ended["uid"]) == \
            ("a", "web", os.getpid(), os.getuid())
        assert (ended["freed"], ended["used"], ended["live"], ended["budget"]) == (4321, 1000, 900, BUDGET)
        assert ended["used_before"] >= BUDGET * 9 // 10 and ended["reason"] in ("due", "slack", "no-drain")
        assert ended["wanted_us"] <= ended["announced_us"] <= ended["opens_us"] <= ended["begin_us"] <= ended["end_us"]
        assert ended["end_us"] <= ended["over_us"] <= 0
        assert ended["stop_us"] == pytest.approx(ended["end_us"] - ended["begin_us"], abs=2)
        assert abs(reply["now_us"] + ended["begin_us"] - begun // 1000) <= 1
        assert not ended["over_limit"] and not ended["overrun"]
        a.send(BYE)
        a.expect_closed()
    d.wait(lambda d: not d.heaps(), "it has left")
    assert [p["heap_name"] for p in pauses(d)] == ["a"]


def test_pauses_without_a_window(d):
    with Client(d, budget=BUDGET, heap="a", kinds=1 << MAJOR | 1 << MINOR) as a:
        a.report(used=BUDGET // 2)
        begun = a.begin(0, cause=FORCED)
        a.sync()
        assert [(p["state"], p["cause"], p["window"]) for p in pauses(d)] == [("running", "forced", None)]
        a.end(0, begun, cause=FORCED)
        a.end(0, now() - 5_000_000, cause=UNCOORDINATED, lasted=4_000_000)
        a.end(0, now() - 5_000_000, cause=UNCOORDINATED, kind=MINOR, lasted=999_000)
        a.end(0, now() - 5_000_000, cause=UNCOORDINATED, kind=MINOR, lasted=1_001_000)
        a.sync()
        found = pauses(d)
        assert [(p["state"], p["cause"], p["kind"], p["outcome"], p["reason"]) for p in found] == [
            ("ended", "forced", "major", "ended", None),
            ("ended", "uncoordinated", "major", "ended", None),
            ("ended", "uncoordinated", "minor", "ended", None)]
        assert found[1]["stop_us"] == 4000
        assert all(p["announced_us"] is None and p["closes_us"] is None for p in found)
        a.send(BYE)


def test_windows_that_are_not_used(d):
    with Client(d, budget=BUDGET, heap="a") as a, Client(d, budget=BUDGET, heap="b", service="other") as b:
        due(a)
        w = window(a)
        a.send(DECLINE, window=w.window, why=0)
        a.expect(REVOKE, skip=(DIRECTIVE, ANNOUNCE))
        a.sync()
        first = pauses(d, service="web")[0]
        assert (first["state"], first["outcome"], first["begin_us"]) == ("unused", "declined", None)
        due(b)
        w = window(b)
        begun = b.begin(0, cause=FORCED)  # what its window was for is done without
        b.end(0, begun, cause=FORCED)
        b.sync()
        unused, forced = pauses(d, service="other")[:2]
        assert (unused["state"], unused["outcome"], unused["window"]) == ("unused", "moot", w.window)
        assert (forced["state"], forced["cause"], forced["window"]) == ("ended", "forced", None)


def test_who_leaves_in_a_pause_is_over(d):
    with Client(d, budget=BUDGET, heap="a") as a:
        due(a)
        a.begin(window(a).window)
        a.send(BYE)
        a.expect_closed()
    d.wait(lambda d: not d.heaps(), "it has left")
    p, = pauses(d)
    assert (p["state"], p["outcome"], p["freed"]) == ("ended", "left", None) and p["end_us"] <= 0


def test_a_window_that_is_announced(d):
    d.write_config("[Service:web]\nDrain=client\nLead=60s\n")
    d.call("Reload")
    with Client(d, budget=BUDGET, heap="a", caps=CAP_QUIET) as a:
        due(a)
        a.expect(ANNOUNCE)
        p, = pauses(d)
        assert p["state"] == "announced" and p["opens_us"] > 0 and p["over_us"] is None


def test_what_has_changed_since(d):
    with Client(d, budget=BUDGET, heap="a") as a:
        for _ in range(3):
            a.end(0, now() - 10**6, cause=FORCED)
        begun = a.begin(0, cause=FORCED)
        a.sync()
        before = d.call("ListPauses")
        assert [p["id"] for p in before["pauses"]] == [1, 2, 3, 4]
        assert pauses(d, changed_after=before["changes"]) == []
        a.end(0, begun, cause=FORCED)
        a.end(0, now() - 10**6, cause=FORCED)
        a.sync()
        assert [(p["id"], p["state"]) for p in pauses(d, changed_after=before["changes"])] == [(4, "ended"), (5, "ended")]


def test_pages_and_seconds(d):
    with Client(d, budget=BUDGET, heap="a") as a:
        for i in range(250):
            a.end(0, now() - 10**6, cause=FORCED)
            if i % 50 == 0:
                a.sync()
        a.sync()
        pages, after = [], None
        while True:
            page = d.call("ListPauses", **({} if after is None else {"after": after}))
            pages.append([p["id"] for p in page["pauses"]])
            after = page["next"]
            if after is None:
                break
        assert [len(p) for p in pages] == [100, 100, 50] and sum(pages, []) == list(range(1, 251))
        with d.varlink() as v:
            v.send({"method": f"{harness.INTERFACE}.ListPauses", "more": True,
                    "parameters": {"seconds": 3600, "service": "web", "changed_after": 10}})
            got = []
            while True:
                reply = v.receive()
                got.append([p["id"] for p in reply["parameters"]["pauses"]])
                if not reply.get("continues"):
                    break
        assert [len(p) for p in got] == [100, 100, 40] and got[0][0] == 11
        oldest = pauses(d)[0]
        # What is over may be asked for in whole seconds: all of these are within the last hour.
        assert pauses(d, seconds=3600)[0]["id"] == oldest["id"]
        d.wait(lambda d: not pauses(d, seconds=1), "all of them are older than a second")


def test_the_oldest_make_room_and_are_counted(d):
    with Client(d, budget=BUDGET, heap="a") as a:
        for i in range(16_484):
            a.end(0, now() - 10**6, cause=FORCED)
            if i % 100 == 0:
                a.sync()
        a.sync()
        reply = d.call("ListPauses", limit=1)
        assert reply["dropped"] == 100 and reply["pauses"][0]["id"] == 101
        assert [p["id"] for p in pauses(d, after=50, limit=2)] == [101, 102]
        assert [p["id"] for p in pauses(d, after=16_480)] == [16_481, 16_482, 16_483, 16_484]


@pytest.mark.parametrize("parameters, wrong", [
    ({"seconds": 0}, "seconds"), ({"seconds": "x"}, "seconds"), ({"changed_after": -1}, "changed_after"),
    ({"after": -1}, "after"), ({"limit": 0}, "limit"), ({"service": 1}, "service"), ({"heap": "a"}, "heap")])
def test_errors(d, parameters, wrong):
    with pytest.raises(harness.Error) as e:
        d.call("ListPauses", **parameters)
    assert e.value.name.endswith("InvalidParameter") and e.value.parameters == {"parameter": wrong}
