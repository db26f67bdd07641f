# SPDX-License-Identifier: MIT
"""What others in the program do to the collector: noticed, reported, put right."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program, environment, harness, read_record


@pytest.fixture(scope="module")
def daemon():
    with harness.Daemon(config="[Service:web]\nMaxConcurrent=1\n") as d:
        yield d


def heap_of(daemon, program):
    return next((h for h in daemon.heaps() if h["pid"] == program.pid), None)


START = """
    import rtgc, select
    rtgc.supervise(service="web")
    while not rtgc.status()["supervised"]:
        time.sleep(0.001)
    taken = gc.get_threshold()[2]
"""


def test_collect_by_the_program(daemon, tmp_path):
    record = str(tmp_path / "record")
    with Program(START + """
    class Node: pass
    nodes = [Node() for _ in range(1000)]
    for node in nodes:
        node.self = node
    gc.collect(1)
    del node, nodes
    found = gc.collect()
    say(found=found, status=rtgc.status(), full=full)
    sys.stdin.readline()
    """, environment(daemon.env(), RTGC_RECORD=record), launcher=()) as p:
        said = p.next()
        status = said["status"]
        assert (status["uncoordinated"], status["forced"]) == (1, 0)
        assert status["collections_in_window"] == 0
        heap = daemon.wait(lambda d: (h := heap_of(d, p)) and h["uncoordinated"] == 1 and h,
                           "it is counted as uncoordinated")
        assert heap["collections"]["major"] == 1 and heap["yield_last"] >= 1000
        p.tell()
    [line] = read_record(record)
    assert line["cause"] == "uncoordinated" and line["freed"] >= 1000
    [(begin, end, _)] = said["full"]
    assert abs(line["begin_ns"] - begin) < 10**8 and line["end_ns"] > line["begin_ns"]


def test_threshold_set_by_a_library(daemon):
    """It is put right at the next collection of the middle generation, and is what the
    program gets back one day."""
    with Program(START + """
    keep = []
    gc.enable()
    gc.set_threshold(500, 8, 3)
    seen = young[1]
    while young[1] < seen + 2:
        grow(100, keep)
    right = gc.get_threshold()
    fill(keep)
    seen = len(full)
    while len(full) == seen:
        trickle(keep)
        select.select([], [], [], 0.01)
    say(right=right, taken=taken, status=rtgc.status(), full=len(full))
    """, environment(daemon.env()), launcher=()) as p:
        said = p.next()
        assert said["right"] == [500, 8, said["taken"]]
        assert said["status"]["threshold"] == 3
        assert said["status"]["uncoordinated"] == said["status"]["forced"] == 0
        assert said["status"]["collections_in_window"] == said["full"]


def test_disabled_by_the_program(daemon):
    """gc.disable() is the program's word: no window is used until gc.enable()."""
    with Program(START + """
    keep = []
    fill(keep)
    with rtgc.critical():
        while (rtgc.status()["window"] or {"opens_in_us": 1})["opens_in_us"] > 0:
            trickle(keep)
            time.sleep(0.001)
        gc.disable()
    seen = len(full)
    while rtgc.status()["window"]:
        rtgc.checkpoint()
        select.select([], [], [], 0.01)
    inside = len(full) - seen
    gc.enable()
    while len(full) == seen:
        trickle(keep)
        select.select([], [], [], 0.01)
    say(inside=inside, status=rtgc.status())
    """, environment(daemon.env()), launcher=()) as p:
        said = p.next()
        assert said["inside"] == 0 and said["status"]["uncoordinated"] == 0


def test_callback_thrown_out(daemon):
    """gc.callbacks.clear(): we are blind, and CPython collects all the same."""
    with Program(START + """
    keep = []
    gc.set_threshold(50, 1)
    gc.callbacks.clear()
    runs = gc.get_stats()[2]["collections"]
    for _ in range(400):
        if gc.get_stats()[2]["collections"] > runs:
            break
        grow(1000, keep)
    say(collected=gc.get_stats()[2]["collections"] > runs)
    """, environment(daemon.env()), launcher=()) as p:
        assert p.next()["collected"]


