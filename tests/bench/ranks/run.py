# SPDX-License-Identifier: MIT
"""Ranks in lockstep, as in data-parallel training: CPython's own policy against Policy=together,
against no collector at all, and against ranks that collect by hand, all behind the same step and as
often as under rtgcd just before: what that takes is the work of collecting itself.

make bench BENCH=together   interleaved rounds, medians, held against the goals

A step is hit when a full collection of any rank falls into it, by that rank's own record of its
pauses and of its steps, however many of them pause in it; it is slow when it took the job more than twice
as long as usual. (Where there are more ranks than CPUs, those of a round pause longer than one alone would.)
The program of the ranks is the same in all runs; under rtgcd it is started by python3 -m rtgc.
"""

import bisect
import dataclasses
import pathlib
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import bench  # noqa: E402
import check_pauses  # noqa: E402
from bench import Failure  # noqa: E402
from hub import Hub  # noqa: E402
from processes import Process, wait_until  # noqa: E402

RUNS = ("off", "default", "together", "by-hand")
RECORDER = HERE.parent / "demo" / "recorder"
CONFIG = "[Service:ranks]\nPolicy=together\n"
STEPS_NOT_COUNTED = 20  # until all have started to work
HEAD = ("run", "steps", "hit", "slow", "lost", "total", "step p50", "p99", "max", "collections", "longest",
        "dropped out", "forced", "over limit")
UNITS = ("", "", "", "", "s", "s", "ms", "ms", "ms", "", "ms", "", "", "")
COUNTS = ("dropped_out", "forced", "over_limit")
KEYS = ("steps", "hit", "slow", "lost_s", "total_s", "step_p50_ms", "step_p99_ms", "step_max_ms", "collections",
        "longest_pause_ms", *COUNTS)


@dataclasses.dataclass
class Measured:
    figures: dict
    released: list  # time.monotonic_ns(): the end of each step of the job
    pauses: list
    ranks: dict  # process id -> rank
    ends: dict  # process id -> the end of each step as that rank saw it


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def hit_steps(ends, pauses):
    """The steps [end of the one before, end) of its own that a pause of that rank touches."""
    hit = set()
    for pause in pauses:
        mine = ends[pause.pid]
        step = bisect.bisect_right(mine, pause.begin_ns)
        while 0 < step < len(mine) and mine[step - 1] < pause.end_ns:
            hit.add(step)
            step += 1
    return hit


def figures_of(measured, counts):
    released, pauses = measured.released, measured.pauses
    length = [(end - begin) / 1e6 for begin, end in zip(released, released[1:])]
    usual = statistics.median(length)
    slow = [one for one in length if one > 2 * usual]
    return {
        "steps": len(length),
        "hit": len(hit_steps(measured.ends, pauses)),
        "slow": len(slow),
        # What the slow steps took beyond a usual one.
        "lost_s": sum(one - usual for one in slow) / 1e3,
        "total_s": (released[-1] - released[0]) / 1e9,
        "step_p50_ms": usual,
        "step_p99_ms": quantile(length, 0.99),
        "step_max_ms": max(length),
        "collections": len(pauses),
        "longest_pause_ms": check_pauses.longest_ms(pauses),
        **counts,
    }


def run_ranks(args, where, env, launcher, count):
    """The steps' ends, which process was which, and what count() counted meanwhile."""
    path, first, last = str(where / "hub"), STEPS_NOT_COUNTED, STEPS_NOT_COUNTED + args.steps
    # At the end of the first step and of one more than the last they wait to be counted.
    hub = Hub(path, args.ranks, hold=(first, last + 1))
    ranks, counts = [], []
    try:
        for rank in range(args.ranks):
            ranks.append(Process(f"rank{rank}", [
                sys.executable, *launcher, str(HERE / "rank.py"), path, str(rank),
                str(last + 1), str(args.samples), str(args.work),
                str(where / f"rank{rank}.steps"),
            ], str(where / f"rank{rank}.log"), env))
        for step in (first, last + 1):
            wait_until(hub.held.is_set, f"the ranks have made {step} steps", args.timeout, *ranks)
            counts.append(count())
            hub.go()
        for rank in ranks:
            if rank.wait(args.timeout) != 0:
                rank.fail("has not ended well")
    finally:
        for rank in ranks:
            rank.stop()
        hub.close()
    counted = {key: counts[1][key] - counts[0][key] for key in counts[0]}
    return hub.released[first - 1:last], {rank.pid: i for i, rank in enumerate(ranks)}, counted


