# SPDX-License-Identifier: MIT
"""
A restart without harm: the test plays the service manager, which keeps the daemon's memory
file while the daemon stops, crashes, or is killed.
"""

import contextlib
import os
import signal
import subprocess
import time

import pytest
from common import BUDGET, DIRECTIVE, due, harness, window
from frames import Client
from swarming import IN_WINDOW, SWARM, Counter, Pause, Swarm, most_over, started_for

ONE = "[Daemon]\nMaxConcurrent=1\n"
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
    """The heap pauses in a window, which is returned. (One that is soon over would be written off meanwhile.)"""
    slow(client)
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
            slow(two)
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


def collect(client, pauses, lasted=0):
    """lasted: so many nanoseconds more than they do."""
    for _ in range(pauses):
        begun = client.begin(0, cause=1)
        client.end(0, begun - lasted, cause=1, freed=5000, live=400_000)
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


@WAYS
def test_what_was_learned_holds_before_the_first_figures(way):
    """A pause is predicted from the size of the heap: that it had is known as well."""
    hello = dict(service="a", heap="one", unit=1, budget=BUDGET)
    with harness.Daemon(manager=True) as d, Client(d, **hello) as one:
        collect(one, 7, lasted=100_000_000)
        before = heap(d, "one")["predicted_pause_us"]
        assert before["major"] > 100_000
        again(d, way)
        assert d.heaps()[0]["predicted_pause_us"] == before
        with Client(d, **hello) as back:
            back.sync()
            assert heap(d, "one")["predicted_pause_us"] == before
        with Client(d, **hello) as back:  # and over a lost connection
            back.sync()
            assert heap(d, "one")["predicted_pause_us"] == before


RULE = 10_000


class Runtime(Client):
    """Collected by its runtime's own rule, and whatever it collects is empty."""

    def __init__(self, d):
        super().__init__(d, service="a", heap="one", unit=1)
        self.budget = RULE

    def collect_in_vain(self):
        begun = self.begin(0, cause=2)
        self.end(0, begun, cause=2, freed=0, live=4 * RULE)

    def told(self):
        """The budget of the last directive; None: there was none."""
        self.sync()
        budgets = [frame.budget for frame in self.pending if frame.type == DIRECTIVE]
        self.pending = [frame for frame in self.pending if frame.type != DIRECTIVE]
        return budgets[-1] if budgets else None


