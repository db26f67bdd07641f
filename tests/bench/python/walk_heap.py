# SPDX-License-Identifier: MIT
"""A heap of one shape, in which snapshots, walks as in a window, and full collections look for garbage in turn. Prints
JSON: how many objects, the milliseconds each took, and how often a window's collection did walk.

    walk_heap.py SHAPE OBJECTS TIMES
"""

import gc
import json
import random
import sys
import time

import rtgc
from rtgc import _rtgc

SEED = 5


class Person:
    def __init__(self, number):
        self.name = f"person {number}"
        self.tags = [self.name, number]
        self.place = (self.name, str(number))
        self.friend = None


class Node:
    __slots__ = ("left", "right", "values")


def replaced(make, count, chance):
    """As a cache is after a while: neighbours in memory have not come at the same time."""
    things = [make(i) for i in range(count)]
    for i in range(2 * count):
        things[chance.randrange(count)] = make(i)
    return things


def records(objects, chance):
    """Six objects each, as out of JSON."""
    def make(number):
        return {"name": f"product {number}", "variants": [
            {"cents": number + i, "images": [f"{number}-{i}.png"]} for i in range(2)]}

    return replaced(make, objects // 6, chance)


def instances(objects, chance):
    people = replaced(Person, objects // 2, chance)
    for person in people:
        person.friend = chance.choice(people)
    return people


def nodes(objects, chance):
    """Made one after the other, and connected at random."""
    graph = [Node() for _ in range(objects // 2)]
    for node in graph:
        node.left, node.right, node.values = chance.choice(graph), chance.choice(graph), [1]
    return graph


def fresh(objects, _):
    """As out of JSON, and all there since then: they lie in memory in the order in which they are visited."""
    return json.loads(json.dumps([{"id": i, "tags": ["a"], "more": {"of": [i]}} for i in range(objects // 5)]))


SHAPES = {"records": records, "instances": instances, "nodes": nodes, "fresh": fresh}


def main():
    shape, objects, times = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rtgc.supervise(service="walk", collector="snapshot")
    gc.set_threshold(10**9, 10**9, 10**9)
    kept = SHAPES[shape](objects, random.Random(SEED))
    gc.collect()
    snapshots, windows, collections, walked = [], [], [], 0
    for _ in range(times):
        if _rtgc.snapshot_now() is None:
            sys.exit(f"no snapshot: {rtgc.status()['snapshots']}")
        snapshots.append(rtgc.status()["snapshots"]["run_us"] / 1e3)
        begin = time.perf_counter()
        walked += _rtgc.full_now()
        windows.append((time.perf_counter() - begin) * 1e3)
        begin = time.perf_counter()
        gc.collect()
        collections.append((time.perf_counter() - begin) * 1e3)
    json.dump({"objects": rtgc.status()["snapshots"]["objects"], "kept": len(kept),
               "snapshots_ms": snapshots, "windows_ms": windows, "walked": walked, "collections_ms": collections}, sys.stdout)


if __name__ == "__main__":
    main()
