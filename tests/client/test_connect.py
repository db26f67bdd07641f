# SPDX-License-Identifier: MIT
"""Coming together and parting: with a peer that speaks the protocol by hand."""

import os
import signal

import agent as a
import peer as p
import pytest
from agent import MODES, THREADS, connected, flags

# ---- greeting --------------------------------------------------------------------------


@MODES
@THREADS
def test_hello_and_welcome(peer, pages, thread):
    with a.Agent(peer.path, flags(pages, thread, a.MARKS), budget=1000, unit=1, kinds=6,
                 service="shop", heap="h1", runtime="lang") as agent:
        client = connected(peer, agent, pages, epoch=77, heap=12)
        hello = client.hello
        assert (hello["version_min"], hello["version_max"]) == (1, 1)
        assert hello["caps"] == (p.CAP_PAGE if pages else 0) | p.CAP_MARKS
        assert (hello["unit"], hello["kinds"], hello["budget"]) == (1, 6, 1000)
        assert (hello["service"], hello["heap"], hello["runtime"]) == ("shop", "h1", "lang")
        assert (hello["prev_epoch"], hello["prev_window"], hello["prev_closes"]) == (0, 0, 0)
        status = agent.status()
        assert (status["supervised"], status["shared_pages"]) == (1, pages)
        assert (status["epoch"], status["heap_id"], status["connects"]) == (77, 12, 1)
        assert agent.check() == "run"
        assert not agent.pending()


def test_default_names(peer):
    env = {**os.environ, "RTGC_SOCKET": peer.path}
    for name in ("RTGC_SERVICE", "RTGC_HEAP"):
        env.pop(name, None)
    with a.Agent(None, service=None, heap=None, runtime=None, env=env) as agent:
        hello = peer.greet().hello
        assert hello["service"] == "agent"
        assert hello["heap"] == f"agent-{agent.proc.pid}"
        assert hello["runtime"] == "c"
    env.update(RTGC_SERVICE="süß", RTGC_HEAP="h-9")
    with a.Agent(None, service=None, heap=None, env=env):
        hello = peer.greet().hello
        assert (hello["service"], hello["heap"]) == ("süß", "h-9")


@pytest.mark.parametrize("how", [
    dict(service="x" * 64), dict(heap="x" * 64), dict(runtime="x" * 32), dict(service="a\x07b"),
    dict(service="a\udcffb"), dict(flags=32), dict(unit=2), dict(kinds=16)])
def test_wrong_options(how):
    if "service" in how:
        how = {**how, "env": {**os.environ, "RTGC_SERVICE": how["service"]}}
        how["service"] = None
    with a.Agent("/nowhere/s", **how) as agent:
        assert agent.opened == -22


def test_longest_names(peer):
    with a.Agent(peer.path, service="s" * 63, heap="ü" * 31 + "x", runtime="r" * 31):
        hello = peer.greet().hello
        assert (hello["service"], hello["heap"]) == ("s" * 63, "ü" * 31 + "x")
        assert hello["runtime"] == "r" * 31


def test_too_long_socket_path():
    with a.Agent("/" + "x" * 107) as agent:
        assert agent.opened == -22


def test_bye(peer):
    with a.Agent(peer.path) as agent:
        client = connected(peer, agent)
        assert agent.call("close") == 0
        assert client.receive()["frame"] == "BYE"
        assert client.receive() is None

# ---- losing it and finding it again ----------------------------------------------------


@THREADS
def test_no_daemon_at_all(peer, thread):
    path = peer.path
    peer.deafen()
    with a.Agent(path, thread) as agent:
        agent.wait("alone")
        assert agent.check() == "alone"
        assert agent.publish(10**9) == "run"
        assert agent.call("quiet") == a.NO_WINDOW
        assert agent.begin(cause=a.IN_WINDOW, window=1) == a.CLOSED
        assert agent.begin() == 0
        assert agent.end(1, 2, 3) == 0
        peer.listen()
        connected(peer, agent)
        assert agent.check() == "run"


