# SPDX-License-Identifier: MIT
"""
rtgc.Pool against making objects anew, in a loop that makes cyclic garbage beside a live heap.

Each request takes a buffer object with a list and a dict in it, fills it, and lets it go. Made anew, it is a
cycle that waits for the collector; from a pool it is reset and used again. Counted is what the
collector has to do (its runs, tracked objects made on balance), and the time of all requests.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--results", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=300_000)
    args = parser.parse_args()
    python = os.environ.get("PYTHON", sys.executable)
    env = dict(os.environ, LD_LIBRARY_PATH=os.path.join(args.build, ".libs"),
               PYTHONPATH=os.path.join(os.path.abspath(args.build), "client", "python", "stage"))
    ways = {"made anew": 0, "half from the pool": 5, "all from the pool": 10}
    runs = {way: [] for way in ways}
    for _ in range(args.rounds):
        for way, share in ways.items():
            source = SOURCE.format(share=share, requests=args.requests)
            done = subprocess.run([python, "-c", source], env=env, check=True, capture_output=True,
                                  text=True)
            runs[way].append(json.loads(done.stdout))
    print(f"{args.requests:,} requests beside 200,000 live objects; medians of {args.rounds} rounds\n")
    print(f"{'':20}{'us/request':>11}{'ratio':>7}{'tracked made':>14}{'collections':>16}{'reused':>8}")
    figures, failed = {}, []
    for way in ways:
        took = statistics.median(r["took"] for r in runs[way])
        made = statistics.median(r["made"] for r in runs[way])
        last = runs[way][-1]
        figures[way] = dict(took_s=took, tracked_made=made, collections=last["collections"],
                            collected=last["collected"], pool=last["pool"])
        base = figures["made anew"]
        total = last["pool"]["made"] + last["pool"]["reused"]
        reused = last["pool"]["reused"] / args.requests
        print(f"{way:20}{took / args.requests * 1e6:>11.2f}{took / base['took_s']:>7.2f}{made:>14,.0f}"
              f"{'/'.join(map(str, last['collections'])):>16}{reused:>8.0%}")
        if took > base["took_s"] * 1.02:
            failed.append(f"{way}: takes {took / base['took_s']:.2f} times as long")
        if made > base["tracked_made"] * (1 - reused) + 0.01 * base["tracked_made"]:
            failed.append(f"{way}: {made:,.0f} tracked objects, {reused:.0%} reused of {total:,}")
    os.makedirs(args.results, exist_ok=True)
    with open(os.path.join(args.results, "pool.json"), "w", encoding="utf-8") as file:
        json.dump({"requests": args.requests, "figures": figures, "failed": failed}, file, indent=1)
    for line in failed:
        print("not reached:", line)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
