# SPDX-License-Identifier: MIT
"""
The daemon takes up what a former run has left (its memory file, as a service manager hands it over), with each call of that
failing once. It serves, or says what is wrong and ends with a status, and then the next start finds everything; what a
start that lacked memory could not take up is said in the log, and its process is served when it comes back.
"""

import fcntl
import os

import pytest

from fault import MEMORY, STRIDE, Client, Started, ended_well, explained, failures, fixture_shim, outcome  # noqa: F401
from frames import ANNOUNCE, DIRECTIVE, WINDOW, now

BUDGET = 1_000_000
CONFIG = "[Daemon]\nMaxConcurrent=2\n"
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
HEAPS = ("pausing", "granted", "learned")


def window(client):
    return client.expect(WINDOW, skip=(DIRECTIVE, ANNOUNCE))


def measure(*clients):
    begun = now()
    for client in clients:
        client.report(used=0, allocated=0, at=begun, live=30 << 30)
    while now() - begun < 50_000_000:  # rates of shorter spans are not believed
        clients[0].sync()
    return begun


def due(client, begun):
    """In ten seconds, by figures that make its window one of minutes."""
    at = now()
    client.report(used=BUDGET * 905 // 1000, allocated=BUDGET * (at - begun) // (100 * 10**9), at=at, live=30 << 30)


class Left:
    """What a daemon that was killed has left: one heap in its pause, one with an open window, one that has collected."""

    def __init__(self, d):
        d.shim.reset()
        assert outcome(d)
        self.clients = [Client(d, service=name, heap=name, budget=BUDGET) for name in HEAPS]
        pausing, granted, learned = self.clients
        begun = measure(pausing, granted)
        due(pausing, begun)
        self.pausing = window(pausing)
        pausing.begin(self.pausing.window)
        pausing.sync()
        due(granted, begun)
        self.granted = window(granted)
        for _ in range(7):
            begun = learned.begin(0, cause=1)
            learned.end(0, begun, cause=1, freed=5000, live=400_000)
        learned.sync()
        d.kill()
        with open(f"/proc/self/fd/{d.manager.fd('state')}", "rb") as f:
            self.memory = f.read()

    def hand_over(self, d):
        """A copy, so that each start finds the same."""
        fd = os.memfd_create("rtgcd-state", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        assert os.pwrite(fd, self.memory, 0) == len(self.memory)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
        d.manager.replace("state", fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 300))
        os.close(fd)


def is_whole(d):
    """It knows all three, and their windows."""
    heaps = {h["name"]: h for h in d.heaps()}
    status = d.call("GetStatus")
    assert sorted(heaps) == sorted(HEAPS), heaps
    assert {h["state"] for h in heaps.values()} == {"lost"}
    assert (status["windows_open"], status["paused_now"], status["forced"]) == (2, 1, 7)
    assert heaps["learned"]["forced"] == 7


def serves(d, left):
    """Whatever it knows: who comes back is served, no more than the limit pause, and all ends well."""
    pausing = Client(d, service="pausing", heap="pausing", budget=BUDGET, prev_epoch=1, prev_window=left.pausing.window,
                     prev_closes=left.pausing.closes)
    with pausing, Client(d, service="granted", heap="granted", budget=BUDGET) as granted, \
            Client(d, service="new", heap="new", budget=BUDGET) as new:
        pausing.sync()
        assert d.call("GetStatus")["paused_now"] == 1
        begun = measure(granted, new)
        due(granted, begun)
        w = window(granted)
        granted.begin(w.window)
        granted.sync()
        assert d.call("GetStatus")["paused_now"] == 2
        due(new, begun)
        new.nothing_pending()
        pausing.end(left.pausing.window, left.pausing.opens)
        new.collect(window(new).window)
        granted.end(w.window, w.opens)
        new.sync()
        granted.sync()
        status = d.call("GetStatus")
        assert (status["paused_now"], status["windows_open"]) == (0, 0)


def start(d, left, fault=None):
    """True: it serves."""
    left.hand_over(d)
    d.shim.reset()
    if fault:
        d.shim.arm(*fault)
    return outcome(d)


@pytest.mark.parametrize("what", [MEMORY, "calls"])
def test_start_behind_a_crash(shim, what):
    with Started(shim, config=CONFIG, manager=True) as d:
        left = Left(d)
        assert start(d, left)
        counts = shim.counts()
        is_whole(d)
        serves(d, left)
        assert d.stop() == 0
        injected = whole = refused = 0
        cases = failures({k: v for k, v in counts.items() if v and (k == MEMORY) == (what == MEMORY)})
        # (The beginning is that of every start, as test_start has it.)
        for function, error, n in cases[::1 if STRIDE == 1 else 2]:
            try:
                if start(d, left, (function, n, error)):
                    injected += shim.disarm()
                    if len(d.heaps()) == len(HEAPS):
                        is_whole(d)
                        whole += 1
                    else:
                        assert "not taken up" in d.log[d.shim_log:]
                    serves(d, left)
                    assert d.stop() == 0
                else:
                    injected += shim.disarm()
                    refused += 1
                    ended_well(d)
            except Exception as e:
                raise AssertionError(explained(function, error, n)) from e
        print(f"{injected} faults, nothing was lost with {whole}, it did not start with {refused}")
        assert injected > 0
        assert start(d, left)
        is_whole(d)
        assert d.stop() == 0
