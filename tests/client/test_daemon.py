# SPDX-License-Identifier: MIT
"""libruntime and the real daemon: windows, and every way to lose each other."""

import os
import signal
import time

import agent as a
import harness
import pytest
from agent import MODES, THREADS, flags

BUDGET = 1000


@pytest.fixture
def daemon():
    with harness.Daemon() as found:
        yield found


def supervised(daemon, *args, **kwargs):
    return a.Agent(daemon.socket, *args, budget=BUDGET, unit=1, **kwargs)


def fill(agent):
    """Allocates a budget a second, and stops just below it, until a window is open."""
    begin = time.monotonic()
    while "open" not in agent.events:
        allocated = int((time.monotonic() - begin) * BUDGET)
        agent.publish(min(allocated, BUDGET - 1), allocated, 10)
        assert allocated < 60 * BUDGET, "no window"
    agent.wait("open")


def collect(agent, window):
    assert agent.begin(cause=a.IN_WINDOW, window=window) == 0
    assert agent.end(BUDGET - 100, 100, 10) == 0


@MODES
@THREADS
def test_heap_is_known(daemon, pages, thread):
    with supervised(daemon, flags(pages, thread), service="shop", heap="h1", runtime="lang") as agent:
        agent.wait("connected")
        heap, = daemon.heaps()
        assert heap["id"] == agent.status()["heap_id"]
        assert (heap["name"], heap["service"], heap["runtime"]) == ("h1", "shop", "lang")
        assert (heap["pid"], heap["uid"], heap["unit"]) == (agent.proc.pid, os.getuid(), "objects")
        assert agent.status()["epoch"] == daemon.call("GetStatus")["epoch"]
        assert agent.status()["shared_pages"] == pages
    daemon.wait(lambda d: d.call("GetStatus")["heaps"] == 0, "it said goodbye")


@MODES
@THREADS
def test_window(daemon, pages, thread):
    with supervised(daemon, flags(pages, thread)) as agent:
        agent.wait("connected")
        for count in (1, 2, 3):
            fill(agent)
            found = agent.window()
            assert found["reply"] in ("may", "must")
            assert found["kind"] == a.MAJOR
            assert daemon.windows()[0]["id"] == found["id"]
            collect(agent, found["id"])
            assert agent.check() == "run"
            daemon.wait(lambda d: d.heaps()[0]["collections"]["major"] == count, "it was told")
        status = daemon.call("GetStatus")
        assert (status["windows_granted"], status["forced"], status["overruns"]) == (3, 0, 0)
        assert agent.status()["windows_used"] == agent.status()["opened"] == 3


@MODES
def test_quiet(daemon, pages):
    with supervised(daemon, flags(pages, a.THREAD, a.QUIETS)) as agent:
        agent.wait("connected")
        begin = time.monotonic()
        while "announced" not in agent.events:
            allocated = int((time.monotonic() - begin) * BUDGET)
            agent.publish(min(allocated, BUDGET - 1), allocated, 10)
        while agent.check() == "prepare":
            assert agent.call("quiet") == 0
        agent.wait("open")
        collect(agent, agent.window()["id"])


@MODES
def test_declined(daemon, pages):
    with supervised(daemon, flags(pages)) as agent:
        agent.wait("connected")
        fill(agent)
        assert agent.call("decline") == 0
        daemon.wait(lambda d: d.heaps()[0]["declined"] == 1, "it was told")
        assert agent.status()["connects"] == 1


@MODES
def test_outside_of_windows(daemon, pages):
    with supervised(daemon, flags(pages)) as agent:
        agent.wait("connected")
        assert agent.publish(BUDGET, BUDGET) == "ceiling"
        assert agent.begin(cause=a.FORCED) == 0
        daemon.wait(lambda d: d.call("GetStatus")["paused_now"] == 1, "it began")
        assert agent.end(BUDGET, 0, 0) == 0
        daemon.wait(lambda d: d.call("GetStatus")["forced"] == 1, "it ended")
        now = agent.now()
        assert agent.call("record", a.MAJOR, a.UNCOORDINATED, now - 5_000_000, now, 1, 2, 3) == 0
        daemon.wait(lambda d: d.call("GetStatus")["uncoordinated"] == 1, "it is on record")
        heap, = daemon.heaps()
        assert heap["last_pause_us"] == 5000
        assert heap["collections"]["major"] == 2
        assert agent.status()["connects"] == 1


