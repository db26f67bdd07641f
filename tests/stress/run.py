# SPDX-License-Identifier: MIT
"""Hostile clients, faults and load at full size: what each costs everybody else, and whether that is within its goal.

make stress [STRESS="crowd kills"] [QUICK=1]

crowd         10,000 clients connect at once
half-open     20,000 connections of one user that never say HELLO
descriptors   the daemon has no descriptor left, and clients want in
subscribers   1,000 callers that never read
telemetry     one client of another user reports as fast as it can
limits        another user is at one of its limits all the time (I-6)
messages      what is no frame, with descriptors, of each size
kills         kill -9 of 10,000 clients, inside windows first
restarts      kill -9 of the daemon, 200 times under load
absent        no daemon, nobody who listens, nobody who accepts; a daemon that is killed, or stopped
ramps         500 heaps that fill ten times as fast as they did before, under a limit of address space
clock         the wall clock goes a day forth and back
hours         24 virtual hours, with a restart of the daemon an hour
soak          500 clients for ten real minutes; only when it is named

QUICK=1: fewer kills, restarts and faults; all but the soak in less than ten minutes.
"""

import os
import pathlib
import signal
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent
sys.path[:0] = [str(TESTS / "bench"), str(HERE), str(TESTS / "daemon"), str(TESTS), str(TESTS / "bench" / "safety")]

import bench  # noqa: E402
from processes import Failure  # noqa: E402

# How many, in full and quickly.
SIZES = {"kills": (10_000, 2000), "restarts": (200, 30), "absent": (20, 5), "ramps": (500, 500), "soak": (600, 60),
         "messages": (3, 1), "clock": (60, 20), "limits": (4, 3)}
USERS = "only root can be several users"


def turn(f, name="turn_p99_us", of="", most=1000):
    """What the daemon itself keeps others waiting for, whatever else the machine does meanwhile."""
    return bench.check(f"CPU time of the daemon until it looks who waits, p99 us{of}", f[name], "at most", most)


def judge_crowd(f):
    return [bench.check("clients not served", f["clients"] - f["served"], "at most", 0),
            bench.check("p99 of a window / quiet", f["ratio"], "at most", 10),
            turn(f),
            bench.check("refused", f["refused"], "at most", 0),
            bench.check("RSS, MiB", f["rss_mib"], "at most", 48),
            bench.check("bytes a client", f["bytes_a_client"], "at most", 2048),
            bench.check("RSS before, MiB", f["rss_before_mib"], "at most", 6)]


def judge_half_open(f):
    return [bench.check("kept", f["kept"], "at most", 64),
            bench.check("another user is welcomed after, ms", f["welcome_ms"], "at most", 1000),
            bench.check("a caller is answered after, ms", f["answer_ms"], "at most", 1000)]


def judge_descriptors(f):
    return [bench.check("CPU, %", f["cpu_percent"], "less than", 5),
            bench.check("lines a minute", f["lines_a_minute"], "at most", 1)]


def judge_subscribers(f):
    return [bench.check("not disconnected", f["subscribers"] - f["disconnected"], "at most", 0),
            bench.check("not told why", f["subscribers"] - f["told"], "at most", 0),
            bench.check("queued for each, KiB", 1024 * f["queued_mib"] / f["at_once"], "at most", 256),
            bench.check("RSS, MiB", f["rss_mib"], "at most", 128),
            turn(f),
            # (What they are told of is made by a client that reports as fast as it is answered.)
            bench.check("p99 of a window / with as many reports and no caller", f["listened_p99_us"] / f["reports_p99_us"],
                        "at most", 2)]


def judge_telemetry(f):
    return [bench.check("p99 of a window / quiet", f["ratio"], "at most", 2),
            turn(f, most=2 * max(100, f["quiet_turn_p99_us"])),
            bench.check("passed over, and counted", f["coalesced"], "at least", 1),
            bench.check("refused", f["refused"], "at most", 0)]


def judge_limits(f):
    most = 1.1 * f["quiet_p99_us"] + 1000
    return [*(bench.check(f"p99 of a window, us, while another is at its limit of {name}", f[f"{name}_p99_us"],
                          "at most", most) for name in ("frames", "connections", "requests")),
            *(turn(f, f"{name}_turn_p99_us", f", limit of {name}", 1.1 * f["quiet_turn_p99_us"] + 1000)
              for name in ("frames", "connections", "requests")),
            *(bench.check(f"limit of {name}: times it was enforced", f[counted], "at least", 1)
              for name, counted in (("frames", "coalesced"), ("connections", "ungreeted"), ("requests", "delayed")))]


def judge_messages(f):
    return [bench.check("without a defined answer", f["undefined"], "at most", 0),
            bench.check("descriptors more than before", abs(f["descriptors_more"]), "at most", 0),
            bench.check("welcomed afterwards", int(f["welcomed"]), "at least", 1)]


def judge_clock(f):
    return [bench.check(name.replace("_", " "), f[name], "at most", 0)
            for name in ("forced", "overruns", "not_supervised")] + \
           [bench.check("lines of the log", f["log_lines"], "at most", 1)]


def absent(faults, progress):
    import ceilings
    return {"missing": ceilings.missing(faults, progress), "killed": ceilings.gone(signal.SIGKILL, faults, progress),
            "stopped": ceilings.gone(signal.SIGSTOP, faults, progress)}


def judge_absent(f):
    import ceilings
    return [check for name, found in f.items() for check in ceilings.checks(name, found)]


def judge_ramps(f):
    import ceilings
    return [{**check, "name": check["name"].removeprefix("ramps: ")} for check in ceilings.checks("ramps", f)]


