# SPDX-License-Identifier: MIT
"""Figures, marks, windows and ceilings: with a peer that speaks the protocol by hand."""

import agent as a
import peer as p
from agent import MODES, THREADS, connected, flags

# ---- figures ---------------------------------------------------------------------------


@MODES
@THREADS
def test_reports_once_a_watermark(peer, pages, thread):
    with a.Agent(peer.path, flags(pages, thread), budget=1000) as agent:
        client = connected(peer, agent, pages)
        client.direct(watermark=500)
        client.open(1)  # a frame behind the directive: when it was seen, so was that
        agent.wait("open")
        for used in (100, 499, 500, 501, 600):
            assert agent.publish(used, allocated=used, live=7, rss=8) == "run"
        assert agent.call("decline") == 0
        report, decline = client.frames_until("DECLINE")
        assert (report["frame"], report["used"], report["allocated"]) == ("REPORT", 500, 500)
        assert (report["live"], report["rss_bytes"], report["budget"]) == (7, 8, 1000)
        assert 0 < report["at"] <= p.now()
        assert (decline["window"], decline["why"]) == (1, 2)
        # Another watermark, and the same one again after a collection.
        client.direct(watermark=700)
        client.open(2)
        agent.wait("open")
        agent.publish(700, 701)
        assert client.receive("REPORT")["used"] == 700
        agent.begin()
        agent.end(500, 200, 50)
        agent.publish(700, 1200)
        names = [f["frame"] for f in client.frames_until("REPORT")]
        assert names == ["BEGIN", "END", "REPORT"]


def test_telemetry_goes_into_the_page(peer):
    with a.Agent(peer.path, budget=1000) as agent:
        client = connected(peer, agent)
        agent.publish(10, 20, 30, 40, step=50)
        found = client.telemetry()
        assert 0 < found.pop("at") <= p.now()
        assert found == dict(used=10, allocated=20, live=30, rss_bytes=40, budget=1000, step=50)
        agent.begin()
        agent.end(5, 6, 7)
        found = client.telemetry()
        assert (found["used"], found["allocated"], found["live"]) == (6, 20, 7)


@MODES
def test_figures_of_before_are_told_on_connecting(peer, pages):
    with a.Agent(peer.path, flags(pages, a.MARKS), budget=1000) as agent:
        agent.publish(10, 20, 30, 40)
        agent.call("idle", 12345)
        agent.call("deadline", 678)
        client = connected(peer, agent, pages)
        report = client.receive("REPORT")
        assert (report["used"], report["allocated"]) == (10, 20)
        if pages:
            assert client.telemetry()["used"] == 10
            assert client.app() == dict(mark=2, deadline=678, idle_until=12345)


@MODES
def test_report_by(peer, pages):
    with a.Agent(peer.path, flags(pages, a.THREAD)) as agent:
        client = connected(peer, agent, pages)
        agent.publish(10)
        client.send("DIRECTIVE", watermark=p.NEVER, report_by=p.now() + 1_000_000)
        assert client.receive("REPORT")["used"] == 10


@MODES
@THREADS
def test_marks_by_frame_while_wanted(peer, pages, thread):
    with a.Agent(peer.path, flags(pages, thread, a.MARKS)) as agent:
        client = connected(peer, agent, pages)
        agent.call("idle", 111)  # nobody wants to know
        client.direct(want=1)
        client.announce(1)
        agent.wait("announced")
        if not pages:  # cannot be read elsewhere
            assert client.receive("IDLE")["until"] == 111
        agent.call("busy")
        assert client.receive("BUSY", "IDLE")["frame"] == "BUSY"
        agent.call("idle", 222)
        assert client.receive("IDLE")["until"] == 222
        agent.call("deadline", 333)
        assert client.receive("DEADLINE")["at"] == 333
        client.direct(want=0)
        client.open(1)
        agent.wait("open")
        agent.call("busy")
        agent.call("decline")
        assert "BUSY" not in [f["frame"] for f in client.frames_until("DECLINE")]
        if pages:
            assert client.app() == dict(mark=1, deadline=333, idle_until=p.NEVER)

