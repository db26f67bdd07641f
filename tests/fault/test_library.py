# SPDX-License-Identifier: MIT
"""
libruntime in a program, with each of its calls failing once: no call of its interface blocks or ends the program,
and in the end the program is connected and holds what it held; or rtgc_open() has said why not.
"""

import os

import pytest

from fault import MEMORY, explained, failures, fixture_shim, harness  # noqa: F401
import agent as a

MODES = {"dispatched": 0, "thread": a.THREAD, "socket": a.SOCKET_ONLY, "thread-socket": a.THREAD | a.SOCKET_ONLY}
BUDGET = 1_000_000


class Program(a.Agent):
    """tests/client/agent.c with the shim in it, and a life of its heap in steps."""

    def __init__(self, daemon, shim, flags):
        self.d, self.shim = daemon, shim
        self.arguments = (daemon.socket, flags, BUDGET, 0, 0)
        env = daemon.env(RTGC_FAULT_CALLER="libruntime", **shim.environ())
        super().__init__(daemon.socket, flags, budget=BUDGET, env=env)

    def held(self):
        """None: one was closed while this looked."""
        folder = f"/proc/{self.proc.pid}/fd"
        try:
            return sorted(os.readlink(f"{folder}/{fd}").split(":")[0] for fd in os.listdir(folder))
        except FileNotFoundError:
            return None

    def live(self, expected):
        if self.opened != 0:
            # Nothing is left of it, and without the fault it works.
            assert -200 < self.opened < 0 and self.shim.disarm() == 1, self.opened
            assert self.call("open", *self.arguments) == 0
        self.wait("connected")
        self.use()
        self.d.kill()
        self.d.restart()
        self.wait("connected")
        self.use()
        fired = self.shim.disarm()
        # (What its thread tells last may be what fails.)
        self.until(lambda s: s["supervised"] == 1 and (not expected or self.held() == expected), f"it is back at {expected}")
        return fired, self.held()

    def use(self):
        assert self.publish(used=1000, allocated=1000) != "ceiling"
        self.call("idle", a.NEVER)
        self.call("busy")
        assert self.begin() == 0
        assert self.end(10, 20, 30) == 0
        assert self.publish(used=BUDGET, allocated=2 * BUDGET) == "ceiling"
        assert self.check() in ("ceiling", "must")
        assert self.status()["used"] == BUDGET


def life(d, shim, flags, fault=None, expected=None):
    shim.reset()
    if fault:
        shim.arm(*fault)
    with Program(d, shim, flags) as program:
        return program.live(expected)


@pytest.mark.parametrize("mode", MODES)
def test_library(shim, mode):
    with harness.Daemon() as d:
        _, expected = life(d, shim, MODES[mode])
        counts, injected = shim.counts(), 0
        for function, error, n in failures({k: v for k, v in counts.items() if v}):
            try:
                fired, _ = life(d, shim, MODES[mode], (function, n, error), expected)
            except Exception as e:
                raise AssertionError(explained(function, error, n)) from e
            injected += fired
    print(f"{mode}: {injected} faults")
    assert injected > 0 and counts[MEMORY] > 0