def under_rtgcd(args, where, env):
    import harness  # of the build folder that bench.prepare() has named

    with harness.Daemon(config=CONFIG) as daemon:
        ours = daemon.env()
        env = {**env, "RTGC_SOCKET": ours["RTGC_SOCKET"]}

        def count():
            service, = daemon.services()
            heaps = daemon.heaps()
            if len(heaps) != args.ranks or service["name"] != "ranks":
                raise Failure(f"{len(heaps)} ranks are supervised in the end, not {args.ranks}")
            return {key: service[key] for key in COUNTS}

        return run_ranks(args, where, env, ("-m", "rtgc", "--service", "ranks"), count)


def measure(run, args, where):
    env = bench.environment(args, RECORDER, RECORD_DIR=str(where))
    if run == "together":
        released, ranks, counts = under_rtgcd(args, where, env)
    elif run == "by-hand":
        env.update(GC_POLICY="default", COLLECT_EVERY=str(args.every))
        released, ranks, counts = run_ranks(args, where, env, (), dict)
        counts = dict.fromkeys(COUNTS)
    else:
        released, ranks, counts = run_ranks(args, where, {**env, "GC_POLICY": run}, (), dict)
        counts = dict.fromkeys(COUNTS)
    ends = {}
    for pid, rank in ranks.items():
        lines = (where / f"rank{rank}.steps").read_text().split()
        ends[pid] = [int(line) for line in lines][STEPS_NOT_COUNTED - 1:-1]
    pauses = check_pauses.full(check_pauses.read_records(where), released[0], released[-1])
    measured = Measured({}, released, pauses, ranks, ends)
    measured.figures = figures_of(measured, counts)
    if run == "together":
        args.every = args.steps * args.ranks // max(len(pauses), args.ranks)
    return measured


# ---- What is made of it ----------------------------------------------------------------------


def table(runs):
    def cell(key, value):
        digits = 2 if key.endswith("_s") else 1
        return bench.number(value, digits) if key.endswith(("_s", "_ms")) or value is None else f"{value:g}"

    return bench.table(HEAD, UNITS, [
        [name, *(cell(key, figures[key]) for key in KEYS)] for name, figures in runs.items()])


def checks(runs, rounds):
    default, ours = runs["default"], runs["together"]
    fewer = default["hit"] / max(ours["hit"], 1)
    slow = default["slow"] / max(ours["slow"], 1)

    def total(other):
        """Of runs of the same round: the machine is not the same an hour later."""
        return statistics.median(a.figures["total_s"] / b.figures["total_s"]
                                 for a, b in zip(rounds["together"], rounds[other]))

    least = min(one.figures["collections"] for one in rounds["together"])
    return [
        bench.check("steps hit, default / together", fewer, "at least", 3),
        bench.check("slow steps, default / together", slow, "at least", 3),
        bench.check("total time, together / default", total("default"), "less than", 1),
        bench.check("total time, together / off", total("off"), "at most", 1.02),
        bench.check("total time, together / by hand", total("by-hand"), "at most", 1.02),
        bench.check("forced, together", ours["forced"], "at most", 0),
        bench.check("full collections in each round, together", least, "at least", 1),
    ]


def document(args, runs, rounds, found):
    return {
        "runs": runs,
        **bench.judged(found),
        "rounds": [{run: rounds[run][i].figures for run in RUNS} for i in range(args.rounds)],
        "parameters": {key: getattr(args, key) for key in ("ranks", "steps", "samples", "work")},
        "machine": bench.machine(),
    }


def arguments():
    parser = bench.arguments("together", __doc__, strict=True)
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--samples", type=int, default=600_000, help="live objects a rank")
    parser.add_argument("--work", type=int, default=1500, help="walks of the batch a step")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one run")
    return parser.parse_args()


def main():
    args = bench.prepare(arguments(), "timeline.png")
    rounds = bench.interleaved(args, RUNS, lambda run, where, progress: measure(run, args, where))
    runs = {run: bench.medians([one.figures for one in measured], KEYS, worst=("forced", "over_limit"))
            for run, measured in rounds.items()}
    found = checks(runs, rounds)
    import timeline  # imports matplotlib, which takes a second

    timeline.draw(rounds["default"][0], rounds["together"][0], args.results / "timeline.png")
    return bench.finish(args, bench.text(table(runs), bench.verdict(found)),
                        document(args, runs, rounds, found), "timeline.png")


if __name__ == "__main__":
    bench.run("together", main)
