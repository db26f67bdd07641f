# SPDX-License-Identifier: MIT
"""
What a user may have of the daemon (daemon/core/quota.h): who is refused is told, counted and named in
the log, others are served as before, and when all have gone nothing is charged to anybody.
"""

import contextlib
import json
import os
import socket
import threading
import time

import pytest
from common import BUDGET, harness, window
from frames import *  # noqa: F403
from test_access import user

ONE, TWO = 54321, 54322
NOTHING = {"connections": 0, "ungreeted": 0, "queued_bytes": 0, "heaps": 0}

needs_users = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")


def limited(**keys):
    return harness.Daemon(config="[Daemon]\n" + "".join(f"{k}={v}\n" for k, v in keys.items()))


def connected(d, uid, **hello):
    with user(uid):
        client = Client(d)
    if hello:
        client.greet(budget=BUDGET, **hello)
    return client


def refusal(client, words):
    frame = client.expect(ERROR)
    assert frame.code == REFUSED and words in frame.detail, frame
    client.expect_closed()
    client.close()


def refused(d):
    return {key: n for key, n in d.call("GetStatus")["refused"].items() if n}


def released(d):
    """Everybody has gone: nothing is charged to anybody."""
    def nothing(d):
        with d.varlink() as v:
            status = v.call("GetStatus")
        # (What this caller itself has said and heard.)
        return all(status[key] == n for key, n in NOTHING.items() if key != "queued_bytes") \
            and status["callers"] == 1 and status["queued_bytes"] <= 2 * 4096
    d.wait(nothing, "nothing is charged")


def close(clients):
    for client in clients:
        client.send(BYE)
        client.expect_closed()
        client.close()


# ---- connections ---------------------------------------------------------------------------


@needs_users
def test_connections_of_a_user():
    with limited(MaxConnectionsPerUser=5) as d:
        ones = [connected(d, ONE, heap=f"h{i}") for i in range(5)]
        refusal(connected(d, ONE), "MaxConnectionsPerUser=")
        refusal(connected(d, ONE), "MaxConnectionsPerUser=")
        twos = [connected(d, TWO, heap=f"h{i}") for i in range(5)]
        roots = [connected(d, 0, heap=f"h{i}") for i in range(10)]
        assert refused(d) == {"user_connections": 2}
        close(ones[:1])
        ones[0] = connected(d, ONE, heap="again")
        assert d.call("GetStatus")["connections"] == 20
        close(ones + twos + roots)
        released(d)
        lines = [line for line in d.log.splitlines() if "MaxConnectionsPerUser" in line]
        assert len(lines) == 1 and f"uid {ONE}" in lines[0], lines  # not one for each


@needs_users
def test_connections_of_all_and_roots_reserve():
    with limited(MaxConnections=64, MaxConnectionsPerUser=40) as d:
        clients = [connected(d, ONE, heap=f"h{i}") for i in range(40)]
        clients += [connected(d, TWO, heap=f"h{i}") for i in range(22)]
        refusal(connected(d, TWO), "MaxConnections=")
        clients += [connected(d, 0, heap=f"h{i}") for i in range(2)]
        refusal(connected(d, 0), "MaxConnections=")
        assert refused(d) == {"connections": 2}
        close(clients)
        released(d)


@needs_users
def test_lost_heaps_count_until_they_are_forgotten():
    """Connections that come and go leave heaps behind, which cost as much as those that stay."""
    with limited(MaxConnectionsPerUser=5) as d:
        for i in range(5):
            connected(d, ONE, heap=f"h{i}").close()
        d.wait(lambda d: [h["state"] for h in d.heaps()] == ["lost"] * 5, "they are lost")
        assert d.call("GetStatus")["connections"] == 0
        new = connected(d, ONE)
        new.send(HELLO, heap="h5")
        refusal(new, "MaxConnectionsPerUser=")
        # Each of them can come back, at its limit.
        back = [connected(d, ONE, heap=f"h{i}") for i in range(5)]
        assert len(d.heaps()) == 5
        close(back)
        released(d)


