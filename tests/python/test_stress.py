# SPDX-License-Identifier: MIT
"""Random graphs of objects: what is freed is what the plain collector frees. Longer: make
bench BENCH=stress."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "stress")]
import stress
from busy import COLLECTORS, CONFIG
from program import harness

OPERATIONS = 50_000  # with each collector
SEEDS = [1]


@pytest.fixture(scope="module")
def daemon():
    with harness.Daemon(config=CONFIG) as d:
        yield d


@pytest.mark.parametrize("seed", SEEDS)
def test_graph(daemon, capsys, seed):
    rows = stress.compare(daemon, seed, OPERATIONS, COLLECTORS)
    with capsys.disabled():
        print("\n" + stress.table(rows), end="")
    for row in rows[1:]:
        assert row["collections_in_window"] + row["snapshots"] >= 3, row
