# SPDX-License-Identifier: MIT
"""spin searches the model of the window protocol (window.pml): all it can do, to the end.

Then once more with a line of enforcement taken out: a model that breaks no promise then is no model.
"""
import os
import pathlib
import re
import subprocess

import pytest

MODEL = pathlib.Path(os.environ["RTGC_SRCDIR"], "tests/model/window.pml")
CC = os.environ.get("CC", "cc").split()
SPIN = os.environ.get("SPIN", "spin")
MEGABYTES = 900
SECONDS = 600

pytestmark = pytest.mark.skipif(SPIN == "no", reason="spin is not installed")

HOST = (2, 1, 1)  # clients, slots, faults of one run


def build(folder, text, prop, host, optimise):
    n, k, faults = host
    (folder / "window.pml").write_text(text)
    subprocess.run([SPIN, f"-DN={n}", f"-DK={k}", f"-DFAULTS={faults}", "-a", "window.pml"], cwd=folder,
                   check=True, stdout=subprocess.DEVNULL)
    kind = ["-DSAFETY", "-DNOCLAIM"] if prop == "safety" else ["-DNFAIR=3"]
    subprocess.run([*CC, optimise, "-w", "-DCOLLAPSE", f"-DMEMLIM={MEGABYTES}", *kind, "-o", "pan", "pan.c"],
                   cwd=folder, check=True)


def search(folder, prop):
    """Returns what the search prints; it ends at the first broken promise."""
    # Without a claim: all assertions. With one: is there a run that breaks it for ever, fair to all?
    claim = [] if prop == "safety" else ["-a", "-f", "-N", prop]
    done = subprocess.run(["./pan", "-m2000000", "-n", *claim], cwd=folder, stdout=subprocess.PIPE, text=True,
                          timeout=SECONDS)
    return done.stdout


def errors(printed):
    return int(re.search(r"errors: (\d+)", printed).group(1))


def holds(folder, prop):
    printed = search(folder, prop)
    assert "Search not completed" not in printed and errors(printed) == 0, printed
    states = int(re.search(r"(\d+) states, stored", printed).group(1))
    assert states > 10_000
    print(f"{prop}: {states} states")


def test_safety(tmp_path):
    build(tmp_path, MODEL.read_text(), "safety", HOST, "-O1")
    holds(tmp_path, "safety")


def test_three_clients_share_two_slots(tmp_path):
    build(tmp_path, MODEL.read_text(), "safety", (3, 2, 0), "-O0")
    holds(tmp_path, "safety")


def test_liveness(tmp_path):
    build(tmp_path, MODEL.read_text(), "served", HOST, "-O2")
    holds(tmp_path, "served")
    holds(tmp_path, "given_back")


# what is taken out: (the promise that is broken then, what stands there, what stands there instead)
MUTATIONS = {
    "a window opens when a slot is free": (
        "safety", "waiting(i) && taken < K -> grant(i, false)", "waiting(i) -> grant(i, false)"),
    "over the limit is counted": (
        "safety", "waiting(i) && taken >= K -> grant(i, true)", "waiting(i) && taken >= K -> grant(i, false)"),
    "a client looks at the clock before it begins": (
        "safety", "page[i] == LEASE_OPEN && !closed[i] &&", "page[i] == LEASE_OPEN &&"),
    "who comes back in a window is taken up again": (
        "safety", ":: id != 0 && pausing[i] == id -> adopt(i, id)", ":: false -> skip"),
    "nobody is held back for ever": (
        "served", "waiting(i) && taken >= K -> grant(i, true)", "false -> skip"),
    "a window that nobody uses expires": (
        "given_back", "up && lease[i] == LEASE_OPEN && closed[i] ->", "false ->"),
    "a pause without an end is written off": (
        "given_back", "up && lease[i] == LEASE_IN_USE && closed[i] ->", "false ->"),
}


@pytest.mark.parametrize("what", MUTATIONS)
def test_breaks_unless(what, tmp_path):
    prop, line, instead = MUTATIONS[what]
    text = MODEL.read_text()
    assert text.count(line) == 1, f"not there once: {line}"
    build(tmp_path, text.replace(line, instead), prop, HOST, "-O0")
    printed = search(tmp_path, prop)
    assert errors(printed) > 0, printed
