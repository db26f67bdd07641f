# SPDX-License-Identifier: MIT
"""A live heap of a million objects, no garbage, and idle gaps everywhere: the case in which collecting
whenever there is time is known to hurt.

make bench BENCH=idle

default       CPython's own policy
off           no collector
rtgcd         under rtgcd, as it comes
rtgcd-idle    Policy=idle, which collects whenever the program says that it is idle, had it not learned
              that nothing comes of it

Two parts. Short runs one after the other show what a request takes of the CPU; of what rtgcd has learned, that
nothing is to be found here, they show nothing. The goals are for runs of ten minutes, all of them side by side, so that
a machine which is slower for some time is so for all: how often the whole heap was collected, and how many
requests were answered. (A shorter run counts too many collections: what is learned in it helps in the rest.)
"""

import concurrent.futures
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import bench  # noqa: E402

CONFIG = {"rtgcd": "", "rtgcd-idle": "[Service:idle]\nPolicy=idle\n"}
RUNS = ("default", "off", *CONFIG)
HEAD = ("run", "short run", "CPU a request", "requests", "/ off", "full collections", "paused", "full in 10 min", "forced")
UNITS = ("", "1/s", "ms", "1/s", "", "", "ms/min", "", "")
TEN_MINUTES = 600
FULL_MOST, THROUGHPUT_LEAST = 3, 0.99


def measure(run, args, seconds):
    import harness  # of the build folder that bench.prepare() has named

    def service(env, launcher=()):
        done = subprocess.run(
            [sys.executable, *launcher, str(HERE / "idle_app.py"), "rtgcd" if launcher else run, str(args.objects),
             str(args.rate), str(seconds)], env=env, capture_output=True, text=True)
        if done.returncode:
            raise bench.Failure(f"{run} ended with {done.returncode}:\n{done.stderr}")
        return {"forced": None, **json.loads(done.stdout)}

    if run not in CONFIG:
        return service(bench.environment(args))
    with harness.Daemon(config=CONFIG[run]) as daemon:
        env = bench.environment(args, RTGC_SOCKET=daemon.env()["RTGC_SOCKET"], RTGC_COLLECTOR="window")
        return service(env, ("-m", "rtgc", "--service", "idle"))


def count(args):
    """All runs at once."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        asked = {run: pool.submit(measure, run, args, args.count_seconds) for run in RUNS}
        return {run: future.result() for run, future in asked.items()}


def table(runs, counted):
    rows = []
    for run, figures in runs.items():
        long = counted[run]
        rows.append([
            run, f"{figures['requests_per_s']:.1f}",
            f"{1e3 * figures['cpu_share'] / figures['requests_per_s']:.2f}",
            f"{long['requests_per_s']:.1f}", f"{throughput(counted, run):.3f}", long["full"],
            f"{60e3 * long['paused_s'] / long['seconds']:.0f}",
            f"{long['full'] * TEN_MINUTES / long['seconds']:.1f}", bench.number(long["forced"])])
    return bench.table(HEAD, UNITS, rows)


def throughput(counted, run):
    return counted[run]["requests_per_s"] / counted["off"]["requests_per_s"]


def checks(counted):
    found = []
    for run in CONFIG:
        long = counted[run]
        found += [
            bench.check(f"full collections in ten minutes, {run}",
                        long["full"] * TEN_MINUTES / long["seconds"], "at most", FULL_MOST),
            bench.check(f"throughput, {run} / off", throughput(counted, run), "at least", THROUGHPUT_LEAST),
        ]
    return found


def draw(counted, path):
    import bars  # imports matplotlib, which takes a second

    bars.draw(
        path,
        ("Full collections in ten minutes", "of a heap without garbage", {
            run: long["full"] * TEN_MINUTES / long["seconds"] for run, long in counted.items()}, FULL_MOST, True),
        ("Throughput", "times that without a collector", {
            run: throughput(counted, run) for run in counted}, THROUGHPUT_LEAST, False))


def main():
    parser = bench.arguments("idle", __doc__, rounds=3)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=50_000, help="objects replaced a second")
    parser.add_argument("--seconds", type=float, default=20, help="of a short run")
    parser.add_argument("--count-seconds", type=float, default=TEN_MINUTES, help="of the runs side by side")
    args = bench.prepare(parser.parse_args(), "idle.png")
    rounds = bench.interleaved(
        args, RUNS, lambda run, where, progress: measure(run, args, args.seconds))
    print(f"counting for {args.count_seconds:g} s", file=sys.stderr, flush=True)
    counted = count(args)
    runs = {run: bench.medians(measured) for run, measured in rounds.items()}
    found = checks(counted)
    draw(counted, args.results / "idle.png")
    return bench.finish(args, bench.text(table(runs, counted), bench.verdict(found)), {
        "runs": runs, "counted": counted, **bench.judged(found), "rounds": rounds,
        "parameters": {"objects": args.objects, "rate": args.rate, "seconds": args.seconds,
                       "count_seconds": args.count_seconds}, "machine": bench.machine()}, "idle.png")


if __name__ == "__main__":
    bench.run("idle", main)
