# SPDX-License-Identifier: MIT
"""What all benchmarks have in common: rounds, medians, goals, and how a program of them ends."""

import json
import os
import signal
import subprocess
import sys

import pytest

BENCH = os.path.join(os.environ["RTGC_SRCDIR"], "tests", "bench")
sys.path.insert(0, BENCH)

import bench  # noqa: E402

PROGRAM = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import bench

def measure(run, folder, progress):
    (folder / "here").touch()
    seen.append(run)
    if "--fail" in sys.argv:
        raise bench.Failure("it fell over")
    return {"ms": {"a": 10, "b": 30}[run] + len(seen), "forced": len(seen)}

def main():
    parser = bench.arguments("sample", "A sample.", rounds=3, strict="--lenient" in sys.argv)
    parser.add_argument("--fail", action="store_true")
    parser.add_argument("--lenient", action="store_true")
    args = bench.prepare(parser.parse_args(), "picture.png")
    rounds = bench.interleaved(args, ("a", "b"), measure)
    runs = {run: bench.medians(measured, worst=("forced",)) for run, measured in rounds.items()}
    found = [bench.ratio("b / a", runs["b"]["ms"], runs["a"]["ms"], 2)]
    table = bench.table(("run", "time"), ("", "ms"), [(run, runs[run]["ms"]) for run in runs])
    return bench.finish(args, bench.text(table, bench.verdict(found)),
                        {"runs": runs, "order": seen, **bench.judged(found)})

seen = []
bench.run("sample", main)
"""


def sample(results, *args):
    return subprocess.run([sys.executable, "-c", PROGRAM, BENCH, "--results", results, *args],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)


def test_a_whole_program(tmp_path):
    for name in ("sample.json", "picture.png", "mine.txt"):
        (tmp_path / name).write_text("of before")
    done = sample(tmp_path)
    written = json.loads((tmp_path / "sample.json").read_text())
    assert written["order"] == ["a", "b"] * 3
    # 11, 13, 15 and 32, 34, 36
    assert written["runs"] == {"a": {"ms": 13, "forced": 5}, "b": {"ms": 34, "forced": 6}}
    assert written["checks"] == [
        {"name": "b / a", "value": 2.6154, "goal": "at most", "limit": 2, "pass": False}]
    assert done.returncode == 1 and written["passed"] is False
    assert "MISSED  b / a    2.6154  (goal: at most 2)" in done.stdout
    assert (tmp_path / "table.txt").read_text() in done.stdout
    assert (tmp_path / "runs" / "b-3" / "here").exists()
    assert not (tmp_path / "picture.png").exists()
    assert (tmp_path / "mine.txt").read_text() == "of before"
    assert "[6/6] round 3, b" in done.stderr


def test_a_missed_goal_is_for_the_caller_to_judge(tmp_path):
    assert sample(tmp_path, "--lenient").returncode == 0
    assert sample(tmp_path, "--lenient", "--strict").returncode == 1


def test_a_failure_is_one_line(tmp_path):
    done = sample(tmp_path, "--fail")
    assert done.returncode == 1
    assert done.stderr.endswith("sample: it fell over\n") and "Traceback" not in done.stderr


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_end_from_outside_cleans_up(number, status):
    program = """
import sys, time
sys.path.insert(0, sys.argv[1])
import bench
def main():
    try:
        print("up", flush=True)
        while True:
            time.sleep(60)
    finally:
        print("clean", flush=True)
bench.run("sample", main)
"""
    with subprocess.Popen([sys.executable, "-c", program, BENCH], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "up\n"
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (status, "clean\n")
    assert "Traceback" not in err


@pytest.mark.parametrize("value, goal, limit, passed", [
    (3, "at most", 3, True), (3.001, "at most", 3, False), (3, "at least", 3, True),
    (2.999, "at least", 3, False), (1, "less than", 1, False), (0.99, "less than", 1, True),
])
def test_goals(value, goal, limit, passed):
    assert bench.check("x", value, goal, limit)["pass"] is passed
    assert bench.judged([bench.check("x", value, goal, limit)])["passed"] is passed


def test_a_ratio_to_nothing_is_no_success():
    assert bench.ratio("x", 1, 0, 2)["pass"] is False


def test_medians():
    rounds = [{"ms": value, "none": None} for value in (9, 2, 4)]
    assert bench.medians(rounds) == {"ms": 4, "none": None}
    assert bench.medians(rounds, ("ms",), worst=("ms",)) == {"ms": 9}


def test_a_table_is_as_wide_as_its_cells():
    assert bench.table(("run", "ms"), ("", "s"), [("a long one", 1), ("b", 12345)]).splitlines() == [
        "run            ms", "                s", "-----------------", "a long one      1", "b           12345"]
