# SPDX-License-Identifier: MIT
"""
make bench BENCH=snapshot: where nothing can be drained for a pause. A control loop of 100 Hz (loop.py) over
one and over four million live objects, and one asyncio service alone (server.py) with some million, under
a constant load. With CPython's own collector, with none, and with snapshots under the real daemon.

Prints a table a case, medians of interleaved rounds, holds them against the goals, and writes JSON.
"""

import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "demo"))

from processes import Process  # noqa: E402

MODES = ("default", "off", "snapshot")
CASES = {"loop-1M": 1_000_000, "loop-4M": 4_000_000, "server": None}
CACHED = 28_000  # products: a million tracked objects
RATE = 100
WARMUP = 5
START_TIMEOUT = 120


def measure_loop(given, daemon, mode, objects):
    command = [sys.executable, str(HERE / "loop.py"), "--mode", mode, "--objects", str(objects),
               "--seconds", str(given.seconds)]
    done = subprocess.run(command, env=daemon.env(), check=True, stdout=subprocess.PIPE)
    said = json.loads(done.stdout)
    said["misses_per_minute"] = said["misses"] * 60 / given.seconds
    return said


def rss_of(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def measure_server(given, daemon, mode, _):
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
                os.path.join(given.build, "tests", "bench", "rtgc-load"), "--rate", str(RATE),
                "--warmup", str(WARMUP), "--seconds", str(given.seconds), "--keys",
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


def measure(given, case, mode):
    import harness

    how = measure_server if case == "server" else measure_loop
    with harness.Daemon(config="") as daemon:
        said = how(given, daemon, mode, CASES[case])
    return {"case": case, "mode": mode, "seconds": given.seconds, **said}


# ---- What came out -------------------------------------------------------------------------

def median(rows, key):
    return statistics.median(key(row) for row in rows)


def forks(row):
    return row["snapshots"]["taken"]


def print_table(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths)))


def columns(case):
    """Heading, whether snapshots alone have it, format, what."""
    growth = ("RSS growth MB", False, ".0f",
              lambda r: (r["rss_end_bytes"] - r["rss_begin_bytes"]) / 1e6)
    of_snapshots = [
        ("forks", True, ".0f", forks),
        ("fork ms", True, ".1f", lambda r: r["snapshots"]["fork_max_us"] / 1000),
        ("stop ms", True, ".1f", lambda r: r["snapshots"]["stop_max_us"] / 1000),
    ]
    if case == "server":
        return [("p50 ms", False, ".2f", lambda r: r["p50_ms"]),
                ("p99 ms", False, ".1f", lambda r: r["p99_ms"]),
                ("p99.9 ms", False, ".1f", lambda r: r["p999_ms"]),
                ("max ms", False, ".1f", lambda r: r["max_ms"]), growth, *of_snapshots]
    return [("misses/min", False, ".1f", lambda r: r["misses_per_minute"]),
            ("by forks", True, ".0f", lambda r: r["misses_by"]["forks"]),
            ("woken late", False, ".0f", lambda r: r["misses_by"]["woken"]),
            ("p99.9 ms", False, ".1f", lambda r: r["p999_ms"]),
            ("longest ms", False, ".1f", lambda r: r["longest_ms"]), growth, *of_snapshots]


def table(case, by_mode):
    wanted = columns(case)
    lines = [("collector", *(heading for heading, *_ in wanted))]
    for mode, rows in by_mode.items():
        cells = ["-" if only and mode != "snapshot" else format(median(rows, what), form)
                 for _, only, form, what in wanted]
        lines.append((mode, *cells))
    print_table(lines)


def goals(case, by_mode):
    """What was promised, what came out, whether it holds."""
    off, rows = by_mode.get("off"), by_mode.get("snapshot")
    if not off or not rows:
        return []
    if case == "server":
        p999, floor = (median(r, lambda row: row["p999_ms"]) for r in (rows, off))
        beyond = max(line["stop_ns"] - line["fork_ns"] for row in rows
                     for line in row["collections"]) / 1e6
        return [(f"p99.9 at most 3 times that without a collector: {p999 / floor:.1f} times",
                 p999 <= 3 * floor),
                (f"longest stop at most the fork's and 2 ms: {beyond:.1f} ms more", beyond <= 2)]
    more = (sum(row["misses"] for row in rows) / len(rows)
            - sum(row["misses"] for row in off) / len(off))
    each = 0 if case == "loop-1M" else sum(map(forks, rows)) / len(rows)
    return [(f"at most {each:.0f} misses a run more than without a collector: {more:+.1f}", more <= each)]


def judge(all_rows):
    held = True
    for case in CASES:
        by_mode = {mode: [r for r in all_rows if (r["case"], r["mode"]) == (case, mode)]
                   for mode in MODES}
        by_mode = {mode: rows for mode, rows in by_mode.items() if rows}
        if not by_mode:
            continue
        rounds = max(map(len, by_mode.values()))
        print(f"\n{case}: medians of {rounds} runs of {all_rows[0]['seconds']:.0f} s")
        table(case, by_mode)
        for text, holds in goals(case, by_mode):
            print(("held    " if holds else "MISSED  ") + text)
            held = held and holds
    return held


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=".")
    parser.add_argument("--results", default="bench-results/snapshot")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--append", action="store_true", help="to what is in the results already")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a goal is missed")
    given = parser.parse_args()
    os.environ["RTGC_BUILDDIR"] = os.path.abspath(given.build)
    os.environ["RTGC_SRCDIR"] = str(TESTS.parent)
    sys.path.insert(0, str(TESTS))
    results = pathlib.Path(given.results) / "snapshot.json"
    results.parent.mkdir(parents=True, exist_ok=True)
    rows = json.loads(results.read_text()) if given.append and results.exists() else []
    for _ in range(given.rounds):
        for case in given.cases.split(","):
            for mode in given.modes.split(","):
                rows.append(measure(given, case, mode))
                results.write_text(json.dumps(rows, indent=1))
    if not judge(rows) and given.strict:
        sys.exit(1)


if __name__ == "__main__":
    main()
