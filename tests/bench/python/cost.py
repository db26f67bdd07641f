# SPDX-License-Identifier: MIT
"""What supervision itself costs while nothing is due: loops of small things under python3 -m rtgc
with a real daemon, against the same without, with a third threshold that is never reached.

make bench BENCH=cost

instructions  by callgrind, of a longer run less those of a shorter one: what starting takes is in both.
              They repeat to some thousandths, whatever else the machine does
time          of the loop alone, the median of many short runs in turn
"""

import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import bench  # noqa: E402

# Loop -> how often for a time worth measuring, and for callgrind.
TIMES = {"allocation": (60_000, 3_000), "churn": (60_000, 3_000), "calls": (60_000, 2_000), "dicts": (100_000, 4_000), "echo": (10_000, 500)}
LAUNCHER = {"plain": (), "rtgcd": ("-m", "rtgc", "--service", "cost")}
MOST = 1.01
HEAD = ("loop", "instructions each", "with rtgcd", "ratio", "time each", "with rtgcd", "ratio")
UNITS = ("", "thousands", "thousands", "", "us", "us", "")


def command(run, loop, times):
    """run: one of LAUNCHER, or "disabled": without any collector."""
    return [sys.executable, *LAUNCHER.get(run, ()), str(HERE / "cost_loops.py"), loop, str(times),
            *(["disabled"] if run == "disabled" else [])]


def said_by(done, what):
    if done.returncode:
        raise bench.Failure(f"{what} ended with {done.returncode}:\n{done.stderr}")
    said = json.loads(done.stdout)
    if said["full"]:
        raise bench.Failure(f"{what}: {said['full']} full collections, where nothing was to be due")
    return said


def seconds(run, loop, times, env):
    done = subprocess.run(command(run, loop, times), env=env, capture_output=True, text=True)
    return said_by(done, f"{loop}, {run}")["seconds"]


def instructions(run, loop, times, env):
    """Of the whole process, with all of its threads. (The trial of snapshots at its start forks as
    valgrind cannot.)"""
    env = {**env, "RTGC_COLLECTOR": "window"}
    done = subprocess.run(
        [os.environ.get("VALGRIND", "valgrind"), "--tool=callgrind", "--callgrind-out-file=/dev/null",
         *command(run, loop, times)], env=env, capture_output=True, text=True)
    said_by(done, f"{loop}, {run} under callgrind")
    for line in done.stderr.splitlines():
        if "Collected" in line:
            return int(line.split(":")[1].replace(",", ""))
    raise bench.Failure(f"callgrind said nothing of instructions:\n{done.stderr}")


def per_turn(run, loop, few, env):
    """Instructions of one turn of the loop."""
    counted = [instructions(run, loop, n, env) for n in (few, 3 * few)]
    return (counted[1] - counted[0]) / (2 * few)


def measure(run, args, env, progress):
    figures = {}
    for loop in args.loops:
        progress(loop)
        times, few = TIMES[loop]
        figures[loop + "_us"] = seconds(run, loop, times, env) / times * 1e6
        if args.counted is None or (run, loop) in args.counted:
            continue
        args.counted[run, loop] = per_turn(run, loop, few, env)
    return figures


def rows_and_checks(loops, runs, counted):
    rows, found = [], []
    for loop in loops:
        time = [runs[run][loop + "_us"] for run in LAUNCHER]
        count = [counted and counted[run, loop] / 1e3 for run in LAUNCHER]
        ratio = count[1] / count[0] if counted else None
        rows.append([loop, *(bench.number(one, 2) for one in count), bench.number(ratio, 4),
                     *(bench.number(one, 2) for one in time), f"{time[1] / time[0]:.3f}"])
        if counted:
            found.append(bench.ratio(f"instructions, {loop}, rtgcd / plain", count[1], count[0], MOST))
        found.append(bench.ratio(f"time, {loop}, rtgcd / plain", time[1], time[0], MOST))
    return rows, found


def draw(loops, runs, counted, path):
    import bars  # imports matplotlib, which takes a second

    parts = [("Time of a loop, with rtgcd", "times that without", {
        loop: runs["rtgcd"][loop + "_us"] / runs["plain"][loop + "_us"] for loop in loops}, MOST, True)]
    if counted:
        parts.insert(0, ("Instructions, with rtgcd", "times those without", {
            loop: counted["rtgcd", loop] / counted["plain", loop] for loop in loops}, MOST, True))
    bars.draw(path, *parts)


def main():
    parser = bench.arguments("cost", __doc__, rounds=9)
    parser.add_argument("--loops", nargs="+", choices=TIMES, default=list(TIMES))
    parser.add_argument("--no-callgrind", action="store_true", help="time alone")
    args = bench.prepare(parser.parse_args(), "cost.png")
    args.counted = None if args.no_callgrind else {}
    import harness  # of the build folder that bench.prepare() has named

    with harness.Daemon() as daemon:
        env = bench.environment(args, PYTHONHASHSEED="0", RTGC_SOCKET=daemon.env()["RTGC_SOCKET"])
        rounds = bench.interleaved(
            args, LAUNCHER, lambda run, where, progress: measure(run, args, env, progress))
    runs = {run: bench.medians(measured) for run, measured in rounds.items()}
    rows, found = rows_and_checks(args.loops, runs, args.counted)
    draw(args.loops, runs, args.counted, args.results / "cost.png")
    counted = {run: {loop: args.counted[run, loop] for loop in args.loops} for run in LAUNCHER} \
        if args.counted else None
    return bench.finish(args, bench.text(bench.table(HEAD, UNITS, rows), bench.verdict(found)), {
        "runs": runs, "instructions": counted, **bench.judged(found), "rounds": rounds,
        "machine": bench.machine()}, "cost.png")


if __name__ == "__main__":
    bench.run("cost", main)
