# SPDX-License-Identifier: MIT
"""Who holds a slot and stands still, wakes up late, dies, or lives by another clock."""

import itertools
import os
import re
import signal
import socket
import subprocess
import sys

import agent as a
import harness
import pytest
import wall_clock
from agent import MODES, flags
from test_daemon import Heap

ONE = "[Service:svc]\nMaxConcurrent=1\n"


@pytest.fixture
def daemon():
    with harness.Daemon(config=ONE) as found:
        yield found


def stop(agent):
    agent.proc.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, agent.proc.pid, os.WSTOPPED)


def go_on(agent):
    agent.proc.send_signal(signal.SIGCONT)


def heap(d, name):
    return next(h for h in d.heaps() if h["name"] == name)


# ---- Stopped ---------------------------------------------------------------------------------


@MODES
def test_one_that_wakes_late_finds_its_window_void(daemon, pages):
    with Heap(daemon, flags(pages), heap="late") as late, Heap(daemon, flags(pages), heap="next") as other:
        late.wait("connected")
        other.wait("connected")
        while True:
            late.fill()
            window = late.window()["id"]
            if window:
                break
        stop(late)
        daemon.wait(lambda d: heap(d, "late")["expired"] > 0, "its window is over")
        other.begin_in_window()  # the slot is another one's
        go_on(late)
        assert late.begin(cause=a.IN_WINDOW, window=window) == a.CLOSED
        assert late.window()["id"] != window
        assert daemon.call("GetStatus")["paused_now"] == 1
        assert heap(daemon, "late")["violations"] == 0
        other.collected_all()
        late.collect_in_window()
        daemon.wait(lambda d: heap(d, "late")["strikes"] == 0, "it has kept to its window")


@MODES
def test_one_that_is_stopped_in_its_pause_is_written_off(daemon, pages):
    with Heap(daemon, flags(pages), heap="late") as late, Heap(daemon, flags(pages), heap="next") as other:
        late.wait("connected")
        other.wait("connected")
        late.begin_in_window()
        daemon.wait(lambda d: d.call("GetStatus")["paused_now"] == 1, "it began")
        stop(late)
        daemon.wait(lambda d: heap(d, "late")["overruns"] == 1, "it is written off")
        assert heap(daemon, "late")["strikes"] == 1
        other.collect_in_window()
        go_on(late)
        late.collected_all()
        daemon.wait(lambda d: heap(d, "late")["collections"]["major"] == 1, "its end was told")
        late.collect_in_window()
        daemon.wait(lambda d: heap(d, "late")["strikes"] == 0, "it has kept to its window")
        assert (heap(daemon, "late")["overruns"], heap(daemon, "late")["violations"]) == (1, 0)


# ---- Before Linux 6.5 --------------------------------------------------------------------------

