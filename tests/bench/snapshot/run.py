# SPDX-License-Identifier: MIT
"""
make bench BENCH=snapshot: a control loop of 100 Hz over a big live heap that makes cyclic garbage,
some of it old. With CPython's own collector, with none, and with snapshots under the real daemon.

Prints a table and writes JSON. A miss is a turn whose work ends after the next one was due.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PERIOD = 0.01
MODES = ("default", "off", "snapshot")


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


def measure(build, mode, objects, seconds):
    sys.path.insert(0, os.path.join(os.environ["RTGC_SRCDIR"], "tests"))
    import harness

    with harness.Daemon(config="") as d:
        env = d.env()
        command = [sys.executable, os.path.abspath(__file__), "--loop", mode, "--objects",
                   str(objects), "--seconds", str(seconds)]
        return json.loads(subprocess.run(command, env=env, check=True, capture_output=True).stdout)


def table(rows):
    head = ("collector", "misses/min", "p99.9 ms", "longest ms", "RSS growth MB", "fork ms")
    lines = [head]
    for mode in MODES:
        of = [r for r in rows if r["mode"] == mode]

        def median(key):
            return statistics.median(r[key] for r in of)

        fork = f"{median('fork_max_us') / 1000:.1f}" if mode == "snapshot" else "-"
        lines.append((mode, f"{median('misses_per_minute'):.0f}", f"{median('p999_ms'):.1f}",
                      f"{median('longest_ms'):.1f}", f"{median('rss_growth_mb'):.0f}", fork))
    for line in lines:
        print("  ".join(f"{cell:>13}" for cell in line))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=".")
    parser.add_argument("--results", default="bench-results/snapshot")
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--loop")
    given = parser.parse_args()
    if given.loop:
        loop(given.loop, given.objects, given.seconds)
        return
    os.environ["RTGC_BUILDDIR"] = os.path.abspath(given.build)
    os.environ["RTGC_SRCDIR"] = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
    rows = [measure(given.build, mode, given.objects, given.seconds)
            for _ in range(given.rounds) for mode in MODES]
    os.makedirs(given.results, exist_ok=True)
    with open(os.path.join(given.results, "snapshot.json"), "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)
    table(rows)


if __name__ == "__main__":
    main()
