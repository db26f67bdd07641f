# SPDX-License-Identifier: MIT
"""Whatever happens to the daemon, the process is never left with full collections off."""

import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program, environment, harness, read_record

# Reports each change of the third threshold as the program itself sees it, and what it asks.
APP = """
import rtgc, select
rtgc.supervise(service="web")
keep = []
last = None
while True:
    ready = select.select([sys.stdin], [], [], 0.005)[0]
    now = gc.get_threshold()
    if now != last:
        last = now
        say(threshold=now, supervised=rtgc.status()["supervised"], at=time.monotonic_ns())
    if not ready:
        continue
    line = sys.stdin.readline().split()
    if not line:
        break
    if line[0] == "grow":
        grow(int(line[1]), keep)
        say(full=len(full), status=rtgc.status())
    elif line[0] == "collect":
        seen = len(full)
        fill(keep)
        while len(full) == seen:
            trickle(keep)
            select.select([], [], [], 0.01)
        say(full=len(full), status=rtgc.status())
    elif line[0] == "status":
        say(full=len(full), status=rtgc.status())
"""
OWN = [700, 10, 10]


def until_threshold(program, own, supervised=None):
    """Reads what it says until its threshold is (or is not) CPython's own."""
    while True:
        said = program.next()
        if "threshold" in said and (said["threshold"] == OWN) == own:
            return said


def test_killed_and_restarted():
    with harness.Daemon(config="[Service:web]\nMaxConcurrent=1\n") as d:
        with Program(APP, environment(d.env()), launcher=()) as p:
            until_threshold(p, False)
            for connects in (2, 3):
                d.kill()
                until_threshold(p, True)
                # Memory is bounded: CPython's own full collections happen again.
                said = p.ask("grow 300000")
                before = said["full"]
                assert before >= 1 and not said["status"]["supervised"]
                assert said["status"]["state"] == "alone"
                d.restart()
                until_threshold(p, False)
                said = p.ask("status")
                assert said["status"]["supervised"] and said["status"]["connects"] == connects
            # And windows come again.
            said = p.ask("collect")
            assert said["status"]["collections_in_window"] >= 1
            d.wait(lambda d: any(h["collections"]["major"] >= 1 for h in d.heaps()),
                   "the new daemon knows of it")


def test_hung_and_awake():
    with harness.Daemon(config="[Service:web]\nMaxConcurrent=1\n") as d:
        with Program(APP, environment(d.env()), launcher=()) as p:
            until_threshold(p, False)
            d.kill(signal.SIGSTOP)
            until_threshold(p, True)
            said = p.ask("grow 300000")
            assert said["full"] >= 1 and not said["status"]["supervised"]
            d.kill(signal.SIGCONT)
            until_threshold(p, False)
            said = p.ask("status")
            assert said["status"]["supervised"]


def test_absent_at_first(tmp_path):
    """The program is older than the daemon."""
    record = str(tmp_path / "record")
    with harness.Daemon() as d:
        d.kill(signal.SIGSTOP)  # it listens, and does not answer
        env = environment(d.env(), RTGC_RECORD=record)
        with Program("""
            import rtgc, select
            keep = []
            before = gc.get_threshold()
            grow(300_000, keep)
            say(threshold=before, full=len(full))
            while not rtgc.status()["supervised"]:
                select.select([], [], [], 0.01)
            seen = len(full)
            fill(keep)
            while len(full) == seen:
                trickle(keep)
                select.select([], [], [], 0.01)
            say(threshold=gc.get_threshold())
        """, env, stderr=f"rtgc: daemon at {d.socket}: no answer yet: the program runs on "
                         "CPython's own policy\n") as p:
            said = p.next()
            assert said["threshold"] == OWN and said["full"] >= 1
            d.kill(signal.SIGCONT)
            assert p.next()["threshold"][2] > 10
    causes = [line["cause"] for line in read_record(record)]
    assert causes[0] == "default" and causes[-1] == "window"


def test_put_back_at_the_end():
    """Whoever comes after us at exit finds CPython's own policy."""
    with harness.Daemon() as d:
        with Program("""
            import atexit
            atexit.register(lambda: say(threshold=gc.get_threshold(), ours=len(gc.callbacks)))
            import rtgc
            callbacks = len(gc.callbacks)
            gc.set_threshold(600, 9, 8)
            rtgc.supervise()
            while not rtgc.status()["supervised"]:
                time.sleep(0.001)
            say(threshold=gc.get_threshold(), ours=len(gc.callbacks), callbacks=callbacks)
        """, environment(d.env()), launcher=()) as p:
            said = p.next()
            assert said["threshold"][:2] == [600, 9] and said["threshold"][2] > 100
            assert said["ours"] == said["callbacks"] + 1
            assert p.next() == {"threshold": [600, 9, 8], "ours": said["callbacks"]}


@pytest.mark.parametrize("reader", ["in the middle of a pause", "between"])
def test_killed_while_collecting(reader):
    """The daemon dies inside a collection of ours, or right before the next one."""
    with harness.Daemon() as d:
        with Program("""
            import rtgc, select
            class Slow:
                def __del__(self):
                    say(inside=True)
                    sys.stdin.readline()
            rtgc.supervise(service="web")
            keep = []
            while not rtgc.status()["supervised"]:
                time.sleep(0.001)
            slow = Slow(); slow.self = slow; del slow
            gc.collect(1) if sys.argv[1] != "between" else gc.collect()
            fill(keep)
            seen = len(full)
            while len(full) == seen and gc.get_threshold() != (700, 10, 10):
                trickle(keep)
                select.select([], [], [], 0.01)
            while gc.get_threshold() != (700, 10, 10):
                select.select([], [], [], 0.01)
            seen = len(full)
            grow(400_000, keep)
            say(more=len(full) - seen)
        """, environment(d.env()), launcher=(), arguments=[reader]) as p:
            assert p.next() == {"inside": True}
            d.kill()
            p.tell()
            assert p.next()["more"] >= 1