# prctl(2), seccomp(2): system calls that answer as those of an older kernel do.
LOADER = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
code = b"".join(struct.pack("<HBBI", *op) for op in eval(sys.argv[1]))
buffer = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer)))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    sys.exit(f"seccomp: {os.strerror(ctypes.get_errno())}")
os.execv(sys.argv[2], sys.argv[2:])
"""
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER, ARGUMENT_2 = 0, 32
SO_PEERPIDFD, ENOPROTOOPT, EPERM = 77, 92, 1
SYS_PIDFD_OPEN = 434


def getsockopt_number():
    done = subprocess.run([os.environ.get("CC", "cc").split()[0], "-E", "-dM", "-include", "sys/syscall.h", "-x", "c",
                           "/dev/null"], capture_output=True, text=True, check=True)
    return int(re.search(r"#define __NR_getsockopt (\d+)", done.stdout).group(1))


def old_kernel(no_pidfd_open=False, no_peerpidfd=True):
    option = SO_PEERPIDFD if no_peerpidfd else 0xFFFFFFFF
    return [(LOAD, 0, 0, NUMBER), (EQUAL, 0, 3, getsockopt_number()),
            (LOAD, 0, 0, ARGUMENT_2), (EQUAL, 0, 3, option), (RETURN, 0, 0, ERRNO | ENOPROTOOPT),
            (EQUAL, 0, 1, SYS_PIDFD_OPEN if no_pidfd_open else 0xFFFFFFFF), (RETURN, 0, 0, ERRNO | EPERM),
            (RETURN, 0, 0, ALLOW)]


class OldKernel(harness.Daemon):
    def __init__(self, filters, **more):
        self.filters = filters
        super().__init__(**more)

    def command(self):
        return [sys.executable, "-c", LOADER, repr(self.filters), *super().command()]


def served(d):
    """Is a client taken?"""
    with Heap(d) as agent:
        agent.wait("connected")
        return len(d.heaps()) == 1


SANITIZED = pytest.mark.skipif("sanitize" in os.environ.get("SANITIZE", ""),
                               reason="a sanitizer's start needs what is taken away here")


@SANITIZED
def test_without_peerpidfd_the_pid_is_opened():
    """The two ways are two: each is taken when the other one is not there."""
    s = socket.socketpair()
    try:
        s[0].getsockopt(1, SO_PEERPIDFD)
        has = True
    except OSError:
        has = False
    finally:
        for one in s:
            one.close()
    with OldKernel(old_kernel()) as d:
        assert served(d)
    if has:
        with OldKernel(old_kernel(no_pidfd_open=True, no_peerpidfd=False)) as d:
            assert served(d)
    with pytest.raises(ConnectionError):  # nobody is served whose death would not be seen
        OldKernel(old_kernel(no_pidfd_open=True))


@SANITIZED
def test_without_peerpidfd_death_is_seen():
    """Though a forked child has the connection."""
    with OldKernel(old_kernel(), config=ONE) as d, Heap(d, heap="next") as other:
        with Heap(d, heap="dies") as agent:
            agent.wait("connected")
            other.wait("connected")
            agent.begin_in_window()
            d.wait(lambda d: d.call("GetStatus")["paused_now"] == 1, "it began")
            agent.call("fork")  # answers from now on, until its input ends
            agent.kill()
            d.wait(lambda d: d.call("GetStatus")["paused_now"] == 0, "its slot is free")
            other.collect_in_window()
            assert [h["name"] for h in d.heaps()] == ["next"]


# ---- Another wall clock ------------------------------------------------------------------------

@SANITIZED
def test_the_wall_clock_jumps_by_a_day(tmp_path):
    shifted, shift = wall_clock.shifted(tmp_path)
    with harness.Daemon(config=ONE, environ=shifted) as d, \
            Heap(d, a.THREAD, env={**os.environ, **shifted}) as agent:
        agent.wait("connected")
        agent.collect_in_window()

        def harm(since, until):
            """What that jump has done."""
            shift(since)
            before, alone = d.call("GetStatus"), agent.events.count("alone")
            shift(until)
            for _ in range(2):
                agent.collect_in_window()
            after = d.wait(lambda d: (lambda s: s["paused_now"] == 0 and s)(d.call("GetStatus")), "it has ended")
            assert 0 <= after["uptime_us"] - before["uptime_us"] < 3600 * 10**6
            return [key for key in ("forced", "overruns", "gates_opened") if after[key] > before[key]] + \
                ["alone"] * (agent.events.count("alone") - alone)

        day = wall_clock.DAY
        for since, until in itertools.pairwise((0, day, -day, 0, -day, day)):
            # A machine that stalls does some now and then; who goes by that clock suffers each time.
            assert not all(harm(since, until) for _ in range(5))
        assert agent.status()["connects"] == 1
        assert len([line for line in d.log.splitlines() if not re.search("nobody waits|calm again", line)]) == 1
        # The clock is really another one: a run is named by it. And one that is named by an earlier clock does as well.
        epoch = d.call("GetStatus")["epoch"]
        shift(-wall_clock.DAY)
        d.restart()
        agent.wait("connected")
        assert d.call("GetStatus")["epoch"] < epoch - 12 * 3600 * 10**9
        agent.collect_in_window()
