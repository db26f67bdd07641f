# SPDX-License-Identifier: MIT
"""
The young generations stay CPython's. But the middle one is collected where the program rests, and the youngest in larger
portions where nothing is found.
"""

import os
import sys
from textwrap import dedent

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program, environment, harness

ROUNDS = 60
# Where each collection of the middle generation found the program, by the function's name.
SEEN = """
    import asyncio, collections, rtgc
    seen = collections.Counter()
    def note(phase, info):
        if phase == "start" and info["generation"] == 1:
            seen[sys._getframe(1).f_code.co_name] += 1
    def supervised():
        while not rtgc.status()["supervised"]:
            time.sleep(0.001)
        gc.set_threshold(699, 10, gc.get_threshold()[2])    # ours: nothing but that changes
        gc.collect(1)
        gc.callbacks.append(note)
    def work():
        "Two collections of the youngest."
        keep = [[] for _ in range(1500)]
    def finish():
        gc.callbacks.remove(note)
        say(seen=seen, threshold=gc.get_threshold()[:2])
"""
LOOP = f"""
    async def main():
        for _ in range({ROUNDS}):
            work()
            await asyncio.sleep(0.02)
"""
REST = "_run_once"  # of asyncio: from there it waits


@pytest.fixture(scope="module")
def daemon():
    with harness.Daemon() as d:
        yield d


def seen(env, *source, stderr=""):
    with Program("".join(map(dedent, (SEEN, *source))), env, stderr=stderr) as p:
        said = p.next()
        assert said["threshold"] == [699, 10]
        return said["seen"]


def test_at_rest(daemon):
    found = seen(environment(daemon.env()), LOOP, "supervised(); asyncio.run(main()); finish()")
    # Nothing is known of what is in flight: only when it is nearly due, at nine of eleven.
    assert set(found) == {REST} and 2 * ROUNDS // 12 <= found[REST] <= 2 * ROUNDS // 7


def test_between_requests(daemon):
    """With requests that are known it is done in short pieces, and while one is in flight it is not."""
    body = """
        from rtgc import _rtgc
        async def main():
            for i in range({rounds}):
                _rtgc.request_begin()
                work()
                if {hold}:
                    await asyncio.sleep(0.01)
                _rtgc.request_done()
                await asyncio.sleep(0.02)
        supervised(); asyncio.run(main()); finish()
    """
    found = seen(environment(daemon.env()), body.format(rounds=ROUNDS, hold=False))
    assert set(found) == {REST} and found[REST] > 2 * ROUNDS // 6
    # In flight all the time, as it seems.
    found = seen(environment(daemon.env()), "from rtgc import _rtgc; _rtgc.request_begin()",
                 body.format(rounds=ROUNDS, hold=True))
    assert set(found) == {REST} and found[REST] <= 2 * ROUNDS // 7


def test_somebody_waits(daemon):
    """There is always something ready: it is nowhere but where CPython would have it."""
    found = seen(environment(daemon.env()), """
        import socket
        a, b = socket.socketpair()
        b.send(b"!")
        async def main():
            asyncio.get_running_loop().add_reader(a, int)
            for _ in range(3000):
                work()
                await asyncio.sleep(0)
                await asyncio.sleep(0.0001)
        supervised(); asyncio.run(main()); finish()
    """)
    assert REST not in found and found["<listcomp>"] > 10


@pytest.mark.parametrize("slack, where", [(10, "rest"), (1e-6, "<listcomp>")])
def test_in_slack(daemon, slack, where):
    found = seen(environment(daemon.env()), f"""
        def rest():
            rtgc.slack(time.monotonic() + {slack})
        supervised()
        for _ in range({ROUNDS}):
            work()
            rest()
        finish()
    """)
    assert set(found) == {where}


@pytest.mark.parametrize("switch", ["gc.disable()", "gc.set_threshold(0)"])
def test_switched_off(daemon, switch):
    with Program(dedent(SEEN) + dedent(LOOP) + f"supervised(); gc.collect(1)\nfor _ in range(9): gc.collect(0)\n"
                 f"seen.clear(); {switch}; asyncio.run(main()); finish()", environment(daemon.env())) as p:
        assert p.next()["seen"] == {}


def test_alone():
    """Without a daemon all is as CPython does it."""
    found = seen(environment(), LOOP, "gc.set_threshold(699, 10, 10); gc.callbacks.append(note); asyncio.run(main()); finish()",
                 stderr=None)
    assert set(found) == {"<listcomp>"} and 2 * ROUNDS // 13 <= found["<listcomp>"] <= 2 * ROUNDS // 10