def rows():
    """Of each: what measures it, how it is judged, and what cannot be helped beside it (shown without a goal)."""
    import attacks
    import ceilings
    import kills
    import restarts
    import soak

    clients = min(10_000, attacks.clients_most())
    return {
        "crowd": (lambda n, p: attacks.crowd(clients - clients % 4), judge_crowd, ("clients", "seconds", "quiet_p99_us", "p99_us")),
        "half-open": (lambda n, p: attacks.half_open(20_000), judge_half_open, ("connections",)),
        "descriptors": (lambda n, p: attacks.out_of_descriptors(65), judge_descriptors, ("seconds",)),
        "subscribers": (lambda n, p: attacks.subscribers(1000), judge_subscribers,
                        ("at_once", "quiet_p99_us", "reports_p99_us", "listened_p99_us")),
        "telemetry": (lambda n, p: attacks.telemetry(5), judge_telemetry, ("sent_per_s", "quiet_p99_us", "burn_ratio", "quiet_turn_p99_us")),
        "limits": (lambda n, p: attacks.at_limits(3, n), judge_limits,
                   ("quiet_p99_us", "burn_ratio", "frames_ratio", "connections_ratio", "requests_ratio")),
        "messages": (lambda n, p: attacks.messages(n), judge_messages, ("messages",)),
        "kills": (lambda n, p: kills.measure(n, 1, p), kills.checks, ("kills", "in_window", "bare_p99_ms", "bare_max_ms", "history_grown_kib")),
        "restarts": (restarts.measure, restarts.checks, ("restarts", "back_p50_s", "back_max_s")),
        "absent": (absent, judge_absent, ()),
        "ramps": (ceilings.ramps, judge_ramps, ("rounds", "in_window", "forced", "longest_ms", "floor_ms")),
        "clock": (lambda n, p: attacks.clock_jumps(n), judge_clock, ("jumps", "windows")),
        "hours": (lambda n, p: soak.virtual(24), lambda f: soak.checks({"virtual": f}), ("hours", "restarts", "deaths")),
        "soak": (soak.real, lambda f: soak.checks({"real": f}), ("seconds", "clients", "windows", "slope_kib_per_min")),
    }


def beside(part, figures, names):
    if part == "absent":
        return [(f"{name}: {key.replace('_', ' ')}", figures[name][key]) for name in figures
                for key in ("calls", "longest_wait_ms", "longest_wait_of", "longest_ms", "longest_of", "floor_ms")]
    return [(name.replace("_", " "), figures[name]) for name in names]


def cell(value):
    if isinstance(value, float):
        return bench.number(value, 0 if value.is_integer() else 2)
    return str(value)


def lines(part, checks, noted):
    """Of the table: the attack, what was looked at, what it was, what it may be, and whether that is so."""
    found = [(check["name"], f"{check['value']:g}", f"{check['goal']} {check['limit']:g}",
              "ok" if check["pass"] else "MISSED") for check in checks]
    found += [(name, cell(value), "", "") for name, value in noted]
    return [(f"{part}: {name}", *rest) for name, *rest in found]


def why_not(part):
    """What this machine cannot do; None: all of it."""
    import attacks
    if part in ("half-open", "telemetry", "limits") and os.geteuid() != 0:
        return f"not run: {USERS}"
    if part == "crowd" and attacks.clients_most() < 10_000:
        return f"with {attacks.clients_most() // 4 * 4} clients: the limit of descriptors (two a client) allows no more"
    return None


def run(part, row, size):
    measure, judge, noted = row
    begun = time.monotonic()
    try:
        figures = measure(size, lambda text: print(f"{part}: {text}", file=sys.stderr))
        checks = judge(figures)
    except (AssertionError, OSError, Failure) as e:
        # The others are measured nevertheless.
        figures = {"broken": f"{type(e).__name__}: {e}"[:300]}
        checks, noted = [bench.check("broken off", 1, "at most", 0)], ("broken",)
        return {"figures": figures, "checks": checks, "lines": lines(part, checks, [("because", figures["broken"])]),
                "seconds": time.monotonic() - begun}
    return {"figures": figures, "checks": checks, "lines": lines(part, checks, beside(part, figures, noted)),
            "seconds": time.monotonic() - begun}


def main():
    parser = bench.arguments("stress", __doc__, rounds=None)
    parser.add_argument("--parts", nargs="*")
    parser.add_argument("--quick", action="store_true")
    args = bench.prepare(parser.parse_args())
    all_rows = rows()  # of the build folder that bench.prepare() has named
    parts = args.parts or [part for part in all_rows if part != "soak"]
    unknown = set(parts) - set(all_rows)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))} (there are: {', '.join(all_rows)})")
    results, remarks, table = {}, {}, []
    for part in parts:
        reason = why_not(part)
        if reason:
            remarks[part] = reason
        if reason and reason.startswith("not run"):
            table.append((f"{part}: {reason}", "", "", ""))
            continue
        print(f"{part} …", file=sys.stderr)
        full, quick = SIZES.get(part, (None, None))
        results[part] = run(part, all_rows[part], quick if args.quick else full)
        print(f"{part}: {results[part]['seconds']:.0f} s", file=sys.stderr)
        table += results[part].pop("lines")
        if reason:
            table.append((f"{part}: {reason}", "", "", ""))
    judged = bench.judged([{"row": part, **check} for part, one in results.items() for check in one["checks"]])
    missed = sum(not check["pass"] for check in judged["checks"])
    text = bench.text(bench.table(("attack: figure", "value", "goal", ""), ("",) * 4, table),
                      f"{len(judged['checks'])} goals, {missed} missed"
                      + (f"; rows that were not asked for: {', '.join(p for p in all_rows if p not in parts)}"
                         if len(parts) < len(all_rows) else ""))
    return bench.finish(args, text, {"rows": results, "remarks": remarks, "machine": bench.machine(), **judged})


bench.run("stress", main)
