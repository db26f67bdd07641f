# SPDX-License-Identifier: MIT
"""rtgc.heap_summary(): the objects and bytes that Python itself finds."""

import json
import os
import subprocess
import sys
from textwrap import dedent

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program, environment, harness


def run(source):
    """What the program says."""
    with Program(source, environment(), launcher=()) as p:
        return p.next()


WORDS = """
import collections
class Node:
    def __init__(self, i):
        self.i, self.children = i, []
class Slotted: __slots__ = ("a", "b")
class Own(dict): pass
class Asks:
    def __sizeof__(self):
        asked.append(1)
        return 1 << 20
asked = []
def by_type(objects):
    found = {}
    for x in objects:
        t = type(x)
        name = t.__qualname__ if t.__module__ == "builtins" else f"{t.__module__}.{t.__qualname__}"
        entry = found.setdefault(name, [0, 0])
        entry[0] += 1
        entry[1] += sys.getsizeof(x)
    return found
def rows(summary):
    return {t.name: [t.count, t.bytes] for t in summary.types}
keep = [
    [Node(i) for i in range(3000)], [Slotted() for _ in range(500)], [Own(a=1) for _ in range(200)],
    [[0] * i for i in range(300)], [(i, []) for i in range(400)], [{i: []} for i in range(600)],
    [set(range(i)) | {(1, 2, str(i))} for i in range(100)], [collections.OrderedDict(a=[])] * 3,
    [collections.deque(range(i)) for i in range(50)], [iter([]) for _ in range(70)],
    [lambda: keep for _ in range(80)], [type(f"T{i}", (), {}) for i in range(30)],
    [bytearray(i) for i in range(20)],
]
gc.collect()
gc.disable()
"""
# They are made by the comparison itself.
OWN = ("rtgc._summary.TypeSummary", "rtgc._summary.HeapSummary", "frame", "cell")


def compare(said):
    """Counts are the same but for what the comparison itself makes, a few of each; bytes of those
    types that it does not make are the same."""
    mine, pythons = said["mine"], said["pythons"]
    for name in (set(mine) | set(pythons)) - set(OWN):
        count, size = mine.get(name, [0, 0])
        assert abs(count - pythons.get(name, [0, 0])[0]) <= 3, name
    for name in ("__main__.Node", "__main__.Slotted", "__main__.Own", "collections.deque",
                 "collections.OrderedDict", "function", "set"):
        assert mine.get(name) == pythons.get(name), name


def test_tracked():
    said = run(WORDS + """
mine = rtgc.heap_summary(None)
tracked = gc.get_objects()
say(mine=rows(mine), pythons=by_type(tracked))
""")
    compare(said)
    assert said["mine"]["__main__.Node"][0] == 3000
    assert "str" not in said["mine"] and "bytearray" not in said["mine"]


def test_untracked():
    """Everything that tracked objects lead to, each once."""
    said = run(WORDS + """
mine = rows(rtgc.heap_summary(None, untracked=True))
tracked = gc.get_objects()
seen = {id(x): x for x in tracked}
todo = tracked
while todo:
    new = {id(x): x for x in gc.get_referents(*todo)
           if id(x) not in seen and x is not seen and x is not tracked}
    seen.update(new)
    todo = list(new.values())
say(mine=mine, pythons=by_type(seen.values()))
""")
    assert said["mine"]["bytearray"][0] == 20
    # The comparison holds some numbers (id()) and lists that there were none of before.
    said["pythons"].pop("int")
    numbers = said["mine"].pop("int")
    assert numbers[0] > 3000
    said["mine"].pop("list"), said["pythons"].pop("list")
    compare(said)


def test_frozen_and_limit():
    said = run(WORDS + """
before = rtgc.heap_summary()
gc.freeze()
after = rtgc.heap_summary(3)
text = str(after)
nothing = rtgc.heap_summary(0)
try:
    rtgc.heap_summary(-1)
except ValueError as e:
    wrong = str(e)
say(before=[before.objects, before.bytes], after=[after.objects, after.bytes],
    types=[t._asdict() for t in after.types], n=len(before.types), text=text, wrong=wrong,
    nothing=[nothing.objects, nothing.types], pause_us=before.pause_us)
""")
    assert abs(said["before"][0] - said["after"][0]) < 100
    assert said["n"] == 20 and said["nothing"][0] > 5000 and said["nothing"][1] == []
    sizes = [t["bytes"] for t in said["types"]]
    assert len(sizes) == 3 and sizes == sorted(sizes, reverse=True)
    assert said["types"][0]["share"] == sizes[0] / said["after"][1]
    assert said["text"].splitlines()[0].split() == ["TYPE", "OBJECTS", "BYTES", "SHARE"]
    assert "ms)" in said["text"] and said["pause_us"] > 0 and said["wrong"]


