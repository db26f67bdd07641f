# SPDX-License-Identifier: MIT
"""
make bench BENCH=snapshot: a control loop of 100 Hz over a big live heap that makes cyclic garbage,
some of it old. With CPython's own collector, with none, and with snapshots under the real daemon.

Prints a table and writes JSON. A miss is a turn whose work ends after the next one was due.
"""

import json
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import bench  # noqa: E402

PERIOD = 0.01
MODES = ("default", "off", "snapshot")
COLUMNS = (  # heading, unit, key, digits
    ("misses/min", "", "misses_per_minute", 0), ("p99.9", "ms", "p999_ms", 1),
    ("longest", "ms", "longest_ms", 1), ("RSS growth", "MB", "rss_growth_mb", 0),
    ("fork", "us", "fork_max_us", 0))


def loop(mode, objects, seconds):
    """One run, in a process of its own; says what it saw as JSON."""
    import gc
    import random

    class Node:
        def __init__(self):
            self.me = self

    rng = random.Random(1)
    live = [[i] for i in range(objects - objects // 10)]
    cache = [Node() for _ in range(objects // 20)]
    gc.collect()
    if mode == "off":
        gc.disable()
    if mode == "snapshot":
        import rtgc

        rtgc.supervise(service="loop", collector="snapshot")
        while not rtgc.status()["supervised"]:
            time.sleep(0.01)
    page = os.sysconf("SC_PAGESIZE")

    def rss():
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * page

    begin_rss, misses, responses = rss(), 0, []
    due = time.monotonic() + PERIOD
    end = due + seconds
    while due < end:
        for _ in range(150):
            Node()                                       # young garbage
            cache[rng.randrange(len(cache))] = Node()    # evicts an old cycle
        done = time.monotonic()
        responses.append(done - due + PERIOD)
        misses += done > due
        if done > due:
            due = done
        if mode == "snapshot":
            rtgc.slack(due)
        left = due - time.monotonic()
        if left > 0:
            time.sleep(left)
        due += PERIOD
    responses.sort()
    said = {"mode": mode, "misses_per_minute": misses * 60 / seconds, "live": len(live),
            "p999_ms": responses[int(len(responses) * 0.999)] * 1000,
            "longest_ms": responses[-1] * 1000, "rss_begin_mb": begin_rss / 1e6,
            "rss_growth_mb": (rss() - begin_rss) / 1e6}
    if mode == "snapshot":
        status = rtgc.status()
        said.update(status["snapshots"], forced=status["forced"])
    print(json.dumps(said))


def measure(mode, objects, seconds):
    import harness  # of the build folder that bench.prepare() has named

    with harness.Daemon(config="") as d:
        env = d.env()
        command = [sys.executable, os.path.abspath(__file__), "--loop", mode, "--objects",
                   str(objects), "--seconds", str(seconds)]
        return json.loads(subprocess.run(command, env=env, check=True, capture_output=True).stdout)


def table(runs):
    head, units, keys, digits = zip(*COLUMNS)
    return bench.table(("collector", *head), ("", *units), [
        [mode, *(bench.number(figures.get(key), places) for key, places in zip(keys, digits))]
        for mode, figures in runs.items()])


def main():
    parser = bench.arguments("snapshot", __doc__)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--loop")
    args = parser.parse_args()
    if args.loop:
        loop(args.loop, args.objects, args.seconds)
        return 0
    bench.prepare(args)
    rounds = bench.interleaved(args, MODES, lambda mode, where, progress: measure(
        mode, args.objects, args.seconds))
    runs = {mode: bench.medians(measured, [key for *_, key, _ in COLUMNS if key in measured[0]])
            for mode, measured in rounds.items()}
    return bench.finish(args, table(runs), [row for i in range(args.rounds) for row in
                                            (rounds[mode][i] for mode in MODES)])


if __name__ == "__main__":
    bench.run("snapshot", main)
