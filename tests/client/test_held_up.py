# SPDX-License-Identifier: MIT
"""
The library's thread is kept from running while it has the lock, for as long as the test likes: whoever calls the library
meanwhile does not wait for it.
"""

import os
import pathlib
import subprocess
import time

import agent as a
import pytest
from agent import MODES, connected, flags

pytestmark = pytest.mark.skipif("sanitize" in os.environ.get("SANITIZE", ""),
                                reason="the sanitizers want to be loaded before the shim")

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* The last thing the library's thread does in a turn. It stays here while there is a FIFO that nobody writes to. */
int timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *before)
{
	static int (*real)(int, int, const struct itimerspec *, struct itimerspec *);
	char held[4096];
	int fifo;

	if (!real)
		real = dlsym(RTLD_NEXT, "timerfd_settime");
	if (access(getenv("HOLD"), F_OK) == 0) {
		snprintf(held, sizeof(held), "%s.held", getenv("HOLD"));
		close(open(held, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
		fifo = open(getenv("HOLD"), O_RDONLY | O_CLOEXEC);
		close(fifo);
	}
	return real(fd, flags, at, before);
}
"""


class Hold:
    def __init__(self, folder):
        self.fifo = pathlib.Path(folder) / "hold"
        source, self.shim = pathlib.Path(folder) / "shim.c", pathlib.Path(folder) / "shim.so"
        source.write_text(SHIM)
        subprocess.run([*os.environ.get("CC", "cc").split(), "-shared", "-fPIC", "-o", self.shim, source, "-ldl"],
                       check=True)

    def env(self):
        return {**os.environ, "LD_PRELOAD": str(self.shim), "HOLD": str(self.fifo)}

    def begin(self):
        """The thread will be held when it sets its timer next; it does so with each heartbeat."""
        os.mkfifo(self.fifo)
        held, end = pathlib.Path(f"{self.fifo}.held"), time.monotonic() + a.PATIENCE
        while not held.exists():
            assert time.monotonic() < end, "it is never held"
            time.sleep(0.001)

    def end(self):
        writer = os.open(self.fifo, os.O_WRONLY)  # waits for it, if need be
        os.unlink(self.fifo)
        os.close(writer)


@pytest.fixture
def hold(tmp_path):
    return Hold(tmp_path)


@MODES
def test_no_call_waits(peer, pages, hold):
    with a.Agent(peer.path, flags(pages, a.THREAD, a.MARKS, a.QUIETS), budget=1000, env=hold.env()) as agent:
        client = connected(peer, agent, pages)
        client.direct(watermark=500, want=1)
        client.open(1)
        agent.wait("open")
        hold.begin()
        try:
            assert agent.publish(600, allocated=600) == "run"
            assert agent.pending()
            assert agent.check() in ("may", "must")
            assert agent.call("quiet") == 0
            for what in ("idle", "deadline"):
                agent.call(what, a.NEVER)
            agent.call("busy")
            # A window is not worth waiting for; it is there still.
            assert agent.begin(cause=a.IN_WINDOW, window=1) == a.CLOSED
            assert agent.check() in ("may", "must")
            # What was done is done, and told later, with the instants at which it was.
            begun = agent.now()
            for freed in (100, 200):
                assert agent.end(0, 0, 0) == a.NO_BEGIN
                assert agent.begin() == 0
                assert agent.begin() == a.RUNNING
                assert agent.end(freed, 50, 40) == 0
            assert agent.call("record", a.MAJOR, a.UNCOORDINATED, 1000, 1700, 1, 2, 3) == 0
            ended = agent.now()
        finally:
            hold.end()
        frames = client.frames_until("END") + client.frames_until("END") + client.frames_until("END")
        told = [f for f in frames if f["frame"] in ("BEGIN", "END")]
        assert [f["frame"] for f in told] == ["BEGIN", "END", "BEGIN", "END", "END"]
        assert [f["freed"] for f in told if f["frame"] == "END"] == [100, 200, 1]
        instants = [t for f in told[:4] for t in ([f["at"]] if f["frame"] == "BEGIN" else [f["begin"], f["end"]])]
        assert instants == sorted(instants) and begun <= instants[0] and instants[-1] <= ended
        status = agent.until(lambda s: s["forced"] == 2, "it was counted")
        assert (status["uncoordinated"], status["in_window"]) == (1, 0)


def test_alone(peer, hold):
    """Without a daemon as well: what is told late is counted."""
    peer.deafen()
    with a.Agent(peer.path, flags(True, a.THREAD), budget=1000, env=hold.env()) as agent:
        agent.wait("alone")
        hold.begin()
        try:
            assert agent.publish(1000) == "ceiling"
            assert agent.begin() == 0
            assert agent.end(1000, 0, 0) == 0
            assert agent.publish(1) == "run"
            assert agent.call("quiet") == agent.call("decline") == a.NO_WINDOW
        finally:
            hold.end()
        assert agent.until(lambda s: s["forced"] == 1, "it was counted")["uncoordinated"] == 0


@MODES
def test_figures_do_not_wait(peer, pages, hold):
    """What a collection leaves counts at once, and what is published after it is not undone when it is told."""
    with a.Agent(peer.path, flags(pages, a.THREAD), budget=1000, env=hold.env()) as agent:
        client = connected(peer, agent, pages)
        hold.begin()
        try:
            assert agent.publish(1000, allocated=1000) == "ceiling"
            assert agent.begin() == 0
            assert agent.end(900, 100, 100) == 0
            assert agent.check() == "run"
            assert agent.publish(1000, allocated=1900) == "ceiling"
        finally:
            hold.end()
        client.frames_until("END")
        assert agent.check() == "ceiling"
        assert agent.status()["used"] == 1000


def test_more_than_is_put_down(peer, hold):
    """Then it is waited for; and none is lost."""
    with a.Agent(peer.path, flags(True, a.THREAD), env=hold.env()) as agent:
        client = connected(peer, agent)
        hold.begin()
        try:
            for i in range(8):
                assert agent.call("record", a.MAJOR, a.UNCOORDINATED, 1000, 1001 + i, 1, 2, 3) == 0
            agent.send("record", a.MAJOR, a.UNCOORDINATED, 1000, 1009, 1, 2, 3)
        finally:
            hold.end()
        assert agent.receive()["reply"] == 0
        assert [client.frames_until("END")[-1]["end"] for _ in range(9)] == list(range(1001, 1010))
