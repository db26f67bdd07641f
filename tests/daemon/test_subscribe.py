# SPDX-License-Identifier: MIT
"""The method Subscribe: what is there, then what becomes of it, to those who may see it."""

import contextlib
import os

import pytest

from common import BUDGET, due, harness, window
from frames import BYE, FORCED, Client, now
from test_control import check, members

OVERFLOW = f"{harness.INTERFACE}.Overflow"
ONE = "[Service:web]\nMaxConcurrent=1\n"
EVERY = "[Daemon]\nFramesPerSecond=1000000\nFramesPerSecondPerUser=1000000\n"  # of all reports
USER, GROUP = 54321, 54331


class Subscriber(harness.Varlink):
    """A caller, and what it knows by what it was told."""

    def __init__(self, d, **parameters):
        super().__init__(d.control)
        self.heaps, self.windows, self.services = {}, {}, {}
        self.lines = []
        self.counted = {}  # how often a heap was told
        self.send({"method": f"{harness.INTERFACE}.Subscribe", "parameters": parameters, "more": True})
        self.present = False
        self.first = self.take()

    def take(self):
        reply = self.receive()
        assert reply is not None and reply.get("continues"), reply
        reply = reply["parameters"]
        for service in reply.get("services", []):
            self.services[service["name"], service["uid"]] = service
        for heap in reply.get("heaps", []):
            self.heaps[heap["id"]] = heap
            self.windows.pop(heap["id"], None)
            self.counted[heap["id"]] = self.counted.get(heap["id"], 0) + 1
        for w in reply.get("windows", []):
            self.windows[w["heap"]] = w
        for line in reply.get("events", []):
            if line.get("event") == "leave":
                self.heaps.pop(line["heap"], None)
            self.lines.append(line)
        self.present = self.present or reply.get("present", False)
        return reply

    def until(self, predicate):
        while not predicate(self):
            self.take()

    def kinds(self):
        return [line.get("event") or line.get("action") for line in self.lines]


@pytest.fixture(name="d")
def daemon():
    with harness.Daemon(config=ONE) as d:
        yield d


def test_what_is_there(d):
    text = d.call("org.varlink.service.GetInterfaceDescription", interface=harness.INTERFACE)["description"]
    types = members(text, "type")
    with Client(d, budget=BUDGET, heap="a") as a, Client(d, budget=BUDGET, heap="b", service="other"), \
            Client(d, heap="silent"):
        due(a)
        w = window(a)
        with Subscriber(d) as s:
            status = d.call("GetStatus")
            assert (s.first["rtgcd"], s.first["epoch"]) == (status["version"], status["epoch"])
            assert 0 < s.first["now_us"] <= now() // 1000 and s.present is True
            assert set(s.first) == {"rtgcd", "epoch", "now_us", "services", "heaps", "windows", "present"}
            for kind, name in ("Service", "services"), ("Heap", "heaps"), ("Window", "windows"):
                assert check(s.first[name], f"[]{kind}", types, name)
            assert [h["name"] for h in s.first["heaps"]] == ["a", "b", "silent"]
            assert [service["name"] for service in s.first["services"]] == ["web", "other"]
            window_, = s.first["windows"]
            assert (window_["id"], window_["heap"], window_["state"]) == (w.window, a.welcome.heap, "open")
            begun = a.begin(w.window)
            a.end(w.window, begun, used=1000)
            s.until(lambda s: a.welcome.heap not in s.windows)
            assert s.heaps[a.welcome.heap]["used"] == 1000


def test_of_nobody(d):
    with Subscriber(d) as s:
        assert set(s.first) == {"rtgcd", "epoch", "now_us", "present"}
        with Client(d, heap="first", service="new") as c:
            s.until(lambda s: ("new", os.getuid()) in s.services and c.welcome.heap in s.heaps)
            assert s.kinds() == ["join"] and s.lines[0]["name"] == "first"


def test_what_happens(d):
    with Subscriber(d) as s, Client(d, budget=BUDGET, heap="a") as a:
        due(a)
        w = window(a)
        begun = a.begin(w.window)
        a.end(w.window, begun, used=77)
        begun = a.begin(0, cause=FORCED)
        a.end(0, begun, cause=FORCED, used=78)
        s.until(lambda s: a.welcome.heap in s.heaps and s.heaps[a.welcome.heap]["used"] == 78)
        a.send(BYE)
        s.until(lambda s: "leave" in s.kinds())
        assert s.kinds() == ["join", "open", "begin", "end", "close", "begin", "end", "leave"]
        assert all("snapshot" not in line for line in s.lines) and not s.heaps
        opened, forced = s.lines[1], s.lines[5]
        assert (opened["window"], opened["over_limit"], opened["reason"]) == (w.window, False, "due")
        assert (forced["cause"], forced["window"]) == ("forced", 0)


