# SPDX-License-Identifier: MIT
"""Replicas of the demo's service behind HAProxy, each with a million objects: every way to live with
CPython's collector that a team would try, and rtgcd's two.

make bench BENCH=replicas

default    CPython's own policy
off        no collector; its memory grows without end: the floor of latency
freeze     gc.collect(); gc.freeze(); gc.set_threshold(50_000) once it is up
by-hand    no collector but gc.collect() after every 1,000th answer, when that is out
rtgcd      windows, one replica at a time, drained at HAProxy first
snapshots  rtgcd's snapshots, each replica drained for it
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import bench  # noqa: E402
import report  # noqa: E402
from cluster import Options  # noqa: E402
from measure import measure  # noqa: E402

RUNS = ("default", "off", "freeze", "by-hand", "rtgcd", "snapshots")
OURS = ("rtgcd", "snapshots")


def checks(runs, rounds):
    default, off, found = runs.get("default"), runs.get("off"), []
    for name in [one for one in OURS if one in runs]:
        own = runs[name]
        if off:
            found += [
                bench.ratio(f"p99.9, {name} / off", own["p999_ms"], off["p999_ms"], 1.25),
                bench.check(f"max in ms, {name} (three times off's and 10 ms)", own["max_ms"],
                            "at most", 3 * off["max_ms"] + 10),
            ]
        if default:
            found.append(bench.ratio(f"RSS at the end, {name} / default", own["rss_end_bytes"],
                                     default["rss_end_bytes"], 1.08))
        found.append(
            bench.check(f"collections in each round, {name}", min(
                one.daemon["collections_counted"] + one.daemon["snapshots"] for one in rounds[name]),
                "at least", 1))
    failed = sum(one.load["errors"] for measured in rounds.values() for one in measured)
    return [*found, bench.check("failed requests, all runs", failed, "at most", 0)]


def arguments():
    parser = bench.arguments("replicas", __doc__, rounds=3)
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=RUNS)
    parser.add_argument("--seconds", type=float, default=30, help="of measured load")
    parser.add_argument("--rate", type=float, default=Options.rate, help="requests a second")
    parser.add_argument("--replicas", type=int, default=Options.replicas)
    parser.add_argument("--cached", type=int, default=36_000, help="products a replica")
    parser.add_argument("--products", type=int, default=144_000, help="in the store")
    return parser.parse_args()


def main():
    args = bench.prepare(arguments(), "timeline.png")
    options = Options(args.build, args.replicas, args.cached, args.products, args.rate,
                      seconds=args.seconds)
    machine = report.machine(options)
    rounds = bench.interleaved(
        args, args.runs, lambda run, where, progress: measure(run, options, where, progress))
    runs = {run: report.median([one.figures for one in measured])
            for run, measured in rounds.items()}
    found = checks(runs, rounds)
    pictures = []
    if "default" in rounds and "rtgcd" in rounds:
        import plot  # imports matplotlib, which takes a second

        plot.timeline(rounds["default"][0], rounds["rtgcd"][0], args.results / "timeline.png")
        pictures.append("timeline.png")
    return bench.finish(
        args, bench.text(report.table(runs), bench.verdict(found), report.noise(rounds)),
        report.document(runs, rounds, found, options, machine), *pictures)


if __name__ == "__main__":
    bench.run("replicas", main)
