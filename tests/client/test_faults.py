# SPDX-License-Identifier: MIT
"""A peer that says and hands over what a daemon never would."""

import os
import struct

import agent as a
import peer as p
import pytest
from agent import MODES, THREADS, connected, flags

# ---- what must never be said -----------------------------------------------------------

GOOD = p.encode("WINDOW", window=4, opens=1, closes=p.NEVER, kind=1)
NONSENSE = {
    "empty": b"",
    "one byte": b"x",
    "half a frame": GOOD[:20],
    "too long": GOOD + b"\0",
    "longer than any": b"\0" * 5000,
    "zeros": b"\0" * 48,
    "no such type": struct.pack("<HHI", 99, 8, 1),
    "no such kind": p.encode("WINDOW", window=4, opens=1, closes=p.NEVER, kind=9),
    "window 0": p.encode("WINDOW", window=0, opens=1, closes=p.NEVER, kind=1),
    "announced 0": p.encode("ANNOUNCE", window=0, opens_by=1, kind=1),
    "a client's": p.encode("BEGIN", window=4),
    "welcome again": p.encode("WELCOME", version=1, epoch=7),
    "error": p.encode("ERROR", code=p.MALFORMED, detail="you"),
    "shutdown": p.encode("ERROR", code=p.SHUTDOWN, detail="bye"),
}


@MODES
@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense(peer, pages, what):
    """ALONE at once, and another connection, which works."""
    with a.Agent(peer.path, flags(pages)) as agent:
        client = connected(peer, agent, pages)
        client.open(4)
        agent.wait("open")
        client.send_raw(NONSENSE[what])
        agent.wait("alone")
        assert agent.check() == "alone"
        assert agent.begin(cause=a.IN_WINDOW, window=4) == a.CLOSED
        while client.receive():
            pass
        connected(peer, agent, pages)
        assert agent.check() == "run"


def test_error_about_a_window(peer):
    with a.Agent(peer.path) as agent:
        client = connected(peer, agent)
        client.send("ERROR", code=p.WINDOW, type=7, serial=3, detail="not yours")
        client.open(4)
        agent.wait("open")
        assert agent.status()["connects"] == 1


@pytest.mark.parametrize("what", ["half a frame", "window 0", "zeros", "a client's", "error"])
def test_nonsense_for_welcome(peer, what):
    with a.Agent(peer.path) as agent:
        client = peer.accept()
        client.receive()
        client.send_raw(NONSENSE[what])
        agent.wait("alone")
        connected(peer, agent)


@pytest.mark.parametrize("version", [0, 2, 65535])
def test_wrong_version(peer, version):
    with a.Agent(peer.path) as agent:
        peer.greet(version=version)
        agent.wait("alone")
        connected(peer, agent)


@pytest.mark.parametrize("code", [p.REFUSED, p.VERSION])
@THREADS
def test_refused(peer, code, thread):
    with a.Agent(peer.path, thread) as agent:
        client = peer.accept()
        client.receive()
        client.send("ERROR", code=code, type=1, serial=1, detail="a quota is used up")
        said = agent.now()
        agent.wait("refused")
        status = agent.status()
        assert (status["supervised"], status["refused"]) == (0, "a quota is used up")
        assert agent.check() == "alone"
        client = connected(peer, agent)
        assert agent.now() - said >= 900_000_000  # slowly
        assert agent.status()["refused"] == ""


def test_refused_in_the_middle(peer):
    with a.Agent(peer.path) as agent:
        client = connected(peer, agent)
        client.send("ERROR", code=p.REFUSED, detail="enough")
        agent.wait("alone")
        assert agent.status()["refused"] == "enough"

# ---- pages that are not to be trusted --------------------------------------------------


def bad(windows=None, heap=None):
    return lambda: [p.page_fd(**{"slots": p.SLOTS, "epoch": 7, **(windows or {})}),
                    p.page_fd(**{"slots": 0, "epoch": 7, **(heap or {})})]


BAD_PAGES = {
    "none": lambda: [],
    "one": lambda: [p.page_fd(p.SLOTS, 7)],
    "not sealed": bad(dict(seals=0)),
    "may shrink": bad(dict(seals=p.SEAL_GROW)),
    "may grow": bad(heap=dict(seals=p.SEAL_SHRINK)),
    "too short": bad(dict(size=100)),
    "empty": bad(heap=dict(size=0)),
    "too long": bad(heap=dict(size=8192)),
    "no magic": bad(dict(magic=1)),
    "another epoch": bad(dict(epoch=8)),
    "swapped": bad(dict(slots=0), dict(slots=p.SLOTS)),
    "pipe": lambda: list(os.pipe()),
    "file": lambda: [os.open(__file__, os.O_RDONLY), os.open("/dev/zero", os.O_RDWR)],
}


@pytest.mark.parametrize("what", BAD_PAGES)
def test_bad_pages(peer, what):
    """Not mapped; the next connection does without."""
    with a.Agent(peer.path) as agent:
        client = peer.accept()
        assert client.receive()["caps"] & p.CAP_PAGE
        client.welcome(fds=BAD_PAGES[what](), epoch=7)
        agent.wait("alone")
        client = connected(peer, agent, False)
        assert not client.hello["caps"] & p.CAP_PAGE
        client.open(4)
        agent.wait("open")
        assert agent.check() == "may"
        client.close()
        agent.wait("alone")
        client = connected(peer, agent)
        assert client.hello["caps"] & p.CAP_PAGE
        assert agent.status()["shared_pages"] == 1


def test_more_descriptors_than_pages(peer):
    """Neither kept nor leaked."""
    with a.Agent(peer.path) as agent:
        client = connected(peer, agent)
        before = os.listdir(f"/proc/{agent.proc.pid}/fd")
        for window in range(1, 20):
            p.socket.send_fds(client.socket, [p.encode(
                "WINDOW", window=window, opens=1, closes=p.NEVER, kind=1)], [0, 1, 2])
            agent.wait("open")
        assert os.listdir(f"/proc/{agent.proc.pid}/fd") == before
