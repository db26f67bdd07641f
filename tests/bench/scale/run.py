# SPDX-License-Identifier: MIT
"""What many heaps cost, how fast things are, and what each takes of a machine, beside its floor.

make bench BENCH=scale

quiet     10,000 heaps that allocate steadily and are not due. Beside it, at the same time: one heap
publish   10,000 heaps that publish 100 times a second and collect once in ten. A decision is the time from the
          publication that makes a heap due until that heap's program sees its window; beside it a message to a
          program that sends one back, under the same load. `late` is how late the load itself was for its turns
ingest    reports of clients without a page, as many as their sockets hold, until all are taken. Beside it: a loop
          that only receives, on the same sockets
start     a window opens at an instant that was told in advance: how late its heap's thread is. Beside it: a thread
          that sleeps until an instant
boot      from the start of the daemon's process to READY=1; a whole rtgcctl status. Beside it: /bin/true
python    a loop that allocates, supervised, against gc.disable(); nothing is due
memory    of the daemon, at its start and for each heap

CPU time is the process's own clock. Wake-ups are the times at which the daemon gave the CPU back of its own accord.
"""

import os
import pathlib
import resource
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "python"), str(HERE.parent.parent / "stress"), str(HERE)]

import bench  # noqa: E402

PARTS = ("quiet", "publish", "ingest", "start", "boot", "python", "memory")
DESCRIPTORS = 65_536  # the daemon needs two for a heap, and some


def raise_limit():
    """As far as it goes: root may beyond the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for most in (max(hard, DESCRIPTORS), hard):
        try:
            return resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        except (ValueError, PermissionError):
            continue


def fitting(wanted, most):
    if wanted > most:
        print(f"{most} heaps instead of {wanted}: the limit of descriptors is not for more here")
    return min(wanted, most)


def draw(found, path):
    """How much of what its goal allows each takes."""
    import bars  # imports matplotlib, which takes a second

    parts = {}
    for one in found:
        part, name = one["name"].split(": ", 1)
        value, limit = (one["limit"], one["value"]) if one["goal"] == "at least" else (one["value"], one["limit"])
        parts.setdefault(part, {})[name] = value / limit if limit else value
    bars.draw(path, *((part, "times what the goal allows", shares, 1, True) for part, shares in parts.items()))


def main():
    parser = bench.arguments("scale", __doc__, rounds=5)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--heaps", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=6, help="of a round, where time is what passes")
    parser.add_argument("--no-callgrind", action="store_true", help="python: time alone")
    args = bench.prepare(parser.parse_args(), "scale.png")
    raise_limit()
    import parts  # needs the build folder that bench.prepare() has named

    args.heaps = fitting(args.heaps, parts.attacks.clients_most())
    figures, rows, found = {}, [], []
    for name in args.parts:
        print(f"{name} …", file=sys.stderr)
        figures[name], of_part, goals = getattr(parts, name)(args)
        rows += [(f"{name}: {what}", *cells) for what, *cells in of_part]
        found += [{**goal, "name": f"{name}: {goal['name']}"} for goal in goals]
    draw(found, args.results / "scale.png")
    text = bench.text(bench.table(("", "measured", "least", "most", "floor", "unit"), ("",) * 6, rows),
                      bench.verdict(found))
    return bench.finish(args, text, {
        "parts": figures, "heaps": args.heaps, "rounds": args.rounds, "seconds": args.seconds,
        "machine": bench.machine(descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[1], uid=os.getuid()),
        **bench.judged(found)}, "scale.png")


if __name__ == "__main__":
    bench.run("scale", main)