def test_a_lower_limit_drives_nobody_away():
    with limited(MaxConnections=64) as d:
        clients = [Client(d, budget=BUDGET, heap=f"h{i}") for i in range(20)]
        d.write_config("[Daemon]\nMaxConnections=10\n")
        d.call("Reload")
        refusal(Client(d), "MaxConnections=")
        for client in clients:
            client.nothing_pending()
        close(clients[:11])
        with Client(d, budget=BUDGET, heap="new") as new:
            close([new])
        close(clients[11:])
        released(d)


# ---- those that say nothing ----------------------------------------------------------------


@needs_users
def test_ungreeted_connections_are_each_users_own():
    with limited(MaxUngreeted=10) as d:
        silent = [connected(d, ONE) for _ in range(10)]
        for _ in range(100):
            refusal(connected(d, ONE), "without HELLO")
        other = connected(d, TWO, heap="other")
        assert d.call("GetStatus")["ungreeted"] == 10
        silent[3].greet(heap="late", budget=BUDGET)
        silent.append(connected(d, ONE))
        refusal(connected(d, ONE), "without HELLO")
        for client in silent:
            client.close()
        close([other])
        d.wait(lambda d: d.call("GetStatus")["ungreeted"] == 0, "they have gone")
        assert refused(d) == {"ungreeted": 101}
        assert d.log.count("without HELLO") == 1


def test_a_late_hello():
    with limited(HelloTimeout="200ms") as d, Client(d) as silent, Client(d, budget=BUDGET) as other:
        refusal(silent, "no HELLO came")
        other.nothing_pending()
        assert refused(d) == {"late": 1} and "no HELLO came" in d.log
        close([other])
        released(d)


# ---- the control socket ---------------------------------------------------------------------


def hung_up(caller):
    try:
        return caller.receive() is None
    except ConnectionResetError:
        return True


@needs_users
def test_callers_of_a_user_and_roots_reserve():
    with limited(MaxCallers=32, MaxCallersPerUser=20) as d, contextlib.ExitStack() as stack:
        def callers(uid, n):
            with user(uid):
                return [stack.enter_context(d.varlink()) for _ in range(n)]
        ones = callers(ONE, 20)
        assert all(v.call("GetStatus") for v in ones)
        assert hung_up(callers(ONE, 1)[0])
        twos = callers(TWO, 10)
        assert all(v.call("GetStatus") for v in twos)
        assert hung_up(callers(TWO, 1)[0])
        # Root is answered whatever they do.
        assert refused(d) == {"user_callers": 1, "callers": 1}
        assert "MaxCallersPerUser=" in d.log


def test_who_asks_too_much_waits():
    with limited(RequestsPerSecond=20) as d, d.varlink() as v:
        begun = now()
        # All at once: one after the other, they may come as slowly as they may be answered.
        v.send(b'{"method": "io.rtgcd.Supervisor.GetStatus"}\0' * 60)
        assert all("parameters" in v.receive() for _ in range(60))
        assert now() - begun >= 1_500_000_000  # 20 at once, then 20 a second
        status = v.call("GetStatus")
        assert status["requests_delayed"] >= 1 and not refused(d)


@needs_users
def test_who_asks_too_much_keeps_nobody_waiting():
    with limited(RequestsPerSecond=2) as d:
        with user(ONE):
            v = d.varlink()
        with v:
            for _ in range(100):
                v.send({"method": f"{harness.INTERFACE}.GetStatus"})
            assert v.receive() and d.call("GetStatus")["requests_delayed"] >= 0
            with user(TWO):
                other = d.varlink()
            with other:
                begun = now()
                other.call("GetStatus")
                assert len(d.services()) == 0
            d.wait(lambda d: d.call("GetStatus")["requests_delayed"] >= 1, "it waits")
            assert begun > 0
        d.wait(lambda d: d.call("GetStatus")["callers"] == 1, "it is noticed that it has hung up")


TOLD = {"Trace": {"format": "events"}, "Subscribe": {"events": ["report"], "figures": False}}


def subscribed(d, uid=None, method="Trace"):
    with user(uid) if uid is not None else contextlib.nullcontext():
        v = d.varlink()
    v.send({"method": f"{harness.INTERFACE}.{method}", "more": True, "parameters": TOLD[method]})
    return v