@MODES
@THREADS
def test_closed(peer, pages, thread):
    with a.Agent(peer.path, flags(pages, thread)) as agent:
        client = connected(peer, agent, pages, epoch=7)
        client.open(4)
        agent.wait("open")
        assert agent.begin(cause=a.IN_WINDOW, window=4) == 0
        assert agent.end(1, 2, 3) == 0
        client.open(5)
        agent.wait("open")
        client.close()
        agent.wait("alone")
        assert agent.check() == "alone"
        assert not agent.pending()
        assert agent.begin(cause=a.IN_WINDOW, window=5) == a.CLOSED
        status = agent.status()
        assert (status["supervised"], status["epoch"], status["missed"]) == (0, 0, 1)
        client = connected(peer, agent, pages, epoch=8)
        assert (client.hello["prev_epoch"], client.hello["prev_window"]) == (7, 0)
        assert agent.begin(cause=a.IN_WINDOW, window=5) == a.CLOSED
        assert (agent.status()["epoch"], agent.status()["connects"]) == (8, 2)
        # Another daemon counts its windows from the start.
        client.open(4)
        agent.wait("open")
        assert agent.begin(cause=a.IN_WINDOW, window=4) == 0


@MODES
def test_closed_in_the_middle_of_a_collection(peer, pages):
    with a.Agent(peer.path, flags(pages)) as agent:
        client = connected(peer, agent, pages, epoch=7)
        closes = p.now() + 10**11
        client.open(4, closes=closes)
        agent.wait("open")
        assert agent.begin(cause=a.IN_WINDOW, window=4) == 0
        client.close()
        agent.wait("alone")
        client = peer.accept()
        hello = client.receive()
        assert (hello["prev_epoch"], hello["prev_window"]) == (7, 4)
        assert hello["prev_closes"] == closes
        # It ends before the answer; that is told, but not before the answer.
        assert agent.end(1, 2, 3) == 0
        client.welcome(pages=pages, epoch=8)
        agent.wait("connected")
        end = client.receive()
        assert (end["frame"], end["window"]) == ("END", 4)
        assert agent.status()["in_window"] == 1


@MODES
def test_connected_in_the_middle_of_a_collection(peer, pages):
    """One without a window: told before the figures by which it would be given one."""
    with a.Agent(peer.path, flags(pages)) as agent:
        client = peer.accept()
        assert client.receive()["frame"] == "HELLO"
        agent.publish(used=900, allocated=900)
        before = p.now()
        assert agent.begin(cause=a.FORCED) == 0
        client.welcome(pages=pages, epoch=8)
        agent.wait("connected")
        begin = client.receive()
        assert (begin["frame"], begin["window"], begin["cause"]) == ("BEGIN", 0, a.FORCED)
        assert before <= begin["at"] <= p.now()
        assert client.receive()["frame"] == "REPORT"
        assert agent.end(1, 2, 3) == 0
        end = client.receive()
        assert (end["frame"], end["window"], end["cause"]) == ("END", 0, a.FORCED)


def test_closed_unnoticed(peer):
    """Told into a connection that is closed: no signal, and alone as soon as it is looked."""
    with a.Agent(peer.path) as agent:
        client = connected(peer, agent)
        client.open(4)
        agent.wait("open")
        agent.call("manual", 1)
        client.close()
        assert agent.begin(cause=a.IN_WINDOW, window=4) == 0
        assert agent.end(1, 2, 3) == 0
        assert agent.status()["supervised"] == 1
        assert agent.call("dispatch") == 0
        agent.wait("alone")
        agent.call("manual", 0)
        connected(peer, agent)


def test_collection_that_ends_while_alone(peer):
    with a.Agent(peer.path) as agent:
        client = connected(peer, agent)
        client.open(4)
        agent.wait("open")
        assert agent.begin(cause=a.IN_WINDOW, window=4) == 0
        path = peer.path
        peer.deafen()
        agent.wait("alone")
        assert agent.end(1, 2, 3) == 0
        peer.listen()
        assert path == peer.path
        client = connected(peer, agent)
        assert client.hello["prev_window"] == 0
        assert client.receive()["frame"] == "REPORT"