# ---- windows ---------------------------------------------------------------------------


@MODES
@THREADS
def test_window(peer, pages, thread):
    with a.Agent(peer.path, flags(pages, thread, a.QUIETS), budget=1000) as agent:
        client = connected(peer, agent, pages)
        client.announce(4, opens_by=p.now() + 10**10, predicted=500)
        agent.wait("announced")
        assert agent.pending()
        found = agent.window()
        assert (found["reply"], found["id"], found["kind"]) == ("prepare", 4, a.MAJOR)
        assert agent.call("quiet") == 0
        assert agent.call("quiet") == 0
        assert agent.begin(cause=a.IN_WINDOW, window=4) == a.CLOSED
        opens, closes = p.now(), p.now() + 10**11
        client.open(4, opens, closes, predicted=500, must=1)
        agent.wait("open")
        assert agent.window() == {"reply": "must", "id": 4, "opens": opens, "closes": closes,
                                  "predicted": 500, "kind": 1, "must": 1}
        assert agent.check(agent.now() + 100) == "run"
        assert agent.begin(cause=a.IN_WINDOW, window=5) == a.CLOSED
        assert agent.begin(a.MINOR, a.IN_WINDOW, 4) == -22
        assert agent.end(0, 0, 0) == a.NO_BEGIN
        assert agent.begin(cause=a.IN_WINDOW, window=4) == 0
        assert agent.check() == "run"  # it is in use
        assert agent.begin() == a.RUNNING
        assert agent.end(100, 200, 300) == 0
        assert agent.check() == "run"
        assert agent.begin(cause=a.IN_WINDOW, window=4) == a.CLOSED
        quiet, begin, end = client.frames_until("END")
        assert (quiet["frame"], quiet["window"]) == ("QUIET", 4)
        assert (begin["frame"], begin["window"]) == ("BEGIN", 4)
        assert (begin["kind"], begin["cause"]) == (a.MAJOR, a.IN_WINDOW)
        assert opens <= begin["at"] == end["begin"] <= end["end"] < closes
        assert (end["window"], end["kind"], end["cause"]) == (4, a.MAJOR, a.IN_WINDOW)
        assert (end["freed"], end["used"], end["live"]) == (100, 200, 300)
        status = agent.status()
        assert (status["opened"], status["windows_used"], status["missed"]) == (1, 1, 0)
        assert status["in_window"] == 1
        assert status["last_pause"] == status["max_pause"] == end["end"] - end["begin"]


def test_used_before_its_frame_is_read(peer):
    """The page is faster than the socket."""
    with a.Agent(peer.path) as agent:
        client = connected(peer, agent)
        agent.call("manual", 1)
        client.open(4)
        assert agent.begin(cause=a.IN_WINDOW, window=4) == 0
        assert agent.end(1, 2, 3) == 0
        status = agent.status()
        assert (status["opened"], status["windows_used"], status["missed"]) == (1, 1, 0)
        agent.call("dispatch")
        client.revoke(4)
        client.announce(5)
        agent.call("dispatch")
        assert agent.events == ["announced"]
        status = agent.status()
        assert (status["opened"], status["windows_used"], status["missed"]) == (1, 1, 0)


@MODES
def test_window_in_the_future(peer, pages):
    with a.Agent(peer.path, flags(pages, a.THREAD, a.QUIETS)) as agent:
        client = connected(peer, agent, pages)
        opens = p.now() + 500_000_000
        client.open(4, opens)
        while not agent.pending():
            pass
        while (found := agent.check()) != "may":
            assert (found, agent.call("quiet")) == ("prepare", 0)
        assert agent.now() >= opens
        agent.wait("open")
        assert agent.call("decline") == 0
        assert "QUIET" not in [f["frame"] for f in client.frames_until("DECLINE")]


