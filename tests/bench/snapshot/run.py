# SPDX-License-Identifier: MIT
"""
make bench BENCH=snapshot: where nothing can be drained for a pause. A control loop of 100 Hz (loop.py) over
one and over four million live objects, and one asyncio service alone (server.py) with some million, under
a constant load. With CPython's own collector, with none, and with snapshots under the real daemon.

Prints a table a case, medians of interleaved rounds, holds them against the goals, and writes JSON.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import bench  # noqa: E402
from processes import Process  # noqa: E402

MODES = ("default", "off", "snapshot")
CASES = {"loop-1M": 1_000_000, "loop-4M": 4_000_000, "server": None}
CACHED = 28_000  # products: a million tracked objects
RATE = 100
WARMUP = 5
START_TIMEOUT = 120


def measure_loop(args, daemon, mode, objects):
    command = [sys.executable, str(HERE / "loop.py"), "--mode", mode, "--objects", str(objects),
               "--seconds", str(args.seconds)]
    done = subprocess.run(command, env=daemon.env(), check=True, stdout=subprocess.PIPE)
    said = json.loads(done.stdout)
    said["misses_per_minute"] = said["misses"] * 60 / args.seconds
    return said


def rss_of(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def measure_server(args, daemon, mode, _):
    with tempfile.TemporaryDirectory(prefix="rtgc-bench-") as folder:
        report, log = os.path.join(folder, "report"), os.path.join(folder, "log")
        env = dict(daemon.env(), RTGC_RECORD=os.path.join(folder, "record"))
        server = Process("server", [
            sys.executable, str(HERE / "server.py"), "--mode", mode, "--report", report, "--port",
            "0", "--cached", str(CACHED), "--products", str(2 * CACHED)], log, env)
        try:
            address = server.wait_line("ready ", START_TIMEOUT).split()[1]
            begin_rss = rss_of(server.pid)
            load = subprocess.run([
                os.path.join(args.build, "tests", "bench", "rtgc-load"), "--rate", str(RATE),
                "--warmup", str(WARMUP), "--seconds", str(args.seconds), "--keys",
                str(2 * CACHED), address + "/page/%k"], check=True, stdout=subprocess.PIPE)
            said = {"rss_begin_bytes": begin_rss, "rss_end_bytes": rss_of(server.pid),
                    **json.loads(load.stdout)}
            server.signal(signal.SIGTERM)
            server.popen.wait(60)
        finally:
            server.stop()
        with open(report, encoding="utf-8") as file:
            said.update(json.load(file))
        if mode == "snapshot":
            with open(env["RTGC_RECORD"], encoding="utf-8") as file:
                said["collections"] = [line for line in map(json.loads, file)
                                       if said["begin_ns"] <= line["end_ns"]
                                       and line["begin_ns"] < said["end_ns"]]
            said["snapshots"] = stops_of(said["collections"])
    return said


def stops_of(collections):
    """As rtgc.status() has it, of the time that was measured."""
    forks = [line["fork_ns"] for line in collections if line["kind"] == "snapshot"]
    return {"taken": len(forks), "fork_max_us": max(forks, default=0) / 1000,
            "stop_max_us": max((line["stop_ns"] for line in collections), default=0) / 1000}


def measure(args, case, mode):
    import harness  # of the build folder that bench.prepare() has named

    how = measure_server if case == "server" else measure_loop
    with harness.Daemon(config="") as daemon:
        said = how(args, daemon, mode, CASES[case])
    return {**dict.fromkeys(("taken", "fork_ms", "stop_ms")), **flat(said)}


def flat(said):
    """With figures of which there are medians, None where there is none."""
    snapshots = said.get("snapshots")
    said["rss_growth_mb"] = (said["rss_end_bytes"] - said["rss_begin_bytes"]) / 1e6
    for name, count in said.get("misses_by", {}).items():
        said[f"misses_{name}"] = count
    if snapshots:
        said.update(taken=snapshots["taken"], fork_ms=snapshots["fork_max_us"] / 1000,
                    stop_ms=snapshots["stop_max_us"] / 1000)
        said["beyond_ms"] = max([(line["stop_ns"] - line["fork_ns"]) / 1e6
                                 for line in said.get("collections", ())], default=0)
    return said


# ---- What came out -------------------------------------------------------------------------

OF_ALL = (("RSS growth", "MB", "rss_growth_mb", 0), ("forks", "", "taken", 0),
          ("fork", "ms", "fork_ms", 1), ("longest stop", "ms", "stop_ms", 1))
OF_LOOPS = (("misses/min", "", "misses_per_minute", 1), ("by forks", "", "misses_forks", 0),
            ("woken late", "", "misses_woken", 0), ("p99.9", "ms", "p999_ms", 1),
            ("longest", "ms", "longest_ms", 1), *OF_ALL)
OF_SERVERS = (("p50", "ms", "p50_ms", 2), ("p99", "ms", "p99_ms", 1), ("p99.9", "ms", "p999_ms", 1),
              ("max", "ms", "max_ms", 1), *OF_ALL)


def table(case, rounds):
    head, units, keys, digits = zip(*(OF_SERVERS if case == "server" else OF_LOOPS))
    rows = []
    for mode, measured in rounds.items():
        figures = bench.medians(measured, keys)
        rows.append([mode, *(bench.number(figures[key], places)
                             for key, places in zip(keys, digits))])
    return f"{case}\n" + bench.table(("collector", *head), ("", *units), rows)


def mean(rounds, key):
    return sum(figures[key] for figures in rounds) / len(rounds)


def checks(case, rounds):
    off, ours = rounds.get("off"), rounds.get("snapshot")
    if not off or not ours:
        return []
    if case == "server":
        p999, floor = (bench.medians(r, ["p999_ms"])["p999_ms"] for r in (ours, off))
        return [bench.ratio("server: p99.9 by that without a collector", p999, floor, 3),
                bench.check("server: longest stop beyond that of its fork, ms",
                            max(figures["beyond_ms"] for figures in ours), "at most", 2)]
    forks = mean(ours, "taken") if case == "loop-4M" else 0
    return [bench.check(f"{case}: misses a run beyond those without a collector",
                        mean(ours, "misses") - mean(off, "misses"), "at most", forks)]


def main():
    parser = bench.arguments("snapshot", __doc__, rounds=3, strict=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--modes", default=",".join(MODES))
    args = bench.prepare(parser.parse_args())
    cases, modes = args.cases.split(","), args.modes.split(",")
    rounds = bench.interleaved(args, [f"{case} {mode}" for case in cases for mode in modes],
                               lambda name, where, progress: measure(args, *name.split()))
    rounds = {case: {mode: rounds[f"{case} {mode}"] for mode in modes} for case in cases}
    found = [check for case in cases for check in checks(case, rounds[case])]
    text = bench.text(*(table(case, rounds[case]) for case in cases), found and bench.verdict(found))
    return bench.finish(args, text, {"machine": bench.machine(), "seconds": args.seconds,
                                     "rounds": rounds, **bench.judged(found)})


if __name__ == "__main__":
    bench.run("snapshot", main)
