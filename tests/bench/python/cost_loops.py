# SPDX-License-Identifier: MIT
"""Loops of small things, for what supervision costs when nothing is due.

    cost_loops.py LOOP TIMES [disabled]     says how long they took, as JSON: {"seconds": …}

By itself the program sets CPython's thresholds as a supervised one has them: the young generations
are collected as ever, a full collection never comes. What lives is so much that none becomes due either.
disabled: by gc.disable(), no collection of any generation.
"""

import asyncio
import gc
import json
import os
import socket
import sys
import time


LIVE = 200_000  # objects


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def moved(self, by):
        return Point(self.x + by, [by])


def allocation(times):
    """Tracked objects that live for a while, and cycles: the young generations are at work."""
    recent = [None] * 200
    for i in range(times * 10):
        point = Point(i, [i])
        recent[i % 200] = point.moved(1)
        if i % 10 == 0:
            ring = [point]
            ring.append(ring)


def churn(times):
    """Tracked objects that live for a moment. Reference counting frees them, and no generation fills."""
    for i in range(times * 10):
        Point(i, [i]).moved(1)


def calls(times):
    def tak(x, y, z):
        return z if y >= x else tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y))

    for _ in range(times):
        tak(6, 3, 0)


def dicts(times):
    words = [f"word{i % 97}" for i in range(40)]
    for _ in range(times):
        seen = {}
        for word in words:
            seen[word] = seen.get(word, 0) + 1
        sorted(seen.items(), key=lambda item: item[1])


def echo(times):
    """A server and a client on one event loop; each message is two turns of it."""

    async def serve(reader, writer):
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()

    async def main():
        ours, theirs = socket.socketpair()
        server = asyncio.create_task(serve(*await asyncio.open_connection(sock=theirs)))
        reader, writer = await asyncio.open_connection(sock=ours)
        for i in range(times):
            writer.write(b"%d\n" % i)
            await writer.drain()
            await reader.readline()
        writer.close()
        await server

    asyncio.run(main())


LOOPS = {loop.__name__: loop for loop in (allocation, churn, calls, dicts, echo)}


def main():
    loop, times = LOOPS[sys.argv[1]], int(sys.argv[2])
    if sys.argv[3:] == ["disabled"]:
        gc.disable()
    rtgc = sys.modules.get("rtgc")
    if rtgc is None:
        gc.set_threshold(700, 10, 10**9)
    else:
        while not rtgc.status()["supervised"]:
            time.sleep(0.001)
    live = [[] for _ in range(LIVE)]
    gc.collect()
    while rtgc and rtgc.status()["window"]:
        time.sleep(0.001)  # one for what has been collected just now
    before = gc.get_stats()[2]["collections"]
    begin = time.perf_counter()
    loop(times)
    said = {"seconds": time.perf_counter() - begin, "live": len(live),
            "full": gc.get_stats()[2]["collections"] - before}
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
    os._exit(0)  # what comes after is not measured


if __name__ == "__main__":
    main()
