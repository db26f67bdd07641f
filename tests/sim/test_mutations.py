# SPDX-License-Identifier: MIT
"""Does the simulator notice when an invariant is not enforced any more?

Each entry takes one line of enforcement out of a copy of the core, builds the simulator with it,
and requires it to find a violation of that invariant. An entry whose text is not found exactly
once in the core is out of date, and fails.
"""
import os
import re
import shutil
import subprocess

import pytest

SOURCE = os.environ["RTGC_SRCDIR"]
CC = os.environ.get("CC", "cc").split()
SEEDS = "400"

# what must be reported: (file of the core, what stands there, what stands there instead)
MUTATIONS = {
    "I-1 nobody waits longer than MaxDefer": (
        "decide.c", "return nsec_min(h->last_call, deferred_at(h));", "return NSEC_NEVER;"),
    "I-2 no more windows than slots": (
        "grant.c", "while (s->taken < s->max_concurrent &&", "while ("),
    "I-2 rivals never together": (
        "grant.c", "if (h->look_until || rivals_holder(s, service) ||", "if (h->look_until ||"),
    "I-3 a window has one end": (
        "lease.c", "action_add(s, h, type);", "if (reason != REASON_EXPIRED) action_add(s, h, type);"),
    "I-3 a drain is undone": (
        "lease.c", "if (l->draining)", "if (l->draining && reason != REASON_EXPIRED)"),
    "I-4 what is held is counted": (
        "lease.c", "service->taken--;\n\ts->taken--;", "service->taken--;"),
    "I-4 what passes the gates is counted": (
        "lease.c", "s->canary.gates.ungated += s->canary.gates.open && h->lease.slot && reason != REASON_ADOPTED;", ""),
    "I-1 nobody waits before open gates": (
        "supervisor.c", "timers_arm(&s->timers, &s->canary.timer, until);\n\tgrant_dispatch(s, now);",
        "timers_arm(&s->timers, &s->canary.timer, until);"),
    "I-2 what passes the gates over the limit is counted as that": (
        "grant.c", "bool over_limit = !grant_has_slot(s, h);", "bool over_limit = false;"),
    "L-2 the gates are shut when it is calm": (
        "supervisor.c", "canary_calm(&s->canary);", ""),
    "I-5 no window is used when it is over": (
        "run.c", "begin->window == h->lease.id && at < h->lease.closes)",
        "begin->window == h->lease.id)"),
    "I-7 who leaves leaves nothing behind": (
        "members.c", "\tlease_drop(s, h, now);\n\tdecide_forget", "\tdecide_forget"),
    "L-1 the core minds its own deadlines": (
        "lease.c", "return l->opens;", "return NSEC_NEVER;"),
    "L-1 a declined heap is told of its raised budget": (
        "direct.c", ": h->own_budget || budget == h->report.budget ? 0 : budget", ": 0"),
    "L-2 a heap that speaks again is served again": (
        "supervisor.c", "\th->silent = false;\n", ""),
}


def simulator(directory, mutation=None):
    """Builds tests/sim/test_sim from a copy of the sources, the mutation applied."""
    for part in ("client/wire", "daemon/core", "tests/sim"):
        shutil.copytree(os.path.join(SOURCE, part), directory / part)
    if mutation:
        path = directory / "daemon/core" / mutation[0]
        text = path.read_text()
        # However it is broken into lines.
        words = re.compile(r"\s*".join(re.escape(word) for word in re.findall(r"\S+", mutation[1])))
        assert len(words.findall(text)) == 1, f"{mutation[0]}: not there once: {mutation[1]}"
        path.write_text(words.sub(lambda _: mutation[2].strip("\n"), text))
    sources = [*(directory / "daemon/core").glob("*.c"), *(directory / "client/wire").glob("*.c"),
               *(directory / "tests/sim" / name
                 for name in ("gates.c", "invariants.c", "model.c", "populate.c", "test_sim.c"))]
    program = directory / "sim"
    subprocess.run([*CC, "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-w", f"-I{directory}", "-o",
                    program, *sources, "-lm"], check=True)
    return program


def run(program):
    return subprocess.run([program, SEEDS], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=600)


def test_nothing_is_found_without_a_mutation(tmp_path):
    done = run(simulator(tmp_path))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("invariant", MUTATIONS)
def test_is_noticed(invariant, tmp_path):
    done = run(simulator(tmp_path, MUTATIONS[invariant]))
    assert done.returncode != 0
    found = re.findall(r"seed \d+: (\S+) after", done.stdout)
    # A limit that is not kept may show first as something else that no longer adds up.
    assert found or "Assertion" in done.stdout, done.stdout
