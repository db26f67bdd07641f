# SPDX-License-Identifier: MIT
"""What a benchmark says while it runs."""

import sys
import time

STEP_S = 5  # between lines of progress, where there is no terminal


class Progress:
    """One line that changes on a terminal, a line now and then elsewhere."""

    def __init__(self, total):
        self.total = total
        self.done = 0
        self.label = ""
        self.shown = None
        self.shown_at = 0
        self.tty = sys.stderr.isatty()

    def begin(self, label):
        self.label = label
        self.done += 1

    def __call__(self, text):
        line = f"[{self.done}/{self.total}] {self.label}: {text}"
        what = line.split(",")[0]
        if self.tty:
            sys.stderr.write(f"\r\033[K{line}")
            sys.stderr.flush()
        elif what != self.shown or time.monotonic() - self.shown_at >= STEP_S:
            print(line, file=sys.stderr, flush=True)
            self.shown, self.shown_at = what, time.monotonic()

    def end(self):
        if self.tty:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
