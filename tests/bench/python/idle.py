# SPDX-License-Identifier: MIT
"""A live heap of a million objects, no garbage, and idle gaps everywhere: the case in which collecting
whenever there is time is known to hurt.

make bench BENCH=idle

default       CPython's own policy
off           no collector
rtgcd         under rtgcd, as it comes
rtgcd-idle    Policy=idle, which collects whenever the program says that it is idle, had it not learned
              that nothing comes of it

Two parts: the throughput, of runs one after the other; and how often the whole heap was collected, of
longer runs side by side, given for ten minutes (a shorter run counts too many: what is learned in it
helps in the rest).
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
HEAD = ("run", "requests", "/ off", "CPU", "full collections", "paused", "full in 10 min", "forced")
UNITS = ("", "1/s", "", "%", "", "ms/min", "", "")
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
    """All runs at once: nobody looks at the clock here."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        asked = {run: pool.submit(measure, run, args, args.count_seconds) for run in RUNS if run != "off"}
        return {run: future.result() for run, future in asked.items()}


def table(runs, counted):
    rows = []
    for run, figures in runs.items():
        long = counted.get(run, figures)
        rows.append([
            run, f"{figures['requests_per_s']:.1f}",
            f"{figures['requests_per_s'] / runs['off']['requests_per_s']:.3f}",
            f"{100 * figures['cpu_share']:.0f}", long["full"],
            f"{60e3 * long['paused_s'] / long['seconds']:.0f}",
            f"{long['full'] * TEN_MINUTES / long['seconds']:.1f}", bench.number(long["forced"])])
    return bench.table(HEAD, UNITS, rows)


def checks(runs, counted):
    found = []
    for run in CONFIG:
        long = counted[run]
        found += [
            bench.check(f"full collections in ten minutes, {run}",
                        long["full"] * TEN_MINUTES / long["seconds"], "at most", FULL_MOST),
            bench.check(f"throughput, {run} / off",
                        runs[run]["requests_per_s"] / runs["off"]["requests_per_s"], "at least",
                        THROUGHPUT_LEAST),
        ]
    return found


def draw(runs, counted, path):
    import bars  # imports matplotlib, which takes a second

    off = runs["off"]["requests_per_s"]
    bars.draw(
        path,
        ("Full collections in ten minutes", "of a heap without garbage", {
            run: long["full"] * TEN_MINUTES / long["seconds"] for run, long in counted.items()}, FULL_MOST, True),
        ("Throughput", "times that without a collector", {
            run: figures["requests_per_s"] / off for run, figures in runs.items()}, THROUGHPUT_LEAST, False))


def main():
    parser = bench.arguments("idle", __doc__, rounds=3)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=50_000, help="objects replaced a second")
    parser.add_argument("--seconds", type=float, default=20, help="of a run for the throughput")
    parser.add_argument("--count-seconds", type=float, default=TEN_MINUTES, help="of a run for the count")
    args = bench.prepare(parser.parse_args(), "idle.png")
    rounds = bench.interleaved(
        args, RUNS, lambda run, where, progress: measure(run, args, args.seconds))
    print(f"counting for {args.count_seconds:g} s", file=sys.stderr, flush=True)
    counted = count(args)
    runs = {run: bench.medians(measured) for run, measured in rounds.items()}
    found = checks(runs, counted)
    draw(runs, counted, args.results / "idle.png")
    return bench.finish(args, bench.text(table(runs, counted), bench.verdict(found)), {
        "runs": runs, "counted": counted, **bench.judged(found), "rounds": rounds,
        "parameters": {"objects": args.objects, "rate": args.rate, "seconds": args.seconds,
                       "count_seconds": args.count_seconds}, "machine": bench.machine()}, "idle.png")


if __name__ == "__main__":
    bench.run("idle", main)
