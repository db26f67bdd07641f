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


class Heap(a.Agent):
    """Allocates a budget a second, from its first call on, but stays below the ceiling."""

    def __init__(self, daemon, *args, **kwargs):
        self.start = self.collected = None
        super().__init__(daemon.socket, *args, budget=BUDGET, unit=1, **kwargs)

    def allocate(self):
        now = time.monotonic()
        self.start = self.start or now
        self.collected = self.collected or now
        assert now < self.collected + a.PATIENCE, "no window"
        self.publish(min(int((now - self.collected) * BUDGET), BUDGET - 1),
                     int((now - self.start) * BUDGET), 10)

    def fill(self, event="open"):
        """Until a window is open. On a busy machine it may have closed again since."""
        while event not in self.events:
            self.allocate()
        self.wait(event)

    def begin_in_window(self):
        while True:
            self.allocate()
            found = self.window()
            if found["reply"] in ("may", "must"):
                assert found["kind"] == a.MAJOR
                if self.begin(cause=a.IN_WINDOW, window=found["id"]) == 0:
                    return found["id"]

    def collected_all(self):
        assert self.end(BUDGET, 0, 10) == 0
        self.collected = None

    def collect_in_window(self):
        self.begin_in_window()
        self.collected_all()


@MODES
@THREADS
def test_heap_is_known(daemon, pages, thread):
    with Heap(daemon, flags(pages, thread), service="shop", heap="h1", runtime="lang") as agent:
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
    with Heap(daemon, flags(pages, thread)) as agent:
        agent.wait("connected")
        for count in (1, 2, 3):
            window = agent.begin_in_window()
            daemon.wait(lambda d: [w["id"] for w in d.windows() if w["state"] == "in_use"] == [window],
                        "it is in use")
            assert agent.check() == "run"
            agent.collected_all()
            daemon.wait(lambda d: d.heaps()[0]["collections"]["major"] == count, "it was told")
        status, mine = daemon.call("GetStatus"), agent.status()
        assert (status["forced"], mine["windows_used"], mine["in_window"]) == (0, 3, 3)
        assert status["windows_granted"] >= 3
        assert mine["opened"] == mine["windows_used"] + mine["missed"]


@MODES
def test_quiet(daemon, pages):
    with Heap(daemon, flags(pages, a.THREAD, a.QUIETS)) as agent:
        agent.wait("connected")
        agent.fill("announced")
        while agent.check() == "prepare":
            assert agent.call("quiet") == 0
        agent.wait("open")
        agent.collect_in_window()


@MODES
def test_declined(daemon, pages):
    with Heap(daemon, flags(pages)) as agent:
        agent.wait("connected")
        while agent.call("decline") == a.NO_WINDOW:
            agent.allocate()
        daemon.wait(lambda d: d.heaps()[0]["declined"] == 1, "it was told")
        assert agent.status()["connects"] == 1


@MODES
def test_outside_of_windows(daemon, pages):
    with Heap(daemon, flags(pages)) as agent:
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
    with Heap(daemon, flags(pages, thread)) as agent:
        agent.wait("connected")
        epoch = agent.status()["epoch"]
        agent.fill()
        window = agent.window()["id"]
        daemon.kill()
        agent.wait("alone")
        assert agent.check() == "alone"
        assert agent.begin(cause=a.IN_WINDOW, window=window) == a.CLOSED
        assert agent.publish(BUDGET) == "ceiling"  # it named a budget: that still holds
        assert agent.begin() == 0
        agent.collected_all()
        daemon.restart()
        agent.wait("connected")
        assert agent.begin(cause=a.IN_WINDOW, window=window) == a.CLOSED
        status = agent.status()
        assert status["epoch"] == daemon.call("GetStatus")["epoch"] != epoch
        assert status["connects"] == 2
        agent.collect_in_window()


@MODES
def test_restarted_in_the_middle_of_a_collection(daemon, pages):
    """The slot is taken in the new daemon, too, until the end is told."""
    with Heap(daemon, flags(pages, a.THREAD)) as agent:
        agent.wait("connected")
        agent.begin_in_window()
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
    with Heap(daemon, flags(pages, thread)) as agent:
        agent.wait("connected")
        agent.fill()
        window = agent.window()["id"]
        daemon.kill(signal.SIGSTOP)
        agent.wait("alone")
        assert agent.check() == "alone"
        assert agent.begin(cause=a.IN_WINDOW, window=window) == a.CLOSED
        assert agent.status()["supervised"] == 0
        daemon.kill(signal.SIGCONT)
        agent.wait("connected")
        assert agent.status()["connects"] == 1
        assert agent.begin_in_window() > window
        assert agent.end(BUDGET, 0, 10) == 0


def test_started_later(daemon):
    daemon.stop()
    with Heap(daemon, a.THREAD) as agent:
        agent.wait("alone")  # its socket is there, but nobody answers
        assert agent.check() == "alone"
        daemon.start()
        agent.wait("connected")
        assert agent.check() == "run"


@MODES
@THREADS
def test_forked_child(daemon, pages, thread):
    with Heap(daemon, flags(pages, thread), heap="parent") as agent:
        agent.wait("connected")
        agent.call("fork")
        assert agent.check() == "alone"
        assert [h["name"] for h in daemon.heaps()] == ["parent"]
        assert agent.call("reopen", "child") == 0
        agent.wait("connected")
        assert sorted(h["name"] for h in daemon.heaps()) == ["child", "parent"]
        agent.collect_in_window()
        agent.send("exit")
        assert agent.receive() == {"child": 0}
        daemon.wait(lambda d: [h["name"] for h in d.heaps()] == ["parent"], "the child is gone")
        agent.collect_in_window()


def test_fork_in_the_middle_of_a_window(daemon):
    """The child neither ends nor keeps the parent's pause."""
    with Heap(daemon) as agent:
        agent.wait("connected")
        agent.begin_in_window()
        agent.call("fork")
        assert agent.end(1, 2, 3) == a.NO_BEGIN
        daemon.wait(lambda d: d.call("GetStatus")["paused_now"] == 1, "the parent's")
        agent.send("exit")
        assert agent.receive() == {"child": 0}
        assert daemon.call("GetStatus")["paused_now"] == 1
        assert agent.end(1, 2, 3) == 0
        daemon.wait(lambda d: d.call("GetStatus")["paused_now"] == 0, "the parent's end")


def test_program_killed_in_the_middle_of_a_window(daemon):
    with Heap(daemon) as agent:
        agent.wait("connected")
        agent.begin_in_window()
        daemon.wait(lambda d: d.call("GetStatus")["paused_now"] == 1, "it began")
        agent.kill()
        daemon.wait(lambda d: d.call("GetStatus")["paused_now"] == 0, "its slot is free")
