# SPDX-License-Identifier: MIT
"""The checker of pauses: what it must find, and what it must not."""

import os
import subprocess
import sys

import pytest

DEMO = os.path.join(os.environ["RTGC_SRCDIR"], "tests", "bench", "demo")
sys.path.insert(0, DEMO)

import check_pauses  # noqa: E402
from check_pauses import Pause, crowded_until, full, longest_ms, most_at_once, stops  # noqa: E402

MS = 1_000_000


def pauses(*intervals):
    return [Pause(pid, begin * MS, end * MS, 2, 0) for pid, (begin, end) in enumerate(intervals)]


@pytest.mark.parametrize("intervals, expected", [
    ([], 0),
    ([(0, 10)], 1),
    ([(0, 10), (20, 30), (40, 50)], 1),
    ([(0, 10), (9, 30)], 2),
    ([(0, 100), (10, 20), (30, 40)], 2),  # one long, two short inside: never three
    ([(0, 100), (10, 50), (40, 60)], 3),
    ([(5, 10), (5, 10), (5, 10)], 3),
    ([(40, 60), (10, 50), (0, 100)], 3),  # the order they are given in does not matter
])
def test_overlaps(intervals, expected):
    assert most_at_once(pauses(*intervals)) == expected


def test_one_after_the_other_is_no_overlap():
    assert most_at_once(pauses((0, 10), (10, 20), (20, 30))) == 1


def test_resolution_of_the_clock():
    touching = [Pause(1, 0, 1000, 2, 0), Pause(2, 999, 2000, 2, 0)]
    assert most_at_once(touching, resolution_ns=1) == 1
    assert most_at_once(touching, resolution_ns=0) == 2
    overlapping = [Pause(1, 0, 1000, 2, 0), Pause(2, 998, 2000, 2, 0)]
    assert most_at_once(overlapping, resolution_ns=1) == 2


def test_a_pause_shorter_than_a_tick_counts_while_it_lasts():
    assert most_at_once([Pause(1, 0, 1000, 2, 0), Pause(2, 500, 500, 2, 0)]) == 2


def test_only_full_collections_inside_the_time_count():
    recorded = [Pause(1, 0, 10, 2, 0), Pause(1, 12, 14, 1, 0), Pause(1, 15, 20, 2, 0),
                Pause(1, 30, 40, 2, 0)]
    assert [pause.begin_ns for pause in full(recorded)] == [0, 15, 30]
    assert [pause.begin_ns for pause in full(recorded, 10, 30)] == [15]
    assert [pause.begin_ns for pause in full(recorded, 9, 31)] == [0, 15, 30]


def test_long_young_collections_stop_the_process_too():
    recorded = [Pause(1, 0, 10 * MS, 2, 0), Pause(1, 20 * MS, 69 * MS, 1, 0),
                Pause(1, 80 * MS, 130 * MS, 1, 0), Pause(1, 140 * MS, 200 * MS, 0, 0)]
    assert [pause.begin_ns // MS for pause in stops(recorded)] == [0, 80, 140]
    assert [pause.begin_ns // MS for pause in stops(recorded, 10 * MS, 140 * MS)] == [80]


@pytest.mark.parametrize("limit, expected", [(0, 60), (1, 50), (2, 40), (3, None)])
def test_crowded_until(limit, expected):
    recorded = pauses((0, 40), (10, 30), (20, 50), (35, 60))
    found = crowded_until(recorded, limit, resolution_ns=0)
    assert found == (expected and expected * MS)


def test_longest():
    assert longest_ms(pauses((0, 10), (20, 45))) == 25
    assert longest_ms([]) == 0


def run(directory, *args):
    return subprocess.run([sys.executable, os.path.join(DEMO, "check_pauses.py"), directory, *args],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_program_fails_when_too_many_paused_at_once(tmp_path):
    (tmp_path / "10.pauses").write_text("1000,3000,2,5\n9000,9900,2,5\n")
    (tmp_path / "11.pauses").write_text("2000,4000,2,5\n2500,2600,1,5\n")
    assert run(tmp_path, "--limit", "2").returncode == 0
    done = run(tmp_path, "--limit", "1")
    assert done.returncode == 1
    assert '"full_collections": 3, "paused_max": 2' in done.stdout


def test_an_empty_record_proves_nothing(tmp_path):
    done = run(tmp_path, "--limit", "1")
    assert done.returncode == 1 and "no full collection" in done.stderr


@pytest.mark.parametrize("line", ["1,2,3", "a,b,c,d", "20,10,2,0", ""])
def test_a_broken_record_is_refused(tmp_path, line):
    (tmp_path / "10.pauses").write_text(f"1,2,2,0\n{line}\n")
    with pytest.raises(ValueError, match=r"10\.pauses:2"):
        check_pauses.read_records(tmp_path)


def test_what_the_recorder_writes_of_a_real_process(tmp_path):
    program = "import gc; gc.disable(); [gc.collect(n) for n in (2, 1, 0, 2)]"
    subprocess.run([sys.executable, "-c", program], check=True,
                   env={**os.environ, "RECORD_DIR": str(tmp_path),
                        "PYTHONPATH": os.path.join(DEMO, "recorder")})
    recorded = check_pauses.read_records(tmp_path)
    assert [pause.generation for pause in recorded] == [2, 1, 0, 2]
    assert all(a.end_ns <= b.begin_ns for a, b in zip(recorded, recorded[1:]))
    assert most_at_once(full(recorded)) == 1