def test_nothing_of_the_programs_runs():
    """A __sizeof__() in Python is not asked, and its types count as any other class's."""
    said = run(WORDS + """
things = [Asks() for _ in range(10)]
class Plain: pass
plain = [Plain() for _ in range(10)]
mine = rows(rtgc.heap_summary(None))
say(asked=asked, asks=mine["__main__.Asks"], plain=mine["__main__.Plain"],
    size=10 * sys.getsizeof(plain[0]))
""")
    assert said["asked"] == [] and said["asks"] == said["plain"] == [10, said["size"]]


def test_same_names_are_one_row():
    said = run("""
def make():
    class Local: pass
    return Local()
things = [make() for _ in range(50)]
mine = {t.name: t.count for t in rtgc.heap_summary(None).types}
say(count=mine["__main__.make.<locals>.Local"])
""")
    assert said["count"] == 50


def test_inside_a_collection():
    """Its lists are not to be read then."""
    said = run("""
said = []
class Ends:
    def __del__(self):
        try:
            rtgc.heap_summary()
        except RuntimeError as e:
            said.append(str(e))
end = Ends()
end.self = end
del end
gc.collect()
say(said=said, after=rtgc.heap_summary().objects > 0, collected=gc.collect() >= 0)
""")
    assert said["said"] == ["a collection is running: no summary from inside a finalizer"]
    assert said["after"] and said["collected"]


@pytest.mark.skipif(bool(os.environ.get("SANITIZE")), reason="what is freed stays resident under the sanitizers")
def test_memory_is_given_back():
    said = run(WORDS + """
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")
for _ in range(20):
    rtgc.heap_summary(None, untracked=True)
before = rss()
for _ in range(200):
    rtgc.heap_summary(None, untracked=True)
say(grown=rss() - before)
""")
    assert said["grown"] < 4 << 20


# Where the main thread may be when somebody asks.
WAYS = {
    "at rest": """
        import selectors
        selector = selectors.DefaultSelector()
        selector.register(sys.stdin, selectors.EVENT_READ)
        selector.select()
    """,
    "works": """
        import select
        while not select.select([sys.stdin], [], [], 0)[0]:
            pass
    """,
    "in C": """
        sys.stdin.readline()
    """,
    "critical": """
        with rtgc.critical():
            sys.stdin.readline()
    """,
    "in slack": """
        while not __import__("select").select([sys.stdin], [], [], 0)[0]:
            rtgc.slack(time.monotonic() + 0.01)
            time.sleep(0.01)
    """,
}


@pytest.fixture(scope="module")
def daemon():
    with harness.Daemon(config="[Service:web]\nMaxConcurrent=1\n") as d:
        yield d


def ask(daemon, **parameters):
    """A busy machine may be too slow for the daemon's patience: then it is asked again."""
    for _ in range(20):
        try:
            return daemon.call("HeapSummary", **parameters)
        except harness.Error as e:
            assert e.name.endswith((".NoAnswer", ".AlreadyAsked"))
    raise AssertionError("no answer")


@pytest.mark.parametrize("way", WAYS)
def test_from_outside(daemon, way):
    source = """
rtgc.supervise(service="web", heap="asked")
class Node: pass
nodes = [Node() for _ in range(5000)]
types = [type(f"T{i}", (), {})() for i in range(300)]
while not rtgc.status()["supervised"]:
    time.sleep(0.001)
say(tracked=len(gc.get_objects()))
""" + dedent(WAYS[way])
    with Program(source, environment(daemon.env()), launcher=()) as p:
        tracked = p.next()["tracked"]
        said = ask(daemon, heap="asked", limit=256)
        names = {t["name"]: t["objects"] for t in said["types"]}
        assert said["heap_name"] == "asked" and names["__main__.Node"] == 5000
        assert abs(said["objects"] - tracked) < 500 and said["pause_us"] > 0
        assert len(said["types"]) == 256
        sizes = [t["bytes"] for t in said["types"]]
        assert sizes == sorted(sizes, reverse=True) and sum(sizes) <= said["bytes"]
        p.tell()


def test_rtgcctl(daemon):
    with Program("""
rtgc.supervise(service="web", heap="shown")
class Node: __slots__ = "a", "b"
nodes = [Node() for _ in range(50_000)]
while not rtgc.status()["supervised"]:
    time.sleep(0.001)
say(size=50_000 * sys.getsizeof(nodes[0]))
sys.stdin.readline()
""", environment(daemon.env()), launcher=()) as p:
        size = p.next()["size"]
        ask(daemon, heap="shown")
        for options in ((), ("-j",)):
            done = subprocess.run(
                [os.path.join(harness.BUILDDIR, "rtgcctl"), "--control", daemon.control, *options,
                 "heap-summary", "shown"], capture_output=True, text=True, check=True)
            if options:
                [node] = [t for t in json.loads(done.stdout)["types"] if t["name"] == "__main__.Node"]
                assert node == {"name": "__main__.Node", "objects": 50_000, "bytes": size}
            else:
                lines = done.stdout.splitlines()
                assert lines[0].startswith("shown (heap ") and " objects, " in lines[0]
                assert lines[2].split() == ["TYPE", "OBJECTS", "BYTES", "SHARE"]
                assert lines[3].split()[:2] == ["__main__.Node", "50k"]
        p.tell()
