# SPDX-License-Identifier: MIT
"""rtgcctl top, on a real terminal and in a pipe, under a real daemon."""

import contextlib
import os
import re
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.environ["RTGC_SRCDIR"], "tests"))
import harness  # noqa: E402
from joined import Heap  # noqa: E402
from screen import CTL, SGR, run, width  # noqa: E402
from terminal import TMUX, Terminal  # noqa: E402

CONFIG = "[Service:checkout]\nMaxConcurrent=1\nLead=0\n"
on_terminals = pytest.mark.skipif(TMUX == "no", reason="tmux is not installed")


@pytest.fixture(name="daemon")
def fixture_daemon():
    with harness.Daemon(config=CONFIG) as d:
        yield d


@pytest.fixture(name="busy")
def fixture_busy(daemon):
    """Five heaps. `a` has collected without a window, `b` in one, `c` collects in its window."""
    with contextlib.ExitStack() as stack:
        heaps = {name: stack.enter_context(Heap(daemon.socket, "checkout" if name < "d" else "ledger", name,
                                                budget=10**6)) for name in "abcde"}
        heaps["a"].report(300_000)
        heaps["a"].begin(cause=1)
        heaps["a"].end(cause=1, used=300_000)
        heaps["a"].settle()
        for name, live in ("b", 1000), ("c", 10**7):
            heaps[name].report(10**6, live=live)
            window = heaps[name].window()
            heaps[name].begin(window)
            if name == "b":
                heaps[name].end(window, used=700_000)
            heaps[name].settle()
        heaps["d"].grow(100_000, rate=10_000)
        heaps["e"].report(600_000)
        heaps["e"].settle()
        yield daemon, heaps


def table(lines):
    """What the table of heaps says, by title; the timeline is the last."""
    at = next(i for i, line in enumerate(lines) if line.startswith("HEAP "))
    titles = ["HEAP"] + (["SERVICE"] if "SERVICE" in lines[at] else []) + ["STATE", "BAR", "FULL"] + \
        (["AMOUNTS"] if "OF BUDGET" in lines[at] else []) + ["RATE", "LEFT", "PAUSE", "LAST"] + \
        (["FORCED"] if "FORCED" in lines[at] else []) + ["TIMELINE"]
    found = []
    for line in lines[at + 1:]:
        if not line.strip() or line.startswith(("q ", "/")) or " of " in line:
            break
        found.append(dict(zip(titles, line.split())))
    return found


def names(lines):
    return [row["HEAP"] for row in table(lines)]


def top(busy_or_daemon, columns, rows, *args, **more):
    daemon = busy_or_daemon[0] if isinstance(busy_or_daemon, tuple) else busy_or_daemon
    return Terminal(columns, rows, [CTL, "top", *args], control=daemon.control, **more)


def has_table(lines):
    return any(line.startswith("HEAP ") for line in lines) and lines[-1].startswith("5 of 5")


# ---- a pipe ---------------------------------------------------------------------------------------------


def test_batch(busy):
    done = run("top", "-b", "-n", "1", control=busy[0].control)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("rtgcd 0.1.0, ") and lines[0].endswith("; by hurts")
    assert "5 heaps in 2 services, paused 1 " in lines[1] and "1 forced" in lines[1]
    found = {row["HEAP"]: row for row in table(lines)}
    assert set(found) == set("abcde")
    assert found["c"]["STATE"] == "coll" and found["c"]["FULL"] == "100%" and found["c"]["BAR"] == "######"
    assert found["e"]["STATE"] == "idle" and (found["e"]["BAR"], found["e"]["FULL"]) == ("####--", "60%")
    assert re.fullmatch(r"[\d.]+k/s", found["d"]["RATE"]) and re.fullmatch(r"\d+m\d\ds|\d+s", found["d"]["LEFT"])
    assert found["a"]["TIMELINE"].count("F") >= 1 and set(found["a"]["TIMELINE"]) <= set(".F")
    assert "|" in found["b"]["TIMELINE"] and "F" not in found["b"]["TIMELINE"]
    assert found["c"]["TIMELINE"].endswith("|") and set(found["d"]["TIMELINE"]) == {"."}
    services = [line.split() for line in lines if line.startswith(("checkout ", "ledger "))]
    assert {s[0]: s[3] for s in services} == {"checkout": "1/1", "ledger": "0/1"}
    assert all(width(line) <= 120 for line in lines) and not SGR.search(done.stdout)


