# SPDX-License-Identifier: MIT
"""Snapshots with the real daemon: garbage is freed, and no full collection ever stops the program."""

import os
import sys
from textwrap import dedent

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program, environment, harness, read_record


@pytest.fixture(scope="module")
def daemon():
    with harness.Daemon(config="[Service:drained]\nDrain=client\n") as d:
        yield d


def heap_of(daemon, program):
    return next((h for h in daemon.heaps() if h["pid"] == program.pid), None)


# A program that makes old garbage: cycles with finalizers that live until they are old.
GARBAGE = """
import rtgc, select, weakref
class Node:
    def __init__(self, log):
        self.me, self.log = self, log
    def __del__(self):
        self.log[0] += 1

keep, died, made = [], [0], 0

def litter():
    "A thousand old cycles, which are garbage from now on."
    global made
    nodes = [Node(died) for _ in range(1000)]
    gc.collect(1)
    made += 1000

littered = 0

def snapshots(count, wait):
    "Until so many have been worked off. Some 50,000 objects a second, and never to the ceiling."
    global littered
    while True:
        now = rtgc.status()
        done = now["snapshots"]
        if done["taken"] - done["void"] >= count and not done["running"]:
            return done
        if time.monotonic() > littered + 0.02 and now["used"] < 0.95 * now["budget"]:
            littered = time.monotonic()
            litter()
        wait()
"""
WAYS = {
    "select": "select.select([], [], [], 0.01)",
    "epoll": "selector.select(0.01)",
    "asyncio": "loop.run_until_complete(asyncio.sleep(0.01))",
    "checkpoint": "rtgc.checkpoint()",
    "slack": "rtgc.slack(time.monotonic() + 0.02) or time.sleep(0.01)",
    "busy": "sum(range(1000))",
    "sleep": "time.sleep(0.02)",
}


@pytest.mark.parametrize("way", WAYS)
def test_no_full_collection(daemon, tmp_path, way):
    record = str(tmp_path / "record")
    env = environment(daemon.env(), RTGC_RECORD=record, RTGC_COLLECTOR="auto")
    with Program(GARBAGE + dedent(f"""
    import asyncio, selectors
    selector, loop = selectors.DefaultSelector(), asyncio.new_event_loop()
    while not rtgc.status()["supervised"]:
        time.sleep(0.001)
    now = snapshots(2, lambda: {WAYS[way]})   # (On a busy machine it may have majors then: outrun.)
    say(snapshots=now, full=full, died=died[0], made=made, status=rtgc.status())
    sys.stdin.readline()
    found = gc.collect()
    say(died=died[0], made=made)
    """), env, launcher=("-m", "rtgc", "--service", f"app-{way}")) as p:
        said = p.next()
        status, snapshots = said["status"], said["snapshots"]
        assert said["full"] == []
        assert snapshots["offered"] and snapshots["refused"] is None and snapshots["void"] == 0
        assert (status["forced"], status["uncoordinated"]) == (0, 0)
        assert status["collections_in_window"] == snapshots["taken"] >= 2
        # What was garbage when the last one began is gone.
        assert said["made"] / 2 < said["died"] <= said["made"]
        heap = daemon.wait(
            lambda d: (h := heap_of(d, p)) and h["collections"]["snapshot"] >= 2 and h,
            "the daemon knows of them")
        assert heap["collections"]["major"] == 0 and heap["forced"] == 0
        assert heap["predicted_pause_us"]["snapshot"] > 0 and heap["yield_last"] > 0
        p.tell()
        said = p.next()
        assert said["died"] == said["made"]  # each finalizer once
    lines = [line for line in read_record(record) if line["kind"] == "snapshot"]
    assert len(lines) >= 2
    for line in lines:
        assert 0 < line["stop_ns"] <= line["end_ns"] - line["begin_ns"]
        assert line["cause"] == "window"


def test_drained_services_get_windows(daemon):
    """Where a pause is nobody's loss, it is the cheaper one."""
    env = environment(daemon.env(), RTGC_COLLECTOR="auto")
    with Program("""
    import rtgc, select
    keep = []
    fill(keep)
    while not full:
        trickle(keep)
        select.select([], [], [], 0.01)
    say(**rtgc.status())
    """, env, launcher=("-m", "rtgc", "--service", "drained")) as p:
        said = p.next()
        assert said["snapshots"]["offered"] and said["snapshots"]["taken"] == 0
        assert said["collections_in_window"] >= 1