@MODES
@THREADS
def test_revoked(peer, pages, thread):
    with a.Agent(peer.path, flags(pages, thread)) as agent:
        client = connected(peer, agent, pages)
        client.open(4)
        agent.wait("open")
        client.revoke(4)
        agent.wait("closed")
        assert agent.check() == "run"
        assert not agent.pending()
        assert agent.begin(cause=a.IN_WINDOW, window=4) == a.CLOSED
        assert agent.call("decline") == a.NO_WINDOW
        assert agent.call("quiet") == a.NO_WINDOW
        status = agent.status()
        assert (status["opened"], status["missed"]) == (1, 1)


@MODES
@THREADS
def test_expired(peer, pages, thread):
    with a.Agent(peer.path, flags(pages, thread)) as agent:
        client = connected(peer, agent, pages)
        client.open(4, closes=p.now() + 200_000_000)
        agent.wait("closed")
        assert agent.check() == "run"
        assert agent.begin(cause=a.IN_WINDOW, window=4) == a.CLOSED
        assert agent.status()["missed"] == 1


@MODES
def test_too_short_is_handed_back(peer, pages):
    with a.Agent(peer.path, flags(pages)) as agent:
        client = connected(peer, agent, pages)
        client.open(4, closes=p.now() + 10**12, predicted=10**13)
        agent.wait("open")
        assert agent.check() == "run"
        assert agent.begin(cause=a.IN_WINDOW, window=4) == a.UNFIT
        decline = client.receive("DECLINE")
        assert (decline["window"], decline["why"]) == (4, 1)
        assert agent.begin(cause=a.IN_WINDOW, window=4) == a.CLOSED


@MODES
def test_decline(peer, pages):
    with a.Agent(peer.path, flags(pages)) as agent:
        client = connected(peer, agent, pages)
        client.announce(4)
        agent.wait("announced")
        assert agent.call("decline") == 0
        assert agent.call("decline") == a.NO_WINDOW
        decline = client.receive("DECLINE")
        assert (decline["window"], decline["why"]) == (4, 2)
        assert agent.check() == "run"
        client.open(5)
        agent.wait("open")
        assert agent.check() == "may"
        assert agent.status()["missed"] == 0


def test_quiet_only_if_asked_for(peer):
    with a.Agent(peer.path) as agent:
        client = connected(peer, agent)
        client.announce(4)
        agent.wait("announced")
        assert agent.call("quiet") == 0
        assert agent.call("decline") == 0
        assert [f["frame"] for f in client.frames_until("DECLINE")] == ["DECLINE"]


@MODES
def test_not_quiet_where_it_is_drained_elsewhere(peer, pages):
    with a.Agent(peer.path, flags(pages, a.QUIETS)) as agent:
        client = connected(peer, agent, pages)
        client.announce(4, drain=0)
        agent.wait("announced")
        assert agent.check() == "prepare"
        assert agent.call("quiet") == 0
        assert agent.call("decline") == 0
        assert "QUIET" not in [f["frame"] for f in client.frames_until("DECLINE")]


@MODES
def test_outside_of_windows(peer, pages):
    with a.Agent(peer.path, flags(pages)) as agent:
        client = connected(peer, agent, pages)
        assert agent.begin(a.MAJOR, a.FORCED, 3) == -22
        assert agent.begin(9, a.FORCED) == -22
        assert agent.begin(a.MAJOR, 3) == -22
        assert agent.begin(a.MINOR, a.UNCOORDINATED) == 0
        assert agent.end() == 0
        begin, end = client.frames_until("END")
        assert (begin["window"], begin["kind"], begin["cause"]) == (0, a.MINOR, 2)
        assert (end["window"], end["kind"], end["cause"]) == (0, a.MINOR, 2)
        assert agent.call("record", a.MAJOR, a.UNCOORDINATED, 1000, 1700, 1, 2, 3) == 0
        end = client.receive()
        assert (end["frame"], end["begin"], end["end"]) == ("END", 1000, 1700)
        assert (end["freed"], end["used"], end["live"]) == (1, 2, 3)
        assert agent.call("record", a.MAJOR, a.IN_WINDOW, 1000, 1700, 1, 2, 3) == -22
        assert agent.call("record", a.MAJOR, a.FORCED, 1701, 1700, 1, 2, 3) == -22
        status = agent.status()
        assert (status["uncoordinated"], status["forced"], status["last_pause"]) == (2, 0, 700)