@pytest.mark.parametrize("method, why", [("Trace", "TraceOverflow"), ("Subscribe", "Overflow")])
def test_subscribers_that_never_read(method, why):
    """Each has a bounded queue; it is told why, and everybody else goes on."""
    config = "[Daemon]\nMaxQueue=16K\nFramesPerSecond=1000000\nFramesPerSecondPerUser=1000000\n"
    with harness.Daemon(config=config) as d, Client(d, budget=BUDGET) as c:
        before = d.call("GetStatus")["queued_bytes"]
        deaf = [subscribed(d, method=method) for _ in range(20)]
        n, most = 0, 0
        while refused(d).get("slow", 0) < 20:
            for _ in range(20):  # less than a queue takes, so that it is seen to fill
                c.report(used=n)
                n += 1
            c.sync()
            most = max(most, d.call("GetStatus")["queued_bytes"])
        # What waits, twice at most for room to grow, for the last words, and what the kernel holds not.
        assert before < most <= 20 * (2 * 16384 + 4096) + 65536
        for v in deaf:
            last = None
            while (reply := v.receive()) is not None:
                last = reply
            assert last["error"] == f"{harness.INTERFACE}.{why}"
            v.close()
        close([c])
        released(d)
        assert d.log.count("does not read") == 1


def test_subscribers_for_whom_too_much_happens():
    """Not what waits to be read, but what they have not yet been told of is too much."""
    config = "[Daemon]\nMaxQueue=64M\nQueueMemory=1G\nMaxCallers=300\nFramesPerSecond=1000000\nFramesPerSecondPerUser=1000000\n"
    with harness.Daemon(config=config) as d, Client(d, budget=BUDGET) as c:
        heaps = [Client(d, heap=f"heap {i}") for i in range(50)]  # to be told of meanwhile
        callers = [subscribed(d, method="Subscribe") for _ in range(280)]
        while d.call("GetStatus")["callers"] > 1:
            for used in range(100):
                c.report(used=used)
            c.sync()
        assert refused(d) == {"slow": 280}
        for v in callers:
            v.close()
        close(heaps)


def test_memory_of_all():
    """With the memory for queues used up, who adds to it hears so and goes; others are answered."""
    config = "[Daemon]\nMaxQueue=1M\nQueueMemory=1M\nFramesPerSecond=1000000\nFramesPerSecondPerUser=1000000\n"
    with harness.Daemon(config=config) as d, Client(d, budget=BUDGET) as c:
        deaf = [subscribed(d) for _ in range(6)]
        n = 0
        while not refused(d).get("memory"):
            for _ in range(200):
                c.report(used=n)
                n += 1
            c.sync()
            assert d.call("GetStatus")["queued_bytes"] <= (1 << 20) + 8 * 2 * 8192
        assert "QueueMemory=" in d.log
        for v in deaf:
            v.close()
        close([c])
        released(d)


# ---- frames ----------------------------------------------------------------------------------


def flood(client, until):
    """Reports as fast as they are taken until the event; the last figure that was sent."""
    n = 0
    while not until.is_set():
        n += 1
        client.report(used=n)
    return n


def test_a_flood_is_taken_at_its_pace():
    """Never disconnected, the last figures count, the others are counted, and the log says it once."""
    with limited(FramesPerSecond=50) as d, Client(d, budget=10**12) as c:
        for n in range(1, 5001):
            c.report(used=n)
        c.sync()
        heap, = d.heaps()
        assert heap["used"] == 5000
        status = d.call("GetStatus")
        assert status["frames_coalesced"] > 3000 and not refused(d)
        lines = [line for line in d.log.splitlines() if "FramesPerSecond=" in line]
        assert len(lines) == 1 and f"heap {c.welcome.heap}" in lines[0]
        close([c])
        released(d)


def test_who_floods_for_long_is_read_seldom():
    """Once it has sent more than it may and a socket holds: a batch of 16 each 10 ms, of which the last counts."""
    with limited(FramesPerSecond=1000) as d, Client(d, budget=10**12) as c:
        frame = encode(REPORT, 7, at=now(), used=1, live=0, budget=c.budget, allocated=1)
        began = time.monotonic()
        for _ in range(8000):
            c.socket.send(frame)
        c.report(used=2)
        c.sync()
        assert time.monotonic() - began > 1  # 2.5 to 4.4 s, and a tenth of that were it read each millisecond
        heap, = d.heaps()
        assert heap["used"] == 2 and d.call("GetStatus")["frames_coalesced"] > 3000


