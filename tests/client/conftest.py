# SPDX-License-Identifier: MIT
"""For all tests of this folder: the modules beside them, and a peer."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import peer as p  # noqa: E402


@pytest.fixture
def peer():
    with p.Peer() as found:
        yield found
