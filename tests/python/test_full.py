# SPDX-License-Identifier: MIT
"""Full collections in windows that walk the heap themselves, and leave CPython the rest."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from busy import CONFIG
from program import Program, environment, harness

HEAP = """
import random
from rtgc import _rtgc
rng = random.Random(1)
gc.set_threshold(700, 10, 10**9)

def scattered(count):
    "As a cache is after a while: neighbours on the collector's list do not lie next to each other."
    made = lambda i: {"name": f"product {i}", "images": [f"{i}.png"]}
    things = [made(i) for i in range(count)]
    for i in range(3 * count):
        things[rng.randrange(count)] = made(i)
    gc.collect()
    return things

class Node:
    def __init__(self):
        self.self = self

def garbage(count):
    for _ in range(count):
        Node()
"""


def program(source, *, env=None):
    with Program(HEAP + source, env or environment(), launcher=()) as p:
        return p.next(120)


def test_what_suits():
    """A heap that lies in memory as it was made is CPython's; so is a small one."""
    said = program("""
small = scattered(1000)
walked = [_rtgc.full_now()]
kept = [[i] for i in range(200_000)]
walked.append(_rtgc.full_now())
del kept[:], small[:]
kept = scattered(100_000)
found = []
while not found or (not found[-1] and len(found) < 20):
    found.append(_rtgc.full_now())
say(walked=walked, after=len(found), found=found[-1], status=rtgc.status()["walked"], again=_rtgc.full_now())
""")
    assert said["walked"] == [False, False]
    # It had been looked at, and did not suit: so many are not looked at again.
    assert said["found"] and said["again"] and 10 <= said["after"] <= 17
    assert said["status"] == 1


@pytest.mark.parametrize("mode, walks", [("plain", False), ("walk", True), ("", True)])
def test_the_environment_decides(mode, walks):
    said = program("kept = scattered(100_000)\nsay(walks=_rtgc.full_now())\n", env=environment(RTGC_FULL=mode))
    assert said["walks"] is walks


def test_all_is_as_it_was():
    """Objects, counts, statistics and callbacks are as after gc.collect()."""
    said = program("""
kept = scattered(60_000)
seen = []
gc.callbacks.append(lambda phase, info: seen.append((phase, info["generation"], info["collected"],
                                                     len(gc.get_objects()) if phase == "stop" else 0)))
def look():
    return len(gc.get_objects()), gc.get_stats()[2]
def one(collect):
    gc.disable()
    garbage(1000)
    gc.enable()
    del seen[:]
    before = look()
    collect()
    after = look()
    return dict(lost=before[0] - after[0], seen=[s for s in seen if s[1] == 2], live=after[0],
                collections=after[1]["collections"] - before[1]["collections"],
                collected=after[1]["collected"] - before[1]["collected"], count=gc.get_count()[1:],
                total=_rtgc.status()["live"])
rtgc.supervise(service="web")
one(gc.collect)
plain, walked = one(gc.collect), one(_rtgc.full_now)
say(plain=plain, walked=walked, n=rtgc.status()["walked"], left=gc.collect())
""", env=environment(RTGC_FULL="walk"))
    plain, walked = said["plain"], said["walked"]
    assert said["n"] == 1 and said["left"] == 0
    assert walked["collections"] == plain["collections"] == 1
    assert walked["collected"] == plain["collected"] >= 1000
    assert [s[:3] for s in walked["seen"]] == [s[:3] for s in plain["seen"]]
    # (Who is called when it has ended finds all of them.)
    for one in plain, walked:
        assert abs(one["seen"][-1][3] - one["live"]) < 50 and one["count"] == [0, 0]
    assert abs(walked["live"] - plain["live"]) < 50 and abs(walked["total"] - plain["total"]) < 50


def test_where_memory_is_short():
    """Its tables must not be what outgrows the budget."""
    said = program("""
kept = scattered(150_000)
rtgc.supervise(service="web", budget=rtgc.status()["rss_bytes"] + 2**20)
within_budget = _rtgc.full_now()
rtgc.supervise(service="web", budget="4G")
walks = _rtgc.full_now()
say(within_budget=within_budget, walks=walks)
""", env=environment(RTGC_FULL="walk"))
    assert (said["within_budget"], said["walks"]) == (False, True)


@pytest.mark.skipif(bool(os.environ.get("SANITIZE")), reason="the sanitizers need more address space than any limit leaves")
def test_without_memory():
    said = program("""
import resource
kept = scattered(150_000)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
before = len(gc.get_objects())
gc.disable()
garbage(100)
gc.enable()
resource.setrlimit(resource.RLIMIT_AS, (size + 2**22, resource.RLIM_INFINITY))
limited = _rtgc.full_now()
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
say(limited=limited, left=gc.collect(), lost=before - len(gc.get_objects()))
""", env=environment(RTGC_FULL="walk"))
    assert not said["limited"] and said["left"] == 0 and said["lost"] < 50


FORKS = """
kept = scattered(20_000)
class Dies:
    def __init__(self):
        self.self = self
    def __del__(self):
        FORK
def child(count):
    time.sleep(0.1)
    gc.collect()
    # All that stood aside is there, and is collected again.
    os._exit(0 if len(gc.get_objects()) > count - 500 and gc.get_stats()[2]["collections"] > before else 1)
before = gc.get_stats()[2]["collections"]
count = len(gc.get_objects())
pids = []
rtgc.supervise(service="web")
Dies()
walked = _rtgc.full_now()
for pid in pids:
    assert os.waitpid(pid, 0)[1] == 0
say(walked=walked, children=len(pids), lost=count - len(gc.get_objects()))
"""


@pytest.mark.parametrize("who", ["finalizer", "another thread"])
def test_a_fork_in_the_middle(who):
    """Of the thread that collects, which goes on in the child; or of another one: then nobody does there."""
    fork = """
        pid = os.fork()
        if pid:
            pids.append(pid)"""
    if who == "finalizer":
        source = FORKS.replace("FORK", fork.strip()).replace("walked = _rtgc.full_now()", """walked = _rtgc.full_now()
if not pids:
    child(count)""")
    else:
        source = FORKS.replace("FORK", "t.start(); t.join()").replace("pids = []", """pids = []
def fork():
    pid = os.fork()
    if pid:
        pids.append(pid)
    else:
        child(count)
t = threading.Thread(target=fork)""")
    said = program(source, env=environment(RTGC_FULL="walk"))
    assert said["walked"] and said["children"] == 1 and said["lost"] < 50


def test_in_a_window():
    """The daemon's windows are taken so, and what nothing refers to goes."""
    with harness.Daemon(config=CONFIG) as d:
        said = program("""
import weakref
kept = scattered(100_000)
rtgc.supervise(service="web")
while not rtgc.status()["supervised"]:
    time.sleep(0.001)
node = Node()
gone = weakref.ref(node)
del node
while not rtgc.status()["walked"] or gone():
    garbage(100)
    rtgc.checkpoint()
status = rtgc.status()
say(walked=status["walked"], windows=status["collections_in_window"] + status["forced"], live=status["live"])
""", env=environment(d.env()))
        assert 1 <= said["walked"] <= said["windows"] and said["live"] > 200_000