# ---- ceilings --------------------------------------------------------------------------


@MODES
def test_ceiling(peer, pages):
    with a.Agent(peer.path, flags(pages), budget=1000) as agent:
        client = connected(peer, agent, pages)
        assert agent.publish(999) == "run"
        assert not agent.pending()
        assert agent.publish(1000) == "ceiling"
        assert agent.pending()
        assert agent.check() == "ceiling"
        client.announce(1)
        agent.wait("announced")
        assert agent.check() == "ceiling"
        client.open(1)
        agent.wait("open")
        found = agent.window()
        assert (found["reply"], found["id"], found["must"]) == ("must", 1, 1)
        assert agent.check(agent.now()) == "ceiling"  # it does not fit
        assert agent.begin(cause=a.IN_WINDOW, window=1) == 0
        assert agent.end(900, 100, 100) == 0
        assert agent.check() == "run"


@MODES
def test_ceiling_of_the_service(peer, pages):
    with a.Agent(peer.path, flags(pages)) as agent:
        client = connected(peer, agent, pages)
        client.direct(budget=500)
        client.announce(1)
        agent.wait("announced")
        assert agent.status()["budget"] == 500
        assert agent.publish(500) == "ceiling"
        assert agent.begin() == 0
        assert agent.end(20, 480, 480) == 0
        assert agent.status()["budget"] == 600
        assert agent.publish(599) == "run"
        assert agent.publish(600) == "ceiling"
        # The runtime's rule holds once the daemon has heard of it, and sets none of its own.
        assert agent.publish(600, budget=601) == "ceiling"
        client.direct(budget=0)
        client.announce(2)
        agent.wait("announced")
        assert agent.status()["budget"] == 601
        assert agent.publish(600) == "run"
        assert agent.publish(601) == "ceiling"


@MODES
def test_ceiling_by_a_share(peer, pages):
    """What the daemon gives of the host's memory goes before the runtime's rule, more or less."""
    with a.Agent(peer.path, flags(pages)) as agent:
        client = connected(peer, agent, pages)
        assert agent.publish(100, budget=300) == "run"
        for window, share in ((1, 800), (2, 200)):
            client.direct(budget=share, watermark=share - 10)
            client.announce(window)
            agent.wait("announced")
            assert agent.status()["budget"] == share
            assert agent.publish(share - 1) == "run"
            assert agent.publish(share) == "ceiling"
            # The rule is told all the while.
            assert (client.telemetry() if pages else client.receive("REPORT"))["budget"] == 300


def test_no_ceiling_alone_without_a_budget(peer):
    with a.Agent(peer.path) as agent:
        client = connected(peer, agent)
        client.direct(budget=500)
        assert agent.publish(500) == "ceiling"
        client.close()
        agent.wait("alone")
        assert agent.check() == "alone"
        assert agent.publish(500) == "run"
        assert not agent.pending()
        assert agent.publish(500, budget=10) == "run"


def test_ceiling_stays_alone_with_a_budget(peer):
    with a.Agent(peer.path, budget=500) as agent:
        client = connected(peer, agent)
        client.close()
        agent.wait("alone")
        assert agent.publish(499) == "run"
        assert agent.check() == "alone"
        assert agent.publish(500) == "ceiling"
        assert agent.check() == "ceiling"
        assert agent.begin() == 0
        assert agent.end(400, 100, 100) == 0
        assert agent.check() == "alone"
        assert agent.status()["forced"] == 1
