# SPDX-License-Identifier: MIT
"""Measures the service of the demo with the collector as it comes, switched off, with the
gc.freeze() recipe, and under rtgcd.

make demo              one round; the table, demo.json and timeline.png in demo-results/
make bench BENCH=demo  three interleaved rounds, medians, held against the goals
"""

import argparse
import json
import pathlib
import shutil
import signal
import sys

import report
from cluster import RUNS, Options
from measure import measure
from processes import Failure
from progress import Progress


def fresh(directory):
    """The results of before make way; whatever else lies in the folder stays."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("demo.json", "table.txt", "timeline.png"):
        (directory / name).unlink(missing_ok=True)
    shutil.rmtree(directory / "runs", ignore_errors=True)
    return directory


def all_rounds(args, options, directory):
    """Interleaved, so that an unrest of the machine meets all runs alike."""
    rounds = {run: [] for run in args.runs}
    progress = Progress(args.rounds * len(args.runs))
    try:
        for number in range(args.rounds):
            for run in args.runs:
                progress.begin(run if args.rounds == 1 else f"round {number + 1}, {run}")
                where = directory / "runs" / f"{run}-{number + 1}"
                where.mkdir(parents=True)
                rounds[run].append(measure(run, options, where, progress))
    finally:
        progress.end()
    return rounds


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="the build folder")
    parser.add_argument("--results", type=pathlib.Path, required=True, help="where they go")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--strict", action="store_true", help="status 1 when a goal is missed")
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=RUNS)
    parser.add_argument("--seconds", type=float, default=Options.seconds, help="of measured load")
    parser.add_argument("--warmup", type=float, default=Options.warmup, help="seconds before it")
    parser.add_argument("--rate", type=float, default=Options.rate, help="requests a second")
    parser.add_argument("--replicas", type=int, default=Options.replicas)
    parser.add_argument("--cached", type=int, default=Options.cached, help="products a replica")
    parser.add_argument("--products", type=int, default=Options.products, help="in the store")
    parser.add_argument("--seed", type=int, default=Options.seed)
    return parser.parse_args()


def main():
    args = arguments()
    options = Options(args.build.resolve(), args.replicas, args.cached, args.products, args.rate,
                      args.warmup, args.seconds, args.seed)
    directory = fresh(args.results.resolve())
    machine = report.machine(options)
    rounds = all_rounds(args, options, directory)
    runs = {run: report.median([one.figures for one in measured])
            for run, measured in rounds.items()}
    found = report.checks(runs, rounds)
    remarks = "\n".join([*report.start_up(rounds), report.noise(rounds)])
    text = "\n\n".join([report.table(runs), report.checks_table(found), remarks])
    print(text)
    (directory / "table.txt").write_text(text + "\n")
    document = report.document(runs, rounds, found, options, machine)
    (directory / "demo.json").write_text(json.dumps(document, indent=2) + "\n")
    written = ["demo.json", "table.txt"]
    if "default" in rounds and "rtgcd" in rounds:
        import plot  # imports matplotlib, which takes a second

        plot.timeline(rounds["default"][0], rounds["rtgcd"][0], directory / "timeline.png")
        written.append("timeline.png")
    print("\nWritten:", *(directory / name for name in written), sep="\n  ")
    return 1 if args.strict and not document["passed"] else 0


if __name__ == "__main__":
    # An end by SIGTERM takes the same way as one by Ctrl-C: through all clean-up.
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(143))
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"demo: {failure}")
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        sys.exit(130)
