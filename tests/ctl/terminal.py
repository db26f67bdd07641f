# SPDX-License-Identifier: MIT
"""A terminal of any size that a program runs on, and what a user would see on it: tmux, with a server of its own."""

import os
import select
import shutil
import subprocess
import tempfile
import time

from screen import environment

TMUX = os.environ.get("TMUX_PROGRAM", "tmux")
PATIENCE = 60
SHELL = 'trap : INT; stty -g >before; "$@"; status=$?; stty -g >after; echo "ended with $status"; exec cat'


class Terminal:
    """A context manager. Behind the program comes a line that says how it has ended."""

    def __init__(self, columns, rows, command, control=None, **more):
        self.folder = tempfile.mkdtemp(prefix="rtgcctl-test-", dir="/tmp")
        more.setdefault("LC_ALL", "C.UTF-8")
        env = environment(control, **more)
        env.pop("TMUX", None)
        self.env = env
        self._tmux("-f", "/dev/null", "new-session", "-d", "-s", "t", "-x", str(columns), "-y", str(rows),
                   "-c", self.folder, "/bin/sh", "-c", SHELL, "sh", *command)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._tmux("kill-server")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _tmux(self, *args):
        done = subprocess.run([TMUX, "-S", os.path.join(self.folder, "socket"), *args], env=self.env, text=True,
                              capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, (args, done.stderr)
        return done.stdout

    def keys(self, *names):
        self._tmux("send-keys", "-t", "t", *names)

    def resize(self, columns, rows):
        self._tmux("resize-window", "-t", "t", "-x", str(columns), "-y", str(rows))

    def screen(self):
        """Its lines, without the spaces at their ends."""
        return self._tmux("capture-pane", "-p", "-t", "t").split("\n")[:-1]

    def told(self, what):
        return self._tmux("display-message", "-p", "-t", "t", f"#{{{what}}}").strip()

    def child(self):
        """The process that runs on it."""
        shell = self.told("pane_pid")
        with open(f"/proc/{shell}/task/{shell}/children", encoding="utf-8") as f:
            return int(f.read().split()[0])

    def wait(self, predicate, what):
        """Returns the lines once predicate(lines) is true of them."""
        end = time.monotonic() + PATIENCE
        while True:
            lines = self.screen()
            if predicate(lines):
                return lines
            assert time.monotonic() < end, "never: " + what + "\n" + "\n".join(lines)
            select.select([], [], [], 0.02)

    def wait_for(self, text):
        return self.wait(lambda lines: any(text in line for line in lines), text)

    def modes(self):
        """Those of the terminal, before and after."""
        return [open(os.path.join(self.folder, name), encoding="utf-8").read() for name in ("before", "after")]
