# SPDX-License-Identifier: MIT
"""Random graphs of objects: a snapshot, and a walk in a window, free what a full collection of CPython itself frees, and
whatever the program does in between, nothing that lives. RTGC_GRAPH_OPERATIONS makes them longer."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program, environment

OPERATIONS = int(os.environ.get("RTGC_GRAPH_OPERATIONS", "100000"))
SEED = int(os.environ.get("RTGC_SEED", "1"))

GRAPH = """
import rtgc, collections, functools, itertools, random, weakref
from rtgc import _rtgc

rtgc.supervise(service="web", collector="snapshot")
gc.set_threshold(10**9, 10**9, 10**9)
mode, seed, operations = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(seed)

events = []          # what the collector did, in the present round
names = itertools.count()
resurrected = {}
died = collections.Counter()

class Base:
    "Knows its name, says when it is finalized, and sometimes comes back."
    __slots__ = ("name", "left", "right", "__weakref__")
    def __init__(self):
        self.name = next(names)
        self.left = self.right = None
    def __del__(self):
        died[self.name] += 1
        events.append(("died", self.name))
        if self.name % 17 == 0:
            events.append(("back", self.name))
            resurrected[self.name] = self

class Slots(Base):
    __slots__ = ("more",)

class Dict(Base):
    pass

class Quiet:
    "Has no finalizer."
    def __init__(self):
        self.name = next(names)
        self.left = self.right = None

def generator(node):
    held = [node]
    yield held
    yield node

def wrap(node):
    "Something of another type that leads to the node."
    kind = rng.randrange(16)
    if kind == 0: return [node]
    if kind == 1: return (node, [node])
    if kind == 2: return {"node": node}
    if kind == 3: return {1: [node]}.values()
    if kind == 4: return {1: node}.items()
    if kind == 5: return collections.deque([node], 3)
    if kind == 6: return functools.partial(print, node)
    if kind == 7: return itertools.chain([node], [1])
    if kind == 8: return lambda: node
    if kind == 9: return collections.OrderedDict(node=node)
    if kind == 10:
        g = generator(node)
        next(g)
        return g
    if kind == 11: return node.__init__
    if kind == 12: return type("T", (), {"node": node})
    if kind == 13: return iter([node, 2])
    if kind == 14: return {frozenset([id]): node, 2: {node.__class__}}
    return map(id, [node])

def callback(name, reference):
    events.append(("gone", name))

roots = [None] * 200
references = {}

def make():
    node = rng.choice((Slots, Dict, Quiet, Dict))()
    if rng.random() < 0.3:
        # Weak references with callbacks: kept by the program, or part of the graph itself.
        kept = weakref.ref(node, functools.partial(callback, node.name))
        if rng.random() < 0.5:
            references[node.name] = kept
        else:
            node.left = [kept]
    return node

def step():
    what = rng.random()
    i, j = rng.randrange(len(roots)), rng.randrange(len(roots))
    a, b = roots[i], roots[j]
    if what < 0.35 or a is None or b is None:
        node = make()
        node.right = roots[i]
        roots[i] = node
    elif what < 0.65:
        a.left = wrap(b)
    elif what < 0.8:
        a.right, b.left = b, a
    elif what < 0.85:
        wrapped = wrap(a)
        b.left = (b.left, wrapped) if rng.random() < 0.5 else wrapped
    else:
        roots[i] = None

def settle():
    "References whose objects are gone say so to nobody any more."
    for name in [n for n, r in references.items() if r() is None]:
        del references[name]
    for name in sorted(resurrected):
        if rng.random() < 0.7:
            del resurrected[name]
"""

COMPARE = GRAPH + """
rounds = operations // 2000
digest = []
for _ in range(rounds):
    for _ in range(2000):
        step()
    events.sort()
    before, events[:] = list(events), []
    if mode == "snapshot":
        found = _rtgc.snapshot_now()
        assert found is not None, rtgc.status()["snapshots"]
    elif mode == "walk":
        assert _rtgc.full_now()
    else:
        found = gc.collect()
    after = sorted(events)
    events.clear()
    digest.append([len(before), hash(tuple(before)), len(after), hash(tuple(after))])
    settle()
