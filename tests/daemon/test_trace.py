# SPDX-License-Identifier: MIT
"""The method Trace: what was so before, what happens then, and readers who are too slow."""

import contextlib
import json
import os
import subprocess

import pytest

from common import BUDGET, due, harness, window
from frames import *  # noqa: F403

ONE = "[Service:web]\nMaxConcurrent=1\nBudget=1G\nNeverWith=\n"
TRACE = {"method": f"{harness.INTERFACE}.Trace", "parameters": {"format": "events"}, "more": True}
OVERFLOW = f"{harness.INTERFACE}.TraceOverflow"


class Listener(harness.Varlink):
    """A caller of Trace: the lines one after the other."""

    def __init__(self, d):
        super().__init__(d.control)
        self.lines = []
        self.send(TRACE)

    def next(self):
        while not self.lines:
            reply = self.receive()
            assert reply is not None and reply.get("continues"), reply
            self.lines = reply["parameters"]["events"]
        return self.lines.pop(0)

    def until(self, **wanted):
        """The lines up to the first that has these."""
        found = []
        while not found or any(found[-1].get(k) != v for k, v in wanted.items()):
            found.append(self.next())
        return found


def kinds(lines):
    return [line.get("event") or line.get("action") for line in lines]


def test_header():
    with harness.Daemon(config="[Daemon]\nMaxConcurrent=3\n" + ONE) as d, Listener(d) as trace:
        header = trace.next()
        status = d.call("GetStatus")
        assert (header["format"], header["version"], header["clock"]) == ("rtgcd-events", 2, "monotonic")
        assert (header["rtgcd"], header["epoch"]) == (status["version"], status["epoch"])
        assert header["max_concurrent"] == 3 and header["cpus"] >= 1 and header["at_ns"] <= now()
        assert header["services"] == [{
            "name": "web", "policy": "stagger", "drain": "none", "max_concurrent": 1, "budget_bytes": 1 << 30,
            "lead_ns": 200_000_000, "max_defer_ns": 30_000_000_000, "min_yield_permille": 10, "never_with": []}]
        assert header["defaults"] == {**header["services"][0], "name": "", "budget_bytes": 0}


def test_what_was_so_before():
    with harness.Daemon(config=ONE) as d, Client(d, budget=BUDGET, heap="a", caps=CAP_MARKS) as a, \
            Client(d, budget=0, heap="b", unit=1) as b, Client(d, heap="silent") as c:
        due(a)
        w = window(a)
        a.begin(w.window)
        a.sync()
        b.budget = 5000
        b.report(used=1000, live=77)
        b.send(DEADLINE, at=NEVER - 1)
        b.sync()
        with Listener(d) as trace:
            trace.next()
            c.send(BYE)
            c.expect_closed()
            lines = trace.until(event="leave")
        assert kinds(lines) == ["join", "report", "join", "report", "deadline", "join", "leave"]
        assert all(line["snapshot"] for line in lines[:-1]) and "snapshot" not in lines[-1]
        first, second = lines[0], lines[2]
        assert (first["heap"], first["name"], first["service"]) == (a.welcome.heap, "a", "web")
        assert (first["budget"], first["prev_window"], first["prev_closes_ns"]) == (BUDGET, w.window, w.closes)
        assert (first["unit"], first["kinds"], first["caps"]) == ("bytes", ["major"], CAP_MARKS)
        assert (second["unit"], second["budget"], second["prev_window"]) == ("objects", 0, 0)
        report = lines[3]
        assert report["used"] >= 1000 and (report["live"], report["budget"]) == (77, 5000)
        assert report["taken_ns"] == report["at_ns"]
        assert lines[4]["deadline_ns"] == str(NEVER - 1)