def test_no_collection_is_passed_over_in_a_flood():
    with limited(FramesPerSecond=100) as d, Client(d, budget=10**12) as c:
        for n in range(100):
            for _ in range(20):
                c.report(used=n)
            c.end(0, c.begin(0, cause=FORCED), cause=FORCED, used=n)
        c.sync()
        heap, = d.heaps()
        assert heap["forced"] == heap["collections"]["major"] == 100 and heap["used"] == 99
        assert d.call("GetStatus")["frames_coalesced"] > 0
        close([c])


@needs_users
def test_a_flood_keeps_nobody_waiting():
    """Another user's windows open while it goes on, and callers are answered."""
    with limited(FramesPerSecond=200) as d:
        loud, other = connected(d, ONE, heap="loud"), connected(d, TWO, heap="other", service="other")
        stop = threading.Event()
        sent = []
        thread = threading.Thread(target=lambda: sent.append(flood(loud, stop)))
        thread.start()
        try:
            for _ in range(20):
                other.report(used=BUDGET)
                other.collect(window(other).window)
            assert d.call("GetStatus")["frames_coalesced"] >= 0
            d.wait(lambda d: d.call("GetStatus")["frames_coalesced"] > 1000, "drops are counted")
        finally:
            stop.set()
            thread.join()
        loud.sync()
        assert [h["used"] for h in d.heaps() if h["name"] == "loud"] == sent
        close([loud, other])
        released(d)


@needs_users
def test_all_connections_of_a_user_share_a_pace():
    with limited(FramesPerSecondPerUser=100) as d:
        loud = [connected(d, ONE, heap=f"h{i}") for i in range(10)]
        for n in range(1, 101):
            for c in loud:
                c.report(used=n)
        other = connected(d, TWO, heap="other", service="other")
        other.report(used=BUDGET)
        other.collect(window(other).window)
        for c in loud:
            c.sync()
        assert {h["used"] for h in d.heaps() if h["name"] != "other"} == {100}
        assert d.call("GetStatus")["frames_coalesced"] > 0
        close([other, *loud])
        released(d)


def test_the_end_of_a_flooding_client_is_noticed():
    with limited(FramesPerSecond=1) as d:
        for how in (socket.SHUT_RDWR, socket.SHUT_WR, None):
            c = Client(d, budget=10**12)
            for n in range(20):
                c.report(used=n)
            if how is None:
                c.close()
            else:
                c.socket.shutdown(how)
            d.wait(lambda d: [h["state"] for h in d.heaps()] in ([], ["lost"]), "it is noticed")
            assert [h["used"] for h in d.heaps()] in ([], [19])
            c.close()
        assert d.call("GetStatus")["connections"] == 0


def test_who_does_not_read_hears_why():
    """Its socket is full, and yet there is room for the reason."""
    with harness.Daemon() as d, Client(d, budget=BUDGET) as c:
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while True:
                c.send(QUIET, window=99)
        while (frame := c.expect(ERROR)).code == WINDOW_ERROR:
            pass
        assert frame.code == REFUSED and "does not read" in frame.detail
        c.expect_closed()
        assert refused(d) == {"slow": 1} and d.call("GetStatus")["queued_bytes"] <= 2 * 4096
        json.dumps(d.heaps())


# ---- frames that are none --------------------------------------------------------------------


CLIENT_FRAMES = [HELLO, REPORT, DEADLINE, IDLE, BUSY, QUIET, BEGIN, END, DECLINE, BYE, ANSWER, OFFER, HEARTBEAT]


@pytest.mark.parametrize("kind", CLIENT_FRAMES)
def test_each_frame_cut_at_each_byte(kind):
    """A defined answer each time; nothing is left behind."""
    with harness.Daemon() as d:
        before = d.descriptors()
        whole = encode(kind, 5, **({"last": 1, "name": ""} if kind == ANSWER else {}))
        for size in range(len(whole)):
            for greeted in (False, True):
                with Client(d, **({"budget": 1} if greeted else {})) as c:
                    c.send_raw(whole[:size])
                    frame = c.expect(ERROR)
                    assert frame.code == MALFORMED, (size, frame)
                    c.expect_closed()
        close([Client(d, budget=1)])  # the heap that was lost each time comes back, and leaves
        d.wait(lambda d: d.descriptors() == before, "no descriptor is left behind")
        released(d)
