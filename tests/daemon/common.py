# SPDX-License-Identifier: MIT
"""What the tests of the daemon share: where things are, and how a heap becomes due."""

import os
import sys

sys.path.insert(0, os.path.join(os.environ["RTGC_SRCDIR"], "tests"))

import harness  # noqa: E402
from frames import (ANNOUNCE, DIRECTIVE, REPORT, WINDOW, Client, now)  # noqa: E402,F401

BUDGET = 1_000_000


def due(client, ahead=100, permille=905, live=0):
    """
    Lets the heap report figures by which it should collect now, though its budget (a whole
    one lasts for `ahead` seconds, permille of it is used) will do for ten seconds yet: the
    slot may keep it waiting, but nothing is over the limit.
    """
    begun = now()
    client.report(used=0, allocated=0, at=begun, live=live)
    while now() - begun < 50_000_000:  # rates of shorter spans are not believed
        client.sync()
    at = now()
    client.report(used=BUDGET * permille // 1000, allocated=BUDGET * (at - begun) // (ahead * 10**9), at=at,
                  live=live)


def window(client):
    """The window that has been opened for the heap."""
    return client.expect(WINDOW, skip=(DIRECTIVE, ANNOUNCE))
