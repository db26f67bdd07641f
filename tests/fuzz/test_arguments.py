# SPDX-License-Identifier: MIT
"""All that the module rtgc offers is called with odd arguments (arguments.py), in a process of its own.

RTGC_ARGUMENTS_SECONDS=n (make fuzz): goes on with other seeds for so long; RTGC_ARGUMENTS_SEED: which ones (0: others
each time).
"""
import os
import random
import subprocess
import sys
import time

import pytest

sys.path[:0] = [os.path.join(os.environ["RTGC_SRCDIR"], "tests", folder) for folder in ("", "python")]

import harness  # noqa: E402
from program import environment  # noqa: E402

SCRIPT = os.path.join(harness.SRCDIR, "tests", "fuzz", "arguments.py")
PYTHON = os.environ.get("PYTHON", "/usr/bin/python3")
SECONDS = float(os.environ.get("RTGC_ARGUMENTS_SECONDS", "0"))
SEED = int(os.environ.get("RTGC_ARGUMENTS_SEED", "0"))
CALLS = 600


def seeds():
    yield from range(1, 4)
    others, until = random.Random(SEED or None), time.monotonic() + SECONDS
    while time.monotonic() < until:
        yield others.randrange(4, 10**9)


def call(seed, env, *mode):
    done = subprocess.run([PYTHON, "-X", "faulthandler", SCRIPT, str(seed), str(CALLS), *mode], env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", timeout=600)
    assert done.returncode == 0, f"seed {seed} {mode}: {done.returncode}\n{done.stdout}\n{done.stderr[-4000:]}"
    assert "returned" in done.stdout


@pytest.mark.parametrize("mode", [(), ("supervised",)], ids=["plain", "supervised"])
def test_without_a_daemon(mode):
    for seed in seeds():
        call(seed, environment(), *mode)


def test_with_a_daemon():
    with harness.Daemon() as d:
        for seed in seeds():
            call(seed, environment(d.env()), "supervised")
        assert d.call("GetStatus")["heaps"] == 0
