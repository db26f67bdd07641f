# SPDX-License-Identifier: MIT
"""The long runs of tests/bench/safety, short: what must hold on any machine, however busy."""

import os
import pathlib
import sys

import pytest

os.environ.setdefault("RTGC_SRCDIR", str(pathlib.Path(__file__).resolve().parent.parent.parent))
sys.path[:0] = [os.path.join(os.environ["RTGC_SRCDIR"], "tests", *folder)
                for folder in ((), ("bench",), ("bench", "safety"), ("daemon",))]

import ceilings  # noqa: E402
import kills  # noqa: E402
import restarts  # noqa: E402
import soak  # noqa: E402


def quietly(text):
    pass


class Small:
    ramps, faults = 20, 2


def test_clients_are_killed():
    found = kills.measure(150, 1, quietly)
    print(found)
    assert found["broken"] == [] and found["windows_most"] <= kills.LIMIT
    assert found["in_window"] >= 75 and found["slot_p50_ms"] < 10_000
    assert (found["windows_left"], found["paused_left"], found["descriptors_left"]) == (0, 0, 0)


def test_the_daemon_is_killed():
    found = restarts.measure(5, quietly)
    print(found)
    assert found["ended"] == [0] * restarts.PROCESSES
    assert found["excess"] <= 0 and found["in_window"] > 0


@pytest.mark.parametrize("name", ceilings.NAMES)
def test_memory_stays_within_its_ceiling(name):
    found = ceilings.measure(name, Small, quietly)
    print(found)
    assert [check for check in ceilings.memory_checks(name, found) if not check["pass"]] == []
    assert found["rounds"] > 0


def test_a_virtual_day():
    found = soak.virtual(24)
    print(found)
    assert found["restarts"] >= 24 and found["deaths"] > 1000
    assert found["slope_kib_per_h"] < 8


def test_a_soak():
    found = soak.real(4, quietly)
    print(found)
    assert found["log_lines"] == 2
    assert found["windows"] > 0
