# SPDX-License-Identifier: MIT
"""Ranks in lockstep, as in data-parallel training: CPython's own policy against Policy=together.

make bench BENCH=together   interleaved rounds, medians, held against the goals

A step is hit when a full collection of any rank, by the rank's own record, touches it: from the
end of the all-reduce before it to the end of its own. The program of the ranks is the same in
both runs; under rtgcd it is started by python3 -m rtgc.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import shutil
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent.parent
sys.path[:0] = [str(TESTS), str(HERE.parent / "demo")]

import check_pauses  # noqa: E402
from hub import Hub  # noqa: E402
from processes import Failure, Process, wait_until  # noqa: E402

RUNS = ("default", "together")
RECORDER = HERE.parent / "demo" / "recorder"
CONFIG = "[Service:ranks]\nPolicy=together\n"
STEPS_NOT_COUNTED = 20  # until all have started to work
COLUMNS = (
    ("run", 10), ("steps", 7), ("hit", 6), ("lost", 8), ("total", 8), ("step p50", 10), ("p99", 8), ("max", 8),
    ("collections", 13), ("longest", 9), ("dropped out", 13), ("forced", 8), ("over limit", 12),
)
UNITS = ("", "", "", "s", "s", "ms", "ms", "ms", "", "ms", "", "", "")
KEYS = ("steps", "hit", "lost_s", "total_s", "step_p50_ms", "step_p99_ms", "step_max_ms", "collections",
        "longest_pause_ms", "dropped_out", "forced", "over_limit")


@dataclasses.dataclass
class Measured:
    figures: dict
    released: list  # time.monotonic_ns(): the end of each step
    pauses: list
    ranks: dict  # process id -> rank


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def hit_steps(released, pauses):
    """The steps [released[i - 1], released[i]) that a pause touches."""
    hit, first = set(), 1
    for pause in pauses:  # by the time they began
        while first < len(released) and released[first] <= pause.begin_ns:
            first += 1
        step = first
        while step < len(released) and released[step - 1] < pause.end_ns:
            hit.add(step)
            step += 1
    return hit


def figures_of(released, pauses, counts):
    hit = hit_steps(released, pauses)
    length = {i: (released[i] - released[i - 1]) / 1e6 for i in range(1, len(released))}
    usual = statistics.median(length[i] for i in length if i not in hit)
    return {
        "steps": len(length),
        "hit": len(hit),
        # What the hit steps took beyond a usual one.
        "lost_s": sum(length[i] - usual for i in hit) / 1e3,
        "total_s": (released[-1] - released[0]) / 1e9,
        "step_p50_ms": quantile(length.values(), 0.5),
        "step_p99_ms": quantile(length.values(), 0.99),
        "step_max_ms": max(length.values()),
        "collections": len(pauses),
        "longest_pause_ms": check_pauses.longest_ms(pauses),
        **counts,
    }


def run_ranks(args, where, env, launcher, count):
    """The steps' ends, which process was which, and count() after the last step."""
    path, steps = str(where / "hub"), STEPS_NOT_COUNTED + args.steps
    # One more, in which they wait to be counted.
    hub = Hub(path, args.ranks, hold=steps + 1)
    ranks = []
    try:
        for rank in range(args.ranks):
            ranks.append(Process(f"rank{rank}", [
                sys.executable, *launcher, str(HERE / "rank.py"), path, str(rank),
                str(steps + 1), str(args.samples), str(args.work),
            ], str(where / f"rank{rank}.log"), env))
        wait_until(hub.held.is_set, "the ranks have made all steps", args.timeout, *ranks)
        counted = count()
        hub.go()
        for rank in ranks:
            if rank.wait(args.timeout) != 0:
                rank.fail("has not ended well")
    finally:
        for rank in ranks:
            rank.stop()
        hub.close()
    released = hub.released[STEPS_NOT_COUNTED - 1:steps]
    return released, {rank.pid: i for i, rank in enumerate(ranks)}, counted


def under_rtgcd(args, where, env):
    import harness

    with harness.Daemon(config=CONFIG) as daemon:
        ours = daemon.env()
        env = {**env, **{key: ours[key] for key in ("RTGC_SOCKET", "RTGC_CONTROL", "LD_LIBRARY_PATH")}}
        env["PYTHONPATH"] += os.pathsep + ours["PYTHONPATH"]

        def count():
            service, = daemon.services()
            heaps = daemon.heaps()
            if len(heaps) != args.ranks or service["name"] != "ranks":
                raise Failure(f"{len(heaps)} ranks are supervised in the end, not {args.ranks}")
            return {key: service[key] for key in ("dropped_out", "forced", "over_limit")}

        return run_ranks(args, where, env, ("-m", "rtgc", "--service", "ranks"), count)


