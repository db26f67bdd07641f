# SPDX-License-Identifier: MIT
"""
Draining at a real HAProxy, with each call failing once: of the drain guard from its start to its end, of the guard when it
puts back what a dead daemon has left, and of the daemon that talks to it. No server stays drained, no process stays
behind, every heap has its window, and the next server is drained again.
"""

import errno
import os
import select
import signal
import time

import pytest

from fault import MEMORY, Daemon, Shim, difference, explained, failures, fixture_shim, frames, harness  # noqa: F401
from frames import ANNOUNCE, DIRECTIVE, WINDOW, now
from test_requests import Path, attack
import balancer

pytestmark = pytest.mark.skipif(balancer.MISSING, reason="there is no haproxy here")

BUDGET = 1_000_000
SERVICES = ("web", "other")


def config(b):
    return "[Daemon]\nMaxConcurrent=3\n" + "".join(
        f"[Service:{name}]\nMaxConcurrent=3\nLead=50s\nDrain=haproxy:{b.admin}:be/%h\n" for name in SERVICES)


class Guarded(Daemon):
    """A daemon whose first guard is the process under test."""

    guard = None  # a pidfd

    def find_guard(self):
        """The one that runs."""
        self.forget_guard()
        self.guard = os.pidfd_open(self.wait(lambda d: next(iter(guards_of(d.pid)), None), "the guard runs"))

    def forget_guard(self):
        if self.guard is not None:
            os.close(self.guard)
        self.guard = None

    def guard_is_gone(self):
        assert select.select([self.guard], [], [], harness.PATIENCE)[0], "the guard stays behind"

    def kill_guard(self):
        self.find_guard()
        signal.pidfd_send_signal(self.guard, signal.SIGKILL)
        self.guard_is_gone()

    def __exit__(self, *what):
        super().__exit__(*what)
        self.forget_guard()


