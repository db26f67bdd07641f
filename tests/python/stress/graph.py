# SPDX-License-Identifier: MIT
"""
Random graphs of objects, built and torn down, and what became of each.

    graph.py --seed N --operations N [--collector window|snapshot]

What it does depends on the seed alone, never on when the collector runs. A second graph of
numbers says what is reachable; at each checkpoint a full collection of the program's own has
to leave exactly that. One JSON object for each checkpoint: who was finalized, whose weak
references were called or cleared since the last one.

With --collector the process is supervised meanwhile, and says in the end what collected it.
"""

import argparse
import gc
import json
import os
import random
import sys
import time
import weakref

import kinds

CHECKPOINTS = 10
ROOTS = 1500  # about so many nodes are held at a time
FORKS = 10
RING = 3  # private objects of a token that comes back


class Token:
    """What a node stands for. Its end is noticed."""

    __slots__ = ("number", "ring", "__weakref__")

    def __init__(self, number):
        self.number, self.ring = number, None


class Finalized(Token):
    __slots__ = ()

    def __del__(self):
        graph.finalized.append(self.number)


class Returning(Token):
    """Its finalizer brings it back, with a ring of its own."""

    __slots__ = ()

    def __del__(self):
        graph.finalized.append(self.number)
        graph.saved.append(self)


class Watched(Token):
    """A weak reference with a callback tells."""

    __slots__ = ()


class Looked(Token):
    """A weak reference is looked at."""

    __slots__ = ()


TOKENS = [Finalized, Returning, Watched, Looked]


class Graph:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.numbers = 0
        self.roots = {}  # number: (node, its edges)
        self.order = []  # the numbers of the roots, for drawing one
        self.held = {}  # number of a node that is reached by no edges of its own: node
        self.kind = {}  # number: Token
        self.edges = {}  # number: numbers
        self.finalized, self.called, self.saved = [], [], []
        self.refs = {}  # number: weakref

    # ---- One operation ---------------------------------------------------------------

    def make(self):
        number, self.numbers = self.numbers, self.numbers + 1
        kind = self.random.choice(TOKENS)
        token = kind(number)
        if kind is Returning:
            ring = [token]
            for _ in range(RING):
                ring = [ring]
            token.ring = ring
        elif kind is Watched:
            called = self.called
            self.refs[number] = weakref.ref(token, lambda ref: called.append(number))
        elif kind is Looked:
            self.refs[number] = weakref.ref(token)
        edges = [number]
        make = self.random.choice(kinds.RARE if self.random.random() < 0.01 else kinds.KINDS)
        self.roots[number] = make(token, edges), edges
        self.order.append(number)
        self.kind[number] = kind
        self.edges[number] = []
        if self.random.random() < 0.7:
            edges.append(self.roots[number][0])  # a cycle of its own, mostly
            self.edges[number].append(number)

    def draw(self):
        return self.random.choice(self.order)

    def link(self):
        here, there = self.draw(), self.draw()
        node, edges = self.roots[here]
        edges.append(self.roots[there][0])
        self.edges[here].append(there)

    def unlink(self):
        here = self.draw()
        if len(self.edges[here]) > 1:
            at = self.random.randrange(len(self.edges[here]))
            del self.edges[here][at], self.roots[here][1][at + 1]

    def drop(self):
        at = self.random.randrange(len(self.order))
        self.order[at], number = self.order[-1], self.order[at]
        self.order.pop()
        del self.roots[number]

    def hold(self):
        """A node kept by another's edge alone is held directly, or let go."""
        here = self.draw()
        if self.edges[here]:
            at = self.random.randrange(len(self.edges[here]))
            self.held[self.edges[here][at]] = self.roots[here][1][at + 1]
        if len(self.held) > ROOTS // 10:
            del self.held[next(iter(self.held))]

    def operate(self):
        chance = self.random.random()
        if len(self.order) < 10 or chance < 0.4:
            self.make()
        elif chance < 0.65:
            self.link()
        elif chance < 0.72:
            self.unlink()
        elif chance < 0.76:
            self.hold()
        elif len(self.order) > ROOTS * self.random.random() * 2:
            self.drop()

    # ---- What must be ----------------------------------------------------------------

    def reachable(self):
        seen, todo = set(), [*self.roots, *self.held]
        while todo:
            number = todo.pop()
            if number not in seen:
                seen.add(number)
                todo += self.edges[number]
        return seen

    def verify(self):
        """After a full collection. Raises AssertionError."""
        alive = self.reachable()
        ended = {number for number in self.kind if number not in alive}
        finalized, called = set(self.finalized), set(self.called)
        assert len(finalized) == len(self.finalized), "a finalizer ran twice"
        assert len(called) == len(self.called), "a callback ran twice"
        for number, kind in self.kind.items():
            if kind is Watched:
                told = number in called
                assert told == (self.refs[number]() is None), (number, told)
            elif kind is Looked:
                told = self.refs[number]() is None
            else:
                told = number in finalized
            assert told == (number in ended), (number, kind.__name__, "freed" if told else "left")
        for number, (_, edges) in self.roots.items():
            assert edges[0] == number and len(edges) == 1 + len(self.edges[number])
        for token in self.saved:
            ring = token.ring
            for _ in range(RING):
                [ring] = ring
            assert ring == [token] and type(token) is Returning

    def forget(self):
        """What has ended is told, and takes no more room."""
        alive = self.reachable()
        told = {
            "finalized": sorted(self.finalized),
            "called": sorted(self.called),
            "cleared": sorted(n for n, k in self.kind.items() if k is Looked and n not in alive),
            "closed": sorted(kinds.closed),
            "alive": len(alive),
        }
        for number in [number for number in self.kind if number not in alive]:
            del self.kind[number], self.edges[number]
            self.refs.pop(number, None)
        for log in (self.finalized, self.called, self.saved, kinds.closed):
            log.clear()
        return told


graph = None


def collect():
    while gc.collect():
        pass


def fork():
    """The child has the same graph, whatever was under way here."""
    pid = os.fork()
    if pid == 0:
        try:
            collect()
            graph.verify()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0, "the graph of a forked child"


def say(**values):
    print(json.dumps(values), flush=True)


def run(operations, at_rest):
    every, forks = max(1, operations // CHECKPOINTS), max(1, operations // FORKS)
    for n in range(1, operations + 1):
        graph.operate()
        if n % 64 == 0:
            at_rest(n)
        if n % forks == forks // 2:
            fork()
        if n % every == 0:
            collect()
            graph.verify()
            say(**graph.forget())
    graph.roots.clear()
    graph.order.clear()
    graph.held.clear()
    collect()
    graph.verify()
    say(**graph.forget())


def rest_supervised(n):
    import rtgc

    if n % 1024:
        rtgc.checkpoint()
    else:
        until = time.monotonic() + 0.002
        rtgc.slack(until)
        time.sleep(max(0, until - time.monotonic()))


def supervise(collector):
    import rtgc

    rtgc.supervise(service="web", collector=collector)
    while not rtgc.status()["supervised"]:
        time.sleep(0.001)
    return rtgc.status


def main():
    global graph
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--operations", type=int, required=True)
    parser.add_argument("--collector")
    options = parser.parse_args()
    sys.setrecursionlimit(20000)
    graph = Graph(options.seed)
    status = supervise(options.collector) if options.collector else None
    begin = time.monotonic()
    run(options.operations, rest_supervised if status else lambda n: None)
    say(seconds=time.monotonic() - begin, full=gc.get_stats()[2]["collections"],
        status=status and status())


if __name__ == "__main__":
    main()
