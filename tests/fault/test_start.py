# SPDX-License-Identifier: MIT
"""
The daemon's beginning and its end, with each call in them failing once: it says what is wrong and exits with a
status, or it serves; and nothing is left lying about.
"""

import os
import subprocess

import pytest

from fault import (MEMORY, Client, Started, difference, ended_well, explained, failures, fixture_shim, harness,  # noqa: F401
                   outcome)
from frames import CAP_PAGE

CONFIG = """
[Daemon]
MemoryBudget=1G
[Service:web]
MaxConcurrent=3
[Service:ranks]
Policy=together
[Service:ledger]
NeverWith=web
"""
DRAINING = "Drain=haproxy:/nowhere/admin.sock:be/%h\n"


def attack(d, what, before=lambda: None):
    """Returns how many calls failed, and with how many of them the daemon served nevertheless."""
    before()
    d.shim.reset()
    assert outcome(d)
    counts = d.shim.counts()
    assert d.stop() == 0
    injected = served = 0
    for function, error, n in failures({k: v for k, v in counts.items() if (k == MEMORY) == (what == MEMORY)}):
        try:
            before()
            d.shim.reset()
            d.shim.arm(function, n, error)
            if outcome(d):
                injected += d.shim.disarm()
                served += 1
                assert d.stop() == 0
            else:
                injected += d.shim.disarm()
                ended_well(d)
        except Exception as e:
            raise AssertionError(explained(function, error, n)) from e
    return injected, served


@pytest.mark.parametrize("activate, drain", [(False, ""), (True, DRAINING)], ids=["binds", "activated"])
@pytest.mark.parametrize("what", [MEMORY, "calls"])
def test_start(shim, what, activate, drain):
    with Started(shim, config=CONFIG + drain, activate=activate) as d:
        injected, served = attack(d, what)
        print(f"{injected} faults, {served} of them survived")
        assert injected > 0
        d.shim.reset()
        assert outcome(d)


def stopped(d, fault=None):
    """Its end, with a heap and with somebody who listens."""
    d.shim.reset()
    assert outcome(d)
    with Client(d, caps=CAP_PAGE, budget=1000) as c, harness.Varlink(d.control) as v:
        c.sync()
        v.send({"method": f"{harness.INTERFACE}.Trace", "parameters": {"format": "events"}, "more": True})
        assert v.receive()["parameters"]["events"]
        before = d.shim.counts()
        if fault:
            d.shim.arm(*fault)
        assert d.stop() == 0
        while v.receive() is not None:
            pass
    return difference(d.shim.counts(), before), d.shim.disarm()


def test_stop(shim):
    with Started(shim, config=CONFIG + DRAINING) as d:
        counts, _ = stopped(d)
        injected = 0
        for function, error, n in failures(counts):
            if function in ("read", "write"):
                continue  # libevent's, on its own pair of sockets: it relies on them
            try:
                injected += stopped(d, (function, n, error))[1]
            except Exception as e:
                raise AssertionError(explained(function, error, n)) from e
        print(f"{injected} faults")
        assert injected > 0
        assert outcome(d)


def test_check_config(shim, tmp_path):
    file = tmp_path / "conf"
    file.write_text(CONFIG + DRAINING)

    def check():
        return subprocess.run([harness.RTGCD, "--check-config", "--config", file], stderr=subprocess.PIPE, text=True,
                              env={**os.environ, **shim.environ()}, timeout=harness.PATIENCE)

    assert check().returncode == 0
    injected = 0
    for function, error, n in failures(shim.counts()):
        shim.reset()
        shim.arm(function, n, error)
        done = check()
        injected += shim.disarm()
        assert done.returncode == 0 or (done.returncode == 1 and "rtgcd: " in done.stderr), (
            explained(function, error, n), done.returncode, done.stderr)
    print(f"{injected} faults")
    assert injected > 0