def guards_of(pid):
    """Those that have called themselves so; a moment before that they are not known from their parent."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8") as f:
                name, rest = f.read().rsplit(")", 1)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name.endswith("(rtgcd-drain") and int(rest.split()[1]) == pid and rest.split()[0] != "Z":
            found.append(int(entry))
    return found


def measure(client):
    begun = now()
    client.report(used=0, allocated=0, at=begun)
    while now() - begun < 50_000_000:  # rates of shorter spans are not believed
        client.sync()
    return begun


def due(client, begun, ahead=1000, permille=945):
    """A whole budget lasts for `ahead` seconds: 45 s before its latest start, and the lead is longer."""
    at = now()
    client.report(used=BUDGET * permille // 1000, allocated=BUDGET * (at - begun) // (ahead * 10**9), at=at)


def window(client):
    return client.expect(WINDOW, skip=(DIRECTIVE, ANNOUNCE)).window


def heap(d, name, service="web"):
    return frames.Client(d, budget=BUDGET, heap=name, service=service)


def reason(d, name):
    decisions = d.call("Explain", heap=name)["decisions"]
    return next(x["reason"] for x in reversed(decisions) if x["reason"] in ("drained", "undrainable", "lead-over"))


def is_drained(b, d, name, service):
    """It is its turn, and its server is drained for it and put back; by another guard as soon as it runs."""
    with heap(d, name, service) as c:
        end = time.monotonic() + harness.PATIENCE
        while time.monotonic() < end:
            due(c, measure(c))
            w = window(c)
            how, state = reason(d, name), b.state(name)
            c.collect(w)
            if how == "drained":
                break
            assert (how, state) == ("undrainable", 0)
        assert (how, state) == ("drained", 8)
        b.until(lambda: b.state(name) == 0, "it is ready again")
        c.send(frames.BYE)


@pytest.fixture(name="b")
def haproxy():
    with balancer.Balancer() as b:
        yield b


def life(b, shim, fault=None):
    """The whole life of a guard. Returns how its server was drained, how many calls failed, and what was called."""
    shim.reset(claim=1)
    if fault:
        shim.arm(*fault)
    with Guarded(shim, config=config(b)) as d:
        with heap(d, "s1") as c:
            due(c, measure(c))
            w = window(c)
            how = reason(d, "s1")
            c.collect(w)
            b.until(lambda: set(b.states().values()) == {0}, "all are ready again")
            c.send(frames.BYE)
        fired, counts = shim.disarm(), shim.counts()
        is_drained(b, d, "s2", "other")
        d.find_guard()
        d.stop()
        d.guard_is_gone()
    assert set(b.states().values()) == {0}
    return how, fired, counts


def dies(b, shim, fault=None):
    """The daemon is killed while a server is drained. Returns how many calls failed then, and what was called."""
    shim.reset(claim=1)
    with Guarded(shim, config=config(b)) as d, heap(d, "s1") as c:
        due(c, measure(c))
        window(c)
        assert b.state("s1") == 8
        d.find_guard()
        before = shim.counts()
        if fault:
            shim.arm(*fault)
        d.kill()
        b.until(lambda: b.state("s1") == 0, "it is ready again though nobody restarts the daemon")
        d.guard_is_gone()
        return shim.disarm(), difference(shim.counts(), before)


def cases(counts, what):
    return failures({k: v for k, v in counts.items() if v and (k == MEMORY) == (what == MEMORY)})


@pytest.mark.parametrize("what", [MEMORY, "calls"])
def test_life_of_the_guard(b, shim, what):
    how, _, counts = life(b, shim)
    assert how == "drained" and counts["send"] and counts["recv"] and counts[MEMORY]
    injected = drained = 0
    for function, error, n in cases(counts, what):
        try:
            how, fired, _ = life(b, shim, (function, n, error))
        except Exception as e:
            raise AssertionError(explained(function, error, n)) from e
        injected += fired
        drained += how == "drained"
    print(f"{injected} faults, drained all the same with {drained} of them")
    assert injected > 0


@pytest.mark.parametrize("what", [MEMORY, "calls"])
def test_a_daemon_that_dies(b, shim, what):
    _, counts = dies(b, shim)
    injected = 0
    for function, error, n in cases(counts, what):
        try:
            injected += dies(b, shim, (function, n, error))[0]
        except Exception as e:
            raise AssertionError(explained(function, error, n)) from e
    print(f"{injected} faults")
    assert injected > 0


class Drained(Path):
    """What the daemon does of it."""

    def prepare(self):
        self.c = self.client(heap="s1")
        self.begun = measure(self.c)

    def run(self):
        # How long draining takes is learned: it is announced so long before the latest start, in a tenth of a second.
        due(self.c, self.begun, ahead=100, permille=899)
        self.c.collect(window(self.c))
        self.c.sync()

    def finish(self):
        super().finish()
        self.d.balancer.until(lambda: set(self.d.balancer.states().values()) == {0}, "all are ready again")
        self.d.wait(lambda d: len(guards_of(d.pid)) == 1, "one guard runs")


@pytest.mark.parametrize("what", [MEMORY, "calls"])
def test_the_daemons_part(b, shim, what):
    with Daemon(shim, config=config(b)) as d:
        d.balancer = b
        injected = attack(Drained, d, what)
        print(f"{injected} faults")
        is_drained(b, d, "s2", "other")
    assert injected > 0


# The guard's calls of send() while it drains one server: commands for HAProxy, and between them a word to the daemon.
WORDS = {"claimed": 2, "drained": 5, "ready": 9}


def without_a_word(d, c, word):
    d.shim.arm("send", WORDS[word], errno.EAGAIN)
    due(c, measure(c))
    w = window(c)
    assert (reason(d, "s1") == "drained") == (word != "claimed")
    return w


@pytest.mark.parametrize("word", ["claimed", "drained"])
def test_no_server_is_drained_unknown_to_the_daemon(b, shim, word):
    """The guard has something to say and cannot; it is killed while its server may be drained."""
    shim.reset(claim=1)
    with Guarded(shim, config=config(b)) as d, heap(d, "s1") as c:
        w = without_a_word(d, c, word)
        assert shim.disarm() == 1
        d.kill_guard()
        b.until(lambda: b.state("s1") == 0, "it is ready again")
        c.collect(w)


@pytest.mark.parametrize("word", WORDS)
def test_no_operator_is_overruled(b, shim, word):
    """The guard is killed when all is over, and another one has nothing to put back."""
    shim.reset(claim=1)
    with Guarded(shim, config=config(b)) as d, heap(d, "s1") as c:
        c.collect(without_a_word(d, c, word))
        b.until(lambda: b.state("s1") == 0, "it is ready again")
        is_drained(b, d, "s2", "other")  # whatever there was to say of the first one was said
        assert shim.disarm() == 1
        b.command("set server be/s1 state drain")
        d.kill_guard()
        is_drained(b, d, "s2", "other")
        assert b.state("s1") == 8
