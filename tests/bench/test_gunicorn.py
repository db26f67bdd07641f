# SPDX-License-Identifier: MIT
"""The benchmark of a pre-fork gunicorn: the whole of it, small."""

import json
import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.join(os.environ["RTGC_SRCDIR"], "tests"))
import harness  # noqa: E402

RUN = os.path.join(os.environ["RTGC_SRCDIR"], "tests", "bench", "gunicorn", "run.py")
BUILD = os.environ["RTGC_BUILDDIR"]

harness.sanitized(os.environ)  # of all that is started here


def test_the_whole_of_it(tmp_path):
    pytest.importorskip("gunicorn")
    done = subprocess.run(
        [sys.executable, RUN, "--build", BUILD, "--results", tmp_path, "--rounds", "1", "--runs",
         "default", "rtgcd", "--workers", "2", "--cached", "1500", "--products", "15000", "--rate",
         "160", "--warmup", "0.5", "--seconds", "8", "--timeout", "50"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
    written = json.loads((tmp_path / "gunicorn.json").read_text())
    assert list(written["runs"]) == ["default", "rtgcd"], done.stderr
    for name, figures in written["runs"].items():
        assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["p999_ms"] <= figures["max_ms"]
        assert figures["rss_end_bytes"] > 30_000_000 and figures["pss_bytes"] > 30_000_000
        assert name in done.stdout
    counts = {check["name"]: check["value"] for check in written["checks"]}
    assert counts["failed requests, all runs"] == 0
    # What 1,300 requests leave behind is half as much again as both workers may hold together.
    assert counts["rounds without a window, rtgcd"] == 0
    assert written["runs"]["rtgcd"]["longest_pause_ms"] > 0
    # Limits in time are for the benchmark itself.
    assert done.returncode == (0 if written["passed"] else 1)
