# SPDX-License-Identifier: MIT
"""What the processes themselves recorded of their pauses, and how many paused at once.

Reads the PID.pauses files that recorder/sitecustomize.py wrote. It knows the processes' own
clocks and nothing of who made them collect.

    check_pauses.py DIRECTORY [--limit N]      exit status 1 when more than N paused at once
"""

import argparse
import collections
import json
import pathlib
import sys
import time

FULL = 2  # CPython's oldest generation: a collection of it walks the whole heap
LONG_NS = 50_000_000  # a collection of a young generation that stops the process so long counts too

Pause = collections.namedtuple("Pause", "pid begin_ns end_ns generation collected")


def read_records(directory):
    """All pauses recorded in the directory, by the time they began."""
    pauses = []
    for path in pathlib.Path(directory).glob("*.pauses"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            try:
                pause = Pause(int(path.stem), *map(int, line.split(",")))
            except (TypeError, ValueError):
                raise ValueError(f"{path}:{number}: not a record of a pause: {line!r}") from None
            if pause.end_ns < pause.begin_ns:
                raise ValueError(f"{path}:{number}: ends before it begins")
            pauses.append(pause)
    return sorted(pauses, key=lambda pause: pause.begin_ns)


def full(pauses, begin_ns=0, end_ns=float("inf")):
    """The full collections among them that touch [begin, end)."""
    return [pause for pause in pauses if pause.generation == FULL
            and pause.end_ns > begin_ns and pause.begin_ns < end_ns]


def stops(pauses, begin_ns=0, end_ns=float("inf")):
    """The full collections, and the younger ones as long as some: with a high threshold a young
    generation is large."""
    return [pause for pause in pauses
            if (pause.generation == FULL or pause.end_ns - pause.begin_ns >= LONG_NS)
            and pause.end_ns > begin_ns and pause.begin_ns < end_ns]


def _levels(pauses, resolution_ns):
    """(instant, how many pause from then on). Sharing no more than one tick of the clock is no
    overlap: with such a clock, one that begins when another ends cannot be told from it."""
    if resolution_ns is None:
        resolution_ns = round(time.clock_getres(time.CLOCK_MONOTONIC) * 1e9)
    edges = []
    for pause in pauses:
        edges.append((pause.begin_ns, 1))
        edges.append((max(pause.begin_ns + 1, pause.end_ns - resolution_ns), -1))
    edges.sort()  # at one instant, the end comes before the next beginning
    present = 0
    for instant, change in edges:
        present += change
        yield instant, present


def most_at_once(pauses, resolution_ns=None):
    """The greatest number of pauses that overlap."""
    return max((level for _, level in _levels(pauses, resolution_ns)), default=0)


def crowded_until(pauses, limit, resolution_ns=None):
    """The last instant at which more than `limit` paused at once; None when there was none."""
    last, before = None, 0
    for instant, level in _levels(pauses, resolution_ns):
        if before > limit:
            last = instant
        before = level
    return last


def longest_ms(pauses):
    return max((pause.end_ns - pause.begin_ns for pause in pauses), default=0) / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory")
    parser.add_argument("--limit", type=int, help="this many may pause at once")
    args = parser.parse_args()
    pauses = full(read_records(args.directory))
    if not pauses:
        sys.exit(f"check_pauses.py: {args.directory}: no full collection was recorded")
    result = {"processes": len({pause.pid for pause in pauses}), "full_collections": len(pauses),
              "paused_max": most_at_once(pauses), "longest_pause_ms": longest_ms(pauses)}
    print(json.dumps(result))
    if args.limit is not None and result["paused_max"] > args.limit:
        sys.exit(1)


if __name__ == "__main__":
    main()
