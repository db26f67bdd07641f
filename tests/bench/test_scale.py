# SPDX-License-Identifier: MIT
"""make bench BENCH=scale, in small: each part runs, and the figures are there. Whether they are good is for the bench."""

import json
import os
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.join(os.environ["RTGC_SRCDIR"], "tests"))
import harness  # noqa: E402

BUILD = os.environ["RTGC_BUILDDIR"]
RUN = os.path.join(os.environ["RTGC_SRCDIR"], "tests", "bench", "scale", "run.py")
HEAPS = 20
harness.sanitized(os.environ)  # of all that is started here
# Of each part: figures of its JSON, and how many rounds or runs it tells of.
FIGURES = {
    "quiet": ("wakeups_for_heaps_per_s", "rounds"),
    "publish": ("alone", "status", "rounds", "rss_mib"),
    "ingest": ("rounds",),
    "start": ("rounds",),
    "boot": ("rounds",),
    "python": ("rounds", "instructions"),
    "memory": ("alone", "kept over a restart"),
}


def run(results, *parts):
    done = subprocess.run(
        [sys.executable, "-B", RUN, "--build", BUILD, "--results", results, "--heaps", str(HEAPS), "--rounds", "1",
         "--seconds", "0.5", "--no-callgrind", "--parts", *parts], capture_output=True, text=True, timeout=600)
    assert done.returncode in (0, 1), done.stderr  # 1: a goal is missed, in so short a time
    assert (results / "scale.json").exists(), done.stderr
    found = json.loads((results / "scale.json").read_text())
    assert list(found["parts"]) == list(parts)
    for part in parts:
        assert set(found["parts"][part]) == set(FIGURES[part])
        assert any(check["name"].startswith(f"{part}: ") for check in found["checks"])
        assert f"\n{part}: " in done.stdout
    assert (results / "scale.png").read_bytes().startswith(b"\x89PNG")
    return found["parts"]


def test_heaps(tmp_path):
    found = run(tmp_path, "quiet", "publish", "memory")
    quiet, = found["quiet"]["rounds"]
    assert quiet["published"] > 0 and quiet["collections"] == 0
    assert 0 < quiet["cpu_percent"] and quiet["wakeups_per_s"] > 0
    busy, = found["publish"]["rounds"]
    assert busy["published_per_s"] > quiet["published"]
    for what in "decision", "echo", "late":
        assert 0 < busy[what]["p50_us"] <= busy[what]["p99_us"] <= busy[what]["max_us"]
    assert all(rss > 0 for figures in found["memory"].values() for rss in figures["rss_mib"])


@pytest.mark.skipif(not shutil.which("taskset"), reason="taskset is not installed")
def test_messages(tmp_path):
    found = run(tmp_path, "ingest", "start")
    assert all(per_s > 0 for rounds in found["ingest"]["rounds"].values() for per_s in rounds)
    for rounds in found["start"]["rounds"].values():
        assert all(0 < one["p50_us"] <= one["p99_us"] for one in rounds)


def test_processes(tmp_path):
    found = run(tmp_path, "boot", "python")
    for part in found.values():
        assert all(value > 0 for rounds in part["rounds"].values() for value in rounds)
