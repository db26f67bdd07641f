# SPDX-License-Identifier: MIT
"""What the calls on a program's hot path cost, printed for whoever reads the log: machines
differ, so only that they were measured is a matter of pass or fail."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program, environment, harness

APP = """
    import select, selectors, timeit
    def cost(statement, **names):
        return min(timeit.repeat(statement, globals=names, number=20000, repeat=7)) / 20000 * 1e9
    class Ready:
        def select(self, timeout=None):
            return [1]
    class Hooked:
        select = rtgc._rtgc.Rest(Ready.select, 1, False)
    def wait(taken):
        while (gc.get_threshold() != (700, 10, 10)) != taken:
            time.sleep(0.001)
    rtgc.supervise(service="web")
    wait(True)
    say(checkpoint=cost("f()", f=rtgc.checkpoint),
        plain=cost("s.select(1)", s=Ready()), hooked=cost("s.select(1)", s=Hooked()),
        young=cost("gc.collect(1)", gc=gc), connects=rtgc.status()["connects"])
"""


def test_cost(capsys):
    with harness.Daemon() as d, Program(APP, environment(d.env()), launcher=()) as p:
        said = p.next()
    assert said["connects"] == 1
    with capsys.disabled():
        print(f"\ncheckpoint() {said['checkpoint']:.0f} ns; a hooked select() "
              f"{said['hooked'] - said['plain']:.0f} ns over the plain one; "
              f"gc.collect(1) with figures published {said['young'] / 1000:.1f} us")
