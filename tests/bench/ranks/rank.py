# SPDX-License-Identifier: MIT
"""One rank of a data-parallel job: a plain loop of steps with an all-reduce at the end of each.
Where one step is over and the next has not begun it says rtgc.checkpoint(), which does nothing
unless the process is supervised. With $COLLECT_EVERY its full collections are made by hand, behind every
so many steps, which are the same ones in all ranks.

    rank.py HUB RANK STEPS SAMPLES WORK LOG

Each step walks a batch of its part of the data, builds a graph of activations with references in
both directions, and adds it to a window of the last steps, from which it falls out as garbage that
has grown old. Graphs differ in size, as sequences do in length. In the end the instants at which the
steps ended (time.monotonic_ns()) are written to LOG.
"""

import collections
import gc
import os
import random
import sys
import time

import rtgc
from hub import Group

REMEMBERED = 24  # graphs; long enough to outlive the young generations


class Node:
    __slots__ = ("parent", "children", "value")

    def __init__(self, parent, value):
        self.parent = parent
        self.children = []
        self.value = value


def forward(batch, size):
    """A graph of `size` nodes over the batch."""
    root = Node(None, 0.0)
    nodes = [root]
    for i in range(1, size):
        parent = nodes[i >> 2]
        node = Node(parent, batch[i % len(batch)][0])
        parent.children.append(node)
        nodes.append(node)
    return root


def backward(samples, batch, work):
    """The arithmetic of a step."""
    total = 0.0
    for _ in range(work):
        for sample in batch:
            total += sample[0] * 0.5 + sample[1]
    return total / len(samples)


def checkpoint(step, every):
    if not every:
        rtgc.checkpoint()
    elif (step + 1) % every == 0:
        gc.collect()


def main():
    every = int(os.environ.get("COLLECT_EVERY", 0))
    if every:
        gc.set_threshold(*gc.get_threshold()[:2], 10**9)
    path, rank, steps, count, work = sys.argv[1], *map(int, sys.argv[2:6])
    chance = random.Random(rank)
    # Parts of the data are not quite of one size either.
    count = int(count * chance.uniform(0.97, 1.03))
    samples = [[chance.random(), rank] for _ in range(count)]
    recent = collections.deque(maxlen=REMEMBERED)
    # What comes before the loop (files read, caches filled) differs from rank to rank.
    for _ in range(chance.randrange(REMEMBERED * 3)):
        recent.append(forward(samples[:64], 1200))
    group = Group(path, rank)
    ended = []
    for step in range(steps):
        batch = [samples[chance.randrange(count)] for _ in range(64)]
        recent.append(forward(batch, chance.randint(600, 1800)))
        group.mean(backward(samples, batch, work))
        ended.append(time.monotonic_ns())
        checkpoint(step, every)
    with open(sys.argv[6], "w") as log:
        log.writelines(f"{at}\n" for at in ended)


if __name__ == "__main__":
    main()