def test_in_a_loop_in_c(daemon):
    pytest.importorskip("uvloop", reason="python3-uvloop is not installed")
    found = seen(environment(daemon.env()), """
        import uvloop
        from rtgc import _rtgc
        async def main():
            for i in range({rounds}):
                _rtgc.request_begin()
                work()
                _rtgc.request_done()
                await asyncio.sleep(0.02)
        uvloop.install(); supervised(); asyncio.run(main()); finish()
    """.format(rounds=ROUNDS))
    assert "<listcomp>" not in found and sum(found.values()) > 2 * ROUNDS // 6


# ---- Larger portions -------------------------------------------------------------------------

WIDE = [2800, 1]
FILL = """
    import rtgc
    keep = []
    def look():
        return gc.get_threshold()[:2], rtgc.status()["young_is_wide"]
    def supervised():
        while not rtgc.status()["supervised"]:
            time.sleep(0.001)
    def nothing_found():
        grow(40 * 700, keep)
    supervised()
"""


def test_larger_portions_where_nothing_is_found(daemon):
    with Program(dedent(FILL) + dedent("""
        say(look=look())
        nothing_found()
        wide = look()
        before = list(young)
        nothing_found()
        after = list(young)
        say(look=wide, collected=[after[0] - before[0], after[1] - before[1]])
        for _ in range(6000):    # until the next one, which finds some
            cycle = []
            cycle.append(cycle)
        say(look=look())
        nothing_found()
        say(look=look())
        grow(2900 - gc.get_count()[0], keep)
        for _ in range(100):     # of 2,800: hardly worth looking
            cycle = []
            cycle.append(cycle)
        grow(2900, keep)
        say(look=look())
    """), environment(daemon.env())) as p:
        assert p.next()["look"] == [[700, 10], False]
        said = p.next()
        assert said["look"] == [WIDE, True]
        # A quarter as many of the youngest, and as many of the middle one as ever.
        youngest, middle = said["collected"]
        assert 6 <= youngest <= 8 and 3 <= middle <= 4
        assert p.next()["look"] == [[700, 10], False]
        assert p.next()["look"] == [WIDE, True]
        assert p.next()["look"] == [WIDE, True]


def test_thresholds_of_the_program_are_its_own(daemon):
    with Program(dedent(FILL) + dedent("""
        gc.set_threshold(701, 10)
        nothing_found()
        say(look=look())
        gc.set_threshold(700, 10)
        nothing_found()
        wide = look()
        gc.set_threshold(900, 5)
        nothing_found()
        say(look=wide, after=look())
    """), environment(daemon.env())) as p:
        assert p.next()["look"] == [[701, 10], False]
        assert p.next() == {"look": [WIDE, True], "after": [[900, 5], False]}


def test_back_when_the_supervision_ends():
    """In a forked child, without a daemon, and at exit."""
    with harness.Daemon() as d, Program("import atexit\natexit.register(lambda: say(at_exit=look()))\nrtgc.supervise()\n" + dedent(FILL) + dedent("""
        nothing_found()
        if os.fork() == 0:
            say(child=look())
            os._exit(0)
        os.wait()
        say(parent=look())
        sys.stdin.readline()
        while rtgc.status()["supervised"]:
            time.sleep(0.001)
        say(alone=look())
        grow(2801, keep)
        say(afterwards=look())
        sys.stdin.readline()
        supervised()
        nothing_found()
        say(again=look())
    """), environment(d.env()), stderr=None, launcher=()) as p:
        assert p.next() == {"child": [[700, 10], False]}
        assert p.next() == {"parent": [WIDE, True]}
        d.kill()
        p.tell("it is gone")
        assert p.next() == {"alone": [[700, 10], False]}
        assert p.next() == {"afterwards": [[700, 10], False]}
        d.start()
        p.tell("it is there")
        assert p.next() == {"again": [WIDE, True]}
        assert p.next() == {"at_exit": [[700, 10], False]}


def test_a_snapshot_that_frees_is_no_reason(daemon):
    """What it found is freed by collections of the youngest generation, of old garbage."""
    with Program(dedent(FILL) + dedent("""
        for _ in range(5000):
            cycle = []
            cycle.append(cycle)
            keep.append(cycle)
        nothing_found()
        gc.collect(1)
        before = look()
        keep, cycle = [], None
        say(before=before, freed=rtgc._rtgc.snapshot_now() >= 5000, after=look())
    """), environment(daemon.env(), RTGC_COLLECTOR="snapshot")) as p:
        assert p.next() == {"before": [WIDE, True], "freed": True, "after": [WIDE, True]}
