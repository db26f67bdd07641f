# SPDX-License-Identifier: MIT
"""Hostile clients at full size: what each costs everybody else.

make stress [STRESS="crowd half-open descriptors subscribers telemetry"]

crowd         10,000 clients connect at once
half-open     20,000 connections of one user that never say HELLO (root only)
descriptors   the daemon has no descriptor left, and clients want in
subscribers   1,000 callers that never read
telemetry     one client reports as fast as it can; with root, of another user
"""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "bench"), str(HERE), str(HERE.parent / "daemon"), str(HERE.parent)]

import bench  # noqa: E402

PARTS = ("crowd", "half-open", "descriptors", "subscribers", "telemetry")


def judge(part, f):
    """The goals, of the figures that attacks.py has found."""
    check = bench.check
    if part == "crowd":
        return [check("crowd: clients not served", f["clients"] - f["served"], "at most", 0),
                check("crowd: p99 of a window / quiet", f["ratio"], "at most", 10),
                check("crowd: refused", f["refused"], "at most", 0),
                check("crowd: RSS, MiB", f["rss_mib"], "at most", 48),
                check("crowd: bytes a client", f["bytes_a_client"], "at most", 2048),
                check("crowd: RSS before, MiB", f["rss_before_mib"], "at most", 6)]
    if part == "half-open":
        return [check("half-open: kept", f["kept"], "at most", 64),
                check("half-open: another user is welcomed after, ms", f["welcome_ms"], "at most", 1000),
                check("half-open: a caller is answered after, ms", f["answer_ms"], "at most", 1000)]
    if part == "descriptors":
        return [check("descriptors: CPU, %", f["cpu_percent"], "less than", 5),
                check("descriptors: lines a minute", f["lines_a_minute"], "at most", 1)]
    if part == "subscribers":
        return [check("subscribers: not disconnected", f["subscribers"] - f["disconnected"], "at most", 0),
                check("subscribers: not told why", f["subscribers"] - f["told"], "at most", 0),
                check("subscribers: queued for each, KiB", 1024 * f["queued_mib"] / f["subscribers"], "at most", 256),
                check("subscribers: RSS, MiB", f["rss_mib"], "at most", 128),
                check("subscribers: p99 of a window / quiet", f["p99_us"] / f["quiet_p99_us"], "at most", 10)]
    return [check("telemetry: p99 of a window / quiet", f["ratio"], "at most", 2),
            check("telemetry: coalesced", f["coalesced"], "at least", 1),
            check("telemetry: refused", f["refused"], "at most", 0)]


def main():
    parser = bench.arguments("stress", __doc__)
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    args = bench.prepare(parser.parse_args())
    import attacks  # of the build folder that bench.prepare() has named

    clients = min(10_000, attacks.clients_most())
    if clients < 10_000:
        print(f"crowd: {clients} clients: the limit of descriptors is not for more here")
    sizes = {"crowd": lambda: attacks.crowd(clients - clients % 4), "half-open": lambda: attacks.half_open(20_000),
             "descriptors": lambda: attacks.out_of_descriptors(65), "subscribers": lambda: attacks.subscribers(1000),
             "telemetry": lambda: attacks.telemetry(5)}
    found, figures, rows = [], {}, []
    for part in args.parts:
        if part == "half-open" and os.geteuid() != 0:
            print("half-open: not run: only root can be several users")
            continue
        figures[part] = sizes[part]()
        found += judge(part, figures[part])
        rows += [(part, key, bench.number(value, 0 if float(value).is_integer() else 2))
                 for key, value in figures[part].items()]
    text = bench.text(bench.table(("attack", "figure", "value"), ("", "", ""), rows), bench.verdict(found))
    return bench.finish(args, text, {"figures": figures, "machine": bench.machine(), **bench.judged(found)})


bench.run("stress", main)
