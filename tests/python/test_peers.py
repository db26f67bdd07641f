# SPDX-License-Identifier: MIT
"""Some of CPython's own tests under rtgc, held against the same without. All: make peers."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(HERE, "peers")]
import peers

# Seconds each. What takes longer, above all multiprocessing, is left to make peers.
SOME = ["test_gc", "test_weakset", "test_finalization", "test_generators", "test_coroutines",
        "test_asyncgen", "test_dict", "test_dictviews", "test_functools", "test_atexit",
        "test_thread"]  # fmt: skip


def test_some_of_cpythons_own(tmp_path, capsys):
    if not peers.installed(os.environ.get("PYTHON", "/usr/bin/python3")):
        pytest.skip("CPython's own tests are missing (Debian: libpython3.11-testsuite)")

    def show(text):
        with capsys.disabled():
            print("\n" + text, end="")

    rows, faults = peers.compare(SOME, str(tmp_path), show)
    assert not faults, "\n".join(faults)
    assert [row["test"] for row in rows] == SOME
    # The runs were what they claim to be: tests that ran, in both ways, with windows.
    assert all(row["passed_without"] > 0 for row in rows)
    assert sum(row["window"] for row in rows) > len(SOME)