gc.collect()
assert max(died.values()) == 1
say(digest=digest, left=gc.collect(), taken=rtgc.status()["snapshots"]["taken"],
    void=rtgc.status()["snapshots"]["void"], died=len(died))
"""


def run(source, *arguments):
    env = environment(PYTHONHASHSEED="0", RTGC_FULL="walk")
    with Program(source, env, arguments, launcher=()) as p:
        return p.next(600)


@pytest.mark.parametrize("mode", ["snapshot", "walk"])
@pytest.mark.parametrize("seed", range(SEED, SEED + 2))
def test_same_as_a_full_collection(seed, mode):
    """Round by round: the same objects die, the same callbacks are called, the same come back.
    (A full collection also stops tracking dicts that need it not, so it counts fewer objects.)"""
    operations = OPERATIONS // 2
    plain = run(COMPARE, "plain", str(seed), str(operations))
    mine = run(COMPARE, mode, str(seed), str(operations))
    for number, (a, b) in enumerate(zip(plain["digest"], mine["digest"])):
        assert a == b, f"round {number} of seed {seed}"
    if mode == "snapshot":
        assert len(mine["digest"]) == mine["taken"] and mine["void"] == 0
    assert len(mine["digest"]) > 0
    assert mine["died"] == plain["died"] > operations / 20
    # And nothing is left to find.
    assert (plain["left"], mine["left"]) == (0, 0)


MEANWHILE = GRAPH + """
import threading
# The program goes on while snapshots run: it drops things, makes new ones, and picks garbage up
# again by weak references, whole or in part.
for name in list(references):
    del references[name]
weak = {}

def whole(node, seen):
    "All that is reached from here by plain links is sound: what was freed would have lost it."
    while isinstance(node, (Base, Quiet)) and id(node) not in seen:
        seen.add(id(node))
        assert kinds.setdefault(node.name, type(node)) is type(node)
        node = node.right

kinds = {}
picked = 0

def pick_up():
    "What a weak reference still reaches is alive, garbage or not."
    global picked
    name = rng.choice(list(weak)) if weak else None
    node = weak[name]() if name is not None else None
    if node is None:
        weak.pop(name, None)
        return
    picked += 1
    i = rng.randrange(len(roots))
    if rng.random() < 0.5:
        node.right = None            # and what it led to may die at once
    else:
        node.left = wrap(node)
    roots[i] = node if rng.random() < 0.5 else roots[i]

stop = threading.Event()
def work():
    "Another thread allocates, and has the young generations collected."
    while not stop.is_set():
        junk = [[] for _ in range(50)]
        junk.append(junk)
        time.sleep(0.0005)

gc.set_threshold(700, 10, 10**9)
thread = threading.Thread(target=work, daemon=True)
thread.start()
done = 0
while done < operations:
    begun = rtgc.status()["snapshots"]["taken"]
    _rtgc.snapshot_begin()
    more = 0
    while rtgc.status()["snapshots"]["running"] or more < 200:
        step()
        done += 1
        more += 1
        node = roots[rng.randrange(len(roots))]
        if node is not None:
            kinds[node.name] = type(node)
            if rng.random() < 0.3:
                weak[node.name] = weakref.ref(node)
        if rng.random() < 0.2:
            pick_up()
        if rng.random() < 0.05:
            _rtgc.snapshot_step()
        if rng.random() < 0.0005:
            rng.choice((gc.collect, gc.freeze, gc.unfreeze))()
    for root in roots[:20]:
        whole(root, set())
    if rng.random() < 0.5:
        resurrected.clear()
stop.set()
thread.join()
gc.unfreeze()
roots.clear()
resurrected.clear()
found = gc.collect()
snapshots = rtgc.status()["snapshots"]
assert max(died.values()) == 1
say(taken=snapshots["taken"], void=snapshots["void"], freed=snapshots["freed"], picked=picked,
    reason=snapshots["void_reason"], refused=snapshots["refused"], died=len(died), left=gc.collect())
"""


def test_program_goes_on_meanwhile():
    said = run(MEANWHILE, "snapshot", str(SEED), str(OPERATIONS // 2))
    assert said["refused"] is None
    assert said["taken"] > said["void"] and said["freed"] > 0 and said["picked"] > 100
    assert said["left"] == 0 and said["died"] > 0
