# SPDX-License-Identifier: MIT
"""The figures of the demo as a table, held against their goals, and as JSON."""

import os
import platform
import statistics
import subprocess
from importlib import metadata

from cluster import MAX_CONCURRENT
from measure import KEYS

MB = 1e6
COLUMNS = (
    ("run", 8), ("p50", 8), ("p99", 8), ("p99.9", 8), ("max", 8), ("longest pause", 14),
    ("at once", 8), ("RSS start", 10), ("RSS end", 8), ("forced", 7), ("over limit", 11),
)
UNITS = ("", "ms", "ms", "ms", "ms", "ms", "", "MB", "MB", "", "")


def median(rounds):
    """The median of each figure over the rounds; the worst where one time is one too many."""
    middle = {}
    for key in KEYS:
        values = [figures[key] for figures in rounds]
        if None in values:
            middle[key] = None
        elif key in ("paused_max", "forced", "over_limit"):
            middle[key] = max(values)
        else:
            middle[key] = statistics.median(values)
    return middle


def table(runs):
    def row(cells):
        return "".join(str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
                       for i, (cell, (_, width)) in enumerate(zip(cells, COLUMNS))).rstrip()

    lines = [row(name for name, _ in COLUMNS), row(UNITS)]
    lines.append("-" * max(map(len, lines)))
    for name, figures in runs.items():
        milliseconds = [f"{figures[key]:.1f}" for key in KEYS[:5]]
        megabytes = [f"{figures[key] / MB:.0f}" for key in ("rss_start_bytes", "rss_end_bytes")]
        counts = ["-" if figures[key] is None else figures[key]
                  for key in ("forced", "over_limit")]
        lines.append(row([name, *milliseconds, figures["paused_max"], *megabytes, *counts]))
    return "\n".join(lines)


def _ratio(name, value, base, limit):
    ratio = value / base if base else float("inf")
    return {"name": name, "value": round(ratio, 4), "limit": round(limit, 4), "pass": ratio <= limit}


def _at_most(name, value, limit):
    return {"name": name, "value": value, "limit": limit, "pass": value <= limit}


def checks(runs, rounds):
    """The goals, by the figures of `runs`; what must never happen, by every one of the rounds
    (name of the run -> list of Measured)."""
    found = []
    ours, default, off = (runs.get(name) for name in ("rtgcd", "default", "off"))
    if ours and off:
        found.append(_ratio("p99.9, rtgcd / off", ours["p999_ms"], off["p999_ms"], 1.5))
    if ours and default:
        found += [
            _ratio("p99.9, rtgcd / default", ours["p999_ms"], default["p999_ms"], 1 / 30),
            _ratio("max, rtgcd / default", ours["max_ms"], default["max_ms"], 1 / 20),
            _ratio("RSS at the end, rtgcd / default",
                   ours["rss_end_bytes"], default["rss_end_bytes"], 1.10),
        ]
    if ours:
        found += [
            _at_most("full collections at once, rtgcd",
                     max(one.full_at_once for one in rounds["rtgcd"]), MAX_CONCURRENT),
            _at_most("forced, rtgcd", ours["forced"], 0),
            _at_most("over limit, rtgcd", ours["over_limit"], 0),
        ]
        disagree = sum(not one.daemon["counts_agree"] for one in rounds["rtgcd"])
        found.append(_at_most("rounds in which the daemon's count of full collections is not that "
                              "of the processes", disagree, 0))
        idle = sum(not one.pauses for one in rounds["rtgcd"])
        found.append(_at_most("rounds without a full collection, rtgcd", idle, 0))
    failed = sum(one.load["errors"] for measured in rounds.values() for one in measured)
    found.append(_at_most("failed requests, all runs", failed, 0))
    return found


def checks_table(found):
    width = max(len(check["name"]) for check in found)
    return "\n".join(f"{'ok    ' if check['pass'] else 'MISSED'}  {check['name']:{width}}  "
                     f"{check['value']:>8g}  (goal: at most {check['limit']:g})" for check in found)


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

    with open("/proc/cpuinfo") as cpuinfo:
        models = [line.split(":")[1].strip() for line in cpuinfo if line.startswith("model name")]
    with open("/proc/meminfo") as meminfo:
        memory = int(meminfo.readline().split()[1]) * 1024
    return {
        "cpus": len(os.sched_getaffinity(0)), "cpu": models[0] if models else platform.machine(),
        "memory_bytes": memory, "kernel": platform.release(), "load_average": os.getloadavg(),
        "python": version(options.python, "--version"), "aiohttp": metadata.version("aiohttp"),
        "haproxy": version(options.haproxy, "-v"),
    }


def document(runs, rounds, found, options, machine_facts):
    return {
        "runs": runs,
        "checks": found,
        "passed": all(check["pass"] for check in found),
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
