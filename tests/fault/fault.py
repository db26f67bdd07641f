# SPDX-License-Identifier: MIT
"""
Faults on demand: one call of the C library fails in a real process, which was started with shim.c preloaded.

    shim = Shim(folder)
    with Daemon(shim) as d:
        shim.arm("send", 2, errno.EPIPE)   # the second send() from now on
        ...
        assert shim.disarm() == 1          # so many have failed

What has to hold after any of them stands in each test: who asked has an answer, an error or a connection that was
closed; what the daemon held for it is free; and the next one is served.

Every seventh call fails in make check; RTGC_FAULT_STRIDE=1 (make fault): all of them.
"""

import errno
import mmap
import os
import struct
import sys

import pytest

sys.path[:0] = [os.path.join(os.environ["RTGC_SRCDIR"], "tests", folder) for folder in ("", "daemon", "client")]

import frames  # noqa: E402
import harness  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SHIM = os.path.join(harness.BUILDDIR, "tests", "fault", ".libs", "shim.so")
SANITIZED = bool(os.environ.get("SANITIZE"))
STRIDE = int(os.environ.get("RTGC_FAULT_STRIDE") or "7")
ERRORS = [errno.EINTR, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.EPIPE]
MEMORY = "memory"

FUNCTIONS, NAME_MAX = 64, 24
HEADER = struct.Struct(f"iiixxxxQQq{NAME_MAX}s")
FUNCTION = struct.Struct(f"{NAME_MAX}sQ")
SIZE = HEADER.size + FUNCTIONS * FUNCTION.size
CLAIM, PID, ERROR, COUNTDOWN, FIRED, BLOCKS, NAME = 0, 4, 8, 16, 24, 32, 40


class Shim:
    """What is shared with one process under test. claim: so many others that are preloaded come before it."""

    def __init__(self, folder, claim=0):
        self.path = os.path.join(str(folder), "fault")
        with open(self.path, "wb") as f:
            f.write(bytes(SIZE))
        with open(self.path, "r+b") as f:
            self.page = mmap.mmap(f.fileno(), SIZE)
        self._put("i", CLAIM, claim)

    def _put(self, kind, at, value):
        struct.pack_into(kind, self.page, at, value)

    def _get(self, kind, at):
        return struct.unpack_from(kind, self.page, at)[0]

    def environ(self):
        # What was freed is overwritten, so that using it shows.
        said = {"LD_PRELOAD": SHIM, "RTGC_FAULT_FILE": self.path, "MALLOC_PERTURB_": "165"}
        if SANITIZED:
            options = os.environ.get("ASAN_OPTIONS", "")
            # (With whole stacks it knows what the dynamic linker keeps.)
            said["ASAN_OPTIONS"] = (f"{options}:verify_asan_link_order=0:allocator_may_return_null=1:"
                                    "fast_unwind_on_malloc=0")
            said["LSAN_OPTIONS"] = f"suppressions={os.path.join(HERE, 'lsan.supp')}:print_suppressions=0"
        return said

    def counts(self):
        """{function: calls until now}"""
        found = [FUNCTION.unpack_from(self.page, HEADER.size + i * FUNCTION.size) for i in range(FUNCTIONS)]
        return {name.rstrip(b"\0").decode(): calls for name, calls in found if name.strip(b"\0")}

    @property
    def pid(self):
        return self._get("i", PID)

    @property
    def blocks(self):
        """Allocated and not freed."""
        return self._get("q", BLOCKS)

    def arm(self, function, n, error):
        self.disarm()
        self._put(f"{NAME_MAX}s", NAME, function.encode())
        self._put("i", ERROR, error)
        self._put("Q", FIRED, 0)
        self._put("Q", COUNTDOWN, n)

    def disarm(self):
        """How many calls have failed since arm()."""
        self._put("Q", COUNTDOWN, 0)
        return self._get("Q", FIRED)

    def reset(self, claim=0):
        """For the next process."""
        self.page[:] = bytes(SIZE)
        self._put("i", CLAIM, claim)


class Gone(ConnectionError):
    """The daemon has closed the connection, perhaps with a word why."""


class Client(frames.Client):
    """Says when it goes: a heap whose connection is lost is waited for as long as its process lives."""

    def close(self):
        try:
            self.send(frames.BYE)
        except OSError:
            pass  # nobody is there any more
        super().close()

    def receive(self):
        frame = super().receive()
        if frame is None or frame.type == frames.ERROR:
            raise Gone(repr(frame))
        return frame


class Daemon(harness.Daemon):
    """A real one, with the shim."""

    def __init__(self, shim, **more):
        self.shim = shim
        super().__init__(**more)

    def command(self):
        return ["/usr/bin/env", *(f"{k}={v}" for k, v in self.shim.environ().items()), *super().command()]

    def look(self):
        """What it holds when nobody calls: (descriptors, blocks of memory)."""
        with self.varlink() as v:
            for h in v.call("ListHeaps")["heaps"]:  # those of this process that were lost come back, and leave
                with Client(self, service=h["service"], heap=h["name"], budget=1):
                    pass
            v.call("GetStatus")
            v.call("GetStatus")  # a turn later, callers that have hung up are forgotten
            return len(os.listdir(f"/proc/{self.pid}/fd")) - 1, 0 if SANITIZED else self.shim.blocks

    def warm_up(self):
        """libevent remembers each number that a descriptor has had: more than are needed at a time."""
        callers = [self.varlink() for _ in range(30)]
        for v in callers:
            v.call("GetStatus")
        for v in callers:
            v.close()

    def is_back_at(self, before):
        """Waits until it holds no more than before."""
        def is_back(d):
            fds, blocks = d.look()
            return fds <= before[0] and blocks <= before[1]
        try:
            self.wait(is_back, "it has let go of everything")
        except AssertionError as e:
            raise AssertionError(f"(descriptors, blocks) were {before}, are {self.look()}: {e}") from None


class Started(Daemon):
    """Starts it again and again; that it does not serve is one of two outcomes."""

    def start(self):
        pass  # not yet

    def begin(self):
        self.shim_log = len(self.log) if os.path.exists(self.log_file) else 0
        harness.Daemon.start(self)

    def call(self, method, **parameters):
        """start() asks whether it serves: None when it has ended instead."""
        while self.proc.poll() is None:
            try:
                with harness.Varlink(self.control, timeout=1) as v:
                    return v.call(method, **parameters)
            except OSError:
                continue
        return None

    def _answers(self):
        return self.call("GetStatus") or "ended"


def outcome(d):
    """True: it serves."""
    d.begin()
    return d.proc.poll() is None


def ended_well(d):
    status = d.proc.wait(harness.PATIENCE)
    said = d.log[d.shim_log:]
    assert status == 1, (status, said)
    assert "rtgcd: " in said, "it says nothing"


def attempt(function, *args):
    """What it returned; an error reply or a closed connection is an answer too. (No answer in time is not.)"""
    try:
        return function(*args)
    except (ConnectionError, harness.Error) as e:
        return e


def failures(counts):
    """(function, error, n) for each call that was counted."""
    every = [(function, error, n) for function, total in counts.items() for n in range(1, total + 1)
             for error in ([errno.ENOMEM] if function == MEMORY else ERRORS)]
    return every[::STRIDE]


def explained(function, error, n):
    return f"{function} number {n}: {errno.errorcode[error]}"


def difference(after, before):
    return {name: calls - before.get(name, 0) for name, calls in after.items() if calls > before.get(name, 0)}


@pytest.fixture(name="shim")
def fixture_shim(tmp_path):
    return Shim(tmp_path)
