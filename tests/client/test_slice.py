# SPDX-License-Identifier: MIT
"""Who collects in a window lets others have the CPU first: by its time slice, which is as before when it has collected."""

import agent as a
import peer as p
import pytest
from agent import MODES, connected, flags

LONG = 100_000_000
PAUSE = 50_000_000


def in_window(client, agent, window=4, predicted=PAUSE, kind=a.MAJOR):
    client.open(window, predicted=predicted, kind=kind)
    agent.wait("open")
    assert agent.begin(kind, a.IN_WINDOW, window) == 0
    return agent.call("slice")


@pytest.fixture
def ordinary(tmp_path):
    """The slice of a thread that has never asked for another one."""
    with a.Agent(tmp_path / "nobody") as agent:
        found = agent.call("slice")
    if not found:
        pytest.skip("this kernel has no time slices for threads of their own (Linux 6.12 has)")
    return found


@MODES
def test_in_a_window_it_is_long(peer, ordinary, pages):
    with a.Agent(peer.path, flags(pages)) as agent:
        client = connected(peer, agent, pages)
        for window in (4, 5):
            assert in_window(client, agent, window) == LONG
            assert agent.end() == 0
            assert agent.call("slice") == ordinary


@pytest.mark.parametrize("cause", [a.FORCED, a.UNCOORDINATED])
def test_where_requests_wait_for_it_it_is_not(peer, ordinary, cause):
    with a.Agent(peer.path) as agent:
        connected(peer, agent)
        assert agent.begin(cause=cause) == 0
        assert agent.call("slice") == ordinary
        assert agent.end() == 0


def test_nor_for_what_is_over_sooner(peer, ordinary):
    with a.Agent(peer.path) as agent:
        assert in_window(connected(peer, agent), agent, predicted=900_000) == ordinary


def test_nor_where_something_is_due(peer, ordinary):
    """A loop that must go on in time collects in its slack."""
    with a.Agent(peer.path) as agent:
        client = connected(peer, agent)
        agent.call("deadline", p.now() + 10**10)
        assert in_window(client, agent) == ordinary
        assert agent.end() == 0
        agent.call("deadline", a.NEVER)
        assert in_window(client, agent, 5) == LONG


def test_nor_for_a_snapshot(peer, ordinary):
    """Which stops the program for a moment only."""
    with a.Agent(peer.path, kinds=1 << a.SNAPSHOT) as agent:
        assert in_window(connected(peer, agent), agent, kind=a.SNAPSHOT) == ordinary


def test_nor_once_the_heap_is_closed(peer, ordinary):
    with a.Agent(peer.path) as agent:
        client = connected(peer, agent)
        assert in_window(client, agent) == LONG
        agent.call("close")
        assert agent.call("slice") == ordinary


def test_a_forked_child_has_none(peer, ordinary):
    with a.Agent(peer.path) as agent:
        client = connected(peer, agent)
        assert in_window(client, agent) == LONG
        agent.call("fork")
        assert agent.call("slice") == ordinary
        agent.send("exit")
        agent.receive()  # the parent again
        assert agent.call("slice") == LONG
        assert agent.end() == 0
        assert agent.call("slice") == ordinary
