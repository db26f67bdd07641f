# SPDX-License-Identifier: MIT
"""HeapSummary: a heap is asked, its caller waits, and nobody else does."""

import os

import pytest

from common import BUDGET, harness
from frames import ANSWER, ASK, BYE, CAP_ANSWERS, Client

SUMMARY = f"{harness.INTERFACE}.HeapSummary"


@pytest.fixture(name="d", scope="module")
def daemon():
    with harness.Daemon(config="[Service:web]\nMaxConcurrent=1\n") as d:
        yield d


def client(d, **hello):
    return Client(d, **{"budget": BUDGET, "caps": CAP_ANSWERS, **hello})


def call(v, **parameters):
    v.send({"method": SUMMARY, "parameters": parameters})


def error(reply):
    return reply["error"].rsplit(".", 1)[1]


def answer(c, ask, *rows, took=0, outcome=0):
    for name, count, size in rows:
        c.send(ANSWER, ask=ask, count=count, bytes=size, name=name)
    c.send(ANSWER, ask=ask, last=1, took=took, outcome=outcome, count=99, bytes=9999, name="")


def test_question_and_answer(d):
    with client(d, heap="a") as c, d.varlink() as v:
        call(v, heap="a", limit=2)
        asked = c.expect(ASK)
        assert (asked.most, asked.what) == (2, 0) and asked.ask > 0
        # While it is thought about, others are served; what its caller sends next has to wait.
        v.send({"method": f"{harness.INTERFACE}.GetStatus"})
        assert d.call("GetStatus")["heaps"] == 1
        answer(c, asked.ask, ("dict", 10, 2**63), ("a.ünïcode", 5, 500), took=1_234_567)
        assert v.receive()["parameters"] == {
            "heap": c.welcome.heap, "heap_name": "a", "objects": 99, "bytes": 9999, "pause_us": 1234,
            "types": [{"name": "dict", "objects": 10, "bytes": 2**63 - 1},
                      {"name": "a.ünïcode", "objects": 5, "bytes": 500}]}
        assert v.receive()["parameters"]["heaps"] == 1
        call(v, heap=str(c.welcome.heap))
        again = c.expect(ASK)
        assert again.most == 20 and again.ask > asked.ask
        answer(c, asked.ask)  # to the question before: nobody waits for it
        answer(c, again.ask)
        assert v.receive()["parameters"]["types"] == []


def test_it_cannot(d):
    with client(d, heap="no", caps=0) as c, client(d, heap="never") as n, d.varlink() as v:
        call(v, heap="no")
        assert error(reply := v.receive()) == "CannotAnswer" and reply["parameters"] == {"heap": "no"}
        c.nothing_pending()
        call(v, heap="never")
        answer(n, n.expect(ASK).ask, outcome=1)
        assert error(v.receive()) == "CannotAnswer"


def test_no_answer(d):
    """It says nothing; it leaves; it does not stop."""
    with d.varlink() as v, d.varlink() as other:
        with client(d, heap="mute") as c:
            call(v, heap="mute")
            late = c.expect(ASK).ask
            call(other, heap="mute")
            assert error(other.receive()) == "AlreadyAsked"
            assert error(v.receive()) == "NoAnswer"  # some seconds later
            answer(c, late)
            c.nothing_pending()
            call(v, heap="mute")
            c.expect(ASK)
            c.send(BYE)
            assert error(v.receive()) == "NoAnswer"
        with client(d, heap="gone") as c:
            call(v, heap="gone")
            c.expect(ASK)
        assert error(v.receive()) == "NoAnswer"
        with client(d, heap="endless") as c:
            call(v, heap="endless", limit=3)
            ask = c.expect(ASK).ask
            for _ in range(10):
                c.send(ANSWER, ask=ask, name="x")
            assert error(v.receive()) == "NoAnswer"
            c.nothing_pending()
        assert d.call("GetStatus")["pid"] > 0


def test_the_caller_hangs_up(d):
    with client(d, heap="asked") as c:
        with d.varlink() as v:
            call(v, heap="asked")
            ask = c.expect(ASK).ask
        with d.varlink() as v:
            d.call("GetStatus")
            answer(c, ask)
            c.sync()
            call(v, heap="asked")
            answer(c, c.expect(ASK).ask, ("int", 1, 28))
            assert v.receive()["parameters"]["types"][0]["name"] == "int"


def test_unasked(d):
    with client(d, heap="chatty") as c:
        answer(c, 7, ("x", 1, 1))
        c.nothing_pending()


@pytest.mark.parametrize("parameters, name", [
    ({}, "InvalidParameter"), ({"heap": 1}, "InvalidParameter"),
    ({"heap": "a", "limit": -1}, "InvalidParameter"), ({"heap": "a", "limit": 257}, "InvalidParameter"),
    ({"heap": "a", "other": 1}, "InvalidParameter"), ({"heap": "nobody"}, "NoSuchHeap"),
], ids=str)
def test_parameters(d, parameters, name):
    with pytest.raises(harness.Error) as caught:
        d.call("HeapSummary", **parameters)
    assert caught.value.name.rsplit(".", 1)[1] == name


def test_stopping_with_a_question_open():
    with harness.Daemon() as d, client(d, heap="a") as c, d.varlink() as v:
        call(v, heap="a")
        c.expect(ASK)
        d.stop()
        assert v.receive() is None
