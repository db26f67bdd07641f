# SPDX-License-Identifier: MIT
"""
A restart without harm: the test plays the service manager, which keeps the daemon's memory
file while the daemon stops, crashes, or is killed.
"""

import os
import signal
import subprocess
import time

import pytest
from common import BUDGET, due, harness, window
from frames import Client

ONE = "[Daemon]\nMaxConcurrent=1\n"
SWARM = os.path.join(harness.BUILDDIR, "tests", "daemon", "swarm")
WAYS = pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])


def again(d, way):
    """Ends the daemon that way and starts it anew."""
    if way == signal.SIGKILL:
        d.kill()
    d.restart()


def heap(d, name):
    """The heap of that name that is connected; None: there is none."""
    found = [h for h in d.heaps() if h["name"] == name and h["state"] != "lost"]
    assert len(found) <= 1
    return found[0] if found else None


def slow(client):
    """Due, with windows of minutes: a gigabyte a second is guessed."""
    due(client, live=30 << 30)


def in_pause(d, client):
    """The heap pauses in a window, which is returned."""
    due(client)
    granted = window(client)
    client.begin(granted.window)
    client.sync()
    return granted


@WAYS
def test_a_pause_keeps_its_slot(way):
    with harness.Daemon(config=ONE, manager=True) as d, \
            Client(d, service="a", heap="one", budget=BUDGET) as one:
        granted = in_pause(d, one)
        again(d, way)
        assert d.call("GetStatus")["paused_now"] == 1
        with Client(d, service="b", heap="two", budget=BUDGET) as two:
            due(two)
            two.nothing_pending()
            # Back in the middle of its pause: still one slot, still this one.
            with Client(d, service="a", heap="one", budget=BUDGET, prev_epoch=1,
                        prev_window=granted.window, prev_closes=granted.closes) as back:
                status = d.call("GetStatus")
                assert (status["heaps"], status["paused_now"], status["windows_open"]) == (2, 1, 1)
                two.nothing_pending()
                back.end(granted.window, granted.opens)
                window(two)


@WAYS
def test_an_open_window_keeps_its_slot(way):
    with harness.Daemon(config=ONE, manager=True) as d, \
            Client(d, service="a", heap="one", budget=BUDGET) as one:
        slow(one)
        window(one)
        again(d, way)
        assert d.call("GetStatus")["windows_open"] == 1
        with Client(d, service="b", heap="two", budget=BUDGET) as two:
            slow(two)
            two.nothing_pending()
            with Client(d, service="a", heap="one", budget=BUDGET):  # and has not used it
                window(two)


def test_the_slot_of_a_dead_process_is_free():
    with harness.Daemon(config=ONE, manager=True) as d:
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                in_pause(d, Client(d, service="a", heap="one", budget=BUDGET))
                os.write(tell, b".")
                signal.pause()
            finally:
                os._exit(1)
        os.close(tell)
        assert os.read(told, 1) == b"."
        os.close(told)
        d.kill()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        d.start()
        status = d.call("GetStatus")
        assert (status["heaps"], status["windows_open"]) == (0, 0)


