# SPDX-License-Identifier: MIT
"""Measures the service of the demo with the collector as it comes, switched off, with the
gc.freeze() recipe, and under rtgcd.

make demo              one round; in demo-results/ the table, demo.json, the timeline before and after as
                       pictures and as a page to look into, the event logs it was made from, and what
                       happened under rtgcd as a trace for Perfetto
make bench BENCH=demo  three interleaved rounds, medians, held against the goals
"""

import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import bench  # noqa: E402
import report  # noqa: E402
import trace_events  # noqa: E402
from cluster import RUNS, Options  # noqa: E402
from measure import measure  # noqa: E402


PICTURES = ("timeline.png", "before.png", "after.png", "timeline.html", "default.events", "rtgcd.events",
            "trace.json")


def arguments():
    parser = bench.arguments("demo", __doc__, strict=True)
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=RUNS)
    parser.add_argument("--seconds", type=float, default=Options.seconds, help="of measured load")
    parser.add_argument("--warmup", type=float, default=Options.warmup, help="seconds before it")
    parser.add_argument("--rate", type=float, default=Options.rate, help="requests a second")
    parser.add_argument("--replicas", type=int, default=Options.replicas)
    parser.add_argument("--cached", type=int, default=Options.cached, help="products a replica")
    parser.add_argument("--products", type=int, default=Options.products, help="in the store")
    parser.add_argument("--seed", type=int, default=Options.seed)
    parser.add_argument("--timeout", type=float, default=Options.timeout, help="seconds, of a request")
    return parser.parse_args()


def main():
    args = bench.prepare(arguments(), *PICTURES)
    options = Options(args.build, args.replicas, args.cached, args.products, args.rate,
                      args.warmup, args.seconds, args.seed, args.timeout)
    machine = report.machine(options)
    rounds = bench.interleaved(
        args, args.runs, lambda run, where, progress: measure(run, options, where, progress))
    runs = {run: report.median([one.figures for one in measured])
            for run, measured in rounds.items()}
    found = report.checks(runs, rounds)
    pictures = []
    if "default" in rounds and "rtgcd" in rounds:
        import plot  # imports matplotlib, which takes a second

        before, after = rounds["default"][0], rounds["rtgcd"][0]
        png, before_png, after_png, html, *logs, trace = (args.results / name for name in PICTURES)
        plot.timeline(before, after, png, before_png, after_png)
        trace_events.of_records(before, logs[0])
        trace_events.of_the_daemon(after.events, after, logs[1])
        trace_events.draw(args.build, logs, html)
        shutil.copy(after.trace, trace)
        pictures += PICTURES
    remarks = "\n".join([*report.start_up(rounds), report.noise(rounds)])
    return bench.finish(
        args, bench.text(report.table(runs), bench.verdict(found), remarks),
        report.document(runs, rounds, found, options, machine), *pictures)


if __name__ == "__main__":
    bench.run("demo", main)
