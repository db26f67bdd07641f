# SPDX-License-Identifier: MIT
"""
Python programs under test: real interpreters in processes of their own.

    with Program(SOURCE, env=d.env()) as p:      # python3 -m rtgc FILE
        assert p.next()["ready"]
        p.tell("grow 1000")

A program writes one JSON object a line to its stdout, and reads lines from its stdin.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

sys.path.insert(0, os.path.join(os.environ["RTGC_SRCDIR"], "tests"))
import harness

PYTHON = os.environ.get("PYTHON", "/usr/bin/python3")
PATIENCE = harness.PATIENCE

# What every program may start with: its words, its own record of what its collector does,
# and objects that grow old.
PRELUDE = """
import gc, json, os, sys, threading, time
import rtgc    # it tests its collector as it is imported: before anything is counted

def say(**values):
    sys.stdout.write(json.dumps(values) + "\\n")
    sys.stdout.flush()

full = []      # [begin, end, in the main thread] of each full collection, time.monotonic_ns()
young = [0, 0]
main_thread = threading.get_ident()

def watch(phase, info):
    if info["generation"] == 2:
        if phase == "start":
            full.append([time.monotonic_ns(), None, threading.get_ident() == main_thread])
        elif full:
            full[-1][1] = time.monotonic_ns()
    elif phase == "stop":
        young[info["generation"]] += 1

gc.callbacks.append(watch)
default = gc.get_threshold()    # differs between versions of Python
gc.set_threshold(700, 10, 10)

def grow(count, keep):
    "Makes count objects that the collector tracks and that stay."
    for _ in range(count):
        keep.append([])

def fill(keep, share=0.6):
    "Grows until the heap has used that share of its budget."
    while True:
        now = rtgc.status()
        if now["used"] >= share * now["budget"]:
            return
        grow(1000, keep)

last_trickle = 0

def trickle(keep):
    "Grows by some 50,000 objects a second: a window is due before long. Never to the ceiling."
    global last_trickle
    if time.monotonic() >= last_trickle + 0.02:
        last_trickle = time.monotonic()
        now = rtgc.status()
        if now["used"] < 0.9 * now["budget"]:
            grow(1000, keep)
"""


def environment(env=None, **more):
    """The environment of a program that finds the built module. Without a daemon's env()
    it looks for one where there is none."""
    if env is None:
        env = dict(os.environ)
        env["PYTHONPATH"] = os.path.join(harness.BUILDDIR, "client", "python", "stage")
        env["LD_LIBRARY_PATH"] = os.path.join(harness.BUILDDIR, ".libs")
        env["RTGC_SOCKET"] = "/nonexistent/runtime.sock"
    for name in ("RTGC_SERVICE", "RTGC_HEAP", "RTGC_RECORD"):
        env.pop(name, None)
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    env["RTGC_COLLECTOR"] = "window"
    harness.sanitized(env)
    env.update(more)
    return env


class Program:
    """A program as a context manager: at the end it must have exited with `status`."""

    def __init__(self, source, env, arguments=(), launcher=("-m", "rtgc"), status=0,
                 prelude=True, stderr="", python=PYTHON):
        self.dir = tempfile.TemporaryDirectory(prefix="rtgc-test-")
        self.path = os.path.join(self.dir.name, "app.py")
        with open(self.path, "w", encoding="utf-8") as file:
            file.write((PRELUDE if prelude else "") + textwrap.dedent(source))
        self.status = status
        self.expected_stderr = stderr
        self.pending = b""
        self.proc = subprocess.Popen(
            [python, *launcher, self.path, *arguments], env=env, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    @property
    def pid(self):
        return self.proc.pid

    def next(self, patience=PATIENCE):
        """The next object it says."""
        end = time.monotonic() + patience
        while b"\n" not in self.pending:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.proc.stdout], [], [], left)[0]:
                raise AssertionError("the program says nothing")
            data = os.read(self.proc.stdout.fileno(), 65536)
            if not data:
                raise AssertionError("the program ended:\n" + self.proc.stderr.read().decode())
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return json.loads(line)

    def tell(self, line=""):
        self.proc.stdin.write(line.encode() + b"\n")
        self.proc.stdin.flush()

    def ask(self, line):
        self.tell(line)
        return self.next()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is not None:
                # With its children: they hold its stderr.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)
                stderr = self.proc.stderr.read().decode(errors="replace")
                sys.stderr.write(stderr)
            self.proc.stdin.close()
            try:
                status = self.proc.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                raise AssertionError("the program does not end") from None
            if kind is None:
                stderr = self.proc.stderr.read().decode(errors="replace")
                wrong = self.expected_stderr not in (None, stderr)
                if status != self.status or wrong:
                    raise AssertionError(f"the program ended with {status}:\n{stderr}")
        finally:
            self.proc.kill()
            self.proc.wait()
            self.proc.stdout.close()
            self.proc.stderr.close()
            self.dir.cleanup()


def read_record(path):
    """The lines of $RTGC_RECORD."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.endswith("\n")]
