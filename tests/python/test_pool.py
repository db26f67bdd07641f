# SPDX-License-Identifier: MIT
"""rtgc.Pool: objects are reused, and none is kept that should not be."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program, environment


def run(source):
    """What the program says."""
    with Program("import weakref\n" + source, environment(), launcher=()) as p:
        return p.next()


def test_reuse_and_counters():
    said = run("""
pool = rtgc.Pool(list, reset=list.clear, max=2, name="buffers")
a, b, c = pool.acquire(), pool.acquire(), pool.acquire()
a.append(1)
first = id(a)
for x in (a, b, c):
    pool.release(x)
del a, b, c, x
rest = pool.stats()
ids = [id(pool.acquire()) for _ in range(1)]
with pool.get() as x:
    inside = [list(x), pool.stats()["in_use"]]
say(rest=rest, same=first in [id(x), *ids], inside=inside, last=rtgc.status()["pools"],
    repr=repr(pool))
""")
    assert said["rest"] == {"name": "buffers", "max": 2, "at_rest": 2, "in_use": 0, "made": 3,
                            "reused": 0, "dropped": 1, "high_water": 3}
    assert said["same"] and said["inside"] == [[], 2]
    # One was acquired and forgotten: it stays in in_use.
    assert said["last"] == [{"name": "buffers", "max": 2, "at_rest": 1, "in_use": 1, "made": 3,
                             "reused": 2, "dropped": 1, "high_water": 3}]
    assert said["repr"] == "<rtgc.Pool 'buffers': 1 at rest, 1 in use>"


def test_misuse():
    said = run("""
pool = rtgc.Pool(list)
x = pool.acquire()
pool.release(x)
def error(call, *args, **keywords):
    try:
        call(*args, **keywords)
    except Exception as e:
        return f"{type(e).__name__}: {e}"
one = []
same = rtgc.Pool(lambda: one)
held = same.acquire()
loan = pool.get()
def twice():
    with loan, loan:
        pass
say(errors=[
    error(pool.release, x), error(pool.release, []), error(same.acquire), error(twice),
    error(rtgc.Pool, 1), error(rtgc.Pool, list, reset=1), error(rtgc.Pool, list, max=-1),
    error(rtgc.Pool), error(rtgc.Pool(int, max=1).release, 5),
], stats=pool.stats())
""")
    assert said["errors"] == [
        "ValueError: list object was released to pool 'list' already",
        "ValueError: list object was not taken from pool 'list'",
        "ValueError: the factory of a pool must make a new object each time",
        "RuntimeError: one pool.get() is good for one object at a time",
        "TypeError: Pool() wants callables",
        "TypeError: Pool() wants callables",
        "ValueError: max is a number of objects",
        "TypeError: Pool() missing required argument 'factory' (pos 1)",
        "ValueError: int object was not taken from pool 'int'",
    ]
    assert said["stats"]["in_use"] == 0 and said["stats"]["at_rest"] == 1


def test_failing_factory_and_reset():
    said = run("""
class Thing: pass
fails = True
def factory():
    if fails:
        raise OSError("none left")
    return Thing()
def reset(thing):
    if thing.bad:
        raise KeyError("bad")
pool = rtgc.Pool(factory, reset)
said = []
try:
    pool.acquire()
except OSError as e:
    said.append(str(e))
said.append(pool.stats())
fails = False
try:
    with pool.get() as thing:
        thing.bad = True
        gone = weakref.ref(thing)
except KeyError as e:
    said.append(str(e))
del thing
try:
    with pool.get() as thing:
        thing.bad = False
        raise ValueError("of the body")
except ValueError as e:
    said.append(str(e))
say(said=said, gone=gone() is None, stats=pool.stats())
""")
    none_left, empty, bad, body = said["said"]
    assert (none_left, bad, body) == ("none left", "'bad'", "of the body")
    assert empty["made"] == empty["in_use"] == 0
    assert said["gone"] and said["stats"]["made"] == 2
    assert (said["stats"]["dropped"], said["stats"]["at_rest"], said["stats"]["in_use"]) == (1, 1, 0)


def test_keeps_no_garbage():
    """What its users forget dies at once; pools in cycles are collected with what rests in them;
    clear() lets go; an object that dies may call the pool."""
    said = run("""
class Thing:
    def __del__(self):
        ends.append(len(rtgc.status()["pools"]))