def test_only_what_has_changed_is_told(d):
    with contextlib.ExitStack() as stack:
        a, b, _ = (stack.enter_context(Client(d, budget=BUDGET, heap=name)) for name in "abc")
        s = stack.enter_context(Subscriber(d, events=[]))
        before = dict(s.counted)
        for used in range(1, 4):
            a.report(used=used)
            s.until(lambda s: s.heaps[a.welcome.heap]["used"] == used)
        b.report(used=5)
        s.until(lambda s: s.heaps[b.welcome.heap]["used"] == 5)
        told = {s.heaps[heap]["name"]: n - before[heap] for heap, n in s.counted.items()}
        assert told["a"] >= 3 and 1 <= told["b"] <= 2 and told["c"] == 0
        assert s.lines == []
        b.send(BYE)
        s.until(lambda s: b.welcome.heap not in s.heaps)  # also who asks for no lines hears of it


def test_filters(d):
    with contextlib.ExitStack() as stack:
        a, b, c = (stack.enter_context(Client(d, budget=BUDGET, heap=heap, service=service))
                   for heap, service in (("a", "web"), ("b", "web"), ("c", "other")))
        asked = {"service": {"service": "web"}, "name": {"heap": "b", "events": ["begin", "report"]},
                 "id": {"heap": str(c.welcome.heap)}, "nobody": {"heap": "b", "service": "other"},
                 "lines": {"figures": False, "events": ["end", "join"], "service": "other"}}
        told = {name: stack.enter_context(Subscriber(d, **parameters)) for name, parameters in asked.items()}
        assert all(s.present for s in told.values())
        assert {name: [h["name"] for h in s.heaps.values()] for name, s in told.items()} == {
            "service": ["a", "b"], "name": ["b"], "id": ["c"], "nobody": [], "lines": []}
        assert {name: [service for service, _ in s.services] for name, s in told.items()} == {
            "service": ["web"], "name": [], "id": [], "nobody": [], "lines": []}
        assert [(line["event"], line["name"], line["snapshot"]) for line in told["lines"].lines] == [("join", "c", True)]
        for client in a, b, c:
            client.report(used=7)
            client.end(0, client.begin(0, cause=FORCED), cause=FORCED)
            client.send(BYE)
            client.expect_closed()
        d.write_config(ONE)
        d.call("Reload")  # is of no heap, and not told to who asks for one or for a service
        last = stack.enter_context(Client(d, heap="c", service="other"))
        told["lines"].until(lambda s: s.lines[-1]["heap"] == last.welcome.heap)
        assert told["lines"].kinds() == ["join", "end", "join"]
        told["service"].until(lambda s: s.kinds().count("leave") == 2)
        assert told["service"].kinds() == ["begin", "end", "leave"] * 2
        told["name"].until(lambda s: "leave" in s.kinds())
        assert told["name"].kinds() == ["report", "begin", "leave"]
        told["id"].until(lambda s: "leave" in s.kinds())
        assert told["id"].kinds() == ["begin", "end", "leave"]


def test_more_than_is_told_at_a_time(d):
    """Each heap and service once, while others come, change and go."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(d, budget=BUDGET, heap=f"h{i}", service=f"s{i % 60}")) for i in range(300)]
        s = stack.enter_context(Subscriber(d))
        assert not s.present
        for client in clients[:100]:
            client.send(BYE)
        more = [stack.enter_context(Client(d, budget=BUDGET, heap=f"m{i}", service="more")) for i in range(30)]
        there = {client.welcome.heap for client in clients[100:] + more}
        s.until(lambda s: s.present)
        assert set(s.counted.values()) == {1}
        s.until(lambda s: set(s.heaps) == there)
        assert {(f"s{i}", os.getuid()) for i in range(60)} | {("more", os.getuid())} == set(s.services)
        clients[200].report(used=4711)
        s.until(lambda s: s.heaps[clients[200].welcome.heap]["used"] == 4711)


def test_a_service_that_goes_while_services_are_told(d):
    """Those behind it are counted anew, and none is passed over."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(d, heap=f"h{i}", service=f"s{i}")) for i in range(90)]
        s = stack.enter_context(Subscriber(d, events=[]))
        for client in clients[:30]:
            client.send(BYE)
        s.until(lambda s: s.present)
        assert {name for name, _ in s.services} >= {f"s{i}" for i in range(30, 90)}


