# SPDX-License-Identifier: MIT
"""make bench BENCH=grant, in small: everything that gives leave is asked, and the figures are what they are called."""

import json
import os
import shutil
import subprocess
import sys

import pytest

BUILD = os.environ["RTGC_BUILDDIR"]
RUN = os.path.join(os.environ["RTGC_SRCDIR"], "tests", "bench", "grant", "run.py")


@pytest.mark.skipif(not shutil.which("taskset"), reason="taskset is not installed")
def test_grant(tmp_path):
    done = subprocess.run([sys.executable, "-B", RUN, "--build", BUILD, "--results", str(tmp_path), "--rounds", "1",
                           "--turns", "50"], capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr  # 1: a goal is missed, by so few turns
    found = json.loads((tmp_path / "grant.json").read_text())
    present = {"raw", "rtgcd", "flock", "flock-4"}
    present |= {what for what, program in (("redis", "redis-server"), ("dbus", "dbus-daemon")) if shutil.which(program)}
    for figures in found["runs"].values():
        assert set(figures) == present
        for of in figures.values():
            assert 0 < of["ask_p50_us"] <= of["ask_p99_us"] and of["ask_p50_us"] <= of["whole_p50_us"]
    assert (tmp_path / "grant.svg").stat().st_size > 0
