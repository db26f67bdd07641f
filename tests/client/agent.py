# SPDX-License-Identifier: MIT
"""Drives tests/client/agent.c: calls of the library, one after the other, and its events."""

import json
import os
import select
import subprocess
import time

import pytest

BUILDDIR = os.environ.get("RTGC_BUILDDIR", os.getcwd())
PROGRAM = os.path.join(BUILDDIR, "tests", "client", "agent")
PATIENCE = 60  # seconds until something that never comes is called missing

THREAD, SOCKET_ONLY, QUIETS, MARKS = 1, 2, 4, 8
MINOR, MAJOR, SNAPSHOT, FREEZE = range(4)
IN_WINDOW, FORCED, UNCOORDINATED = range(3)
CLOSED, UNFIT, NO_BEGIN, RUNNING, NO_WINDOW = range(1, 6)
EVENTS = {1: "connected", 2: "alone", 4: "announced", 8: "open", 16: "closed", 32: "refused"}
NEVER = 2**64 - 1

MODES = pytest.mark.parametrize("pages", [True, False], ids=["pages", "socket"])
THREADS = pytest.mark.parametrize("thread", [0, THREAD], ids=["dispatched", "thread"])


def flags(pages, *more):
    return (0 if pages else SOCKET_ONLY) | sum(more)


def connected(peer, agent, pages=True, **welcome):
    """The peer's end of the connection, once the program knows of it."""
    client = peer.greet(pages=pages, **welcome)
    agent.wait("connected")
    return client


class Agent:
    """The program, as a context manager: it must end well, with nothing on its stderr."""

    def __init__(self, socket, flags=0, budget=0, unit=0, kinds=0, service="svc", heap="heap",
                 runtime="test", env=None, launcher=()):
        self.events = []
        self.killed = False  # by the test
        self.lines = b""
        self.proc = subprocess.Popen([*launcher, PROGRAM], stdin=subprocess.PIPE, env=env,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.opened = self.call("open", socket, flags, budget, unit, kinds, service, heap, runtime)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.proc.kill()
        self.proc.stdin.close()
        stderr = self.proc.stderr.read().decode()
        status = self.proc.wait(PATIENCE)
        self.proc.stdout.close()
        self.proc.stderr.close()
        if kind is None:
            assert status == (-9 if self.killed else 0), (status, stderr)
            assert stderr == "", stderr

    def _line(self, end):
        while b"\n" not in self.lines:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.proc.stdout], [], [], left)[0]:
                raise AssertionError(f"the program says nothing; events: {self.events}")
            data = os.read(self.proc.stdout.fileno(), 65536)
            if not data:
                raise AssertionError("the program ended:\n" + self.proc.stderr.read().decode())
            self.lines += data
        line, self.lines = self.lines.split(b"\n", 1)
        found = json.loads(line)
        if "events" in found:
            self.events += [name for bit, name in EVENTS.items() if found["events"] & bit]
            return None
        return found

    def send(self, what, *args):
        line = " ".join([what, *("-" if a is None else str(a) for a in args)])
        self.proc.stdin.write(line.encode() + b"\n")
        self.proc.stdin.flush()

    def receive(self):
        """The next answer; events that come before it are remembered."""
        end = time.monotonic() + PATIENCE
        while True:
            found = self._line(end)
            if found is not None:
                assert "error" not in found, found
                return found

    def ask(self, what, *args):
        """The whole answer as a dictionary."""
        self.send(what, *args)
        return self.receive()

    def call(self, what, *args):
        return self.ask(what, *args)["reply"]

    def wait(self, event):
        """Waits for that event; it and those before it are forgotten."""
        end = time.monotonic() + PATIENCE
        while event not in self.events:
            found = self._line(end)
            assert found is None, found
        del self.events[:self.events.index(event) + 1]

    def until(self, predicate, what):
        """Asks for the status, again and again, until predicate(status) is true."""
        end = time.monotonic() + PATIENCE
        while True:
            status = self.call("status")
            if predicate(status):
                return status
            assert time.monotonic() < end, f"never: {what}: {status}"

    def kill(self):
        self.killed = True
        self.proc.kill()

    # The calls, by name.

    def publish(self, used, allocated=0, live=0, rss=0, budget=0, step=0):
        return self.call("publish", used, allocated, live, rss, budget, step)

    def check(self, until=NEVER):
        return self.call("check", until)

    def window(self):
        return self.ask("check")

    def pending(self):
        return self.call("pending")

    def status(self):
        return self.call("status")

    def begin(self, kind=MAJOR, cause=FORCED, window=0):
        return self.call("begin", kind, cause, window)

    def end(self, *result):
        return self.call("end", *result)

    def now(self):
        return self.call("now")
