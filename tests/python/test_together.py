# SPDX-License-Identifier: MIT
"""Policy=together with real ranks: real processes in a loop with an all-reduce at each step."""

import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program, environment, harness

sys.path.insert(0, os.path.join(os.environ["RTGC_SRCDIR"], "tests", "bench", "ranks"))
from hub import Hub

RANKS = 3
CONFIG = "[Service:ranks]\nPolicy=together\n"
# A rank that works until it is killed. At its first line of input it stays in the middle of its
# next full collection, until the second one comes.
RANK = """
    import collections
    sys.path.insert(0, {bench!r})
    from hub import Group

    stand = False
    def stay(phase, info):
        global stand
        if stand and phase == "start" and info["generation"] == 2:
            stand = False
            say(stands=True)
            sys.stdin.readline()

    def listen():
        global stand
        sys.stdin.readline()
        stand = True

    threading.Thread(target=listen, daemon=True).start()
    keep = collections.deque(maxlen=150_000)
    gc.callbacks.append(stay)
    group = Group({path!r}, {rank})
    say(ready=True)
    while True:
        for _ in range(2000):
            node = []
            node.append(node)
            keep.append(node)
        group.mean(1.0)
        rtgc.checkpoint()
"""


class Ranks:
    """The daemon, the hub and the ranks. A context manager."""

    def __init__(self, directory):
        self.path = str(directory / "hub")
        self.daemon = harness.Daemon(config=CONFIG)
        self.hub = Hub(self.path, RANKS)
        self.programs = []

    def __enter__(self):
        bench = os.path.join(os.environ["RTGC_SRCDIR"], "tests", "bench", "ranks")
        for rank in range(RANKS):
            env = environment(self.daemon.env(), RTGC_HEAP=f"rank{rank}")
            source = RANK.format(bench=bench, path=self.path, rank=rank)
            self.programs.append(Program(source, env, launcher=("-m", "rtgc", "--service", "ranks")))
        for program in self.programs:
            program.next()
        return self

    def __exit__(self, *exception):
        for program in self.programs:
            program.proc.kill()
            program.proc.wait()
            for stream in (program.proc.stdin, program.proc.stdout, program.proc.stderr):
                stream.close()
            program.dir.cleanup()
        self.hub.close()
        self.daemon.__exit__(*exception)

    def service(self):
        return self.daemon.services()[0]

    def heap(self, rank):
        return next((h for h in self.daemon.heaps() if h["name"] == f"rank{rank}"), None)

    def collected(self, rank):
        return self.heap(rank)["collections"]["major"]

    def wait(self, predicate, what):
        return self.daemon.wait(lambda _: predicate(), what)

    def go_on(self, ranks):
        """These make steps and collect again, twice."""
        steps = len(self.hub.released)
        before = {rank: self.collected(rank) for rank in ranks}
        self.wait(lambda: all(self.collected(rank) >= before[rank] + 2 for rank in ranks),
                  "the others collect again")
        assert len(self.hub.released) > steps

    def stand_in_window(self, rank):
        """That one stays in the middle of its collection."""
        self.wait(lambda: all(self.collected(r) >= 1 for r in range(RANKS)), "all have collected")
        self.programs[rank].tell("stand")
        assert self.programs[rank].next() == {"stands": True}
        self.wait(lambda: self.heap(rank)["state"] == "collecting", "the daemon knows of it")


@pytest.fixture
def ranks(tmp_path):
    with Ranks(tmp_path) as running:
        yield running


def test_they_collect_in_the_same_round(ranks):
    ranks.go_on(range(RANKS))
    ranks.wait(lambda: ranks.service()["paused_max"] == RANKS, "all pause at once")
    reasons = {d["reason"] for d in ranks.daemon.call("Explain", heap="rank0")["decisions"]}
    assert "together" in reasons and "due" not in reasons


def test_one_is_killed_in_mid_window(ranks):
    ranks.stand_in_window(1)
    dropped = ranks.service()["dropped_out"]
    ranks.programs[1].proc.kill()
    ranks.wait(lambda: ranks.heap(1) is None, "it is gone")
    assert ranks.service()["dropped_out"] == dropped + 1
    assert not any(w["heap_name"] == "rank1" for w in ranks.daemon.windows())
    ranks.go_on((0, 2))


@pytest.mark.parametrize("when", ["before it begins", "in its collection"])
def test_one_is_stopped(ranks, when):
    stopped = ranks.programs[1]
    if when == "in its collection":
        ranks.stand_in_window(1)
    else:
        ranks.wait(lambda: all(ranks.collected(r) >= 1 for r in range(RANKS)), "all have collected")
    dropped = ranks.service()["dropped_out"]
    os.kill(stopped.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, stopped.pid, os.WSTOPPED | os.WNOWAIT)
    ranks.hub.excuse(1)
    ranks.wait(lambda: ranks.service()["dropped_out"] > dropped, "it has dropped out")
    ranks.go_on((0, 2))
    # And back again: it ends what it began, and takes part in rounds as before.
    os.kill(stopped.pid, signal.SIGCONT)
    if when == "in its collection":
        stopped.tell("on")
    ranks.go_on(range(RANKS))
    assert ranks.heap(1)["state"] != "lost"
