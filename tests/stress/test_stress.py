# SPDX-License-Identifier: MIT
"""The attacks of make stress, small: what must hold whatever the machine is doing."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "daemon"), os.path.dirname(HERE)]

import attacks  # noqa: E402


def test_a_crowd_is_served():
    f = attacks.crowd(1000, quiet_s=1)
    assert f["served"] == 1000 and f["refused"] == 0
    if not os.environ.get("SANITIZE"):
        assert f["bytes_a_client"] <= 4096  # a crowd of ten times as many takes less than half of it


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")
def test_half_open_connections_are_capped():
    f = attacks.half_open(2000)
    assert f["kept"] == 64 and f["heaps"] == 1 and f["log_lines"] == 1


def test_without_descriptors():
    f = attacks.out_of_descriptors(3)
    assert f["log_lines"] == 1 and f["cpu_percent"] < 50


def test_subscribers_that_never_read():
    f = attacks.subscribers(50, queue="16K")
    assert f["slow"] == f["told"] == 50 and f["for_memory"] == 0
    assert f["queued_mib"] * 1024 <= 50 * 48 + 64


def test_a_flood_of_telemetry():
    f = attacks.telemetry(1, rounds=1)
    assert f["refused"] == 0 and f["coalesced"] > 0
