# SPDX-License-Identifier: MIT
"""Pools of processes and of threads: every worker is supervised, collects in windows, and has its
own policy back when the daemon dies."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program, environment, harness, read_record

# A task grows its process's heap; the pool's owner goes on until every worker has collected twice.
TASKS = """
import concurrent.futures, gc, json, multiprocessing, os, sys, time
import rtgc

keep = []

def task(number):
    # Never to the ceiling: windows may come slowly.
    now = rtgc.status()
    if not now["supervised"] or now["used"] < 0.9 * now["budget"]:
        keep.append([[] for _ in range(300 if multiprocessing.parent_process() else 100)])
    time.sleep(0.003)
    status = rtgc.status()
    return (os.getpid(), status["collections_in_window"], status["forced"],
            status["uncoordinated"], status["service"], gc.get_threshold()[2])

def say(**values):
    print(json.dumps(values), flush=True)

def work(run, count):
    found = {}
    while len(found) < count or min(one[0] for one in found.values()) < 2:
        for pid, *one in run(task, range(20)):
            found[pid] = one
    say(found=list(found.values()), pids=list(found))
    sys.stdin.readline()
    back = {}
    while len(back) < count or max(back.values()) > 1000:
        for one in run(task, range(20)):
            back[one[0]] = one[-1]
    say(back=sorted(set(back.values())))
"""
PROCESSES = TASKS + """
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    if sys.argv[1] == "Pool":
        with context.Pool(2) as pool:
            work(pool.map, 2)
    else:
        with concurrent.futures.ProcessPoolExecutor(2, context) as pool:
            work(pool.map, 2)
"""
THREADS = TASKS + """
with concurrent.futures.ThreadPoolExecutor(3) as pool:
    work(pool.map, 1)
"""


@pytest.fixture
def daemon():
    with harness.Daemon(config="[Service:web]\nMaxConcurrent=1\n") as d:
        yield d


def check(daemon, record, p, workers):
    said = p.next()
    for collections, forced, uncoordinated, service, threshold in said["found"]:
        assert collections >= 2 and forced == uncoordinated == 0
        assert service == "web" and threshold > 1000
    assert len(said["pids"]) == workers
    daemon.kill()
    p.tell()
    assert p.next()["back"] == [10]
    lines = [line for line in read_record(record) if line["pid"] in said["pids"]]
    assert {line["cause"] for line in lines} <= {"window", "default"}


@pytest.mark.parametrize("kind,method", [
    ("Pool", "fork"), ("Pool", "spawn"), ("Executor", "forkserver"), ("Executor", "fork")])
def test_processes(daemon, tmp_path, kind, method):
    record = str(tmp_path / "record")
    with Program(PROCESSES, environment(daemon.env(), RTGC_RECORD=record),
                 arguments=[kind, method], launcher=("-m", "rtgc", "--service", "web"),
                 prelude=False) as p:
        check(daemon, record, p, 2)


def test_threads(daemon, tmp_path):
    record = str(tmp_path / "record")
    with Program(THREADS, environment(daemon.env(), RTGC_RECORD=record),
                 launcher=("-m", "rtgc", "--service", "web"), prelude=False) as p:
        check(daemon, record, p, 1)


def test_spawned_without_the_module(daemon, tmp_path):
    """A child that cannot import rtgc runs all the same."""
    with Program("""
import json, multiprocessing, os, sys
def child(queue):
    queue.put("rtgc" in sys.modules)
if __name__ == "__main__":
    from rtgc import _multiprocessing
    _multiprocessing.__file__ = "/nonexistent/rtgc/_multiprocessing.py"
    os.environ["PYTHONPATH"] = ""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    print(json.dumps({"there": queue.get()}), flush=True)
    process.join()
    sys.exit(process.exitcode)
""", environment(daemon.env()), launcher=("-m", "rtgc"), prelude=False) as p:
        assert p.next() == {"there": False}