def measure(run, args, where):
    env = {"RECORD_DIR": str(where), "PYTHONPATH": str(RECORDER), "PYTHONDONTWRITEBYTECODE": "1"}
    if run == "default":
        none = dict.fromkeys(("dropped_out", "forced", "over_limit"))
        released, ranks, counts = run_ranks(args, where, env, (), lambda: none)
    else:
        released, ranks, counts = under_rtgcd(args, where, env)
    pauses = check_pauses.full(check_pauses.read_records(where), released[0], released[-1])
    return Measured(figures_of(released, pauses, counts), released, pauses, ranks)


# ---- What is made of it ----------------------------------------------------------------------


def median(rounds):
    def middle(key):
        values = [one.figures[key] for one in rounds]
        if None in values:
            return None
        return max(values) if key in ("forced", "over_limit") else statistics.median(values)

    return {key: middle(key) for key in KEYS}


def table(runs):
    def row(cells):
        return "".join(str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
                       for i, (cell, (_, width)) in enumerate(zip(cells, COLUMNS))).rstrip()

    lines = [row(name for name, _ in COLUMNS), row(UNITS)]
    lines.append("-" * max(map(len, lines)))
    for name, figures in runs.items():
        cells = [f"{figures[key]:.{2 if key.endswith('_s') else 1}f}" if key.endswith(("_s", "_ms"))
                 else "-" if figures[key] is None else f"{figures[key]:g}" for key in KEYS]
        lines.append(row([name, *cells]))
    return "\n".join(lines)


def checks(runs, rounds):
    def check(name, value, limit, passed):
        return {"name": name, "value": round(value, 4), "limit": limit, "pass": passed}

    default, ours = runs["default"], runs["together"]
    fewer = default["hit"] / max(ours["hit"], 1)
    total = ours["total_s"] / default["total_s"]
    least = min(one.figures["collections"] for one in rounds["together"])
    return [
        check("steps hit, default / together, at least", fewer, 3, fewer >= 3),
        check("total time, together / default, less than", total, 1, total < 1),
        check("forced, together, at most", ours["forced"], 0, ours["forced"] == 0),
        check("full collections in each round, together, at least", least, 1, least >= 1),
    ]


def document(args, runs, rounds, found):
    return {
        "runs": runs,
        "checks": found,
        "passed": all(check["pass"] for check in found),
        "rounds": [{run: rounds[run][i].figures for run in RUNS} for i in range(args.rounds)],
        "parameters": {key: getattr(args, key) for key in ("ranks", "steps", "samples", "work")},
        "machine": {"cpus": len(os.sched_getaffinity(0)), "kernel": platform.release(),
                    "python": platform.python_version(), "load_average": os.getloadavg()},
    }


def all_rounds(args, directory):
    """Interleaved, so that an unrest of the machine meets both runs alike."""
    rounds = {run: [] for run in RUNS}
    for number in range(args.rounds):
        for run in RUNS:
            print(f"round {number + 1} of {args.rounds}: {run}", file=sys.stderr, flush=True)
            where = directory / "runs" / f"{run}-{number + 1}"
            where.mkdir(parents=True)
            rounds[run].append(measure(run, args, where))
    return rounds


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="the build folder")
    parser.add_argument("--results", type=pathlib.Path, required=True, help="where they go")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--strict", action="store_true", help="status 1 when a goal is missed")
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--samples", type=int, default=400_000, help="live objects a rank")
    parser.add_argument("--work", type=int, default=100, help="walks of the batch a step")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one run")
    return parser.parse_args()


def main():
    args = arguments()
    os.environ["RTGC_SRCDIR"] = str(TESTS.parent)
    os.environ["RTGC_BUILDDIR"] = str(args.build.resolve())
    directory = args.results.resolve()
    shutil.rmtree(directory / "runs", ignore_errors=True)
    rounds = all_rounds(args, directory)
    runs = {run: median(measured) for run, measured in rounds.items()}
    found = checks(runs, rounds)
    goals = "\n".join(f"{'ok    ' if check['pass'] else 'MISSED'}  {check['name']} {check['limit']:g}: "
                      f"{check['value']:g}" for check in found)
    print(table(runs) + "\n\n" + goals)
    (directory / "table.txt").write_text(table(runs) + "\n\n" + goals + "\n")
    result = document(args, runs, rounds, found)
    (directory / "together.json").write_text(json.dumps(result, indent=2) + "\n")
    import plot  # imports matplotlib, which takes a second

    plot.timeline(rounds["default"][0], rounds["together"][0], directory / "timeline.png")
    print("\nWritten:", *(directory / name for name in ("together.json", "table.txt", "timeline.png")),
          sep="\n  ")
    return 1 if args.strict and not result["passed"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"together: {failure}")
