# SPDX-License-Identifier: MIT
"""Hours: 500 clients for ten real minutes, and a host for 24 virtual hours with a restart of the daemon an hour.

make bench BENCH=soak
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "daemon"), str(HERE)]

import bench  # noqa: E402
from kills import rss_kib  # noqa: E402

PROCESSES, HEAPS = 10, 50


def slope(samples):
    """KiB a minute."""
    if len(samples) < 2:
        return 0.0
    return statistics.linear_regression(*zip(*samples)).slope * 60


def real(seconds, progress):
    import harness
    from swarming import Swarm, started_for

    with harness.Daemon(config="[Service:soak]\nMaxConcurrent=4\n") as d:
        # (So often that the history is full in the first quarter: until then it takes its room a page at a time.)
        swarms = [Swarm(started_for(d), "soak", HEAPS, 1_000_000, 250_000, 2_000) for _ in range(PROCESSES)]
        d.wait(lambda d: sum(swarm.ask() for swarm in swarms) == PROCESSES * HEAPS, "all have joined")
        begun = time.monotonic()
        samples = []
        while time.monotonic() - begun < seconds:
            time.sleep(min(10, seconds / 20))
            alive = sum(swarm.ask() for swarm in swarms)
            samples.append((time.monotonic() - begun, rss_kib(d.pid)))
            progress(f"{samples[-1][0]:.0f} s, {alive} supervised, {samples[-1][1]} KiB")
        status = d.call("GetStatus")
        later = samples[len(samples) // 4:]
        for swarm in swarms:
            swarm.finish()
        d.wait(lambda d: d.call("GetStatus")["heaps"] == 0, "all have left")
        d.stop()
        log = [line for line in d.log.splitlines() if "nobody waits" not in line and "calm again" not in line]
    return {"seconds": seconds, "clients": PROCESSES * HEAPS, "alive": alive, "windows": status["windows_granted"],
            "forced": status["forced"], "gates_opened": status["gates_opened"], "decision_p99_us": status["decision_p99_us"],
            "rss_first_kib": samples[0][1], "rss_last_kib": samples[-1][1],
            "slope_kib_per_min": slope(later), "log_lines": len(log)}


def virtual(hours):
    program = os.path.join(os.environ["RTGC_BUILDDIR"], "tests", "sim", "day")
    done = subprocess.run([program, str(hours)], stdout=subprocess.PIPE, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    later = lines[len(lines) // 4:]
    return {"hours": hours, "restarts": lines[-1]["restarts"], "deaths": lines[-1]["deaths"],
            "in_window": lines[-1]["in_window"], "forced": lines[-1]["forced"], "heap_last_kib": lines[-1]["bytes"] / 1024,
            "slope_kib_per_h": slope([(line["hour"] * 60, line["bytes"] / 1024) for line in later])}


def checks(found):
    """Of those of the two that were measured."""
    judged = []
    if "real" in found:
        real = found["real"]
        judged += [bench.check("real: growth, KiB a minute", real["slope_kib_per_min"], "at most", 8),
                   bench.check("real: times that the gates were open", real["gates_opened"], "at most", 0),
                   bench.check("real: lines of the log", real["log_lines"], "at most", 2),
                   bench.check("real: clients that are not supervised", real["clients"] - real["alive"], "at most", 0)]
    if "virtual" in found:
        judged.append(bench.check("virtual: growth, KiB an hour", found["virtual"]["slope_kib_per_h"], "at most", 8))
    return judged


def main():
    parser = bench.arguments("soak", __doc__, rounds=None)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--hours", type=int, default=24)
    args = bench.prepare(parser.parse_args())
    measure = {"virtual": lambda progress: virtual(args.hours), "real": lambda progress: real(args.seconds, progress)}
    rounds = bench.interleaved(args, list(measure), lambda name, where, progress: measure[name](progress))
    found = {name: measured[0] for name, measured in rounds.items()}
    judged = checks(found)
    return bench.finish(args, bench.text(str(found), bench.verdict(judged)), {**found, **bench.judged(judged)})


if __name__ == "__main__":
    bench.run("soak", main)