def test_ceiling_is_forced(daemon, tmp_path):
    """No window can come in time here: nothing is given up, it is counted."""
    record = str(tmp_path / "record")
    with Program(START + """
    keep = []
    with rtgc.critical():
        while not full:
            grow(1000, keep)
        status = rtgc.status()
    after = gc.get_threshold()[2]
    for _ in range(20):
        grow(1000, keep)
    say(status=status, taken=taken, after=after, full=full, used=rtgc.status()["used"])
    sys.stdin.readline()
    """, environment(daemon.env(), RTGC_RECORD=record), launcher=()) as p:
        said = p.next()
        assert said["status"]["forced"] == 1 and said["status"]["collections_in_window"] == 0
        assert said["after"] == said["taken"]
        assert len(said["full"]) == 1 and said["used"] < 100_000
        daemon.wait(lambda d: (h := heap_of(d, p)) and h["forced"] == 1, "it is counted as forced")
        p.tell()
    assert [line["cause"] for line in read_record(record)] == ["forced"]


def test_byte_budget(daemon):
    """The budget alone decides. A heap that stays beyond it is not collected for ever."""
    with Program("""
    import rtgc, select
    base = int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")
    rtgc.supervise(service="web", budget=base + (64 << 20))
    while not rtgc.status()["supervised"]:
        time.sleep(0.001)
    keep = []
    with rtgc.critical():                # nothing in windows: the ceiling
        while not full:
            keep.append([bytearray(4096)])
    first = rtgc.status()
    made = len(keep)
    rounds = len(full)
    while len(keep) < 2 * made:
        keep.append([bytearray(4096)])
    say(first=first, base=base, rounds=len(full) - rounds, last=rtgc.status())
    """, environment(daemon.env()), launcher=()) as p:
        said = p.next()
        first = said["first"]
        assert first["unit"] == "bytes" and first["forced"] == 1
        assert first["used"] >= said["base"] + (48 << 20)
        # All of it is alive: the budget has moved up, and the same again takes a few rounds.
        assert first["budget"] > said["base"] + (64 << 20)
        assert 1 <= said["rounds"] <= 10
        assert said["last"]["budget"] > first["budget"]


MEMORY = """
    import rtgc, select
    keep = []
    grow(400000, keep)
    gc.collect()
    rtgc.supervise(service="web")
    say(**rtgc.status())
    while sys.stdin.readline() != "go\\n":
        with rtgc.critical():
            gc.collect(1)                    # figures are published
        say(**rtgc.status())
    full.clear()
    with rtgc.critical():                    # nothing in windows: the ceiling
        while not full and len(keep) < 700000:
            grow(1000, keep)
        say(status=rtgc.status(), grown=len(keep) - 400000, full=len(full))
        sys.stdin.readline()
        while not full:
            grow(1000, keep)
        say(**rtgc.status())
"""


@pytest.mark.parametrize("memory", ["64G", "1M"])
def test_memory_budget(memory):
    """The daemon's share goes before CPython's rule of a quarter, be it more or less."""
    with harness.Daemon(config=f"[Daemon]\nMemoryBudget={memory}\n") as d, \
            Program(MEMORY, environment(d.env()), launcher=()) as p:
        said = p.next()
        while not said["supervised"] or heap_of(d, p)["budget_from"] != "shared" or \
                said["budget"] != heap_of(d, p)["budget"]:
            said = p.ask("again")
        rule = 100_000  # a quarter of what lives
        p.tell("go")
        grown = p.next()
        if memory == "1M":  # crowded: a sixteenth of what lives
            assert said["budget"] < 0.5 * rule
            assert grown["status"]["forced"] == 1 and grown["grown"] < 0.9 * rule
            p.tell()
            p.next()
            return
        assert said["budget"] > 10 * rule
        assert (grown["grown"], grown["full"]) == (300_000, 0)
        d.write_config("")
        d.call("Reload")  # the share is taken back, and the rule holds again
        d.wait(lambda d: heap_of(d, p)["budget_from"] == "runtime", "the rule holds again")
        p.tell()
        last = p.next()
        assert last["forced"] == 1 and last["budget"] < 2 * rule


