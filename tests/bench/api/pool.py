# SPDX-License-Identifier: MIT
"""
rtgc.Pool against making objects anew, in a loop that makes cyclic garbage beside a live heap.

Each request takes a buffer object with a list and a dict in it, fills it, and lets it go. Made anew, it is a
cycle that waits for the collector; from a pool it is reset and used again. Counted is what the
collector has to do (its runs, tracked objects made on balance), and the time of all requests.
"""

import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import bench  # noqa: E402

WAYS = {"made anew": 0, "half from the pool": 5, "all from the pool": 10}  # of ten requests
HEAD = ("", "request", "ratio", "tracked made", "collections", "reused")
UNITS = ("", "us", "", "", "", "")

SOURCE = """
import gc, json, sys, time
import rtgc
class Buffer:
    def __init__(self):
        self.parts, self.fields = [], {{}}
        self.owner = self          # a cycle: as parsers, requests and trees have them
    def reset(self):
        self.parts.clear()
        self.fields.clear()
def fill(buffer, i):
    parts, fields = buffer.parts, buffer.fields
    for k in range(8):
        parts.append(i + k)
    fields["id"], fields["parts"] = i, parts
live = [[i] for i in range(200_000)]
pool = rtgc.Pool(Buffer, reset=Buffer.reset, max=16)
gc.collect()
before = gc.get_stats()
made = [0]
def on_gc(phase, info):
    if phase == "start":
        made[0] += gc.get_count()[0]
gc.callbacks.append(on_gc)
begin = time.perf_counter()
for i in range({requests}):
    if i % 10 < {share}:
        with pool.get() as buffer:
            fill(buffer, i)
    else:
        fill(Buffer(), i)
took = time.perf_counter() - begin
made[0] += gc.get_count()[0]
after = gc.get_stats()
print(json.dumps(dict(took=took, made=made[0], pool=pool.stats(),
    collections=[a["collections"] - b["collections"] for a, b in zip(after, before)],
    collected=sum(a["collected"] - b["collected"] for a, b in zip(after, before)))))
"""


def one(way, args):
    python = os.environ.get("PYTHON", sys.executable)
    source = SOURCE.format(share=WAYS[way], requests=args.requests)
    done = subprocess.run([python, "-c", source], env=bench.environment(args), check=True,
                          capture_output=True, text=True)
    return json.loads(done.stdout)


def figures_of(measured):
    last = measured[-1]
    middle = bench.medians(measured, ("took", "made"))
    return {"took_s": middle["took"], "tracked_made": middle["made"],
            "collections": last["collections"], "collected": last["collected"], "pool": last["pool"]}


def main():
    parser = bench.arguments("pool", __doc__, rounds=5)
    parser.add_argument("--requests", type=int, default=300_000)
    args = bench.prepare(parser.parse_args())
    rounds = bench.interleaved(args, WAYS, lambda way, where, progress: one(way, args))
    figures = {way: figures_of(measured) for way, measured in rounds.items()}
    base, rows, found = figures["made anew"], [], []
    for way, own in figures.items():
        reused = own["pool"]["reused"] / args.requests
        rows.append([way, f"{own['took_s'] / args.requests * 1e6:.2f}",
                     f"{own['took_s'] / base['took_s']:.2f}", f"{own['tracked_made']:,.0f}",
                     "/".join(map(str, own["collections"])), f"{reused:.0%}"])
        if own is not base:
            found += [
                bench.ratio(f"time, {way} / made anew", own["took_s"], base["took_s"], 1.02),
                bench.ratio(f"tracked objects, {way} / made anew", own["tracked_made"],
                            base["tracked_made"], 1.01 - reused)]
    title = f"{args.requests:,} requests beside 200,000 live objects; medians of {args.rounds} rounds"
    return bench.finish(
        args, bench.text(title, bench.table(HEAD, UNITS, rows), bench.verdict(found)),
        {"requests": args.requests, "figures": figures, **bench.judged(found),
         "failed": [check["name"] for check in found if not check["pass"]]})


if __name__ == "__main__":
    bench.run("pool", main)
