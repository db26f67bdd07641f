# SPDX-License-Identifier: MIT
"""What is left of a heap in a forked child."""

import os

import agent as a
from agent import MODES, THREADS, connected, flags


@MODES
@THREADS
def test_fork(peer, pages, thread):
    with a.Agent(peer.path, flags(pages, thread, a.QUIETS), budget=100) as agent:
        client = connected(peer, agent, pages)
        client.open(4)
        agent.wait("open")
        agent.publish(10)
        child = agent.call("fork")
        assert child != agent.proc.pid
        # In the child: nothing of the parent's.
        assert agent.check() == "alone"
        assert not agent.pending()
        assert agent.call("fd") == -1
        assert agent.call("dispatch") in (-107, -16)
        assert agent.begin(cause=a.IN_WINDOW, window=4) == a.CLOSED
        assert agent.publish(50) == "run"
        assert agent.publish(100) == "ceiling"
        assert agent.call("idle", 5) == 0
        sockets = [os.readlink(f"/proc/{child}/fd/{fd}") for fd in os.listdir(f"/proc/{child}/fd")]
        assert not [s for s in sockets if s.startswith(("socket:", "anon_inode:"))]
        with open(f"/proc/{child}/maps", encoding="ascii") as maps:
            assert "memfd" not in maps.read()
        if pages:
            assert client.telemetry()["used"] == 10
        # Then with a connection of its own.
        assert agent.call("reopen", "junior") == 0
        assert agent.call("reopen", "junior") == -114
        own = connected(peer, agent, pages, epoch=7)
        assert (own.hello["heap"], own.hello["prev_epoch"]) == ("junior", 0)
        own.open(9)
        agent.wait("open")
        assert agent.begin(cause=a.IN_WINDOW, window=9) == 0
        agent.send("exit")
        agent.proc.stdin.flush()
        assert agent.receive() == {"child": 0}
        # The parent has noticed nothing.
        assert agent.window()["id"] == 4
        assert agent.begin(cause=a.IN_WINDOW, window=4) == 0
        assert agent.end(1, 2, 3) == 0
        names = [f["frame"] for f in client.frames_until("END")]
        assert names == ["BEGIN", "END"] or names == ["REPORT", "BEGIN", "END"]


def test_fork_in_the_middle_of_a_window(peer):
    with a.Agent(peer.path) as agent:
        client = connected(peer, agent)
        client.open(4)
        agent.wait("open")
        assert agent.begin(cause=a.IN_WINDOW, window=4) == 0
        agent.call("fork")
        assert agent.end(1, 2, 3) == a.NO_BEGIN
        assert agent.begin() == 0  # it may collect what it has
        assert agent.end(1, 2, 3) == 0
        agent.send("exit")
        assert agent.receive() == {"child": 0}
        assert agent.end(4, 5, 6) == 0
        begin, end = client.frames_until("END")
        assert (begin["window"], end["window"], end["freed"]) == (4, 4, 4)


def test_parent_dies_before_its_child(peer):
    """The child holds nothing open: the daemon sees the end of the connection."""
    with a.Agent(peer.path) as agent:
        client = connected(peer, agent)
        agent.call("fork")
        agent.kill()
        assert client.receive() is None
        assert agent.check() == "alone"
