# SPDX-License-Identifier: MIT
"""Child processes of the demo: started, watched, and always ended, by their own ids only."""

import ctypes
import os
import select
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1
LOG_TAIL = 15


class Failure(Exception):
    """Something the demo needs did not come up or fell over. The text says what, and why."""


def _die_with_parent():
    # Also when the driver itself is killed outright, nothing of it stays behind.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A child whose stdout is read line by line and whose stderr goes to a log."""

    def __init__(self, name, argv, log, env=None, pass_fds=()):
        self.name = name
        self.log = log
        with open(log, "a") as stderr:
            try:
                # A session of its own: Ctrl-C is for the driver, which then ends its children.
                self.popen = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
                    env={**os.environ, **(env or {})}, pass_fds=pass_fds,
                    start_new_session=True, preexec_fn=_die_with_parent)
            except OSError as error:
                raise Failure(f"{name}: {argv[0]}: {error.strerror}") from None
        self.pid = self.popen.pid
        self.unread = b""

    def log_tail(self):
        with open(self.log, errors="replace") as log:
            lines = log.read().splitlines()[-LOG_TAIL:]
        return "\n".join("    " + line for line in lines) or "    (its log is empty)"

    def fail(self, what):
        raise Failure(f"{self.name} {what}; the end of its log:\n{self.log_tail()}")

    def check(self):
        status = self.popen.poll()
        if status is not None:
            self.fail(f"was killed by signal {-status}" if status < 0
                      else f"has exited with status {status}")

    def wait_line(self, prefix, timeout):
        """The first line on stdout that begins so."""
        deadline = time.monotonic() + timeout
        while True:
            *lines, self.unread = self.unread.split(b"\n")
            for at, line in enumerate(lines):
                text = line.decode(errors="replace")
                if text.startswith(prefix):
                    self.unread = b"\n".join([*lines[at + 1:], self.unread])
                    return text
            left = deadline - time.monotonic()
            if left <= 0:
                self.fail(f"did not print {prefix!r} within {timeout} s")
            if select.select([self.popen.stdout], [], [], left)[0]:
                piece = os.read(self.popen.stdout.fileno(), 65536)
                if not piece:
                    self.popen.wait()
                    self.check()
                self.unread += piece

    def signal(self, number):
        # The child is not reaped before poll() or wait(), so the id is still its own.
        if self.popen.poll() is None:
            os.kill(self.pid, number)

    def wait(self, timeout):
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, timeout=20):
        """Asks it to end, and makes it. True when it ended by itself."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        ended = self.wait(timeout) is not None
        if not ended:
            self.signal(signal.SIGKILL)
            self.popen.wait()
        self.popen.stdout.close()
        return ended

    def rss_bytes(self):
        """0 when it is gone."""
        try:
            with open(f"/proc/{self.pid}/statm") as statm:
                return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (FileNotFoundError, ProcessLookupError):
            return 0


def wait_until(predicate, what, timeout, *watched, interval=0.02):
    """Asks again and again until the answer is true, and returns it. Fails when one of the
    watched processes ends, or when the time is over."""
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        if answer:
            return answer
        for process in watched:
            process.check()
        if time.monotonic() > deadline:
            tails = "".join(f"\n  {process.name}, the end of its log:\n{process.log_tail()}"
                            for process in watched)
            raise Failure(f"waited {timeout} s in vain: {what}{tails}")
        time.sleep(interval)
