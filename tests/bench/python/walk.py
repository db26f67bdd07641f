# SPDX-License-Identifier: MIT
"""How long the child of a snapshot takes to find what nothing refers to, against gc.collect() of the
same heap. The program is stopped by the one for a fork, and by the other for all of it; but while a child looks,
it takes a CPU, and pages that are written to are copied.

make bench BENCH=walk

records    dictionaries and lists as out of JSON, replaced at random
instances  of a class, with a list and a tuple each, replaced at random
nodes      with slots, made in a row and connected at random
"""

import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import bench  # noqa: E402

SHAPES = ("records", "instances", "nodes")
TIMES = 5
MOST = 1.0
HEAD = ("heap", "objects", "child", "gc.collect()", "ratio")
UNITS = ("", "", "ms", "ms", "")


def measure(shape, args, env):
    done = subprocess.run([sys.executable, str(HERE / "walk_heap.py"), shape, str(args.objects), str(TIMES)],
                          env=env, capture_output=True, text=True)
    if done.returncode:
        raise bench.Failure(f"{shape} ended with {done.returncode}:\n{done.stderr}")
    said = json.loads(done.stdout)
    return {"objects": said["objects"], "child_ms": statistics.median(said["snapshots_ms"]),
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
    found = [bench.ratio(f"time, {shape}, child / gc.collect()", one["child_ms"], one["collect_ms"], MOST)
             for shape, one in shapes.items()]
    rows = [[shape, bench.number(one["objects"]), bench.number(one["child_ms"], 1),
             bench.number(one["collect_ms"], 1), f"{one['child_ms'] / one['collect_ms']:.2f}"]
            for shape, one in shapes.items()]
    return bench.finish(args, bench.text(bench.table(HEAD, UNITS, rows), bench.verdict(found)), {
        "shapes": shapes, **bench.judged(found), "rounds": rounds, "machine": bench.machine()})


if __name__ == "__main__":
    bench.run("walk", main)
