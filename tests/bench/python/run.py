# SPDX-License-Identifier: MIT
"""All that is promised of Python, measured: the benchmarks below one after the other, their tables, and
all goals in one.

make bench BENCH=python        (each part is a benchmark of its own as well: make bench BENCH=replicas)

replicas   replicas behind HAProxy            gunicorn   pre-fork workers on one socket
snapshot   loops that nobody can drain        idle       a big heap without garbage
together   ranks in lockstep                  cost       supervision with nothing due
summary    heap_summary() and its peers       pool       Pool against objects made anew
"""

import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import bench  # noqa: E402

PARTS = {
    "replicas": "python/replicas.py", "gunicorn": "gunicorn/run.py", "snapshot": "snapshot/run.py",
    "idle": "python/idle.py", "together": "ranks/run.py", "cost": "python/cost.py",
    "summary": "api/summary.py", "pool": "api/pool.py",
}


def result(args, part):
    """What the part has written; None: nothing yet."""
    try:
        return json.loads((args.results / part / f"{part}.json").read_text())
    except FileNotFoundError:
        return None


def run_part(args, part):
    rounds = ["--rounds", str(args.rounds)] if args.rounds else []
    status = subprocess.run(
        [sys.executable, "-B", str(HERE.parent / PARTS[part]), "--build", str(args.build),
         "--results", str(args.results / part), *rounds], stdout=subprocess.DEVNULL).returncode
    if result(args, part) is None:
        raise bench.Failure(f"{part} ended with {status}")


def main():
    parser = bench.arguments("python", __doc__, rounds=None)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, help="of each part (default: as many as it takes by itself)")
    parser.add_argument("--keep", action="store_true", help="parts that have results are not run again")
    args = bench.prepare(parser.parse_args())
    texts, found = [], []
    for part in args.parts:
        if not (args.keep and result(args, part)):
            run_part(args, part)
        texts.append(f"==== {part}\n\n" + (args.results / part / "table.txt").read_text())
        said = result(args, part)
        for check in said["checks"] if isinstance(said, dict) else ():
            found.append({**check, "name": f"{part}: {check['name']}"})
    if found:
        texts.append("==== all goals\n\n" + bench.verdict(found))
    return bench.finish(args, bench.text(*texts), {"parts": args.parts, **bench.judged(found)})


if __name__ == "__main__":
    bench.run("python", main)