def test_finalizers(daemon):
    """They run as always: exceptions to sys.unraisablehook, weakref callbacks, resurrection,
    gc.collect() and rtgc's own calls from inside."""
    with Program("""
    import rtgc, select, weakref
    rtgc.supervise(service="web")
    unraisable, called, saved = [], [], []
    sys.unraisablehook = lambda info: unraisable.append(type(info.exc_value).__name__)
    class Node:
        def __init__(self, what):
            self.self, self.what = self, what
        def __del__(self):
            if self.what == "raise":
                raise ValueError("from a finalizer")
            if self.what == "resurrect":
                saved.append(self)
            if self.what == "collect":
                called.append(gc.collect())
            if self.what == "checkpoint":
                called.append(rtgc.checkpoint())
            if self.what == "status":
                called.append(rtgc.status()["heap"])
    keep = []
    for what in ("raise", "resurrect", "collect", "checkpoint", "status", "plain"):
        node = Node(what)
        keep.append(node)
    gone = weakref.ref(node, lambda ref: called.append("weakref"))
    fill(keep)
    del node, keep[:6]
    seen = len(full)
    while len(full) == seen:
        trickle(keep)
        select.select([], [], [], 0.01)
    try:
        raise KeyError("kept")
    except KeyError:
        rtgc.checkpoint()
        kept = sys.exc_info()[0].__name__
    say(unraisable=unraisable, called=called, saved=len(saved), kept=kept, status=rtgc.status())
    sys.unraisablehook = sys.__unraisablehook__
    saved[0].what = "plain"
    """, environment(daemon.env()), launcher=()) as p:
        said = p.next()
        assert said["unraisable"] == ["ValueError"] and said["saved"] == 1
        assert said["kept"] == "KeyError"
        assert 0 in said["called"] and False in said["called"]  # both refused: one is running
        assert "weakref" in said["called"] and said["status"]["heap"] in said["called"]
        assert said["status"]["collections_in_window"] >= 1


def test_supervise_again(daemon):
    with Program(START + """
    first = rtgc.status()
    rtgc.supervise()
    rtgc.supervise(service="web")
    same = rtgc.status()
    rtgc.supervise(service="other", heap="n")
    while not rtgc.status()["supervised"]:
        time.sleep(0.001)
    other = rtgc.status()
    say(first=first, same=same, other=other, callbacks=len(gc.callbacks))
    for wrong in (dict(service="x" * 64), dict(service="a\\nb"), dict(budget="2X"), dict(budget=-1),
                  dict(budget=1.5)):
        try:
            rtgc.supervise(**wrong)
        except (ValueError, TypeError) as error:
            say(wrong=type(error).__name__)
        else:
            say(wrong=None, what=str(wrong))
    while not rtgc.status()["supervised"]:
        time.sleep(0.001)
    say(status=rtgc.status())
    sys.stdin.readline()
    """, environment(daemon.env()), launcher=()) as p:
        said = p.next()
        assert said["first"]["heap_id"] == said["same"]["heap_id"] != said["other"]["heap_id"]
        assert (said["other"]["service"], said["other"]["heap"]) == ("other", "n")
        assert said["callbacks"] == 2
        assert [p.next().get("wrong") for _ in range(5)] == \
            ["ValueError", "ValueError", "ValueError", "ValueError", "TypeError"]
        # What was wrong has changed nothing.
        status = p.next()["status"]
        assert (status["service"], status["heap"], status["supervised"]) == ("other", "n", True)
        heap = heap_of(daemon, p)
        assert (heap["service"], heap["name"]) == ("other", "n")
        p.tell()


def test_threshold_set_right_before_the_end(daemon):
    """The program's last word is its own also when no collection came to notice it."""
    with Program(START + """
    gc.set_threshold(600, 9, 8)
    rtgc.supervise(heap="other")
    while not rtgc.status()["supervised"]:
        time.sleep(0.001)
    first = rtgc.status()["threshold"]
    gc.set_threshold(500, 7, 6)
    rtgc._rtgc.close()
    say(first=first, after=gc.get_threshold(), taken=taken)
    """, environment(daemon.env()), launcher=()) as p:
        said = p.next()
    assert said["first"] == 8 and said["after"] == [500, 7, 6]
