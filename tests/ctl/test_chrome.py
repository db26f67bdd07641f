# SPDX-License-Identifier: MIT
"""rtgcctl trace --format=chrome: what Perfetto and chrome://tracing open."""

import collections
import contextlib
import json
import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.environ["RTGC_SRCDIR"], "tests"))
import harness  # noqa: E402
from joined import Heap, now  # noqa: E402
from screen import run  # noqa: E402

# Joins from a process of its own, pauses for as long as its standard input is open, and says what it has done.
CHILD = """
import sys
sys.path.insert(0, {folder!r})
from joined import Heap
with Heap({socket!r}, {service!r}, {name!r}, budget=10**6) as heap:
    heap.report(500_000)
    heap.begin(cause=1)
    heap.settle()
    print("paused", flush=True)
    sys.stdin.read()
    heap.end(cause=1, used=100_000)
    heap.settle()
    print("ended", flush=True)
"""


@pytest.fixture(name="daemon")
def fixture_daemon():
    with harness.Daemon(config="[Service:checkout]\nLead=0\n") as d:
        yield d


def chrome(daemon, *args):
    done = run("trace", "--format=chrome", *args, control=daemon.control)
    assert (done.returncode, done.stderr) == (0, "")
    trace = json.loads(done.stdout)
    check(trace)
    return trace


def check(trace):
    """The JSON object format of the trace-event format: what each phase must have, and tracks without overlaps."""
    assert set(trace) == {"traceEvents", "displayTimeUnit", "otherData"} and trace["displayTimeUnit"] in ("ms", "ns")
    assert all(isinstance(value, str) for value in trace["otherData"].values())
    tracks, last = collections.defaultdict(list), 0
    for event in trace["traceEvents"]:
        assert event["ph"] in ("X", "C", "M") and isinstance(event["name"], str) and type(event["pid"]) is int
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name") and isinstance(event["args"]["name"], str)
            assert type(event["tid"]) is int and set(event) == {"ph", "name", "pid", "tid", "args"}
            continue
        assert type(event["ts"]) is int and event["ts"] >= last
        last = event["ts"]
        if event["ph"] == "C":
            assert event["args"] and all(type(v) in (int, float) for v in event["args"].values())
        else:
            assert type(event["tid"]) is int and type(event["dur"]) is int and event["dur"] >= 0
            assert isinstance(event["cat"], str) and isinstance(event["args"], dict)
            tracks[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    for spans in tracks.values():
        assert all(end <= begin for (_, end), (begin, _) in zip(spans, spans[1:])), spans
    named = {(e["pid"], e["tid"]) for e in trace["traceEvents"] if e["ph"] == "M" and e["name"] == "thread_name"}
    assert set(tracks) <= named


def of(trace, phase, **wanted):
    return [e for e in trace["traceEvents"] if e["ph"] == phase and wanted.items() <= e.items()]


def test_nothing_has_happened(daemon):
    assert chrome(daemon)["traceEvents"] == []


def test_a_pause_in_a_window(daemon):
    with Heap(daemon.socket, "checkout", "a", budget=10**6) as heap:
        heap.report(10**6)
        window = heap.window()
        heap.begin(window)
        heap.settle()
        running = of(chrome(daemon), "X", cat="pause")[0]
        assert running["args"].keys().isdisjoint({"freed", "outcome"}) and running["dur"] >= 0
        heap.end(window, freed=900_000, used=100_000)
        heap.settle()
        trace = chrome(daemon, "--seconds=3600")
    pause, = of(trace, "X", cat="pause")
    assert (pause["name"], pause["pid"], pause["tid"]) == ("major", os.getpid(), heap.id)
    assert abs(pause["ts"] - heap.began // 1000) <= 1
    args = pause["args"]
    assert (args["cause"], args["outcome"], args["window"], args["freed"]) == ("window", "ended", window, 900_000)
    assert args["reason"] and args["wait_us"] >= 0 and args["deadline_in_us"] > 0
    slot, = of(trace, "X", cat="window")
    assert slot["pid"] != os.getpid() and slot["ts"] <= pause["ts"]
    assert slot["ts"] + slot["dur"] >= pause["ts"] + pause["dur"]
    assert [e["args"]["name"] for e in of(trace, "M", name="process_name")] == [f"checkout ({os.getpid()})", "windows"]
    used = [e["args"]["used"] for e in of(trace, "C", name="a objects")]
    assert used[-2:] == [100_000, 100_000] and used[0] == 10**6


def test_pauses_at_once_of_two_processes_are_on_two_tracks(daemon):
    folder = os.path.dirname(os.path.abspath(__file__))
    with contextlib.ExitStack() as stack:
        children = []
        for name in "first", "second":
            code = CHILD.format(folder=folder, socket=daemon.socket, service="checkout", name=name)
            child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.callback(child.communicate)
            children.append(child)
            assert child.stdout.readline() == "paused\n"
        for child in children:
            child.stdin.close()
            assert child.stdout.readline() == "ended\n"
            child.stdin = None
        trace = chrome(daemon)
    a, b = of(trace, "X", cat="pause")
    assert {a["pid"], b["pid"]} == {child.pid for child in children} and a["tid"] != b["tid"]
    assert a["ts"] <= b["ts"] < a["ts"] + a["dur"]
    assert all(e["name"] == "major, forced" and e["args"]["cause"] == "forced" for e in (a, b))


def test_what_is_told_after_the_fact_overlaps_with_nothing(daemon):
    with Heap(daemon.socket, "checkout", "a", budget=10**6) as heap:
        for _ in range(3):
            heap.began = now() - 10**9
            heap.end(cause=2)
        heap.settle()
        assert len(of(chrome(daemon), "X")) == 3


def test_one_service_and_names(daemon):
    with Heap(daemon.socket, "checkout", "a") as a, Heap(daemon.socket, "<&\u202e\">", "</script>") as b:
        for heap in a, b:
            heap.begin(cause=1)
            heap.end(cause=1)
            heap.settle()
        whole, part = chrome(daemon), chrome(daemon, "--service", "checkout")
        raw = run("trace", "--format=chrome", control=daemon.control).stdout
    assert len(of(whole, "X")) == 2 and len(of(part, "X")) == 1
    assert "</script>" in [e["args"]["name"] for e in of(whole, "M")] and "\u202e" not in raw


def test_many_pages(daemon):
    with Heap(daemon.socket, "checkout", "a") as heap:
        for _ in range(250):
            heap.begin(cause=1)
            heap.end(cause=1)
            heap.settle()
        assert len(of(chrome(daemon), "X")) == 250


@pytest.mark.parametrize("args, status, words", [
    (["--format=x"], 2, "--format=x: use one of events|chrome"),
    (["--service=x"], 2, "--service is for what has happened"),
    (["--format=chrome"], 1, "does not answer at")])
def test_errors(args, status, words):
    done = run("trace", *args, control="/nonexistent/control.sock")
    assert (done.returncode, done.stdout) == (status, "") and words in done.stderr
