# SPDX-License-Identifier: MIT
"""What a report and a collection cost the core with 100 … 100,000 heaps, in instructions."""
import os
import re
import subprocess

import pytest

BUILD = os.environ["RTGC_BUILDDIR"]
VALGRIND = os.environ.get("VALGRIND", "no")
ROUNDS = 1000  # of scale.c
SIZES = (100, 1000, 10_000, 100_000)
MOST_BYTES = 1344, 1440  # after the first collection; with all the decisions that are kept


def instructions(function, heaps, directory):
    """Those inside `function`, all it calls included, for one of its rounds."""
    out = directory / f"{function}.{heaps}"
    done = subprocess.run(
        [os.path.join(BUILD, "libtool"), "--mode=execute", VALGRIND, "--tool=callgrind",
         f"--toggle-collect={function}", f"--callgrind-out-file={out}",
         os.path.join(BUILD, "tests/sim/scale"), str(heaps)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert f" {ROUNDS} windows" in done.stdout  # the same work for every size
    return int(re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.M).group(1)) / ROUNDS


@pytest.mark.skipif(bool(os.environ.get("SANITIZE")), reason="a sanitizer has its own allocator")
def test_a_heap_is_small():
    done = subprocess.run([os.path.join(BUILD, "tests/sim/scale")],
                          stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout)
    first, most = (int(n) for n in re.findall(r"(\d+) bytes a heap", done.stdout))
    assert 512 < first <= MOST_BYTES[0] and first < most <= MOST_BYTES[1]


@pytest.mark.skipif(VALGRIND == "no", reason="valgrind is not installed")
@pytest.mark.skipif(bool(os.environ.get("SANITIZE")), reason="valgrind cannot run sanitized code")
@pytest.mark.parametrize("function", ["report_many", "collect_many"])
def test_cost_hardly_grows_with_the_number_of_heaps(function, tmp_path):
    cost = {heaps: instructions(function, heaps, tmp_path) for heaps in SIZES}
    print(function, {heaps: round(count) for heaps, count in cost.items()})
    assert cost[100_000] <= 2 * cost[1000]
