# SPDX-License-Identifier: MIT
"""
The random graphs of graph.py under a daemon that opens windows as often as it can, held
against the plain collector with the same seeds: the same must be freed.

    python3 tests/python/stress/stress.py --build . [--operations N] [--seeds N] [--results DIR]
"""

import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(os.path.dirname(HERE)), "bench")]
import bench

NAMES = ("seed", "collector", "operations", "seconds", "full", "collections_in_window", "forced",
         "uncoordinated", "snapshots", "freed")
LIMIT = 3600  # seconds, for a program that hangs


def run(env, seed, operations, collector=None):
    """What graph.py said: its checkpoints, and its last words."""
    command = [os.environ.get("PYTHON", "/usr/bin/python3"), "-B", os.path.join(HERE, "graph.py"),
               "--seed", str(seed), "--operations", str(operations)]
    if collector:
        command += ["--collector", env["RTGC_COLLECTOR"]]
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=LIMIT)
    if done.returncode or done.stderr:
        raise bench.Failure(f"seed {seed}, {collector or 'plain'}: ended with {done.returncode}\n"
                     f"{done.stderr[-4000:]}")
    *checkpoints, last = [json.loads(text) for text in done.stdout.splitlines()]
    return checkpoints, last


def difference(plain, ours):
    """The first checkpoint that differs, in words; None: there is none."""
    for at, (a, b) in enumerate(zip(plain, ours)):
        for key in a:
            if a[key] != b[key]:
                if isinstance(a[key], int):
                    return f"checkpoint {at}: {key}: {a[key]}, ours {b[key]}"
                only = sorted(set(a[key]) - set(b[key]))[:10], sorted(set(b[key]) - set(a[key]))[:10]
                return f"checkpoint {at}: {key}: plain only {only[0]}, ours only {only[1]}"
    return None if len(plain) == len(ours) else "one has more checkpoints"


def compare(daemon, seed, operations, which):
    """One seed with the plain collector and with each of ours. Returns the rows of a table;
    raises bench.Failure."""
    from program import environment

    plain, last = run(environment(daemon.env()), seed, operations)
    rows = [{"seed": seed, "collector": "plain", "operations": operations, "full": last["full"],
             "seconds": round(last["seconds"], 2)}]
    for collector in which:
        ours, last = run(environment(daemon.env(), **which[collector]), seed, operations, collector)
        found = difference(plain, ours)
        if found:
            raise bench.Failure(f"seed {seed}, {collector}: {found}")
        status = last["status"]
        row = {"seed": seed, "collector": collector, "operations": operations,
               "full": last["full"], "seconds": round(last["seconds"], 2)}
        for key in ("collections_in_window", "forced", "uncoordinated"):
            row[key] = status[key]
        row["snapshots"] = status["snapshots"]["taken"]
        row["freed"] = sum(len(point["finalized"]) + len(point["called"]) + len(point["cleared"])
                           for point in ours)
        rows.append(row)
    return rows


def table(rows):
    return bench.table(NAMES, (), [[row.get(name, "") for name in NAMES] for row in rows])


def main():
    parser = bench.arguments("stress", __doc__, rounds=None)
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--seeds", type=int, default=3)
    options = bench.prepare(parser.parse_args())
    from busy import COLLECTORS, CONFIG
    from program import harness

    first = int(time.time())
    seeds = {f"seed {seed}": seed for seed in range(first, first + options.seeds)}
    with harness.Daemon(config=CONFIG) as daemon:
        rounds = bench.interleaved(options, seeds, lambda name, where, progress: compare(
            daemon, seeds[name], options.operations, COLLECTORS))
    rows = [row for measured in rounds.values() for row in measured[0]]
    same = f"{options.seeds} seeds of {options.operations} operations: the same was freed"
    return bench.finish(options, bench.text(table(rows), same), rows)


if __name__ == "__main__":
    bench.run("stress", main)
