# SPDX-License-Identifier: MIT
"""The figures of the demo as a table, held against their goals, and as JSON."""

import statistics
import subprocess
from importlib import metadata

import bench
from cluster import MAX_CONCURRENT
from measure import KEYS

MB = 1e6
HEAD = ("run", "p50", "p99", "p99.9", "max", "longest pause", "at once", "RSS start", "RSS end",
        "forced", "over limit")
UNITS = ("", "ms", "ms", "ms", "ms", "ms", "", "MB", "MB", "", "")


def median(rounds):
    """The median of each figure over the rounds; the worst where one time is one too many."""
    return bench.medians(rounds, KEYS, worst=("paused_max", "forced", "over_limit"))


def table(runs):
    def row(name, figures):
        milliseconds = [f"{figures[key]:.1f}" for key in KEYS[:5]]
        megabytes = [f"{figures[key] / MB:.0f}" for key in ("rss_start_bytes", "rss_end_bytes")]
        counts = [bench.number(figures[key]) for key in ("forced", "over_limit")]
        return [name, *milliseconds, figures["paused_max"], *megabytes, *counts]

    return bench.table(HEAD, UNITS, [row(name, figures) for name, figures in runs.items()])


def checks(runs, rounds):
    """The goals, by the figures of `runs`; what must never happen, by every one of the rounds
    (name of the run -> list of Measured)."""
    found = []
    ours, default, off = (runs.get(name) for name in ("rtgcd", "default", "off"))
    if ours and off:
        found.append(bench.ratio("p99.9, rtgcd / off", ours["p999_ms"], off["p999_ms"], 1.5))
    if ours and default:
        found += [
            bench.ratio("p99.9, rtgcd / default", ours["p999_ms"], default["p999_ms"], 1 / 30),
            bench.ratio("max, rtgcd / default", ours["max_ms"], default["max_ms"], 1 / 20),
            bench.ratio("RSS at the end, rtgcd / default",
                        ours["rss_end_bytes"], default["rss_end_bytes"], 1.10),
        ]
    if ours:
        found += [
            bench.check("full collections at once, rtgcd",
                        max(one.full_at_once for one in rounds["rtgcd"]), "at most", MAX_CONCURRENT),
            bench.check("forced, rtgcd", ours["forced"], "at most", 0),
            bench.check("over limit, rtgcd", ours["over_limit"], "at most", 0),
        ]
        disagree = sum(not one.daemon["counts_agree"] for one in rounds["rtgcd"])
        found.append(bench.check("rounds in which the daemon's count of full collections is not "
                                 "that of the processes", disagree, "at most", 0))
        idle = sum(not one.pauses for one in rounds["rtgcd"])
        found.append(bench.check("rounds without a full collection, rtgcd", idle, "at most", 0))
    failed = sum(one.load["errors"] for measured in rounds.values() for one in measured)
    found.append(bench.check("failed requests, all runs", failed, "at most", 0))
    return found


def start_up(rounds):
    """What filling and warming the caches took, before the load that the table is about."""
    counts = [one.daemon["status_warm"] for one in rounds.get("rtgcd", ())]
    if not counts:
        return []
    forced, over = (sum(count[key] for count in counts) for key in ("forced", "over_limit"))
    return ["While the replicas filled and warmed their caches, before the measured load: "
            f"{forced} forced, {over} over the limit (not in the table)."]


def noise(rounds):
    """How late the load program itself was: the machine's own unrest, in every latency here."""
    late = {name: statistics.median(one.load["send_lag_p999_ms"] for one in measured)
            for name, measured in rounds.items()}
    return "The load program itself ran late by (p99.9): " + ", ".join(
        f"{name} {ms:.1f} ms" for name, ms in late.items())


def machine(options):
    def version(*argv):
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.stdout.splitlines()[0].strip()

    return bench.machine(python=version(options.python, "--version"),
                         aiohttp=metadata.version("aiohttp"),
                         haproxy=version(options.haproxy, "-v"))


def document(runs, rounds, found, options, machine_facts):
    return {
        "runs": runs,
        **bench.judged(found),
        "rounds": [
            {name: {**measured[i].figures, "load": measured[i].load, "rtgcd": measured[i].daemon}
             for name, measured in rounds.items()}
            for i in range(len(next(iter(rounds.values()))))
        ],
        "parameters": {
            "replicas": options.replicas, "rate": options.rate, "seconds": options.seconds,
            "warmup": options.warmup, "cached": options.cached, "products": options.products,
            "seed": options.seed, "max_concurrent": MAX_CONCURRENT,
        },
        "machine": machine_facts,
    }
