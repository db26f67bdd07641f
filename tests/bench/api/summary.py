# SPDX-License-Identifier: MIT
"""
rtgc.heap_summary() against guppy3's hpy().heap() and pympler's muppy and summary.

Each round runs each in an interpreter of its own, over the same million of tracked objects and as many that
are not tracked. Counts of builtin types must agree where two look at the same objects: guppy3 and
pympler look at untracked ones too, so they are held against untracked=True. guppy3 and pympler are taken
from where this interpreter finds them; those it does not find are named, and no row is made up.
"""

import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import bench  # noqa: E402

HEAD = ("", "objects", "took", "pause", "times", "same counts")
UNITS = ("", "", "ms", "ms", "", "")

# What the interpreter under test runs: it prints one JSON object.
WORLD = """
import gc, json, sys, time
import rtgc
rtgc.heap_summary(0)      # what it brings along is there in every run
class Node:
    __slots__ = ("a", "b")
    def __init__(self, a, b):
        self.a, self.b = a, b
N = {objects} // 5
world = [
    [[i, None] for i in range(N)], [{{"key": str(i), "x": []}} for i in range(N // 2)],
    [(i, [], float(i)) for i in range(N // 2)], [{{str(i), (i, None)}} for i in range(N)],
    [Node(str(i), bytes(8)) for i in range(N)],
]
gc.collect()
gc.disable()
def own():
    return {{t.name: [t.count, t.bytes] for t in rtgc.heap_summary(None, untracked=True).types}}
mine = None
sys.setswitchinterval(10)
"""

TOOLS = {
    "tracked": """
begin = time.perf_counter()
said = rtgc.heap_summary(None)
took = time.perf_counter() - begin
counts = {t.name: [t.count, t.bytes] for t in said.types}
pause = said.pause_us / 1e6
""",
    "rtgc": """
begin = time.perf_counter()
said = rtgc.heap_summary(None, untracked=True)
took = time.perf_counter() - begin
counts = {t.name: [t.count, t.bytes] for t in said.types}
pause = said.pause_us / 1e6
""",
    "gc module": """
begin = time.perf_counter()
counts = {}
for x in gc.get_objects():
    entry = counts.setdefault(type(x), [0, 0])
    entry[0] += 1
    entry[1] += sys.getsizeof(x)
took = pause = time.perf_counter() - begin
counts = {t.__qualname__: v for t, v in counts.items() if t.__module__ == "builtins"}
""",
    "guppy3": """
from guppy import hpy
h = hpy()
h.heap()                  # imports what it needs
mine = own()
begin = time.perf_counter()
heap = h.heap()
rows = [(row.name, row.count, row.size) for row in heap.bytype.stat.get_rows()]
took = pause = time.perf_counter() - begin
counts = {name.rsplit(" ", 1)[-1].replace("builtins.", ""): [n, size] for name, n, size in rows}
""",
    "pympler": """
from pympler import muppy, summary
mine = own()
begin = time.perf_counter()
rows = summary.summarize(muppy.get_objects())
took = pause = time.perf_counter() - begin
counts = {name: [n, size] for name, n, size in rows}
""",
}
MODULES = {"guppy3": "guppy", "pympler": "pympler"}
SAID = "\nprint(json.dumps(dict(took=took, pause=pause, counts=counts, mine=mine)))\n"
SPEEDUP = 3
# Of these the world has so many that what a tool makes or leaves out for itself does not show.
COMPARED = ("list", "dict", "tuple", "set", "str", "bytes", "float")
TRACKED = ("list", "dict", "tuple", "set")
# muppy takes untracked objects that tracked ones hold, and not what is in those.
NOT_COMPARED = {"pympler": ("tuple", "str")}
SAME = 0.01  # guppy3 leaves its own objects out, pympler counts those it makes


def run(python, env, tool, objects):
    source = WORLD.format(objects=objects) + TOOLS[tool] + SAID
    done = subprocess.run([python, "-c", source], env=env, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def present(python, env, tool):
    if tool not in MODULES:
        return True
    return subprocess.run([python, "-c", f"import {MODULES[tool]}"], env=env,
                          capture_output=True, check=False).returncode == 0


def differing(mine, others, names):
    """The compared types of which the two have not seen the same number."""
    found = []
    for name in names:
        a, b = mine.get(name, [0])[0], others.get(name, [0])[0]
        if abs(a - b) > SAME * max(a, b):
            found.append(f"{name}: {a:,} and {b:,}")
    return found


def wrong_of(tool, base, runs):
    """The types of which this tool counted others than rtgc, in words."""
    # In the same process, where the tool brings modules of its own along.
    mine = runs[tool][-1]["mine"] or runs[base][-1]["counts"]
    compared = TRACKED if base == "tracked" else COMPARED
    return differing(mine, runs[tool][-1]["counts"],
                     [name for name in compared if name not in NOT_COMPARED.get(tool, ())])


def main():
    parser = bench.arguments("summary", __doc__, rounds=3)
    parser.add_argument("--objects", type=int, default=1_000_000)
    args = bench.prepare(parser.parse_args())
    python, env = os.environ.get("PYTHON", sys.executable), bench.environment(args)
    tools = [tool for tool in TOOLS if present(python, env, tool)]
    runs = bench.interleaved(
        args, tools, lambda tool, where, progress: run(python, env, tool, args.objects))
    middle = {tool: bench.medians(measured, ("took", "pause")) for tool, measured in runs.items()}
    rows, found, remarks = [], [], []
    for tool in tools:
        base = "tracked" if tool in ("tracked", "gc module") else "rtgc"
        took, pause = middle[tool]["took"], middle[tool]["pause"]
        times = took / middle[base]["took"]
        name = {"tracked": "rtgc", "rtgc": "rtgc, untracked=True"}.get(tool, tool)
        wrong = wrong_of(tool, base, runs)
        rows.append([name, f"{sum(n for n, _ in runs[tool][-1]['counts'].values()):,}",
                     f"{took * 1e3:.1f}", f"{pause * 1e3:.1f}", f"{times:.1f}",
                     "no" if wrong else "yes"])
        remarks += [f"{name} counts otherwise: {one}" for one in wrong]
        if tool != base:
            found.append(bench.check(f"types with other counts, {name}", len(wrong), "at most", 0))
        if tool in MODULES:
            found.append(bench.check(f"time, {name} / rtgc", times, "at least", SPEEDUP))
    remarks += [f"{tool} is not there: put it on PYTHONPATH to have it compared"
                for tool in MODULES if tool not in tools]
    title = f"{args.objects:,} tracked objects, as many untracked; medians of {args.rounds} rounds"
    return bench.finish(
        args, bench.text(title, bench.table(HEAD, UNITS, rows), bench.verdict(found),
                         "\n".join(remarks)),
        {"objects": args.objects, "took_s": {tool: middle[tool]["took"] for tool in tools},
         "pause_s": {tool: middle[tool]["pause"] for tool in tools}, **bench.judged(found),
         "failed": [check["name"] for check in found if not check["pass"]],
         "counts": {tool: runs[tool][-1]["counts"] for tool in tools}})


if __name__ == "__main__":
    bench.run("summary", main)