def test_batches(busy):
    done = run("top", "-b", "-n", "2", "--sort=name", "--color=always", control=busy[0].control)
    assert done.returncode == 0
    text = SGR.sub("", done.stdout)
    assert text.count("HEAP ") == 2 and text != done.stdout
    for frame in text.split("\n\nrtgcd"):
        assert names(frame.splitlines()) == list("abcde")


@pytest.mark.parametrize("sort, first", [("full", "c"), ("forced", "a"), ("rate", "d"), ("name", "a"), ("left", None)])
def test_orders(busy, sort, first):
    lines = run("top", "-b", "-n1", "--sort", sort, control=busy[0].control).stdout.splitlines()
    assert lines[0].endswith(f"; by {sort}") and (first is None or names(lines)[0] == first)


def test_one_service(busy):
    lines = run("top", "-b", "-n1", "--service", "ledger", control=busy[0].control).stdout.splitlines()
    assert sorted(names(lines)) == ["d", "e"]


@pytest.mark.parametrize("args, words", [
    (["-b", "--sort=x"], "--sort=x: use one of hurts|name"), (["-b", "-n", "0"], "-n 0: not a whole number from 1 on"),
    ([], "top needs a terminal: without one, use -b"), (["-b", "-j"], "rtgcctl -j heaps has the figures")])
def test_used_wrongly(daemon, args, words):
    done = run("top", *args, control=daemon.control)
    assert (done.returncode, done.stdout) == (2, "") and words in done.stderr and done.stderr.count("\n") == 1


def test_no_daemon():
    done = run("top", "-b", control="/nonexistent/control.sock")
    assert (done.returncode, done.stdout) == (1, "") and "does not answer at" in done.stderr


def test_names_that_a_client_may_choose(daemon):
    with Heap(daemon.socket, "<b>\u202e", "\u4e2d\u6587\u4e2d\u6587\u4e2d\u6587\u4e2d\u6587", budget=1) as heap:
        heap.settle()
        done = run("top", "-b", "-n1", control=daemon.control)
    assert "\\u202e" in done.stdout and "\u202e" not in done.stdout and "\u4e2d\u6587\u4e2d\u2026" not in done.stderr
    assert all(width(line) <= 120 for line in done.stdout.splitlines())


# ---- a terminal -----------------------------------------------------------------------------------------


@on_terminals
def test_sizes(busy):
    with top(busy, 100, 30) as t:
        for columns, rows in ((100, 30), (80, 24), (200, 60), (40, 10), (80, 24)):
            t.resize(columns, rows)
            lines = t.wait(lambda lines: len(lines) == rows and lines[-1].startswith("5 of 5") and  # pylint: disable=W0640
                           lines[0].startswith("rtgcd "), f"{columns}x{rows}")
            assert all(width(line) <= columns for line in lines)
            if rows >= 24:
                assert sorted(names(lines)) == list("abcde")
            if columns == 80:
                assert all(len(row["TIMELINE"]) >= 15 for row in table(lines))
            if columns == 200:
                assert {row["HEAP"]: row["SERVICE"] for row in table(lines)}["e"] == "ledger"
                assert all(len(row["TIMELINE"]) == 60 for row in table(lines))


@on_terminals
def test_keys(busy):
    with top(busy, 80, 24, "--sort=name") as t:
        assert names(t.wait(has_table, "the table")) == list("abcde")
        t.keys("r")
        assert names(t.wait_for("by name, backwards")) == list("edcba")
        t.keys("s")
        lines = t.wait_for("; by service")
        assert names(lines)[-2:] == ["d", "e"]
        t.keys("S")
        t.wait_for("; by name")
        t.keys("/")
        t.wait_for("/_")
        t.keys("ledx")
        assert names(t.wait_for("/ledx_")) == ["no"]  # "no heap's or service's name …"
        t.keys("BSpace", "Enter")
        assert names(t.wait(lambda lines: lines[-1].startswith("2 of 5"), "two are left")) == ["d", "e"]
        t.keys("Down", "Enter")
        lines = t.wait_for("service ledger, test 1, pid")
        assert "e" in lines
        t.keys("q")
        t.wait(lambda lines: lines[-1].startswith("2 of 5"), "the table again")
        t.keys("Escape")
        t.wait(has_table, "all of them")
        t.keys("?")
        t.wait_for("The last minute: . nothing")
        t.keys("?")
        t.wait(has_table, "the table again")