@MODES
@THREADS
def test_hung(peer, pages, thread):
    """Nothing is wrong with the connection, but the daemon's loop stands still."""
    with a.Agent(peer.path, flags(pages, thread)) as agent:
        client = connected(peer, agent, pages, stale=100_000_000)
        client.open(4)
        agent.wait("alone")
        assert agent.check() == "alone"
        assert agent.begin(cause=a.IN_WINDOW, window=4) == a.CLOSED
        assert agent.status()["supervised"] == 0
        if pages:
            client.heartbeat(p.now() + 10**12)
        else:
            client.send("HEARTBEAT", at=client.receive("HEARTBEAT")["at"])
        agent.wait("connected")
        assert agent.status()["connects"] == 1
        assert not peer.knocks()


def test_hung_is_seen_at_once_by_check(peer):
    """Before the dispatcher has noticed it."""
    with a.Agent(peer.path) as agent:
        client = connected(peer, agent, every=10_000_000_000)
        client.open(4)
        agent.wait("open")
        assert agent.check() == "may"
        client.heartbeat(1)
        assert agent.check() == "alone"
        assert agent.begin(cause=a.IN_WINDOW, window=4) == a.CLOSED


def test_socket_only_asks_and_is_answered(peer):
    with a.Agent(peer.path, a.SOCKET_ONLY) as agent:
        client = connected(peer, agent, False, every=10_000_000, stale=60_000_000_000)
        for _ in range(5):
            beat = client.receive("HEARTBEAT")
            client.send("HEARTBEAT", at=beat["at"])
        assert agent.check() == "run"


def test_own_absence_is_not_the_daemons(peer):
    """A program that was stopped has not asked, and so cannot have been answered."""
    stale = 3_000_000_000
    with a.Agent(peer.path, a.SOCKET_ONLY) as agent:
        client = connected(peer, agent, False, stale=stale)
        client.receive("HEARTBEAT")
        agent.proc.send_signal(signal.SIGSTOP)
        os.waitpid(agent.proc.pid, os.WUNTRACED)
        stopped = p.now()
        while p.now() < stopped + 2 * stale:
            p.select.select([], [], [], 0.1)
        while p.select.select([client.socket], [], [], 0)[0]:
            client.receive()
        agent.proc.send_signal(signal.SIGCONT)
        beat = client.receive("HEARTBEAT")
        client.send("HEARTBEAT", at=beat["at"])
        assert agent.status()["supervised"] == 1
        assert agent.events == []


@pytest.mark.parametrize("every", [0, p.NEVER])
@MODES
def test_absurd_heartbeats(peer, pages, every):
    with a.Agent(peer.path, flags(pages, a.THREAD)) as agent:
        client = connected(peer, agent, pages, every=every, stale=every)
        client.heartbeat(p.NEVER)
        client.open(4)
        agent.wait("open")
        assert agent.status()["connects"] == 1

# ---- not blocking ----------------------------------------------------------------------


@THREADS
def test_nobody_accepts(peer, thread):
    """Connected, but never answered: everything works alone, and says so after a while."""
    with a.Agent(peer.path, thread) as agent:
        assert agent.check() == "alone"
        for _ in range(1000):
            assert agent.publish(10) == "run"
        agent.call("idle", a.NEVER)
        assert agent.begin() == 0
        assert agent.end() == 0
        agent.wait("alone")
        client = connected(peer, agent)
        assert client.receive()["frame"] == "REPORT"


@THREADS
def test_full_backlog(thread):
    with p.Peer(backlog=0) as peer:
        first = p.socket.socket(p.socket.AF_UNIX, p.socket.SOCK_SEQPACKET)
        first.connect(peer.path)  # takes the only place
        with first, a.Agent(peer.path, thread) as agent:
            agent.wait("alone")
            assert agent.publish(10) == "run"
            peer.accept()
            connected(peer, agent)