def test_what_happens():
    config = "[Service:web]\nMaxConcurrent=1\nDrain=client\nLead=50s\n"
    with harness.Daemon(config=config) as d, Listener(d) as trace, Listener(d) as other:
        for each in trace, other:
            assert each.next()["format"] == "rtgcd-events"
        with Client(d, budget=BUDGET, heap="a", caps=CAP_QUIET | CAP_MARKS, service="web") as a:
            a.send(IDLE, until=NEVER)
            a.send(BUSY)
            a.send(DEADLINE, at=NEVER)
            due(a, ahead=1000, permille=945)
            announced = a.expect(ANNOUNCE)
            a.send(QUIET, window=announced.window)
            w = window(a)
            a.send(DECLINE, window=w.window, why=2)
            a.expect(REVOKE)
            a.begin(0, cause=FORCED)
            a.sync()
            begun = now()
            a.end(0, begun, cause=FORCED, freed=3, used=2, live=1)
            a.send(BYE)
            a.expect_closed()
        lines = trace.until(event="leave")
        assert kinds(lines) == ["join", "idle", "busy", "deadline", "report", "report", "announce", "quiet", "open",
                                "decline", "revoke", "begin", "end", "leave"]
        assert all("snapshot" not in line for line in lines)
        assert [line["at_ns"] for line in lines] == sorted(line["at_ns"] for line in lines)
        by = {kind: line for kind, line in zip(kinds(lines), lines)}
        assert (by["idle"]["until_ns"], by["deadline"]["deadline_ns"]) == (None, None)
        assert (by["announce"]["window"], by["announce"]["drain"]) == (w.window, True)
        assert by["quiet"]["window"] == by["decline"]["window"] == w.window and by["decline"]["why"] == "app"
        assert by["open"]["opens_ns"] == w.opens and by["open"]["closes_ns"] == w.closes
        assert by["open"]["must"] is True and by["open"]["over_limit"] is False and by["open"]["reason"] == "due"
        assert by["report"]["at_ns"] <= by["open"]["wanted_ns"] <= w.opens
        assert by["revoke"]["reason"] == "declined"
        assert (by["begin"]["cause"], by["begin"]["window"], by["end"]["freed"]) == ("forced", 0, 3)
        # Both hear the same, and the end of one is nothing to the other.
        trace.close()
        with Client(d, budget=BUDGET, heap="b"):
            heard = other.until(event="join", name="b")
        assert heard[:len(lines)] == lines


def test_reload():
    with harness.Daemon(config=ONE) as d, Listener(d) as trace:
        trace.next()
        d.write_config("[Service:web]\nMaxConcurrent=7\n")
        d.call("Reload")
        line = trace.next()
        assert line["event"] == "config" and line["services"][0]["max_concurrent"] == 7


def test_wrong_calls():
    with harness.Daemon() as d, d.varlink() as v:
        for call, error in (({"parameters": {"format": "poem"}, "more": True}, "InvalidParameter"),
                            ({"more": True}, "InvalidParameter"),
                            ({"parameters": {"format": 1}, "more": True}, "InvalidParameter"),
                            ({"parameters": {"format": "events", "heap": 1}, "more": True}, "InvalidParameter"),
                            ({"parameters": {"format": "events"}}, "ExpectedMore")):
            v.send({"method": f"{harness.INTERFACE}.Trace", **call})
            assert v.receive()["error"] == f"org.varlink.service.{error}"


def test_many_heaps():
    """More than a page of them, while others come and go."""
    with harness.Daemon() as d:
        heaps = [Client(d, budget=BUDGET, heap=f"h{i}") for i in range(250)]
        with Listener(d) as trace:
            trace.next()
            for client in heaps:
                client.close()
            seen, left = set(), set()
            while len(left) < 250:
                line = trace.next()
                if line.get("event") == "join":
                    assert line["heap"] not in seen
                    seen.add(line["heap"])
                elif line.get("event") in ("lost", "leave"):
                    assert line["heap"] in seen
                    left.add(line["heap"])
            assert seen == left


def test_slow_reader_is_disconnected():
    every = "[Daemon]\nFramesPerSecond=1000000\nFramesPerSecondPerUser=1000000\n"  # of all reports
    with harness.Daemon(config=every) as d, Listener(d) as slow, Client(d, budget=BUDGET, heap="chatty") as c:
        assert slow.next()["format"] == "rtgcd-events"
        n = 0
        while "does not read" not in d.log:
            for _ in range(10):  # so few that each counts
                c.report(used=n)
                n += 1
            c.sync()
        # A fresh one is served at once, and the daemon goes on.
        with Listener(d) as fresh:
            fresh.next()
            c.report(used=5)
            fresh.until(event="report", used=5)
        used = []
        while (reply := slow.receive()) is not None and "error" not in reply:
            used += [line["used"] for line in reply["parameters"]["events"] if line.get("event") == "report"]
        assert reply["error"] == OVERFLOW and slow.receive() is None
        assert used == list(range(len(used))) and 0 < len(used) < n
        c.send(BYE)