ends = []
pool = rtgc.Pool(Thing)
pool.acquire()
forgotten = len(ends)
for _ in range(100):           # at the same few addresses
    pool.acquire()
stats = pool.stats()
loan = pool.get()
loan.__enter__()
del loan                       # abandoned
abandoned = len(ends)
things = [pool.acquire() for _ in range(10)]
for t in things:
    pool.release(t)
del things, t
pool.clear()
cleared = len(ends)
class Owner: pass
owner = Owner()
owner.pool = rtgc.Pool(Thing)
thing = owner.pool.acquire()
thing.owner = owner
owner.pool.release(thing)
gone = weakref.ref(owner.pool)
del thing, owner
before = gone() is not None
gc.collect()
say(forgotten=forgotten, stats=stats, abandoned=abandoned, cleared=cleared, before=before,
    after=gone() is None, ends=len(ends), pools=len(rtgc.status()["pools"]))
""")
    assert said["forgotten"] == 1
    assert said["stats"]["made"] == 101 and said["stats"]["in_use"] < 10
    assert said["abandoned"] == 102 and said["cleared"] == 112
    assert said["before"] and said["after"] and said["ends"] == 113
    assert said["pools"] == 1


def test_against_a_model():
    """Random use, and the counters of a plain list."""
    said = run("""
import random
random.seed(7)
pool = rtgc.Pool(lambda: [0], reset=lambda x: x.__setitem__(0, 0), max=50)
out, rest, made, reused, dropped, high, wrong = [], 0, 0, 0, 0, 0, 0
for step in range(200_000):
    if random.random() < (0.6 if step // 1000 % 2 else 0.4):
        x = pool.acquire()
        wrong += x[0] != 0 or any(x is y for y in out[-3:])
        x[0] = 1
        out.append(x)
        reused += rest > 0
        made += rest == 0
        rest -= rest > 0
        high = max(high, len(out))
    elif out:
        x = out.pop(random.randrange(len(out)))
        pool.release(x)
        dropped += rest == 50
        rest += rest < 50
    if step % 1000 == 0:
        s = pool.stats()
        wrong += (s["at_rest"], s["in_use"], s["made"], s["reused"], s["dropped"], s["high_water"]) \\
            != (rest, len(out), made, reused, dropped, high)
say(wrong=wrong, distinct=len({id(x) for x in out}) == len(out), high=high)
""")
    assert said["wrong"] == 0 and said["distinct"] and said["high"] > 50


def test_threads_and_fork():
    said = run("""
pool = rtgc.Pool(lambda: [None], max=8)
broken = []
def work(me):
    for _ in range(20_000):
        with pool.get() as x:
            x[0] = me
            y = pool.acquire()
            y[0] = -me
            pool.release(y)
            if x[0] != me:
                broken.append(me)
sys.setswitchinterval(1e-5)
threads = [threading.Thread(target=work, args=(i,)) for i in range(1, 5)]
for t in threads: t.start()
for t in threads: t.join()
stats = pool.stats()
held = pool.acquire()
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    pool.release(held)
    with pool.get():
        pass
    os.write(w, json.dumps(pool.stats()).encode())
    os._exit(0)
child = json.loads(os.read(r, 4096))
os.waitpid(pid, 0)
say(broken=broken, stats=stats, child=child, parent=pool.stats())
""")
    stats = said["stats"]
    assert said["broken"] == [] and stats["in_use"] == 0
    assert stats["made"] + stats["reused"] == 160_000
    assert stats["made"] == stats["at_rest"] + stats["dropped"] and stats["high_water"] <= 8
    assert said["child"]["in_use"] == 0 and said["parent"]["in_use"] == 1


def test_help():
    said = run("""
import inspect
say(signature=str(inspect.signature(rtgc.Pool)), doc=rtgc.Pool.__doc__,
    methods=[str(inspect.signature(getattr(rtgc.Pool, m)))
             for m in ("acquire", "release", "get", "clear", "stats")],
    supervised=rtgc.status()["state"])
""")
    assert said["signature"] == "(factory, reset=None, max=128, name=None)"
    assert "reset(object)" in said["doc"] and said["supervised"] == "unsupervised"
    assert said["methods"] == ["(self, /)", "(self, object, /)"] + ["(self, /)"] * 3