@MODES
@THREADS
def test_killed_and_restarted(daemon, pages, thread):
    with supervised(daemon, flags(pages, thread)) as agent:
        agent.wait("connected")
        epoch = agent.status()["epoch"]
        fill(agent)
        window = agent.window()["id"]
        daemon.kill()
        agent.wait("alone")
        assert agent.check() == "alone"
        assert agent.begin(cause=a.IN_WINDOW, window=window) == a.CLOSED
        assert agent.publish(BUDGET) == "ceiling"  # it named a budget: that still holds
        assert agent.begin() == 0
        assert agent.end(BUDGET, 0, 0) == 0
        daemon.restart()
        agent.wait("connected")
        assert agent.begin(cause=a.IN_WINDOW, window=window) == a.CLOSED
        status = agent.status()
        assert status["epoch"] == daemon.call("GetStatus")["epoch"] != epoch
        assert status["connects"] == 2
        fill(agent)
        collect(agent, agent.window()["id"])


@MODES
def test_restarted_in_the_middle_of_a_collection(daemon, pages):
    """The slot is taken in the new daemon, too, until the end is told."""
    with supervised(daemon, flags(pages, a.THREAD)) as agent:
        agent.wait("connected")
        fill(agent)
        assert agent.begin(cause=a.IN_WINDOW, window=agent.window()["id"]) == 0
        daemon.kill()
        agent.wait("alone")
        daemon.restart()
        agent.wait("connected")
        daemon.wait(lambda d: d.call("GetStatus")["paused_now"] == 1, "it was adopted")
        assert agent.end(BUDGET, 0, 0) == 0
        daemon.wait(lambda d: d.call("GetStatus")["paused_now"] == 0, "its end was told")
        assert daemon.heaps()[0]["collections"]["major"] == 1
        assert agent.status()["connects"] == 2


@MODES
@THREADS
def test_stopped_and_continued(daemon, pages, thread):
    with supervised(daemon, flags(pages, thread)) as agent:
        agent.wait("connected")
        fill(agent)
        window = agent.window()["id"]
        daemon.kill(signal.SIGSTOP)
        agent.wait("alone")
        assert agent.check() == "alone"
        assert agent.begin(cause=a.IN_WINDOW, window=window) == a.CLOSED
        assert agent.status()["supervised"] == 0
        daemon.kill(signal.SIGCONT)
        agent.wait("connected")
        assert agent.status()["connects"] == 1
        fill(agent)
        found = agent.window()
        assert found["id"] > window
        collect(agent, found["id"])
        assert daemon.call("GetStatus")["overruns"] == 0


def test_started_later(daemon):
    daemon.stop()
    with supervised(daemon, a.THREAD) as agent:
        agent.wait("alone")  # its socket is there, but nobody answers
        assert agent.check() == "alone"
        daemon.start()
        agent.wait("connected")
        assert agent.check() == "run"


@MODES
@THREADS
def test_forked_child(daemon, pages, thread):
    with supervised(daemon, flags(pages, thread), heap="parent") as agent:
        agent.wait("connected")
        agent.call("fork")
        assert agent.check() == "alone"
        assert [h["name"] for h in daemon.heaps()] == ["parent"]
        assert agent.call("reopen", "child") == 0
        agent.wait("connected")
        assert sorted(h["name"] for h in daemon.heaps()) == ["child", "parent"]
        fill(agent)
        collect(agent, agent.window()["id"])
        agent.send("exit")
        assert agent.receive() == {"child": 0}
        daemon.wait(lambda d: [h["name"] for h in d.heaps()] == ["parent"], "the child is gone")
        fill(agent)
        collect(agent, agent.window()["id"])


def test_fork_in_the_middle_of_a_window(daemon):
    """The child neither ends nor keeps the parent's pause."""
    with supervised(daemon) as agent:
        agent.wait("connected")
        fill(agent)
        assert agent.begin(cause=a.IN_WINDOW, window=agent.window()["id"]) == 0
        agent.call("fork")
        assert agent.end(1, 2, 3) == a.NO_BEGIN
        daemon.wait(lambda d: d.call("GetStatus")["paused_now"] == 1, "the parent's")
        agent.send("exit")
        assert agent.receive() == {"child": 0}
        assert daemon.call("GetStatus")["paused_now"] == 1
        assert agent.end(1, 2, 3) == 0
        daemon.wait(lambda d: d.call("GetStatus")["paused_now"] == 0, "the parent's end")


def test_program_killed_in_the_middle_of_a_window(daemon):
    with supervised(daemon) as agent:
        agent.wait("connected")
        fill(agent)
        assert agent.begin(cause=a.IN_WINDOW, window=agent.window()["id"]) == 0
        daemon.wait(lambda d: d.call("GetStatus")["paused_now"] == 1, "it began")
        agent.kill()
        daemon.wait(lambda d: d.call("GetStatus")["paused_now"] == 0, "its slot is free")
