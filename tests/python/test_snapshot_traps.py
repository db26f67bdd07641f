# SPDX-License-Identifier: MIT
"""A child that comes to grief, by the fault of some type in C: the program does not notice."""

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from textwrap import dedent

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from program import Program, environment, harness

CTL = os.path.join(harness.BUILDDIR, "rtgcctl")
INCLUDE = sysconfig.get_path("include")


@pytest.fixture(scope="module")
def daemon():
    with harness.Daemon(config="") as d:
        yield d


@pytest.fixture(scope="module")
def modules():
    """A folder with the module trap."""
    with tempfile.TemporaryDirectory(prefix="rtgc-test-") as folder:
        subprocess.run([*os.environ["CC"].split(), "-shared", "-fPIC", "-O1", "-I" + INCLUDE,
                        os.path.join(HERE, "trap.c"), "-o", os.path.join(folder, "trap.so")],
                       check=True)
        yield folder


START = """
import select, rtgc
from trap import Trap
died = 0
class Node:
    def __init__(self): self.me = self
    def __del__(self):
        global died
        died += 1

def litter(count=1000):
    "Old cycles, which are garbage from now on."
    nodes = [Node() for _ in range(count)]
    gc.collect(1)
"""


@pytest.fixture
def trace(daemon, tmp_path):
    """The daemon's events as they come, by a call."""
    path = tmp_path / "events"
    with open(path, "wb") as log:
        recorder = subprocess.Popen([CTL, "--control", daemon.control, "trace"], stdout=log)

    def events():
        return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]

    try:
        daemon.wait(lambda _: os.path.getsize(path) > 0, "somebody records")
        yield events
    finally:
        recorder.terminate()
        recorder.wait(60)


@pytest.mark.parametrize("how", ["crash", "hang", "spin"])
def test_traverse(daemon, modules, trace, how):
    """
    The snapshot is void, the daemon hears so, nothing is left behind. After three in a row none are
    tried any more: windows do.
    """
    env = environment(daemon.env(), RTGC_COLLECTOR="snapshot", RTGC_SNAPSHOT_LIMIT="1")
    env["PYTHONPATH"] += os.pathsep + modules
    with Program(START + dedent(f"""
    trap = Trap("{how}")
    gc.collect()
    full.clear()
    while not full or not full[-1][1]:
        if rtgc.status()["used"] < 0.95 * rtgc.status()["budget"]:
            litter()
        select.select([], [], [], 0.01)
    status = rtgc.status()
    with open(f"/proc/self/task/{{threading.get_native_id()}}/children") as file:
        left = file.read()
    say(left=left, died=died, status=status)
    sys.stdin.readline()
    """), env, launcher=("-m", "rtgc", "--service", f"trap-{how}")) as p:
        said = p.next()
        snapshots = said["status"]["snapshots"]
        assert (snapshots["taken"], snapshots["void"], snapshots["freed"]) == (3, 3, 0)
        assert "crashed, or took too long" in snapshots["refused"]
        assert said["left"] == "" and said["died"] >= 1000
        heap = next(h["id"] for h in daemon.heaps() if h["pid"] == p.pid)

        def failed():
            ends = [e for e in trace() if e.get("event") == "end" and e["heap"] == heap]
            return [e for e in ends if e["kind"] == "snapshot"]

        daemon.wait(lambda _: len(failed()) == 3, "the daemon has heard of all")
        assert all(e["failed"] and e["freed"] == 0 for e in failed())
        p.tell()


def test_young_generations_meanwhile(modules):
    """While a child runs, the program's young collections go on, and free what they always do."""
    env = environment(RTGC_SNAPSHOT_LIMIT="60")
    env["PYTHONPATH"] += os.pathsep + modules
    with Program(START + dedent("""
    import signal
    from rtgc import _rtgc
    rtgc.supervise(service="web", collector="snapshot")
    trap = Trap("hang")
    gc.collect()
    litter()
    assert _rtgc.snapshot_begin()
    before = [g["collections"] for g in gc.get_stats()]
    while gc.get_stats()[1]["collections"] < before[1] + 3:
        Node()                                  # young garbage
    after = [g["collections"] for g in gc.get_stats()]
    meanwhile, running = died, rtgc.status()["snapshots"]["running"]
    with open(f"/proc/self/task/{threading.get_native_id()}/children") as file:
        os.kill(int(file.read()), signal.SIGALRM)   # as its own alarm would
    while rtgc.status()["snapshots"]["running"]:
        _rtgc.snapshot_step()
    say(young=[a - b for a, b in zip(after, before)], died=meanwhile, running=running,
        void=rtgc.status()["snapshots"]["void"], found=gc.collect())
    """), env, launcher=()) as p:
        said = p.next()
    assert said["running"] and said["void"] == 1
    assert said["young"][0] >= 3 and said["young"][1] >= 3 and said["young"][2] == 0
    assert said["died"] > 2000 and said["found"] >= 1000


def test_free_threaded_builds_are_refused(tmp_path):
    """Against their headers it is not even compiled."""
    source = tmp_path / "module.c"
    source.write_text('#include "client/python/internal.h"\n')
    command = [*os.environ["CC"].split(), "-D_GNU_SOURCE", "-fsyntax-only", "-I" + harness.SRCDIR,
               "-I" + INCLUDE, str(source)]
    assert subprocess.run(command).returncode == 0
    refused = subprocess.run([*command, "-DPy_GIL_DISABLED=1"], capture_output=True, text=True)
    assert refused.returncode != 0 and "free-threaded" in refused.stderr
