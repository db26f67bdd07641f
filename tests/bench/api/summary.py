# SPDX-License-Identifier: MIT
"""
rtgc.heap_summary() against guppy3's hpy().heap() and pympler's muppy and summary.

Each round runs each in an interpreter of its own, over the same million of tracked objects and as many that
are not tracked. Counts of builtin types must agree where two look at the same objects: guppy3 and
pympler look at untracked ones too, so they are held against untracked=True. guppy3 and pympler are taken
from where this interpreter finds them; those it does not find are named, and no row is made up.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--results", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--objects", type=int, default=1_000_000)
    args = parser.parse_args()
    python = os.environ.get("PYTHON", sys.executable)
    env = dict(os.environ, LD_LIBRARY_PATH=os.path.join(args.build, ".libs"))
    stage = os.path.join(os.path.abspath(args.build), "client", "python", "stage")
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [stage, env.get("PYTHONPATH")]))

    tools = [tool for tool in TOOLS if present(python, env, tool)]
    runs = {tool: [] for tool in tools}
    for _ in range(args.rounds):
        for tool in tools:
            runs[tool].append(run(python, env, tool, args.objects))
    took = {tool: statistics.median(r["took"] for r in runs[tool]) for tool in tools}
    pause = {tool: statistics.median(r["pause"] for r in runs[tool]) for tool in tools}
    print(f"{args.objects:,} tracked objects, as many untracked; medians of {args.rounds} rounds\n")
    print(f"{'':24}{'objects':>12}{'took ms':>10}{'pause ms':>10}{'times':>8}  same counts")
    failed = []
    for tool in tools:
        counts = runs[tool][-1]["counts"]
        base = "tracked" if tool in ("tracked", "gc module") else "rtgc"
        # In the same process, where the tool brings modules of its own along.
        mine = runs[tool][-1]["mine"] or runs[base][-1]["counts"]
        compared = TRACKED if base == "tracked" else COMPARED
        compared = [name for name in compared if name not in NOT_COMPARED.get(tool, ())]
        wrong = differing(mine, counts, compared)
        name = {"tracked": "rtgc", "rtgc": "rtgc, untracked=True"}.get(tool, tool)
        print(f"{name:24}{sum(n for n, _ in counts.values()):>12,}{took[tool] * 1e3:>10.1f}"
              f"{pause[tool] * 1e3:>10.1f}{took[tool] / took[base]:>8.1f}  "
              f"{'no: ' + '; '.join(wrong) if wrong else 'yes'}")
        if wrong:
            failed.append(f"{name}: {'; '.join(wrong)}")
        if tool in MODULES and took[tool] < SPEEDUP * took[base]:
            failed.append(f"{name} takes only {took[tool] / took[base]:.1f} times as long")
    for tool in MODULES:
        if tool not in tools:
            print(f"{tool:24}is not there: put it on PYTHONPATH to have it compared")
    os.makedirs(args.results, exist_ok=True)
    with open(os.path.join(args.results, "summary.json"), "w", encoding="utf-8") as file:
        json.dump({"objects": args.objects, "took_s": took, "pause_s": pause, "failed": failed,
                   "counts": {t: runs[t][-1]["counts"] for t in tools}}, file, indent=1)
    for line in failed:
        print("not reached:", line)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
