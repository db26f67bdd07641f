# SPDX-License-Identifier: MIT
"""How long the child of a snapshot takes to find what nothing refers to, and a window's collection to free it, against
gc.collect() of the same heap. The program is stopped by the first for a fork, and by the others for all of it; but while a child
looks, it takes a CPU, and pages that are written to are copied. A window's collection walks the heap itself, or
leaves it to CPython's, whichever it expects to be the shorter.

make bench BENCH=walk

records    dictionaries and lists as out of JSON, replaced at random
instances  of a class, with a list and a tuple each, replaced at random
nodes      with slots, made in a row and connected at random
fresh      out of JSON, where it was made: CPython's own is at its best
"""

import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import bench  # noqa: E402

SHAPES = ("records", "instances", "nodes", "fresh")
TIMES = 5
MOST = {"child": {"records": 1.0, "instances": 1.0, "nodes": 1.0}, "window": {"records": 0.7, "instances": 0.7, "nodes": 1.1, "fresh": 1.1}}
HEAD = ("heap", "objects", "child", "window", "gc.collect()", "child", "window")
UNITS = ("", "", "ms", "ms", "ms", "ratio", "ratio")


def measure(shape, args, env):
    done = subprocess.run([sys.executable, str(HERE / "walk_heap.py"), shape, str(args.objects), str(TIMES)],
                          env=env, capture_output=True, text=True)
    if done.returncode:
        raise bench.Failure(f"{shape} ended with {done.returncode}:\n{done.stderr}")
    said = json.loads(done.stdout)
    return {"objects": said["objects"], "child_ms": statistics.median(said["snapshots_ms"]), "walked": said["walked"],
            "window_ms": statistics.median(said["windows_ms"]),
            "collect_ms": statistics.median(said["collections_ms"])}


def main():
    parser = bench.arguments("walk", __doc__, rounds=3)
    parser.add_argument("--objects", type=int, default=1_000_000)
    args = bench.prepare(parser.parse_args())
    import harness  # of the build folder that bench.prepare() has named

    with harness.Daemon() as daemon:
        env = bench.environment(args, RTGC_SOCKET=daemon.env()["RTGC_SOCKET"])
        rounds = bench.interleaved(args, SHAPES, lambda shape, where, progress: measure(shape, args, env))
    shapes = {shape: bench.medians(measured) for shape, measured in rounds.items()}
    found = [bench.ratio(f"time, {shape}, {who} / gc.collect()", shapes[shape][f"{who}_ms"], shapes[shape]["collect_ms"], most)
             for who, goals in MOST.items() for shape, most in goals.items()]
    rows = [[shape, bench.number(one["objects"]), *(bench.number(one[f"{who}_ms"], 1) for who in ("child", "window", "collect")),
             *(f"{one[f'{who}_ms'] / one['collect_ms']:.2f}" for who in ("child", "window"))]
            for shape, one in shapes.items()]
    return bench.finish(args, bench.text(bench.table(HEAD, UNITS, rows), bench.verdict(found)), {
        "shapes": shapes, **bench.judged(found), "rounds": rounds, "machine": bench.machine()})


if __name__ == "__main__":
    bench.run("walk", main)
