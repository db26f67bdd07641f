# SPDX-License-Identifier: MIT
"""What the hook does instead of EpollSelector.select() is what that would have done."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program, environment, harness

BOTH = """
import selectors, signal, socket
rtgc.supervise(service="web")
hooked = selectors.EpollSelector.select
plain = hooked.__wrapped__
assert isinstance(hooked, rtgc._rtgc.Rest) and not isinstance(plain, rtgc._rtgc.Rest)
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

def outcome(select, *args, **keywords):
    try:
        return select(*args, **keywords)
    except Exception as error:
        return type(error), str(error)

def same(selector, *args, **keywords):
    ours, theirs = (outcome(select, selector, *args, **keywords) for select in (hooked, plain))
    assert ours == theirs, (args, keywords, ours, theirs)
    return ours
"""


def run(source, stderr=""):
    with harness.Daemon() as d, Program(BOTH + source, environment(d.env()), launcher=(), stderr=stderr) as p:
        return p.next()


def test_results_and_refusals():
    said = run("""
selector = selectors.EpollSelector()
counts = [len(same(selector, 0)), len(same(selector, 0.001)), len(same(selector, timeout=-1))]
pairs = [socket.socketpair() for _ in range(5)]
for (a, b), events in zip(pairs, (READ, WRITE, READ | WRITE, READ, READ | WRITE)):
    selector.register(a, events, data=b)
pairs[0][1].send(b"x")
pairs[2][1].send(b"x")
pairs[4][1].close()    # hung up: both
for timeout in (None, 0, 0.0, 1, 0.5, -3, 1e-9, True):
    found = same(selector, timeout)
    counts.append(len(found))
    assert all(type(pair) is tuple and pair[0] is selector.get_key(pair[0].fileobj) for pair in found)
assert sorted(events for _, events in found) == [READ, WRITE, READ | WRITE, READ | WRITE]
refused = [same(selector, *args, **keywords)[0].__name__ for args, keywords in (
    ((float("inf"),), {}), ((float("nan"),), {}), ((1e300,), {}), ((10**400,), {}), (("soon",), {}),
    ((0, 0), {}), ((0,), {"timeout": 0}), ((), {"unknown": 0}))]
os.close(pairs[0][0].detach())    # closed behind the selector's back: the kernel forgets it
counts.append(len(same(selector, 0)))
selector.close()
refused.append(same(selector, 0)[0].__name__)
say(counts=counts, refused=refused)
""")
    assert said["counts"] == [0, 0, 0] + [4] * 8 + [3]
    assert said["refused"] == ["OverflowError", "ValueError", "OverflowError", "OverflowError", "TypeError",
                               "TypeError", "TypeError", "TypeError", "ValueError"]


def test_what_is_unregistered_meanwhile_is_left_out():
    """Also a selector whose _selector is the program's own."""
    said = run("""
a, b = socket.socketpair()
class Poll:
    def poll(self, timeout, most):
        self.asked = [timeout, most]
        return self.found
selector = selectors.EpollSelector()
selector.register(a, READ)
real, selector._selector = selector._selector, Poll()
asked = []
for timeout in (None, 0, 0.0101):
    selector._selector.found = [(a.fileno(), 1), (12345, 1), (a.fileno(), 4)]
    assert [events for _, events in same(selector, timeout)] == [READ, 0]
    for select in hooked, plain:
        select(selector, timeout)
        asked.append(selector._selector.asked)
refused = []
for found in (None, [1], [(a.fileno(), "x")]):
    selector._selector.found = found
    refused.append(outcome(hooked, selector, 0)[0].__name__)
selector._selector.poll = None
refused.append(same(selector, 0)[0].__name__)
selector._selector = real
say(asked=asked, refused=refused)
""")
    assert said == {"asked": [[-1, 1]] * 2 + [[0, 1]] * 2 + [[0.011, 1]] * 2, "refused": ["TypeError"] * 4}


def test_other_classes_are_served_by_their_own():
    said = run("""
class Own(selectors.EpollSelector):
    seen = 0
    def _key_from_fd(self, fd):
        Own.seen += 1
        return super()._key_from_fd(fd)
a, b = socket.socketpair()
b.send(b"x")
selector = Own()
selector.register(a, READ)
found = len(selector.select(1))
say(found=found, seen=Own.seen if sys.version_info < (3, 13) else 1)
""")
    assert said == {"found": 1, "seen": 1}


def test_a_signal_whose_handler_raises():
    said = run("""
def handler(*_):
    raise InterruptedError if interrupt else KeyError("from the handler")
signal.signal(signal.SIGALRM, handler)
selector = selectors.EpollSelector()
outcomes = []
for interrupt in True, False:
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    outcomes.append(outcome(hooked, selector, 60))
    signal.setitimer(signal.ITIMER_REAL, 0)
say(outcomes=[repr(one) for one in outcomes])
""")
    assert said["outcomes"] == ["[]", "(<class 'KeyError'>, \"'from the handler'\")"]
