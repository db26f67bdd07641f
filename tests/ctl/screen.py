# SPDX-License-Identifier: MIT
"""Runs rtgcctl, in a pipe or on a terminal of a given size, and measures what it shows."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import unicodedata

CTL = os.path.join(os.environ["RTGC_BUILDDIR"], "rtgcctl")
SGR = re.compile(r"\x1b\[[0-9;]*m")


def environment(control=None, **more):
    env = {k: v for k, v in os.environ.items()
           if k not in ("RTGC_CONTROL", "XDG_RUNTIME_DIR", "NO_COLOR", "COLUMNS")}
    if control is not None:
        env["RTGC_CONTROL"] = control
    env.update(more)
    return env


def run(*args, control=None, **more):
    """In a pipe, as a script sees it: a CompletedProcess with text."""
    return subprocess.run([CTL, *args], env=environment(control, **more), text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120)


def on_terminal(columns, *args, control=None, **more):
    """On a terminal that wide: its exit status and what the terminal was sent."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    more.setdefault("TERM", "xterm")
    process = subprocess.Popen([CTL, *args], env=environment(control, **more),
                               stdin=subprocess.DEVNULL, stdout=follower,
                               stderr=subprocess.PIPE)
    os.close(follower)
    shown = b""
    while True:
        try:
            data = os.read(leader, 65536)
        except OSError:  # EIO: the last one has closed it
            break
        if not data:
            break
        shown += data
    os.close(leader)
    complaint = process.stderr.read().decode()
    process.stderr.close()
    return process.wait(), shown.decode().replace("\r\n", "\n"), complaint


def width(line):
    """Columns that a line takes on a terminal."""
    return sum(0 if unicodedata.combining(c) else
               2 if unicodedata.east_asian_width(c) in "WF" else 1
               for c in SGR.sub("", line))


def rows(text):
    """A table as dictionaries by title; its columns are at least two spaces apart."""
    lines = [line for line in text.splitlines() if line]
    titles = lines[0].split()
    return [dict(zip(titles, re.split(r"  +", line.strip()))) for line in lines[1:]]