@contextlib.contextmanager
def user(uid):
    """Who connects in here is that user."""
    before = os.getgroups()
    os.setgroups([])
    os.setegid(GROUP)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")
def test_others_are_told_of_their_own(d):
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(Client(d, budget=BUDGET, heap="same"))
        with user(USER):
            theirs = stack.enter_context(Client(d, budget=BUDGET, heap="same"))
            s = stack.enter_context(Subscriber(d))
        everything = stack.enter_context(Subscriber(d))
        assert (list(s.heaps), list(s.services)) == ([theirs.welcome.heap], [("web", USER)])
        assert set(everything.heaps) == {ours.welcome.heap, theirs.welcome.heap}
        d.call("Reload")
        for client in ours, theirs:
            client.report(used=9)
            client.end(0, client.begin(0, cause=FORCED), cause=FORCED)
            client.send(BYE)
            client.expect_closed()
        everything.until(lambda s: s.kinds().count("leave") == 2)
        assert everything.kinds() == ["config"] + ["begin", "end", "leave"] * 2
        s.until(lambda s: "leave" in s.kinds())
        assert s.kinds() == ["begin", "end", "leave"] and {line["heap"] for line in s.lines} == {theirs.welcome.heap}


def test_who_reads_no_lines_is_disconnected():
    with harness.Daemon(config=EVERY) as d, Subscriber(d, events=["report"]) as slow, \
            Client(d, budget=BUDGET, heap="chatty") as c, Subscriber(d, events=["end"]) as other:
        n = 0
        while "does not read" not in d.log:
            for _ in range(10):  # so few that each counts
                c.report(used=n)
                n += 1
            c.sync()
        c.end(0, c.begin(0, cause=FORCED), cause=FORCED)
        other.until(lambda s: s.kinds() == ["end"])
        used = []
        while (reply := slow.receive()) is not None and "error" not in reply:
            used += [line["used"] for line in reply["parameters"].get("events", []) if line.get("event") == "report"]
        assert reply["error"] == OVERFLOW and slow.receive() is None
        assert used == list(range(len(used))) and 0 < len(used) < n


def test_who_reads_no_figures_is_told_the_last_ones(d):
    """Nothing is kept for it but what it was being told when it stopped."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(d, budget=BUDGET, heap=f"h{i}")) for i in range(200)]
        s = stack.enter_context(Subscriber(d, events=[]))
        used, waits = 0, 0
        while waits < 6000:  # more than others have, who read
            used += 1
            for client in clients:
                client.report(used=used)
            for client in clients:
                client.sync()
                client.pending = []
            other = stack.enter_context(Subscriber(d, heap="h0", events=[]))
            other.until(lambda s: s.heaps[clients[0].welcome.heap]["used"] == used)
            other.close()
            waits = d.call("GetStatus")["queued_bytes"]
            assert waits < 65536
        s.until(lambda s: all(s.heaps.get(client.welcome.heap, {}).get("used") == used for client in clients))
        assert s.present


def test_hanging_up_is_noticed(d):
    with Client(d, budget=BUDGET, heap="a") as c:
        before = d.descriptors()
        for _ in range(20):
            with Subscriber(d):
                c.report(used=1)
        c.sync()
        d.wait(lambda d: d.descriptors() == before, "the subscribers are forgotten")
        assert d.call("GetStatus")["heaps"] == 1


def test_many_subscribers_are_all_told(d):
    """More than are told in one turn."""
    with contextlib.ExitStack() as stack:
        subscribers = [stack.enter_context(Subscriber(d, figures=False)) for _ in range(50)]
        with Client(d, heap="a") as c:
            for s in subscribers:
                s.until(lambda s: s.kinds() == ["join"])
                assert s.lines[0]["heap"] == c.welcome.heap


@pytest.mark.parametrize("parameters, wrong", [
    ({"service": 1}, "service"), ({"heap": 1}, "heap"), ({"figures": "yes"}, "figures"), ({"events": "join"}, "events"),
    ({"events": ["join", "nothing"]}, "events"), ({"events": [7]}, "events"), ({"format": "events"}, "format")])
def test_wrong_calls(d, parameters, wrong):
    with d.varlink() as v:
        v.send({"method": f"{harness.INTERFACE}.Subscribe", "parameters": parameters, "more": True})
        reply = v.receive()
        assert reply["error"] == "org.varlink.service.InvalidParameter" and reply["parameters"] == {"parameter": wrong}


def test_to_be_called_with_more(d):
    with pytest.raises(harness.Error) as e:
        d.call("Subscribe")
    assert e.value.name == "org.varlink.service.ExpectedMore"
