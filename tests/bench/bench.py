# SPDX-License-Identifier: MIT
"""What all benchmarks have in common: arguments, interleaved rounds, medians, the table, the goals,
and what is written.

    import bench

    def main():
        args = bench.prepare(bench.arguments("name", __doc__).parse_args())
        rounds = bench.interleaved(args, RUNS, lambda run, where, progress: {"p99_ms": ...})
        runs = {run: bench.medians(measured) for run, measured in rounds.items()}
        found = [bench.check("p99", runs["ours"]["p99_ms"], "at most", 10)]
        text = bench.text(bench.table(HEAD, UNITS, rows), bench.verdict(found))
        return bench.finish(args, text, {"runs": runs, **bench.judged(found)})

    bench.run("name", main)
"""

import argparse
import json
import operator
import os
import pathlib
import platform
import re
import shutil
import signal
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "demo")]  # the harness; processes

from processes import Failure  # noqa: E402
from progress import Progress  # noqa: E402

GOALS = {"at most": operator.le, "at least": operator.ge, "less than": operator.lt}


# ---- What it is told -------------------------------------------------------------------------


def arguments(name, doc, rounds=1, strict=False):
    """A parser with what all are told. rounds: the default, None where there are none. strict: it
    is for whoever calls to say whether a missed goal is a failure; else it is one."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(name=name)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("."),
                        help="the build folder")
    parser.add_argument("--results", type=pathlib.Path, help="where they go",
                        default=pathlib.Path("bench-results", name))
    if rounds:
        parser.add_argument("--rounds", type=int, default=rounds)
    if strict:
        parser.add_argument("--strict", action="store_true",
                            help="status 1 when a goal is missed")
    else:
        parser.set_defaults(strict=True)
    return parser


def prepare(args, *written):
    """Names the trees for the harness, and clears away the results of before: the JSON, the table,
    the runs and what else is `written`. Other things in the folder stay."""
    args.build, args.results = args.build.resolve(), args.results.resolve()
    if not (args.build / "rtgcd").exists():
        raise Failure(f"there is no rtgcd in {args.build}: --build names the folder it was built in")
    os.environ["RTGC_SRCDIR"] = str(HERE.parent.parent)
    os.environ["RTGC_BUILDDIR"] = str(args.build)
    args.results.mkdir(parents=True, exist_ok=True)
    for file in (f"{args.name}.json", "table.txt", *written):
        (args.results / file).unlink(missing_ok=True)
    shutil.rmtree(args.results / "runs", ignore_errors=True)
    return args


def environment(args, *folders, **variables):
    """Of a child: the built module and these folders are on its path."""
    path = [*map(str, folders), str(args.build / "client" / "python" / "stage")]
    if "PYTHONPATH" in os.environ:
        path.append(os.environ["PYTHONPATH"])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1",
            "LD_LIBRARY_PATH": str(args.build / ".libs"), **variables}


# ---- Rounds ----------------------------------------------------------------------------------


def interleaved(args, names, measure):
    """Calls measure(name, folder, progress) for each name in each round: an unrest of the machine
    meets all of them alike. Returns name -> what was measured, one for each round."""
    rounds = {name: [] for name in names}
    total = getattr(args, "rounds", 1)
    progress = Progress(total * len(rounds))
    try:
        for number in range(1, total + 1):
            for name in names:
                progress.begin(name if total == 1 else f"round {number}, {name}")
                progress("starting")
                folder = args.results / "runs" / re.sub(r"\W+", "-", f"{name}-{number}")
                folder.mkdir(parents=True)
                rounds[name].append(measure(name, folder, progress))
    finally:
        progress.end()
    return rounds


def medians(rounds, keys=None, worst=()):
    """The median of each figure over the rounds; of the `worst`, where one time is one too many,
    the greatest; None where there is none."""
    def middle(key):
        values = [figures[key] for figures in rounds]
        if None in values:
            return None
        return max(values) if key in worst else statistics.median(values)

    return {key: middle(key) for key in keys or rounds[0]}


# ---- What is made of them --------------------------------------------------------------------


def number(value, digits=0):
    """A cell."""
    return "-" if value is None else f"{value:.{digits}f}"


def table(head, units, rows):
    """Cells as text: the first column to the left, the others to the right."""
    above = [head, units] if any(units) else [head]
    lines = [[str(cell) for cell in line] for line in (*above, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines = ["  ".join(cell.rjust(width) if i else cell.ljust(width)
                       for i, (cell, width) in enumerate(zip(line, widths))).rstrip()
             for line in lines]
    lines.insert(len(above), "-" * max(map(len, lines)))
    return "\n".join(lines)


def check(name, value, goal, limit):
    """A goal held against what was measured. goal: one of GOALS."""
    return {"name": name, "value": round(value, 4), "goal": goal, "limit": round(limit, 4),
            "pass": GOALS[goal](value, limit)}


def ratio(name, value, base, limit):
    return check(name, value / base if base else float("inf"), "at most", limit)


def judged(found):
    """The part of the JSON that says whether the goals were reached."""
    return {"checks": found, "passed": all(one["pass"] for one in found)}


def verdict(found):
    width = max(len(one["name"]) for one in found)
    return "\n".join(f"{'ok    ' if one['pass'] else 'MISSED'}  {one['name']:{width}}  "
                     f"{one['value']:>8g}  (goal: {one['goal']} {one['limit']:g})" for one in found)


def text(*parts):
    return "\n\n".join(part for part in parts if part)


def machine(**more):
    with open("/proc/cpuinfo") as cpuinfo:
        models = [line.split(":")[1].strip() for line in cpuinfo if line.startswith("model name")]
    with open("/proc/meminfo") as meminfo:
        memory = int(meminfo.readline().split()[1]) * 1024
    return {"cpus": len(os.sched_getaffinity(0)), "cpu": models[0] if models else platform.machine(),
            "memory_bytes": memory, "kernel": platform.release(),
            "python": platform.python_version(), "load_average": os.getloadavg(), **more}


def finish(args, text, document, *pictures):
    """Prints and writes it all. Returns the status to exit with, by document["passed"]."""
    print(text)
    names = [f"{args.name}.json", "table.txt", *pictures]
    (args.results / names[0]).write_text(json.dumps(document, indent=2) + "\n")
    (args.results / names[1]).write_text(text + "\n")
    print("\nWritten:", *(args.results / name for name in names), sep="\n  ")
    missed = isinstance(document, dict) and not document.get("passed", True)
    return 1 if args.strict and missed else 0


def run(name, main):
    """The whole program, with main() -> its status."""
    # An end by SIGTERM takes the same way as one by Ctrl-C: through all clean-up.
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(143))
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"{name}: {failure}")
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        sys.exit(130)
