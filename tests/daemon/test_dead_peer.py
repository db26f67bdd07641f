# SPDX-License-Identifier: MIT
"""A client that dies between what it says and the daemon's reading it."""

import os
import signal
import subprocess

import pytest
from common import BUDGET, Client, due, harness, now, window

# A heap with a page that is soon due, by what it has said. Told so, it marks itself idle in its
# page, with enough to collect: the daemon finds that at its next look, and opens a window.
DYING = """
import os, sys
sys.path.insert(0, sys.argv[2])
from common import BUDGET, Client, now
from frames import CAP_MARKS, CAP_PAGE, HeapPage
class Daemon:
    socket = sys.argv[1]
c = Client(Daemon, service="web", heap="dying", budget=BUDGET, caps=CAP_PAGE | CAP_MARKS)
page = HeapPage(c)
begun = now()
c.report(used=0, allocated=0, at=begun)
while now() - begun < 50_000_000:
    c.sync()
figures = dict(used=BUDGET * 8 // 10, allocated=BUDGET * (now() - begun) // 10**9)
page.publish(**figures)
c.report(**figures)    # it will do for a fifth of a second
c.sync()
print(flush=True)
sys.stdin.readline()
page.mark(2, idle_until=now() + 60 * 10**9)
if sys.argv[3] == "frame":
    c.report(**figures)
print(flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("last", ["page", "frame"])
def test_dead_between_its_words_and_the_look(last):
    """The look finds it idle, the window cannot be told to it: there is no page to go on with."""
    with harness.Daemon() as d, Client(d, service="other", heap="alive", budget=BUDGET) as alive:
        dying = subprocess.Popen(
            [os.environ["PYTHON"], "-c", DYING, d.socket, os.path.dirname(os.path.abspath(__file__)), last],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert dying.stdout.readline() == "\n"
            d.kill(signal.SIGSTOP)
            print(file=dying.stdin, flush=True)
            assert dying.stdout.readline() == "\n"
            begun = now()
            while now() - begun < 500_000_000:  # the look is due by then, and it before the death
                pass
        finally:
            dying.kill()
            dying.communicate()
        os.kill(d.pid, signal.SIGCONT)
        d.wait(lambda d: [h["name"] for h in d.heaps()] == ["alive"], "it is forgotten")
        due(alive)
        window(alive)
