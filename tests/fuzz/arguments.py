# SPDX-License-Identifier: MIT
"""Calls everything that the module rtgc offers with odd arguments: arguments.py SEED CALLS [supervised].

Always the same ones for a seed. Each call returns, or raises what Python raises for a wrong argument, or what
the argument itself raised. What was passed is let go of: its reference count is the same in the end.
With "supervised" the process is one whose collections rtgc looks after, and the functions that make it so are
called as well. Prints how many calls returned and how many were refused.
"""
import gc
import random
import sys
import threading

import rtgc

ALLOWED = (TypeError, ValueError, OverflowError, RuntimeError, OSError)


class Odd(Exception):
    """Raised by an argument itself."""


class Raises:
    def refuse(self, *args):
        raise Odd

    __index__ = __int__ = __float__ = __str__ = __repr__ = __bool__ = __len__ = __iter__ = refuse
    __call__ = __hash__ = __eq__ = __enter__ = __fspath__ = __getitem__ = fileno = refuse


class Lies:
    def wrong(self, *args):
        return self

    __index__ = __float__ = __str__ = __bool__ = __len__ = __call__ = fileno = wrong


class Number(int):
    pass


class Text(str):
    pass


# Each of them is one object for the whole run, so that its references can be counted.
ODD = [
    Raises(), Lies(), object(), Number(3), Text("x"), [1, 2], {"a": 1}, {1, 2}, b"bytes", bytearray(9),
    "", "x" * 5000, "a\0b", "\ud800", "\u00fc" * 63, "2G", "-1", "50%", "nan", "stagger", "snapshot", "major",
    10**400, 2**63, 2**64, -2**63, -1.5, 1e308, float("inf"), float("-inf"), float("nan"), 1e-300,
    lambda: None, lambda *a, **k: 1 / 0, print, int, Raises, gc, iter(()), range(3), memoryview(b"x"),
    (), (1, (2, (3,))), complex(1, 2), slice(1), Exception("x"), NotImplemented,
]
SMALL = [None, True, False, 0, 1, -1, 7, 0.0, ...]


class Calls:
    def __init__(self, seed, supervised):
        self.supervised = supervised
        self.random = random.Random(seed)
        self.returned = self.refused = 0

    def odd(self):
        return self.random.choice(ODD if self.random.random() < 0.75 else SMALL)

    def arguments(self, names):
        chosen = [self.odd() for _ in range(self.random.choice([0, 1, 1, 1, 2, 3, 6]))]
        keys = {name: self.odd() for name in [*names, "nonsense", "x" * 300]
                if self.random.random() < 0.3 / (1 + len(chosen))}
        return chosen, keys

    def call(self, function, names):
        args, keys = self.arguments(names)
        try:
            function(*args, **keys)
            self.returned += 1
        except (*ALLOWED, Odd, ZeroDivisionError):
            self.refused += 1

    def pool(self):
        """A pool that was made of odd things, and what can be done with it."""
        args, keys = self.arguments(["factory", "reset", "max", "name"])
        try:
            pool = rtgc.Pool(*args, **keys)
        except (*ALLOWED, Odd):
            self.refused += 1
            return
        for _ in range(4):
            method, names = self.random.choice(
                [(pool.acquire, []), (pool.release, ["object"]), (pool.get, []), (pool.clear, []),
                 (pool.stats, []), (pool.__init__, ["factory", "reset"])])
            self.call(method, names)

    def critical(self):
        try:
            scope = rtgc.critical(*self.arguments([])[0])
        except (*ALLOWED, Odd):
            self.refused += 1
            return
        for _ in range(2):
            self.call(scope.__exit__, ["type", "value", "traceback"])

    def sampled(self):
        """(Not for as long as an odd number says.)"""
        self.call(lambda during: rtgc.allocation_sites(seconds=0.001, during=during), ["during"])

    def frozen(self):
        """What freeze_after() is given it keeps, and calls in the middle of collections and in threads of its
        own: an argument that is not among those whose references are counted."""
        odd = self.random.choice([lambda: 1 / 0, lambda: "yes", Raises(), Lies(), lambda x: x, -1, 1e300, 1e8,
                                  float("nan"), "soon", None, b"", [], 10**400, 1e-300])
        self.call(lambda: rtgc.freeze_after(odd), [])

    def one(self):
        functions = [
            (rtgc.checkpoint, []), (rtgc.slack, ["until"]), (rtgc.status, []),
            (rtgc.share, ["sockets"]), (rtgc.wsgi, ["app"]), (rtgc.asgi, ["app"]),
            (rtgc.heap_summary, ["limit", "untracked"]),
        ]
        if self.supervised:
            functions.append((rtgc.supervise, ["service", "budget", "heap", "collector", "fork_limit"]))
        what = self.random.randrange(len(functions) + (4 if self.supervised else 3))
        if what < len(functions):
            self.call(*functions[what])
        elif what == len(functions):
            self.pool()
        elif what == len(functions) + 1:
            self.sampled()
        elif what == len(functions) + 2:
            self.critical()
        else:
            self.frozen()


def unraisable(what):
    """Where nobody can catch it, what an argument raised is told here; anything else is a fault."""
    if not isinstance(what.exc_value, (*ALLOWED, Odd, ZeroDivisionError)):
        sys.__unraisablehook__(what)
        UNEXPECTED.append(repr(what.exc_value))


UNEXPECTED = []


def counts():
    gc.collect()
    return [sys.getrefcount(value) for value in ODD]


def main():
    sys.unraisablehook = threading.excepthook = unraisable
    calls = Calls(int(sys.argv[1]), "supervised" in sys.argv)
    if calls.supervised:
        rtgc.supervise(service="odd")
    number = int(sys.argv[2])
    for _ in range(number // 4):  # what is imported and remembered once is so before it is counted
        calls.one()
    before = counts()
    for _ in range(number):
        calls.one()
    # (The empty tuple is everybody's.)
    leaked = [(repr(type(value)), b, a) for value, b, a in zip(ODD, before, counts())
              if abs(a - b) > 5 and value is not ()]
    if hasattr(sys, "gettotalrefcount"):
        print("references in all:", sys.gettotalrefcount())
    assert not leaked, leaked
    assert not UNEXPECTED, UNEXPECTED
    assert calls.returned and calls.refused
    print(f"{calls.returned} returned, {calls.refused} refused")


main()
