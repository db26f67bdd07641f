# SPDX-License-Identifier: MIT
"""Programs for which windows open all the time."""

# Every window opens at once, and so little memory is shared that one is due all the time.
CONFIG = """
[Daemon]
MaxConcurrent=64
MemoryBudget=1M
[Service:web]
Policy=observe
Lead=1ms
"""

# How full collections are made: in windows by CPython and by our walk, and by snapshots.
COLLECTORS = {"window": {"RTGC_COLLECTOR": "window"}, "walk": {"RTGC_COLLECTOR": "window", "RTGC_FULL": "walk"},
              "snapshot": {"RTGC_COLLECTOR": "snapshot"}}

# What they begin with, after program.PRELUDE.
START = """
    import atexit, random, resource, select, signal, weakref
    import rtgc
    rtgc.supervise(service="web")
    while not rtgc.status()["supervised"]:
        time.sleep(0.001)

    class Node:
        "A cycle of its own."
        def __init__(self, *held):
            self.self, self.held = self, held

    def garbage(count):
        for _ in range(count):
            Node([], {})

    def collected():
        now = rtgc.status()
        return now["collections_in_window"] + now["forced"] + now["snapshots"]["taken"]

    def work(rounds, keep=None):
        "Until there were so many more collections of ours."
        keep = [] if keep is None else keep
        seen = collected()
        while collected() < seen + rounds:
            garbage(200)
            keep.extend([] for _ in range(200))
            if len(keep) > 20000:
                keep.clear()
            rtgc.checkpoint()

    class Slow:
        "Its finalizer says where it runs, and calls back."
        def __init__(self, call):
            self.self, self.call = self, call
        def __del__(self):
            self.call()

    def inside(call):
        "Has it called by a finalizer that a collection of ours runs, or during a snapshot."
        def first():
            if done or not ours():
                Slow(first)     # the program's own collection has found it: again
                return
            done.append(True)
            call()
        def ours():
            return collecting[0] == 2 or rtgc.status()["snapshots"]["running"]
        done = []
        Slow(first)
        return done

    collecting = [None]
    def mark(phase, info):
        collecting[0] = info["generation"] if phase == "start" else None
    gc.callbacks.append(mark)
"""

# With START: what a forked child may do.
CHILD = """
    def child_works():
        "A child that goes on supervising, and ends as a program does."
        while not rtgc.status()["supervised"]:
            garbage(50)
        work(2)
        assert gc.get_threshold()[2] != 10    # taken over, or 0 at the ceiling
        sys.exit(5)

    def wait_for(pid):
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""