def test_deaf_daemon(peer):
    """
    It does not read. What it must hear is kept while there is room; then the connection
    ends rather than that a pause never ends.
    """
    with a.Agent(peer.path) as agent:
        client = connected(peer, agent)
        pauses = 0
        while agent.status()["supervised"] and pauses < 100_000:
            assert agent.begin() == 0
            assert agent.end(1, 2, 3) == 0
            pauses += 1
        agent.wait("alone")
        assert agent.status()["forced"] == pauses
        balance = 0
        while frame := client.receive():
            balance += {"BEGIN": 1, "END": -1}[frame["frame"]]
            assert balance in (0, 1)
        connected(peer, agent)


def test_slow_daemon(peer):
    """It reads late: everything arrives, in order, with only the newest report."""
    with a.Agent(peer.path) as agent:
        client = connected(peer, agent)
        client.socket.setblocking(True)
        client.direct(watermark=1)
        sent = 0
        # Fill the socket until nothing more goes out.
        while True:
            assert agent.call("record", a.MAJOR, a.FORCED, sent, sent, 0, 0, 0) == 0
            sent += 1
            if waiting(agent):
                break
        for used in (5, 6, 7):
            agent.publish(used)
            client.direct(watermark=used + 1)
        seen = []
        while len(seen) < sent:
            frame = client.receive()
            if frame["frame"] == "END":
                seen.append(frame["begin"])
        assert seen == list(range(sent))
        assert client.receive()["used"] == 7
        assert agent.status()["connects"] == 1


def waiting(agent):
    """Does the library wait for room in its socket?"""
    fd = agent.call("fd")
    with open(f"/proc/{agent.proc.pid}/fdinfo/{fd}", encoding="ascii") as info:
        events = [int(line.split("events:")[1].split()[0], 16) for line in info if "tfd" in line]
    return any(e & 4 for e in events)

# ---- descriptors -----------------------------------------------------------------------


def test_no_descriptors_left_at_open():
    """rtgc_open() fails as a whole, and leaves nothing behind."""
    with a.Agent("/nowhere/s") as agent:
        assert agent.call("close") == 0
        assert agent.call("descriptors", 0) == 0
        before = os.listdir(f"/proc/{agent.proc.pid}/fd")
        assert agent.call("open", "/nowhere/s", 0, 0, 0, 0) == -24
        assert os.listdir(f"/proc/{agent.proc.pid}/fd") == before
        agent.call("descriptors", 1)
        assert agent.call("open", "/nowhere/s", 0, 0, 0, 0) == 0


@THREADS
def test_no_descriptors_left_to_connect(peer, thread):
    path = peer.path
    peer.deafen()
    with a.Agent(path, thread) as agent:
        agent.wait("alone")
        assert agent.call("descriptors", 0) == 0
        peer.listen()
        assert agent.check() == "alone"
        assert agent.call("descriptors", 1) == 0
        connected(peer, agent)


def test_no_descriptors_left_for_pages(peer):
    """They are closed on the way; the heap is supervised by socket then."""
    with a.Agent(peer.path) as agent:
        client = peer.accept()
        client.receive()
        assert agent.call("descriptors", 0) == 0
        client.welcome()
        client = peer.accept()
        assert not client.receive()["caps"] & p.CAP_PAGE
        client.welcome(pages=False)
        agent.wait("connected")


def test_descriptors_closed_by_the_program(peer):
    """It is nobody's to close them, but the thread neither spins nor claims a daemon."""
    with a.Agent(peer.path, a.THREAD) as agent:
        connected(peer, agent)
        agent.call("closefrom", 3)
        agent.wait("alone")
        assert agent.check() == "alone"
        assert agent.begin() == 0
        assert agent.end() == 0
        assert agent.call("close") == 0