@WAYS
def test_a_raised_budget(way):
    """What a heap was told it may use it may use over a restart, from the first moment on."""
    with harness.Daemon(manager=True) as d, Runtime(d) as one:
        one.report(used=0, live=4 * RULE)
        one.collect_in_vain()
        one.told()
        one.report(used=RULE, allocated=RULE, live=5 * RULE)
        raised = one.told()
        assert raised == heap(d, "one")["budget"] == 2 * RULE
        again(d, way)
        with Runtime(d) as back:
            assert back.told() == raised
            assert heap(d, "one")["budget"] == raised
            back.report(used=RULE + RULE // 2, allocated=RULE + 1, live=5 * RULE)  # slow: it is not due
            back.nothing_pending()
            assert heap(d, "one")["budget"] == raised
            assert heap(d, "one")["declined"] == 1


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


def kept_bytes(d):
    """Of memory, that the file takes."""
    return os.fstat(d.manager.fd("state")).st_blocks * 512


def test_records_are_used_again():
    with harness.Daemon(manager=True) as d:
        for i in range(300):
            with Client(d, service="a", heap=f"h{i}") as c:
                c.send(10)  # BYE
                c.expect_closed()
        with Client(d, service="a", heap="last"):
            assert kept_bytes(d) < 64 << 10
            again(d, signal.SIGKILL)
            assert [h["name"] for h in d.heaps()] == ["last"]
            assert kept_bytes(d) < 64 << 10  # to look for records takes no memory for those that there never were


# ---- many -----------------------------------------------------------------------------------------


def test_the_check_finds_one_too_many():
    counter = Counter()
    for instant, count in ((0, 0), (50, 0), (100, 1), (200, 1)):
        counter.samples.append((instant, instant, count))
    one, two, three = (Pause(i, IN_WINDOW, begin, end, i, begin) for i, (begin, end) in
                       enumerate(((10, 20), (20, 40), (15, 30))))
    assert most_over([one, two], 1, counter) == 0
    assert most_over([one, two, three], 1, counter) == 1
    assert most_over([one, two, three], 2, counter) == 0
    # One was counted over the limit between 50 and 100: two at once are right then, not before and after.
    pair = [Pause(0, IN_WINDOW, 0, 10, 1, 0), Pause(1, IN_WINDOW, 5, 15, 2, 5)]
    for later, over in ((0, 1), (60, 0), (110, 1)):
        assert most_over([p._replace(begin=p.begin + later, end=p.end + later, opens=p.opens + later)
                          for p in pair], 1, counter) == over
    assert most_over([p._replace(cause=1) for p in pair], 1, counter) == -1


def test_the_limit_holds_over_fifty_restarts():
    """
    Four processes with heaps that fill up. Each time as many pauses as may be are held, the daemon is
    stopped or killed, and they end while it is down, or when it is there again, or when they have come
    back to it. Meanwhile nobody allocates: how many want a window would depend on how fast this machine is.
    """
    limit, restarts, n = 2, 50, 12
    config = f"[Daemon]\nMaxConcurrent={limit}\n[Service:load]\nMaxConcurrent={limit}\n"
    counter, held = Counter(), 0
    with harness.Daemon(config=config, manager=True) as d, contextlib.ExitStack() as stack:
        swarms = [stack.enter_context(Swarm(started_for(d), "load", n, 1_000_000, 60_000, 15_000))
                  for _ in range(4)]

        def tell(what):
            return sum(swarm.ask(what) for swarm in swarms)

        def status():
            return counter.ask(lambda: d.call("GetStatus"))

        d.wait(lambda d: tell("status") == 4 * n, "all are supervised")
        for i in range(restarts):
            tell("hold")
            before = d.wait(lambda d: (lambda s: s["paused_now"] >= limit and s)(status()), "all slots are in use")
            tell("rest")
            asked = time.monotonic()
            closes = [asked + w["closes_in_us"] / 1e6 for w in d.windows() if w["state"] == "in_use"]
            d.kill() if i % 2 else d.stop()
            if i % 4 < 2:
                tell("release")
            d.start()
            after = status()
            assert after["windows_granted"] >= before["windows_granted"]
            held += after["windows_open"]
            if i % 4 >= 2:  # (On a slow machine some have closed by now.)
                assert after["windows_open"] >= sum(instant > time.monotonic() for instant in closes)
            if i % 3 == 0:
                d.wait(lambda d: tell("status") == 4 * n, "all are supervised again")
            tell("release")
            # Who is not back yet has not told the end of its pause: next time, these would be counted again.
            d.wait(lambda d: tell("status") == 4 * n, "all are supervised again")
            d.wait(lambda d: status()["windows_open"] == 0, "who was due has had a window")
            tell("work")
        granted = after["windows_granted"]
        d.wait(lambda d: status()["windows_granted"] > granted + 4 * n, "it does its work again")
        pauses = [pause for swarm in swarms for pause in swarm.finish()]
        over_limit = status()["over_limit"]
    in_window = [p for p in pauses if p.cause == IN_WINDOW]
    print(f"{len(in_window)} windows used, {held} held over a restart, {len(pauses) - len(in_window)} forced, "
          f"{over_limit} over the limit, excess {most_over(pauses, limit, counter)}")
    assert most_over(pauses, limit, counter) == 0
    assert len(in_window) >= limit * restarts
    assert over_limit <= len(in_window) // 20


def cpu_s(pid):
    """What the process has used of the CPUs, in seconds."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_thousand_heaps_are_back():
    """
    At about the daemon's cost of their first coming, each from its start on. (How long they wait before they
    try again is looked at in tests/unit/test_reconnect.c.)
    """
    n = 1000
    with harness.Daemon(manager=True) as d, \
            Swarm(started_for(d), "many", n, 1_000_000, 0, 5_000) as swarm:
        d.wait(lambda d: swarm.ask() == n, "all have joined")
        first = cpu_s(d.pid)
        swarm.ask("record")
        d.wait(lambda d: d.call("GetStatus")["uncoordinated"] == n, "all have collected")
        before = {h["name"]: h["predicted_pause_us"] for h in d.heaps()}
        d.kill()
        begun = time.monotonic()
        d.start()
        assert d.call("GetStatus")["uncoordinated"] == n
        d.wait(lambda d: swarm.ask() == n, "all are back")
        used = cpu_s(d.pid)
        print(f"{n} are back after {time.monotonic() - begun:.2f} s, {used:.2f} s of CPU time; {first:.2f} s at first")
        assert used <= 5 * first + 0.2  # some ticks of a clock that is coarse
        assert used < 2 or os.environ.get("SANITIZE")  # hence within that time, were the CPU its own
        heaps = d.wait(lambda d: (lambda all: len(all) == n and all)(d.heaps()), "nobody is there twice")
        assert {h["collections"]["major"] for h in heaps} == {1}
        assert {h["name"]: h["predicted_pause_us"] for h in heaps} == before
        assert all(h["state"] != "lost" for h in heaps)