@on_terminals
def test_details_say_why(busy):
    daemon, heaps = busy
    with top(busy, 80, 24, "--sort=name") as t:
        t.wait(has_table, "the table")
        t.keys("Enter")
        t.wait_for("the heap reached its ceiling and collected withou")
        t.keys("q", "Down", "Down", "Enter")
        t.wait_for("the collection began in its window")
        heaps["c"].socket.close()
        daemon.wait(lambda d: "c" not in [h["name"] for h in d.heaps() if h["state"] != "lost"], "its socket is closed")


@on_terminals
def test_what_happens_is_seen(busy):
    _, heaps = busy
    with top(busy, 80, 24, "--sort=name") as t:
        lines = t.wait(has_table, "the table")
        assert table(lines)[4]["TIMELINE"].count("F") == 0
        heaps["e"].begin(cause=1)
        heaps["e"].settle()
        t.wait(lambda lines: table(lines)[4]["TIMELINE"].endswith("F") and table(lines)[4]["STATE"] == "coll",
               "the pause, while it lasts")
        heaps["e"].end(cause=1, used=200_000)
        heaps["e"].settle()
        t.wait(lambda lines: table(lines)[4]["STATE"] == "idle" and table(lines)[4]["FULL"] == "20%", "its end")


ENDS = {"q": ["q"], "interrupt": ["C-c"], "TERM": signal.SIGTERM, "HUP": signal.SIGHUP, "QUIT": signal.SIGQUIT}


@on_terminals
@pytest.mark.parametrize("how", ENDS)
def test_the_terminal_is_given_back(busy, how):
    with top(busy, 80, 24) as t:
        t.wait(has_table, "the table")
        assert (t.told("cursor_flag"), t.told("alternate_on")) == ("0", "1")
        if isinstance(ENDS[how], list):
            t.keys(*ENDS[how])
        else:
            os.kill(t.child(), ENDS[how])
        lines = t.wait_for("ended with 0")
        assert [line for line in lines if line] == ["ended with 0"]
        assert (t.told("cursor_flag"), t.told("alternate_on")) == ("1", "0")
        before, after = t.modes()
        assert before == after


@on_terminals
def test_a_daemon_that_restarts(daemon):
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Heap(daemon.socket, "checkout", "first", budget=10**6))
        first.begin(cause=1)
        first.end(cause=1)
        first.settle()
        t = stack.enter_context(top(daemon, 100, 24))
        t.wait(lambda lines: lines[-1].startswith("1 of 1") and "F" in table(lines)[0]["TIMELINE"], "the heap")
        daemon.kill()
        lines = t.wait_for("rtgcd at ")  # hung up; what is known stays
        assert names(lines) == ["first"]
        daemon.start()
        second = stack.enter_context(Heap(daemon.socket, "checkout", "second", budget=10**6))
        second.begin(cause=2)
        second.end(cause=2)
        second.settle()
        lines = t.wait(lambda lines: names(lines) == ["second"] and "U" in table(lines)[0]["TIMELINE"], "the new one")
        assert not any("rtgcd at " in line for line in lines) and "F" not in table(lines)[0]["TIMELINE"]


@on_terminals
def test_a_daemon_that_hangs_does_not_hold_up_keys(busy):
    daemon = busy[0]
    with top(busy, 80, 24) as t:
        t.wait(has_table, "the table")
        daemon.kill(signal.SIGSTOP)
        t.keys("?")
        t.wait_for("The last minute: . nothing")
        t.wait_for("rtgcd has not answered for 5 s")
        os.kill(daemon.pid, signal.SIGCONT)
        t.keys("?")
        t.wait(lambda lines: has_table(lines) and not any("not answered" in line for line in lines), "it goes on")


@on_terminals
def test_colours_are_asked_for(busy):
    for args, coloured in ((["--color=never"], False), ([], True)):
        with top(busy, 80, 24, *args) as t:
            t.wait(has_table, "the table")
            shown = t._tmux("capture-pane", "-p", "-e", "-t", "t")  # pylint: disable=W0212
            assert bool(re.search(r"\x1b\[[0-9;]*3[123]m", shown)) == coloured


@on_terminals
def test_a_terminal_that_can_nothing(daemon):
    with Terminal(80, 24, ["env", "TERM=nonesuch", CTL, "top"], control=daemon.control) as t:
        t.wait_for("ended with 1")
        assert any("TERM=nonesuch" in line for line in t.screen())