def test_a_process_that_dies_meanwhile_is_noticed():
    with harness.Daemon(config=ONE, manager=True) as d:
        asleep = subprocess.Popen([SWARM, "a", "1", str(BUDGET), "0", "1000"], env=d.env(),
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        d.wait(lambda d: heap(d, "heap-0"), "it has joined")
        d.kill()
        os.kill(asleep.pid, signal.SIGSTOP)  # it cannot come back
        d.start()
        assert [h["state"] for h in d.heaps()] == ["lost"]
        asleep.kill()
        asleep.communicate()
        d.wait(lambda d: not d.heaps(), "it is forgotten at once")


def collect(client, pauses):
    for _ in range(pauses):
        begun = client.begin(0, cause=1)
        client.end(0, begun, cause=1, freed=5000, live=400_000)
    client.report(used=1000, live=400_000)
    client.sync()


LEARNED = ("collections", "forced", "last_pause_us", "pause_p50_us", "pause_max_us", "predicted_pause_us", "yield_last")


@WAYS
def test_what_was_learned_and_counted(way):
    hello = dict(service="a", heap="one", unit=1, budget=BUDGET)
    with harness.Daemon(manager=True) as d, Client(d, **hello) as one:
        collect(one, 7)
        before, status = heap(d, "one"), d.call("GetStatus")
        assert before["collections"]["major"] == before["forced"] == status["forced"] == 7
        again(d, way)
        later = d.call("GetStatus")
        assert later["epoch"] > status["epoch"]
        assert (later["forced"], d.services()[0]["forced"]) == (7, 7)
        with Client(d, **hello) as back:
            back.report(used=1000, live=400_000)
            back.sync()
            found, = d.heaps()
            assert {k: found[k] for k in LEARNED} == {k: before[k] for k in LEARNED}
            assert found["id"] > before["id"]
            collect(back, 1)
            assert heap(d, "one")["forced"] == d.call("GetStatus")["forced"] == 8


def test_also_over_a_lost_connection():
    hello = dict(service="a", heap="one", unit=1, budget=BUDGET)
    with harness.Daemon() as d:
        with Client(d, **hello) as one:
            collect(one, 3)
        with Client(d, **{**hello, "heap": "another"}):
            assert heap(d, "another")["forced"] == 0
            with Client(d, **hello):
                assert heap(d, "one")["forced"] == 3


def test_without_a_manager_nothing_is_kept():
    with harness.Daemon() as d, Client(d, service="a", heap="one", unit=1, budget=BUDGET) as one:
        collect(one, 3)
        d.restart()
        status = d.call("GetStatus")
        assert (status["heaps"], status["forced"]) == (0, 0)


@pytest.mark.parametrize("what", ["empty", "unsealed", "noise", "another version"])
def test_a_file_that_cannot_be_read(what):
    with harness.Daemon(manager=True) as d, Client(d, service="a", heap="one", budget=BUDGET) as one:
        collect(one, 3)
        d.stop()
        d.manager.drain()
        good = d.manager.kept["state"]
        size = os.fstat(good).st_size
        fd = os.memfd_create("state", os.MFD_ALLOW_SEALING)
        if what != "empty":
            os.truncate(fd, size)
        if what == "noise":
            os.pwrite(fd, os.urandom(1 << 20), 0)
        if what == "another version":
            os.pwrite(fd, os.pread(good, 1 << 20, 0).replace(b"rtgcd state 1", b"rtgcd state 0"), 0)
        if what in ("noise", "another version"):
            harness.fcntl.fcntl(fd, harness.fcntl.F_ADD_SEALS, 7)
        d.manager.replace("state", fd)
        d.start()
        assert d.call("GetStatus")["forced"] == 0
        # The new one is kept in its place.
        with Client(d, service="a", heap="one", budget=BUDGET) as back:
            collect(back, 2)
            again(d, signal.SIGKILL)
            assert d.call("GetStatus")["forced"] == 2


def test_records_are_used_again():
    with harness.Daemon(manager=True) as d:
        for i in range(300):
            with Client(d, service="a", heap=f"h{i}") as c:
                c.send(10)  # BYE
                c.expect_closed()
        with Client(d, service="a", heap="last"):
            used = os.fstat(d.manager.fd("state")).st_blocks * 512
            assert used < 64 << 10
            again(d, signal.SIGKILL)
            assert [h["name"] for h in d.heaps()] == ["last"]


# ---- many -----------------------------------------------------------------------------------------


class Swarm:
    def __init__(self, d, *args):
        self.proc = subprocess.Popen([SWARM, *map(str, args)], env=d.env(), stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)
        self.pauses = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.finish()

    def ask(self, what="status"):
        """How many of its heaps are supervised."""
        self.proc.stdin.write(what + "\n")
        self.proc.stdin.flush()
        while True:
            words = self.proc.stdout.readline().split()
            if words[0] == "status":
                return int(words[1])
            self.pauses.append(tuple(map(int, words[1:])))

    def finish(self):
        """All pauses: (heap, cause, begin, end)."""
        if self.proc.poll() is None:
            out, _ = self.proc.communicate()
            self.pauses += [tuple(map(int, line.split()[1:])) for line in out.splitlines()
                            if line.startswith("pause")]
        return self.pauses


def most_at_once(pauses):
    edges = sorted([(begin, 1) for begin, _ in pauses] + [(end, -1) for _, end in pauses])
    now = most = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


def test_the_limit_holds_over_fifty_restarts():
    limit, restarts = 2, 50
    config = f"[Daemon]\nMaxConcurrent={limit}\n[Service:load]\nMaxConcurrent={limit}\n"
    with harness.Daemon(config=config, manager=True) as d, \
            Swarm(d, "load", 120, 1_000_000, 50_000, 15_000) as swarm:
        granted = 0
        for i in range(restarts):
            # It does its work again, and somebody pauses.
            d.wait(lambda d: d.call("GetStatus")["windows_granted"] > granted, "windows are opened")
            status = d.wait(lambda d: (lambda s: s["paused_now"] and s)(d.call("GetStatus")), "one pauses")
            granted = status["windows_granted"]
            swarm.ask()
            again(d, signal.SIGKILL if i % 2 else signal.SIGTERM)
            assert d.call("GetStatus")["windows_granted"] >= granted
        d.wait(lambda d: swarm.ask() == 120, "all are supervised")
        status = d.call("GetStatus")
        pauses = swarm.finish()
    in_window = [(begin, end) for _, cause, begin, end in pauses if cause == 0]
    print(f"{most_at_once(in_window)} at once, {len(in_window)} windows used, {len(pauses) - len(in_window)} forced, "
          f"{status['over_limit']} over the limit")
    assert len(in_window) > restarts
    assert most_at_once(in_window) <= limit + status["over_limit"]


def test_a_thousand_heaps_are_back():
    n = 1000
    with harness.Daemon(manager=True) as d, Swarm(d, "many", n, 1_000_000, 0, 5_000) as swarm:
        d.wait(lambda d: swarm.ask() == n, "all have joined")
        swarm.ask("record")
        d.wait(lambda d: d.call("GetStatus")["uncoordinated"] == n, "all have collected")
        before = {h["name"]: h["predicted_pause_us"] for h in d.heaps()}
        d.kill()
        begun = time.monotonic()
        d.start()
        assert d.call("GetStatus")["uncoordinated"] == n
        d.wait(lambda d: swarm.ask() == n, "all are back")
        print(f"{n} heaps are back after {time.monotonic() - begun:.2f} s")
        heaps = d.wait(lambda d: (lambda all: len(all) == n and all)(d.heaps()), "nobody is there twice")
        assert {h["collections"]["major"] for h in heaps} == {1}
        assert {h["name"]: h["predicted_pause_us"] for h in heaps} == before
        assert all(h["state"] != "lost" for h in heaps)