def test_many_hear_the_same():
    """More than are told in one turn, who come and go while it is told: nothing twice, nothing left out."""
    every = "[Daemon]\nFramesPerSecond=1000000\nFramesPerSecondPerUser=1000000\n"
    n, rounds = 50, 5
    with harness.Daemon(config=every) as d, Client(d, budget=10**9, heap="a") as c, contextlib.ExitStack() as stack:
        listeners = []
        for i in range(rounds):
            listeners += [stack.enter_context(Listener(d)) for _ in range(n // rounds)]
            for one in listeners[-n // rounds:]:
                one.next()
            for used in range(100):
                c.report(used=100 * i + used)
                if used == 50:
                    Listener(d).close()
                if used % 10 == 9:
                    c.sync()  # of many more at once the last would count
        heard = [one.until(event="report", used=100 * rounds - 1) for one in listeners]
        longest = max(heard, key=len)
        assert [line["used"] for line in longest if line.get("event") == "report" and "snapshot" not in line] == \
            list(range(100 * rounds))
        for lines in heard:
            told = [line for line in lines if "format" not in line and "snapshot" not in line]
            assert told == longest[len(longest) - len(told):]
            assert len(told) >= 100


def test_who_reads_beside_many_who_do_not():
    """They are disconnected; who reads is told all, in order."""
    every = "[Daemon]\nFramesPerSecond=1000000\nFramesPerSecondPerUser=1000000\nMaxQueue=32K\n"
    with harness.Daemon(config=every) as d, Client(d, budget=10**9, heap="a") as c, contextlib.ExitStack() as stack:
        deaf = [stack.enter_context(Listener(d)) for _ in range(100)]
        for one in deaf:
            one.next()
        trace = stack.enter_context(Listener(d))
        used = []
        while d.call("GetStatus")["callers"] > 2:  # who asks, and who reads
            for _ in range(10):
                c.report(used=len(used))
                lines = trace.until(event="report", used=len(used))
                used += [line["used"] for line in lines if line.get("event") == "report" and "snapshot" not in line]
        assert used == list(range(len(used)))
        refused = d.call("GetStatus")["refused"]
        assert (refused["slow"], refused["memory"]) == (len(deaf), 0)


def test_hanging_up_is_noticed():
    with harness.Daemon() as d, Client(d, budget=BUDGET, heap="a") as c:
        before = d.descriptors()
        for _ in range(20):
            with Listener(d) as trace:
                trace.next()
                c.report(used=1)
        c.sync()
        d.wait(lambda d: d.descriptors() == before, "the listeners are forgotten")
        assert d.call("GetStatus")["heaps"] == 1


OTHER_USER = """
import os, sys
sys.path[:0] = sys.argv[2:]
import harness
os.setgroups([]); os.setgid(65534); os.setuid(65534)
v = harness.Varlink(sys.argv[1])
v.send({"method": harness.INTERFACE + ".Trace", "parameters": {"format": "events"}, "more": True})
print(v.receive()["error"])
"""


def test_others_may_not():
    if os.geteuid() != 0:
        pytest.skip("needs root to be two users")
    here = os.path.dirname(os.path.abspath(__file__))
    with harness.Daemon() as d:
        done = subprocess.run([os.environ["PYTHON"], "-c", OTHER_USER, d.control, here, os.path.dirname(here)],
                              capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout == "org.varlink.service.PermissionDenied\n"


# ---- rtgcctl trace -------------------------------------------------------------------------


def ctl(d, *args, **more):
    return subprocess.Popen([os.path.join(harness.BUILDDIR, "rtgcctl"), "--control", d.control, "trace", *args],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def test_command_until_interrupted():
    with harness.Daemon() as d, ctl(d, "--format=events") as p, ctl(d) as q:
        for each in (p, q):
            assert json.loads(each.stdout.readline())["format"] == "rtgcd-events"
        with Client(d, budget=BUDGET, heap="a\u202eb") as c:
            line = p.stdout.readline()
            assert b"\\u202e" in line and json.loads(line)["name"] == "a\u202eb"
            c.send(BYE)
            c.expect_closed()
        while json.loads(p.stdout.readline())["event"] != "leave":
            pass
        p.send_signal(2)
        q.terminate()
        assert p.wait(60) == 0 and q.wait(60) == 0
        assert p.stderr.read() == b"" and p.stdout.read() == b""


def test_command_for_a_time():
    with harness.Daemon() as d, ctl(d, "--seconds", "1") as p:
        out, err = p.communicate(timeout=60)
        assert (p.returncode, err) == (0, b"") and out.count(b"\n") == 1


def test_command_when_the_daemon_goes():
    with harness.Daemon() as d, ctl(d) as p:
        p.stdout.readline()
        d.stop()
        out, err = p.communicate(timeout=60)
        assert (p.returncode, out) == (1, b"") and b"hung up" in err


@pytest.mark.parametrize("args", [["--format=poem"], ["--seconds", "0"], ["--seconds", "x"], ["--seconds="]])
def test_command_used_wrongly(args):
    with harness.Daemon() as d, ctl(d, *args) as p:
        out, err = p.communicate(timeout=60)
        assert (p.returncode, out) == (2, b"") and err.startswith(b"rtgcctl: ")
