# SPDX-License-Identifier: MIT
"""When the daemon is late or its host stands still, nobody waits for it (GateLag=, GatePressure=)."""

import ctypes
import os
import signal
import subprocess
import threading
import time

import pytest

from common import BUDGET, due, harness, window
from frames import CAP_PAGE, Client

ONE = "[Service:web]\nMaxConcurrent=1\n"
LAG = 2  # seconds: more than a busy machine makes of it
NEVER = "[Daemon]\nGateLag=0\nGatePressure=0%\n"
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207


class Held:
    """
    Holds a process for as long as the block lasts, as a hypervisor would that gives its CPU away: it is not told,
    and nothing continues it. (A tracer must be one thread.)
    """

    def __init__(self, pid):
        self.pid = pid
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]

    def _ptrace(self, request):
        if self.libc.ptrace(request, self.pid, None, None) < 0:
            if ctypes.get_errno() == 1:
                pytest.skip("ptrace is not allowed here")
            raise OSError(ctypes.get_errno(), "ptrace")

    def __enter__(self):
        self._ptrace(PTRACE_SEIZE)
        self._ptrace(PTRACE_INTERRUPT)
        os.waitpid(self.pid, 0x40000000)  # __WALL

    def __exit__(self, *_):
        self._ptrace(PTRACE_DETACH)


def pass_time(seconds):
    """What is tested here is how long something stood still."""
    threading.Event().wait(seconds)


def status(d):
    return d.call("GetStatus")


def two_that_wait_for_one(d, stack):
    """A window in use, and two heaps that wait for its slot."""
    clients = [stack.enter(Client(d, budget=BUDGET, heap=name, caps=0)) for name in "abc"]
    due(clients[0])
    w = window(clients[0])
    begun = clients[0].begin(w.window)
    clients[0].sync()
    for c in clients[1:]:
        due(c)
        c.nothing_pending()
    return clients, w, begun


class Clients(list):
    def enter(self, client):
        self.append(client)
        return client

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self:
            client.close()


def test_a_late_loop_opens_them():
    with harness.Daemon(config=ONE + f"[Daemon]\nMaxConcurrent=1\nGateLag={LAG}\n") as d, Clients() as stack:
        clients, _, _ = two_that_wait_for_one(d, stack)
        assert (status(d)["mode"], status(d)["gates_opened"]) == ("normal", 0)
        with Held(d.pid):
            pass_time(LAG + 1)
        # The slot was that of one whose window is over by now, and is another one's; nobody waits for it.
        for c in clients[1:]:
            window(c)
        s = status(d)  # (They may be closed again by now.)
        assert s["gates_opened"] >= 1 and s["ungated"] >= 1 and s["over_limit"] >= 1
        reasons = [x["reason"] for name in "bc" for x in d.call("Explain", heap=name)["decisions"]]
        assert "gates-open" in reasons
        d.wait(lambda d: status(d)["mode"] == "normal", "it is calm again")
        # Once in and once out for each time.
        log, times = d.log, status(d)["gates_opened"]
        assert log.count("nobody waits for a slot: the loop was ") == times
        assert log.count("calm again after ") == times


def test_not_when_it_was_stopped():
    with harness.Daemon(config=ONE + f"[Daemon]\nGateLag={LAG}\n") as d, Client(d, budget=BUDGET) as c:
        for _ in range(2):
            d.kill(signal.SIGSTOP)
            pass_time(LAG + 0.5)
            d.kill(signal.SIGCONT)
            c.sync()
            # Turns later as well.
            for _ in range(5):
                assert status(d)["gates_opened"] == 0, d.log
        assert "nobody waits" not in d.log


def test_not_when_it_is_switched_off():
    with harness.Daemon(config=ONE + NEVER) as d, Client(d, budget=BUDGET) as c:
        c.sync()
        with Held(d.pid):
            pass_time(1.5)
        assert status(d)["gates_opened"] == 0
        c.sync()


def write(path, full_us):
    with open(path + ".new", "w") as f:
        f.write("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
                f"full avg10=0.00 avg60=0.00 avg300=0.00 total={full_us}\n")
    os.rename(path + ".new", path)


def test_a_host_that_stands_still_opens_them(tmp_path):
    path = str(tmp_path / "memory.pressure")
    write(path, 0)
    config = f"[Daemon]\nMaxConcurrent=1\nGateLag=0\nGatePressure=40%\nGatePressureFile={path}\n" + ONE
    with harness.Daemon(config=config) as d, Clients() as stack:
        two_that_wait_for_one(d, stack)
        d.wait(lambda d: status(d)["pressure_permille"] == 0, "it was looked at twice")
        assert status(d)["mode"] == "normal"
        begun = time.monotonic()

        def stalls(d):
            # As the kernel would: no more than the time that has passed.
            write(path, int((time.monotonic() - begun) * 900_000))
            return status(d)["mode"] == "open"

        d.wait(stalls, "the gates are open")
        assert status(d)["pressure_permille"] >= 400
        for c in stack[1:]:
            window(c)
        assert "nobody waits for a slot: the host stood still" in d.log
        d.wait(lambda d: status(d)["mode"] == "normal", "it is calm again")
        os.unlink(path)
        d.wait(lambda d: status(d)["pressure_permille"] is None, "the file is missed, and nothing else")


def test_the_kernels_own_file():
    with harness.Daemon() as d, Client(d, budget=BUDGET, caps=CAP_PAGE):
        if not os.access("/proc/pressure/memory", os.R_OK):
            assert status(d)["pressure_permille"] is None
            pytest.skip("this kernel has no pressure stall information")
        d.wait(lambda d: status(d)["pressure_permille"] is not None, "it was read")


def test_a_mistake_in_the_keys(tmp_path):
    for line in ("GateLag=soon", "GatePressure=much", "GatePressureFile=here"):
        file = tmp_path / "rtgcd.conf"
        file.write_text(f"[Daemon]\n{line}\n")
        done = subprocess.run([harness.RTGCD, "--config", file, "--check-config"], capture_output=True, text=True)
        assert done.returncode == 1 and f"{file}:2: {line}" in done.stderr, done