def test_fork_that_takes_too_long(daemon):
    """Above the limit snapshots are not offered any more: windows do."""
    env = environment(daemon.env(), RTGC_COLLECTOR="auto", RTGC_FORK_LIMIT="0")
    with Program("""
    import rtgc, select
    keep = []
    fill(keep)
    while not full:
        trickle(keep)
        select.select([], [], [], 0.01)
    say(**rtgc.status())
    """, env, launcher=("-m", "rtgc", "--service", "slow")) as p:
        said = p.next()
        assert not said["snapshots"]["offered"] and said["snapshots"]["taken"] == 0
        assert said["collections_in_window"] >= 1 and said["forced"] == 0


def test_budget_that_does_not_last(daemon, tmp_path):
    """A heap that fills its budget while a snapshot of it runs would be snapshotted without end."""
    record = str(tmp_path / "record")
    env = environment(daemon.env(), RTGC_RECORD=record, RTGC_COLLECTOR="auto")
    with Program(GARBAGE + dedent("""
    ballast = [[] for _ in range(300_000)]
    while not rtgc.status()["supervised"]:
        time.sleep(0.001)
    say()
    while not select.select([sys.stdin], [], [], 0)[0]:
        for _ in range(20):
            litter()
            rtgc.checkpoint()
    """), env, launcher=("-m", "rtgc", "--service", "fast")) as p:
        p.next()
        heap = daemon.wait(lambda d: (h := heap_of(d, p)) and h["collections"]["major"] >= 3 and h,
                           "it has majors instead of snapshots")
        assert heap["collections"]["snapshot"] >= 2
        daemon.wait(lambda _: sum(line["kind"] == "major" and line["cause"] == "window"
                                  for line in read_record(record)) >= 3, "which are in windows")
        decisions = daemon.call("Explain", heap=str(heap["id"]))["decisions"]
        assert "outrun" in [decision["reason"] for decision in decisions]
        p.tell()


def test_ceiling(daemon):
    """At the ceiling a snapshot does as well; a heap that outgrows its budget by far is collected."""
    env = environment(daemon.env(), RTGC_COLLECTOR="snapshot")
    with Program(GARBAGE + dedent("""
    keep = []
    while not rtgc.status()["supervised"]:
        time.sleep(0.001)
    with rtgc.critical():
        while rtgc.status()["snapshots"]["taken"] == 0:
            grow(1000, keep)
            litter()
    first = dict(rtgc.status(), full=len(full))
    while not full:
        grow(5000, keep)
    say(first=first, last=rtgc.status())
    """), env, launcher=("-m", "rtgc", "--service", "ceiling")) as p:
        said = p.next()
        assert said["first"]["full"] == 0 and said["first"]["used"] >= said["first"]["budget"]
        assert said["last"]["forced"] >= 1
        # The one that was under way came to nothing, and was counted.
        assert said["last"]["snapshots"]["void"] >= 1


SEMANTICS = """
import rtgc, weakref, types
from rtgc import _rtgc
rtgc.supervise(service="semantics", collector="snapshot")
gc.set_threshold(10**9, 10**9, 10**9)
events = []
class Node:
    def __init__(self, name): self.name, self.me = name, self
    def __del__(self): events.append(self.name)

def snapshot():
    found = _rtgc.snapshot_now()
    assert found is not None, rtgc.status()["snapshots"]
    return found
snapshot()
"""


def semantics(source):
    with Program(SEMANTICS + dedent(source), environment(), launcher=()) as p:
        return p.next()


def test_weak_references():
    said = semantics("""
    def called(name): return lambda ref: events.append(name)
    a, b = Node("a"), Node("b")
    outside = weakref.ref(a, called("outside"))
    b.inside = weakref.ref(b, called("inside"))
    other = Node("other")                       # garbage as well, and no part of b's cycle
    other.inside = weakref.ref(b, called("elsewhere"))
    dictionary = weakref.WeakValueDictionary(a=a, b=b)
    del a, b, other
    found = snapshot()
    say(events=sorted(events), found=found, left=list(dictionary), dead=outside() is None)
    """)
    # As in a full collection: weak references that are garbage too are not called.
    assert said["events"] == ["a", "b", "other", "outside"]
    assert said["left"] == [] and said["dead"] and said["found"] >= 3


