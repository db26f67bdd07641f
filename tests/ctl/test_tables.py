# SPDX-License-Identifier: MIT
"""The tables of rtgcctl: colour, filters, as many rows as the screen has."""

import contextlib
import json
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.environ["RTGC_SRCDIR"], "tests"))
import harness  # noqa: E402
from joined import Heap  # noqa: E402
from screen import SGR, on_terminal, rows, run, width  # noqa: E402

HEAPS = 40


@pytest.fixture(name="daemon", scope="module")
def fixture_daemon():
    """Forty heaps of two services; one of them has collected without a window."""
    with harness.Daemon(config="[Service:checkout]\nLead=0\n") as d, contextlib.ExitStack() as stack:
        heaps = [stack.enter_context(Heap(d.socket, ("checkout", "ledger")[i % 2], f"heap{i}", budget=10**6))
                 for i in range(HEAPS)]
        for heap in heaps:
            heap.report(1000)
        heaps[7].begin(cause=1)
        heaps[7].end(cause=1)
        heaps[9].begin(cause=1)
        for heap in heaps:
            heap.settle()
        yield d


@pytest.mark.parametrize("when, environment, in_pipe, on_screen", [
    ("auto", {}, False, True), ("always", {}, True, True), ("never", {}, False, False),
    ("auto", {"NO_COLOR": "1"}, False, False), ("always", {"NO_COLOR": "1"}, True, True),
    ("auto", {"NO_COLOR": ""}, False, True), ("auto", {"TERM": "dumb"}, False, False)])
def test_colour(daemon, when, environment, in_pipe, on_screen):
    for verb in "status", "services", "heaps":
        piped = run(verb, f"--color={when}", control=daemon.control, **environment).stdout
        shown = on_terminal(100, verb, f"--color={when}", control=daemon.control, **environment)[1]
        assert (bool(SGR.search(piped)), bool(SGR.search(shown))) == (in_pipe, on_screen), verb


def test_a_colour_that_is_none(daemon):
    done = run("status", "--color=yes", control=daemon.control)
    assert (done.returncode, done.stderr) == (2, "rtgcctl: --color=yes: use auto, always or never\n")


def test_one_screen(daemon):
    """A terminal of 24 rows shows those that hurt most, a line that says so, and the prompt has its row."""
    shown = on_terminal(80, "heaps", control=daemon.control, NO_COLOR="1")[1].splitlines()
    assert len(shown) == 23 and shown[-1] == f"{HEAPS - 21} more; --lines=0 shows all of them"
    assert "heap7" in shown[1] or "heap9" in shown[1]
    assert all(width(line) <= 80 for line in shown)
    whole = on_terminal(80, "heaps", "--lines=0", control=daemon.control, NO_COLOR="1")[1].splitlines()
    assert len(whole) == HEAPS + 1
    assert len(rows(run("heaps", control=daemon.control).stdout)) == HEAPS  # in a pipe
    three = run("heaps", "--lines", "3", control=daemon.control).stdout.splitlines()
    assert len(three) == 5 and three[-1] == f"{HEAPS - 3} more; --lines=0 shows all of them"


def test_filters(daemon):
    found = rows(run("heaps", "--state=collecting", control=daemon.control).stdout)
    assert [row["HEAP"] for row in found] == ["heap9"]
    found = json.loads(run("-j", "heaps", "--state=collecting", control=daemon.control).stdout)
    assert [h["name"] for h in found["heaps"]] == ["heap9"]
    assert run("heaps", "--state", "lost", "--service=ledger", control=daemon.control).stdout == \
        "no heaps in service ledger in state lost\n"
    assert run("windows", "--state", "open", control=daemon.control).stdout == "no windows in state open\n"
    found = rows(run("services", "--service", "ledger", control=daemon.control).stdout)
    assert [row["SERVICE"] for row in found] == ["ledger"]
    assert run("services", "--service=nobody", control=daemon.control).stdout == "no services called nobody\n"


@pytest.mark.parametrize("args, words", [
    (["heaps", "--lines=x"], "--lines x: not a whole number from 0 on"),
    (["heaps", "--lines=-1"], "--lines -1: not a whole number from 0 on"),
    (["status", "--lines=1"], "status takes no --lines"),
    (["services", "--state=idle"], "services takes no --state"),
    (["trace", "--seconds=0"], "--seconds 0: not a whole number from 1 on"),
], ids=" ".join)
def test_used_wrongly(daemon, args, words):
    done = run(*args, control=daemon.control)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr == f"rtgcctl: {words}\n"
