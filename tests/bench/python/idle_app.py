# SPDX-License-Identifier: MIT
"""A service that holds much, leaves no garbage behind, and has nothing to do again and again.

    idle_app.py COLLECTOR OBJECTS RATE SECONDS      COLLECTOR: default, off, rtgcd

A client in a process of its own asks, and thinks for a moment before it asks again: then the loop of the
service waits. Each request takes some entries of a big table and puts others in their place, RATE objects
a second at the usual speed; what goes is freed at once, by reference counts, and a full collection finds nothing. Says as JSON
how many requests there were and what the collector did.
"""

import asyncio
import gc
import json
import os
import random
import resource
import socket
import sys
import time

ENTRY = 6  # tracked objects
THINKS = 0.002
USUAL = 200  # requests a second, or some such
WAVE = 10  # requests from one that replaces entries to the next
WORK = 250  # entries a request looks into: some milliseconds


def entry(number):
    return {"id": number, "parts": [[number], [number + 1], (number, [])]}


def client(connection, end):
    """Runs in a forked child."""
    while time.monotonic() < end:
        connection.sendall(b"?")
        if not connection.recv(1):
            break
        time.sleep(THINKS)
    connection.close()


class Collector:
    """The full collections of this process."""

    def __init__(self):
        self.began, self.pauses = None, []

    def __call__(self, phase, info):
        if info["generation"] == 2:
            if phase == "start":
                self.began = time.monotonic()
            elif self.began:
                self.pauses.append(time.monotonic() - self.began)


def answer(table, replaced, rng):
    fresh = [entry(rng.randrange(len(table))) for _ in range(replaced)]
    for one in fresh:
        table[one["id"]] = one
    total = 0
    for number in range(WORK):
        part = table[number]["parts"]
        for i in range(40):
            total += part[0][0] + i
    return b"!" if total else b"."


async def serve(connection, table, replaced):
    rng = random.Random(1)
    reader, writer = await asyncio.open_connection(sock=connection)
    served = 0
    while await reader.read(1):
        writer.write(answer(table, 0 if served % WAVE else replaced * WAVE, rng))
        await writer.drain()
        served += 1
    writer.close()
    return served


def main():
    policy, objects, rate, seconds = sys.argv[1], *map(int, sys.argv[2:4]), float(sys.argv[4])
    if policy == "off":
        gc.disable()
    table = [entry(number) for number in range(objects // ENTRY)]
    gc.collect()
    forced = 0
    if policy == "rtgcd":
        import rtgc

        forced = rtgc.status()["forced"]  # while the table grew
        while not rtgc.status()["supervised"]:
            time.sleep(0.001)
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        gc.disable()
        client(theirs, time.monotonic() + seconds)
        os._exit(0)
    theirs.close()
    collector = Collector()
    gc.callbacks.append(collector)
    begin, cpu = time.monotonic(), time.process_time()
    served = asyncio.run(serve(ours, table, rate // ENTRY // USUAL))
    took = time.monotonic() - begin
    os.waitpid(child, 0)
    said = {"requests_per_s": served / took, "full": len(collector.pauses), "seconds": took,
            "paused_s": sum(collector.pauses), "cpu_share": (time.process_time() - cpu) / took,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    if policy == "rtgcd":
        status = rtgc.status()
        said.update(forced=status["forced"] - forced, uncoordinated=status["uncoordinated"])
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