def test_resurrection_and_frozen_objects():
    said = semantics("""
    back = []
    class Phoenix(Node):
        def __del__(self):
            events.append(self.name)
            back.append(self)
    p = Phoenix("p"); p.friend = Node("friend"); p.friend.p = p
    del p
    snapshot()
    first = [sorted(events), len(back), back[0].friend.name, gc.is_finalized(back[0])]
    back.clear()
    snapshot()
    events.clear()
    n = Node("frozen"); del n
    gc.freeze()
    frozen = gc.get_freeze_count()
    snapshot()
    kept, still = list(events), gc.get_freeze_count()
    gc.unfreeze()
    snapshot()
    say(first=first, kept=kept, after=events, frozen=frozen > 1000 and frozen - still < 50)
    """)
    assert said["first"] == [["friend", "p"], 1, "friend", True]
    assert said["kept"] == [] and said["after"] == ["frozen"] and said["frozen"]


def test_reached_again_while_the_child_runs():
    """Garbage in the snapshot, alive when it is worked off; some of it freed meanwhile, and its
    memory used again."""
    said = semantics("""
    weak = []
    for i in range(2000):
        n, m = Node(f"n{i}"), Node(f"m{i}")
        n.other = m
        weak.append(weakref.ref(n))
    del n, m
    assert _rtgc.snapshot_begin()
    kept = []
    for ref in weak[::2]:
        n = ref()
        n.other.me = n.other = None      # freed at once, by its count
        kept.append(n)
    again = [Node("new") for _ in range(1000)]
    del n
    while rtgc.status()["snapshots"]["running"]:
        _rtgc.snapshot_step()
    dead = sum(ref() is None for ref in weak)
    say(kept=len({n.name for n in kept if n.me is n}), dead=dead, died=len(events), new=len(again),
        twice=len(events) - len(set(events)), void=rtgc.status()["snapshots"]["void"])
    """)
    assert said["kept"] == 1000 and said["dead"] == 1000 and said["void"] == 0
    assert said["died"] == 1000 + 1000 + 1000 and said["twice"] == 0


def test_a_heap_without_garbage():
    said = semantics("""
    keep = [[i] for i in range(10000)]
    before = [len(gc.get_objects(generation=i)) for i in range(3)]
    found = snapshot()
    after = [len(gc.get_objects(generation=i)) for i in range(3)]
    names = {type(o).__name__ for o in gc.get_objects()}
    say(found=found, before=before, after=after, mark="Mark" in names, counts=gc.get_count())
    """)
    assert said["found"] == 0 and not said["mark"]
    assert said["after"][2] >= 10000 and said["after"][1] == 0


def test_a_large_heap():
    """In thousands of pages, what is reached only through others is kept, whichever of them were made first."""
    said = semantics("""
    class Link:
        __slots__ = ("next", "text")
    def chain(count, forward, closed):
        first = last = Link()
        for i in range(count - 1):
            link = Link()
            link.text = "x" * 100 + str(i)  # its own memory
            if forward:
                last.next, last = link, link
            else:
                link.next, first = first, link
        last.next = first if closed else None
        return first
    def length(link):
        count = 0
        while link is not None:
            count, link = count + 1, link.next
        return count
    kept = [chain(100_000, forward, False) for forward in (True, False)]
    for forward in (True, False):
        chain(50_000, forward, True)
    found = snapshot()
    say(found=found, kept=[length(link) for link in kept], left=gc.collect())
    """)
    assert said == {"found": 100_000, "kept": [100_000, 100_000], "left": 0}


def test_its_fork_and_its_child_give_way():
    """Others have the CPU first while a snapshot is made and walked, by the time slice; the program's own is as before."""
    said = semantics("""
    import ctypes, glob, platform, threading
    get = {"x86_64": 315, "aarch64": 275}[platform.machine()]  # sched_getattr
    libc = ctypes.CDLL(None)
    def time_slice(thread):
        attr = (ctypes.c_uint64 * 6)()
        return attr[3] if libc.syscall(get, thread, attr, ctypes.sizeof(attr), 0) == 0 else 0
    def niced(child):  # all is set by then
        return os.getpriority(os.PRIO_PROCESS, child) == 10
    def look():
        while not found:
            try:
                for children in glob.glob("/proc/self/task/*/children"):
                    with open(children) as file:
                        found.extend(filter(None, map(time_slice, filter(niced, map(int, file.read().split())))))
            except OSError:
                pass  # a child, or a thread, that has gone meanwhile
    found, before, kept = [], time_slice(0), [[[]] for _ in range(100_000)]
    watcher = threading.Thread(target=look, daemon=True)
    if before:
        watcher.start()
        while not found:
            snapshot()
    say(before=before, child=found[:1], after=time_slice(0))
    """)
    if not said["before"]:
        pytest.skip("this kernel has no time slices for threads of their own (Linux 6.12 has)")
    assert said["child"] == [100_000_000] and said["after"] == said["before"]
