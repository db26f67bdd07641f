# SPDX-License-Identifier: MIT
"""The benchmarks of Python as a whole, small. Their limits in time are for the benchmarks."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

BENCH = os.path.join(os.environ["RTGC_SRCDIR"], "tests", "bench")
BUILD = os.environ["RTGC_BUILDDIR"]
sys.path[:0] = [BENCH, os.path.join(BENCH, "demo"), os.path.dirname(BENCH)]

import bench  # noqa: E402
import check_pauses  # noqa: E402
import harness  # noqa: E402
from cluster import Options  # noqa: E402
from measure import measure  # noqa: E402

harness.sanitized(os.environ)  # of all that is started here

SMALL = Options(pathlib.Path(BUILD), replicas=2, cached=1500, products=15_000, rate=100, warmup=0.5,
                seconds=4, timeout=50, collect_every=100, python=sys.executable)


def is_picture(path):
    return path.read_bytes().startswith(b"\x89PNG")


def run(program, results, *args, status=None):
    done = subprocess.run(
        [sys.executable, os.path.join(BENCH, "python", program), "--build", BUILD, "--results", results, *args],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
    written = json.loads((results / (program.replace("run", "python").removesuffix(".py") + ".json")).read_text())
    assert done.returncode == (0 if written["passed"] else 1), done.stderr
    return done, written


@pytest.mark.skipif(os.environ.get("HAPROXY") == "no", reason="haproxy is not installed")
@pytest.mark.parametrize("way", ["by-hand", "snapshots"])
def test_replicas(way, tmp_path):
    measured = measure(way, SMALL, tmp_path, lambda text: None)
    assert measured.load["errors"] == 0 and measured.load["ok"] == 400
    if way == "by-hand":
        # After every hundredth of a replica's requests, and at no other time. There were 450.
        assert measured.daemon is None
        assert len(check_pauses.full(measured.pauses)) in (3, 4)
    else:
        assert measured.daemon["snapshots"] >= 1


def test_idle(tmp_path):
    done, written = run("idle.py", tmp_path, "--objects", "30000", "--rate", "30000", "--seconds", "1",
                        "--count-seconds", "2", "--rounds", "1")
    assert list(written["runs"]) == ["default", "off", "rtgcd", "rtgcd-idle"]
    assert all(figures["requests_per_s"] > 0 for figures in written["runs"].values())
    assert written["runs"]["off"]["full"] == 0
    assert list(written["counted"]) == ["default", "off", "rtgcd", "rtgcd-idle"]
    for name in written["runs"]:
        assert name in done.stdout
    assert is_picture(tmp_path / "idle.png")


def test_cost(tmp_path):
    done, written = run("cost.py", tmp_path, "--loops", "calls", "--rounds", "1", "--no-callgrind")
    assert written["runs"]["plain"]["calls_us"] > 0 and written["runs"]["rtgcd"]["calls_us"] > 0
    assert [check["name"] for check in written["checks"]] == ["time, calls, rtgcd / plain"]
    assert is_picture(tmp_path / "cost.png")


def test_walk(tmp_path):
    done, written = run("walk.py", tmp_path, "--objects", "20000", "--rounds", "1")
    for shape, one in written["shapes"].items():
        assert shape in done.stdout and min(one["child_ms"], one["window_ms"], one["collect_ms"]) > 0
        assert one["walked"] == 0  # small heaps are CPython's
        assert 19_000 < one["objects"] < 60_000
    assert len(written["checks"]) == 7


def test_all_goals_in_one(tmp_path):
    """What the parts have written is put together; one that is missed is seen."""
    for part, value in ("idle", 5), ("pool", 1):
        (tmp_path / part).mkdir()
        (tmp_path / part / f"{part}.json").write_text(json.dumps(
            bench.judged([bench.check("so many", value, "at most", 3)])))
        (tmp_path / part / "table.txt").write_text(f"the table of {part}\n")
    done, written = run("run.py", tmp_path, "--parts", "idle", "pool", "--keep")
    assert [(check["name"], check["pass"]) for check in written["checks"]] == [
        ("idle: so many", False), ("pool: so many", True)]
    assert done.returncode == 1
    assert "the table of idle" in done.stdout and "MISSED  idle: so many" in done.stdout
