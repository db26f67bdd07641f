# SPDX-License-Identifier: MIT
"""
The attacks of make stress, small: what must hold whatever the machine is doing. Of the other rows of its table the
small ones are tests/bench/test_safety.py (kills, restarts, absent, ramps, hours, soak), tests/daemon/test_frames.py and
test_quotas.py (messages), and tests/client/test_holders.py (clock).
"""

import json
import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [HERE, os.path.join(TESTS, "daemon"), os.path.join(TESTS, "bench", "safety"), TESTS]

import attacks  # noqa: E402


def short(turn_us):
    """Nobody else is kept waiting for long; by CPU time, so the machine may be busy."""
    return bool(os.environ.get("SANITIZE")) or 0 < turn_us < 5000


def test_a_crowd_is_served():
    f = attacks.crowd(1000, quiet_s=1, timed=False)
    assert f["served"] == 1000 and f["refused"] == 0 and short(f["turn_p99_us"])
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
    f = attacks.subscribers(50, queue="16K", timed=False)
    assert f["slow"] == f["told"] == 50 and f["for_memory"] == 0
    assert f["queued_mib"] * 1024 <= 50 * 48 + 64 and short(f["turn_p99_us"])


def test_a_flood_of_telemetry():
    f = attacks.telemetry(0.5, rounds=1)
    assert f["refused"] == 0 and f["coalesced"] > 0 and short(f["turn_p99_us"])


def test_limits_of_one_user():
    f = attacks.at_limits(0.5, rounds=1)
    assert f["coalesced"] > 0 and f["ungreeted"] > 0
    assert all(f[f"{name}_p99_us"] > 0 for name in ("quiet", "burn", *attacks.LIMITS))
    assert all(short(f[f"{name}_turn_p99_us"]) for name in attacks.LIMITS)


def table(folder, *parts):
    return subprocess.run([sys.executable, "-B", os.path.join(HERE, "run.py"), "--build", attacks.harness.BUILDDIR,
                           "--results", str(folder), "--quick", "--parts", *parts], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)


def test_rows_of_the_table(tmp_path):
    done = table(tmp_path, "messages", "clock")
    print(done.stdout, done.stderr)
    found = json.loads((tmp_path / "stress.json").read_text())
    assert set(found["rows"]) == {"messages", "clock"}
    assert [check["name"] for check in found["checks"] if check["row"] == "messages" and not check["pass"]] == []
    assert done.returncode == (0 if found["passed"] else 1)
    for check in found["checks"]:
        assert check["name"] in done.stdout
    assert "soak" in done.stdout  # was not asked for
    assert table(tmp_path, "poems").returncode == 2
