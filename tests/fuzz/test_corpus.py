# SPDX-License-Identifier: MIT
"""Each target is given what is committed for it: the corpus, and what once broke it.

Then the same with a line of the program taken out: a target that notices nothing is no test.
"""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

SOURCE = pathlib.Path(os.environ["RTGC_SRCDIR"])
BUILD = pathlib.Path(os.environ["RTGC_BUILDDIR"])
CC = os.environ.get("CC", "cc").split()
TARGETS = ["config", "control", "core", "eventlog", "http", "session", "wire"]
SECONDS = 600


def inputs(target):
    folders = [SOURCE / "tests/fuzz" / kind / target for kind in ("corpus", "found")]
    return [folder for folder in folders if folder.is_dir()]


def replay(program, *paths):
    return subprocess.run([program, *paths], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", timeout=SECONDS)


@pytest.mark.parametrize("target", TARGETS)
def test_holds(target):
    folders = inputs(target)
    done = replay(BUILD / f"tests/fuzz/replay_{target}", *folders)
    assert done.returncode == 0, done.stdout[-4000:]
    there = sum(len(list(folder.iterdir())) for folder in folders)
    assert there > 0 and done.stdout.endswith(f"{there} inputs\n")


def test_a_file_that_is_not_there():
    assert replay(BUILD / "tests/fuzz/replay_wire", "nothing").returncode == 1


# target: (the folders it is built from, file, what stands there, what stands there instead)
MUTATIONS = {
    "wire takes what it would not send": (
        "wire", ["client/wire"], "client/wire/wire.c",
        "return is_zero(buf + done, l->size - done) ? 0 : WIRE_E_VALUE;", "return 0;"),
    "core gives more windows than slots": (
        "core", ["client/wire", "daemon/core"], "daemon/core/grant.c",
        "while (s->taken < s->max_concurrent &&", "while ("),
    "core lets windows be used when they are over": (
        "core", ["client/wire", "daemon/core"], "daemon/core/run.c",
        "begin->window == h->lease.id && at < h->lease.closes)", "begin->window == h->lease.id)"),
    "core forgets to end a window": (
        "core", ["client/wire", "daemon/core"], "daemon/core/lease.c",
        "action_add(s, h, type);", "if (reason != REASON_EXPIRED) action_add(s, h, type);"),
}


@pytest.mark.parametrize("what", MUTATIONS)
def test_notices_that(what, tmp_path):
    target, folders, file, line, instead = MUTATIONS[what]
    for folder in [*folders, "tests/fuzz", "tests/sim"]:
        shutil.copytree(SOURCE / folder, tmp_path / folder)
    text = (tmp_path / file).read_text()
    words = re.compile(r"\s*".join(re.escape(word) for word in line.split()))
    assert len(words.findall(text)) == 1, f"{file}: not there once: {line}"
    (tmp_path / file).write_text(words.sub(lambda _: instead, text))
    sources = [path for folder in folders for path in (tmp_path / folder).glob("*.c")]
    sources += [tmp_path / "tests/fuzz" / name for name in (f"{target}.c", "fuzz.c", "replay.c")]
    if target == "core":
        sources += [tmp_path / "tests/sim" / name for name in ("gates.c", "invariants.c", "model.c", "populate.c")]
    program = tmp_path / "replay"
    subprocess.run([*CC, "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-w", f"-I{tmp_path}", "-o", program,
                    *sources, "-lm"], check=True)
    done = replay(program, *inputs(target))
    assert done.returncode < 0, done.stdout[-4000:]
    assert "does not hold" in done.stdout or "Assertion" in done.stdout
