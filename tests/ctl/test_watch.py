# SPDX-License-Identifier: MIT
"""rtgcctl watch: lines of what happens, from one daemon to the next."""

import contextlib
import datetime
import json
import os
import select
import signal
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.environ["RTGC_SRCDIR"], "tests"))
import harness  # noqa: E402
from joined import Heap  # noqa: E402
from screen import CTL, environment, run  # noqa: E402


@pytest.fixture(name="daemon")
def fixture_daemon():
    with harness.Daemon(config="[Service:checkout]\nLead=0\n") as d:
        yield d


class Watch:
    """A running rtgcctl watch. A context manager."""

    def __init__(self, daemon, *args, program=CTL, **who):
        self.proc = subprocess.Popen([program, "watch", *args], env=environment(daemon.control), stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, **who)
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.proc.poll() is None:
            self.proc.terminate()
        self.proc.communicate(timeout=harness.PATIENCE)

    def next(self):
        return json.loads(self.line())

    def line(self):
        end = time.monotonic() + harness.PATIENCE
        while b"\n" not in self.pending:
            left = end - time.monotonic()
            assert left > 0 and select.select([self.proc.stdout], [], [], left)[0], "no further line"
            data = os.read(self.proc.stdout.fileno(), 65536)
            assert data, self.proc.stderr.read()
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return line

    def until(self, **wanted):
        """The lines up to the one that has these."""
        lines = []
        while not lines or not wanted.items() <= lines[-1].items():
            lines.append(self.next())
        return lines


def test_what_happens(daemon):
    with Heap(daemon.socket, "checkout", "first", budget=10**6) as first, Watch(daemon) as w:
        hello = w.next()
        assert (hello["watch"], hello["rtgcd"]) == ("connected", "0.1.0")
        assert hello["epoch"] == daemon.call("GetStatus")["epoch"]
        there = w.next()
        assert (there["event"], there["snapshot"], there["name"], there["service"]) == ("join", True, "first", "checkout")
        first.report(10**6)
        window = first.window()
        first.begin(window)
        first.end(window)
        lines = w.until(action="close")
        assert [line.get("event") or line["action"] for line in lines] == ["open", "begin", "end", "close"]
        assert all((line["heap"], line["name"], line["service"]) == (first.id, "first", "checkout") for line in lines)
        for line in lines:
            at = datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00"))
            assert abs(at.timestamp() - time.time()) < 600
        with Heap(daemon.socket, "ledger", "second") as second:
            assert w.next()["name"] == "second"
            second.send(10)  # BYE
            assert w.until(event="leave")[-1]["name"] == "second"
        w.proc.send_signal(signal.SIGINT)
        assert w.proc.wait(harness.PATIENCE) == 0 and w.proc.stderr.read() == b""


def test_filters(daemon):
    with contextlib.ExitStack() as stack:
        heaps = [stack.enter_context(Heap(daemon.socket, service, name, budget=10**6))
                 for service, name in (("checkout", "a"), ("checkout", "b"), ("ledger", "c"))]
        watches = {args: stack.enter_context(Watch(daemon, *args)) for args in (
            ("--service", "ledger", "--events=end"), ("--heap", "a", "--events", "begin,end"),
            ("--heap", str(heaps[1].id), "--events=all"), ())}
        for w in watches.values():
            assert w.next()["watch"] == "connected"
        for heap in heaps:
            heap.report(1000)
            heap.begin(cause=1)
            heap.end(cause=1)
            heap.settle()
            heap.send(10)
        told = {args: [(line.get("event"), line["name"]) for line in w.until(**{"event": last, "name": name})]
                for (args, w), (last, name) in zip(watches.items(), (
                    ("end", "c"), ("end", "a"), ("leave", "b"), ("leave", "c")))}
    assert told[("--service", "ledger", "--events=end")] == [("end", "c")]
    assert told[("--heap", "a", "--events", "begin,end")] == [("begin", "a"), ("end", "a")]
    everything = [kind for kind, _ in told[("--heap", str(heaps[1].id), "--events=all")]]
    assert everything == ["join", "report", "begin", "end", "leave"]
    assert [told[()].count((kind, "b")) for kind in ("join", "report", "end")] == [1, 0, 1]


def test_a_daemon_that_restarts(daemon):
    with Watch(daemon, "--events=join") as w:
        first = w.next()
        daemon.kill()
        gone = w.next()
        assert gone["watch"] == "disconnected" and "hung up without an answer" in gone["why"]
        daemon.start()
        again = w.next()
        assert again["watch"] == "connected" and again["epoch"] != first["epoch"]
        with Heap(daemon.socket, "checkout", "later") as heap:
            heap.settle()
            assert w.next()["name"] == "later"
        assert w.proc.poll() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")
def test_an_ordinary_user_hears_of_their_own(daemon):
    with Heap(daemon.socket, "checkout", "ours") as ours, \
            Watch(daemon, program=daemon.copy(CTL), user=54321, group=54331, extra_groups=[]) as w:
        assert w.next()["watch"] == "connected"
        os.setegid(54331)
        os.seteuid(54321)
        try:
            theirs = Heap(daemon.socket, "checkout", "theirs")
        finally:
            os.seteuid(0)
            os.setegid(0)
        with theirs:
            for heap in ours, theirs:
                heap.begin(cause=1)
                heap.end(cause=1)
                heap.settle()
                heap.send(10)
            lines = w.until(event="leave")
        assert [(line["event"], line["name"]) for line in lines] == [(e, "theirs") for e in ("join", "begin", "end", "leave")]


def test_seconds(daemon):
    done = run("watch", "--seconds", "1", control=daemon.control)
    assert (done.returncode, done.stderr) == (0, "")
    assert {json.loads(line)["watch"] for line in done.stdout.splitlines()} <= {"connected"}


def test_names_are_escaped(daemon):
    with Heap(daemon.socket, "checkout", "\u202ename") as heap, Watch(daemon, "--events=join") as w:
        heap.settle()
        assert w.next()["watch"] == "connected"
        line = w.line()
        assert b"\\u202e" in line and json.loads(line)["name"] == "\u202ename"


@pytest.mark.parametrize("args, status, words", [
    (["--events=begin,nothing"], 2, "--events begin,nothing: use all, or some of report,"),
    (["--events="], 2, "use all, or some of"), (["--seconds=0"], 2, "not a whole number from 1 on"),
    ([], 1, "does not answer at")])
def test_errors(args, status, words):
    done = run("watch", *args, control="/nonexistent/control.sock")
    assert (done.returncode, done.stdout) == (status, "") and words in done.stderr and done.stderr.count("\n") == 1


def test_output_that_cannot_be_written(daemon):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([CTL, "watch"], stdout=full, stderr=subprocess.PIPE, env=environment(daemon.control),
                              timeout=harness.PATIENCE)
    assert done.returncode == 1 and b"cannot write the output" in done.stderr
