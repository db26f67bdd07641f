# SPDX-License-Identifier: MIT
"""The daemon at work: each thing that it does for others, with each of its calls failing once."""

import contextlib
import errno
import http.client
import json
import os
import select
import signal
import time

import pytest

from fault import MEMORY, Client, Daemon, Gone, attempt, difference, explained, failures, harness, fixture_shim  # noqa: F401
from frames import (ANNOUNCE, ANSWER, ASK, BUSY, BYE, CAP_ANSWERS, CAP_PAGE, DEADLINE, DIRECTIVE, IDLE, OFFER, WINDOW,
                    now)
import http_client

BUDGET = 1_000_000
CONFIG = """
[Daemon]
MaxConcurrent=1000
MemoryBudget=1G
[Service:web]
MaxConcurrent=1000
[Service:ranks]
Policy=together
[Service:ledger]
NeverWith=web
"""
# Whose socket cannot be watched is disconnected after that time.
LISTENING = http_client.LISTENING + "HelloTimeout=2s\n"
EVENTS = {"format": "events"}


# ---- what the daemon is asked to do -----------------------------------------------------------------------

class Path:
    """
    prepare() is done in peace, run() with the fault; what run() returns must be what it returned without,
    when it returns. Both may open what finish() closes.
    """

    def __init__(self, daemon):
        self.d = daemon
        self.opened = []

    def client(self, **hello):
        self.opened.append(c := Client(self.d))
        c.budget = hello.setdefault("budget", BUDGET)
        c.greet(**hello)
        return c

    def caller(self):
        self.opened.append(v := self.d.varlink())
        return v

    def prepare(self):
        pass

    def finish(self):
        for each in self.opened:
            each.close()
        self.opened = []


class Hello(Path):
    hello = {}

    def run(self):
        c = self.client(**self.hello)
        c.report(used=1000)
        c.sync()
        c.send(BYE)


class WithPages(Hello):
    hello = {"caps": CAP_PAGE}


class SharedBudget(Hello):
    hello = {"budget": 0}


class Together(Hello):
    hello = {"service": "ranks"}


class Rival(Hello):
    hello = {"service": "ledger"}


class NewService(Hello):
    """Services are never forgotten: a new one each time."""
    n = 0

    def run(self):
        NewService.n += 1
        self.client(service=f"new{self.n}").sync()


class Many(Path):
    """Tables grow."""

    def run(self):
        for i in range(12):
            self.client(heap=f"h{i}", caps=CAP_PAGE)


class Window(Path):
    def prepare(self):
        self.c = self.client(caps=self.caps)
        begun = now()
        self.c.report(used=0, allocated=0, at=begun)
        while now() - begun < 50_000_000:  # rates of shorter spans are not believed
            self.c.sync()

    caps = CAP_PAGE

    def run(self):
        self.c.report(used=BUDGET)
        w = self.c.expect(WINDOW, skip=(DIRECTIVE, ANNOUNCE))
        self.c.collect(w.window)
        self.c.sync()


class WindowBySocket(Window):
    caps = 0


class Marks(Path):
    def prepare(self):
        self.c = self.client()

    def run(self):
        c = self.c
        c.send(DEADLINE, at=now() + 10**9)
        c.send(IDLE, until=now() + 10**9)
        c.send(BUSY)
        c.send(OFFER, kinds=2)
        c.sync()


class Malformed(Path):
    def prepare(self):
        self.c = self.client()

    def run(self):
        self.c.send_raw(b"\xff" * 48)
        with pytest.raises(Gone):
            self.c.expect()


def shape(value):
    """What must not differ between two replies: which keys there are, and how many elements."""
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shape(v) for v in value]
    return None


class Call(Path):
    """One call of the control socket, with three heaps there."""
    method, parameters, more = "", {}, False

    def prepare(self):
        for i in range(3):
            self.client(heap=f"h{i}", service=("web", "ranks", "ledger")[i])

    def run(self):
        v = self.caller()
        method = self.method if "." in self.method else f"{harness.INTERFACE}.{self.method}"
        v.send({"method": method, "parameters": self.parameters, "more": self.more})
        replies = []
        while not replies or replies[-1].get("continues"):
            reply = v.receive()
            if reply is None:
                raise Gone
            if "error" in reply:
                raise harness.Error(reply["error"], reply.get("parameters", {}))
            replies.append(reply)
        return shape(replies)


def call(name, parameters=None, more=False):
    return type(name, (Call,), {"method": name, "parameters": parameters or {}, "more": more})


class Wrong(Call):
    """Those are errors anyway."""

    def run(self):
        v = self.caller()
        for method, parameters in (("Nothing", {}), ("ListHeaps", {"after": "x"}), ("ListHeaps", {"x": 1}),
                                   ("Explain", {"heap": "nobody"}), ("no.such.Thing", {})):
            with pytest.raises(harness.Error):
                v.call(method, **parameters)


class WindowListed(Call):
    """The lists with a window in them."""
    method = "ListWindows"

    def prepare(self):
        w = Window(self.d)
        w.prepare()
        self.opened += w.opened
        w.c.report(used=BUDGET)
        w.c.expect(WINDOW, skip=(DIRECTIVE, ANNOUNCE))


class PausesListed(WindowListed):
    """What was is kept, so that there are ever more: one of them."""
    method = "ListPauses"
    parameters = {"limit": 1}


class Trace(Path):
    """A recording, and a heap that comes and goes while it runs."""
    method, parameters = "Trace", EVENTS

    def run(self):
        v = self.caller()
        v.send({"method": f"{harness.INTERFACE}.{self.method}", "parameters": self.parameters, "more": True})
        lines = self.first(v)
        c = self.client()
        c.report(used=1000)
        c.sync()
        c.send(BYE)
        # Its last word may be what could not be read; and the connection of another one what failed.
        mine = c.welcome.heap
        lines += self.until(v, lambda line: line.get("heap") == mine and line.get("event") in ("leave", "lost"))
        return [str(line.get("event")).replace("lost", "leave") for line in lines if line.get("heap", mine) == mine]

    def first(self, v):
        return self.until(v, lambda line: "rtgcd" in line)

    def until(self, v, predicate):
        lines = []
        while not any(map(predicate, lines)):
            reply = v.receive()
            if reply is None or "error" in reply:
                raise Gone(reply)
            lines += reply["parameters"].get("events", [])
        return lines


class Subscribe(Trace):
    """The same with figures, of one that is there and of one that comes."""
    method, parameters = "Subscribe", {"events": ["join", "lost"], "service": "web"}

    def prepare(self):
        self.client()

    def first(self, v):
        reply = v.receive()
        if reply is None or "error" in reply:
            raise Gone(reply)
        assert reply["parameters"]["present"]
        return [{"event": h["name"]} for h in reply["parameters"]["heaps"]]


class Summary(Path):
    """A heap is asked, and answers."""

    def prepare(self):
        self.c = self.client(caps=CAP_ANSWERS, heap="asked")

    def run(self):
        v, c = self.caller(), self.c
        v.send({"method": f"{harness.INTERFACE}.HeapSummary", "parameters": {"heap": "asked"}})
        while True:
            ready = select.select([v.socket, c.socket], [], [], harness.PATIENCE)[0]
            if v.socket in ready:
                reply = v.receive()
                if reply is None or "error" in reply:
                    raise Gone(reply)
                return shape(reply)
            assert ready, "no answer"
            frame = c.receive()
            if frame.type == ASK:
                for i in range(3):
                    c.send(ANSWER, ask=frame.ask, count=i, bytes=i, name=f"type{i}")
                c.send(ANSWER, ask=frame.ask, last=1, name="")


class Get(Path):
    """One request over HTTP, with three heaps there; a new connection each time."""
    path, method, headers = "", "GET", {}

    def prepare(self):
        for i in range(3):
            self.client(heap=f"h{i}", service=("web", "ranks", "ledger")[i])
        self.where = http_client.address(self.d)

    def run(self):
        self.opened.append(connection := http_client.Connection(self.where))
        try:
            status, _, body = connection.get(self.path, self.method, **self.headers)
        except http.client.HTTPException as e:
            raise Gone(repr(e)) from e
        if status == 503 or (status == 400 and (self.method == "HEAD" or "<H1>Bad Request" in body)):
            raise harness.Error(str(status), body)  # (The latter is the library's, for want of memory.)
        # (The host's pressure is not known for a while after a machine stood still.)
        return status, (shape(json.loads(body)) if self.path.startswith("/api/") else
                        sum("_pressure" not in line for line in body.splitlines()))


def get(path, method="GET", **headers):
    return type(f"{method} {path}", (Get,), {"path": path, "method": method, "headers": headers})


class Hangup(Path):
    """SIGHUP."""

    def run(self):
        before = len(self.d.log)
        os.kill(self.d.pid, signal.SIGHUP)
        self.d.wait(lambda d: "reloaded" in d.log[before:] or "the old configuration stays" in d.log[before:],
                    "it has reloaded, or not")


REQUESTS = [
    Hello, WithPages, SharedBudget, Together, Rival, NewService, Many, Window, WindowBySocket, Marks, Malformed,
    call("GetStatus"), call("ListHeaps"), call("ListHeaps", {"limit": 1}, more=True), call("ListServices"),
    WindowListed, PausesListed, call("Explain", {"heap": "h1"}), call("GetConfig"), call("Reload"), Wrong, Trace, Subscribe, Summary, Hangup,
    call("org.varlink.service.GetInfo"),
    call("org.varlink.service.GetInterfaceDescription", {"interface": harness.INTERFACE}),
    get("/"), get("/", method="HEAD"), get("/nothing"), get("/metrics"), get("/metrics/heaps"),
    get("/api/ListHeaps"), get("/api/Explain?heap=h1"),
]


# ---- and what must hold ----------------------------------------------------------------------------------------

def once(request, d, fault=None):
    """What run() returned, or how it was refused; how many calls failed; and what it called how often."""
    path = request(d)
    try:
        path.prepare()
        before = d.shim.counts()
        if fault:
            d.shim.arm(*fault)
        result = attempt(path.run)
        fired = d.shim.disarm()
        return result, fired, difference(d.shim.counts(), before)
    finally:
        d.shim.disarm()
        path.finish()


def attack(request, d, what):
    """Fails each call there is for the request, one at a time. Returns how many."""
    d.warm_up()
    for _ in range(3):  # what is learned or grows once is there
        expected, _, counts = once(request, d)
        assert not isinstance(expected, Exception), expected
    rest, injected = d.look(), 0
    for function, error, n in failures({k: v for k, v in counts.items() if (k == MEMORY) == (what == MEMORY)}):
        if request is Hangup and function in ("read", "write"):
            continue  # libevent's, on its own pair of sockets: it relies on them
        try:
            result, fired, _ = once(request, d, (function, n, error))
            assert isinstance(result, Exception) or result == expected, result
            d.is_back_at(rest)
        except Exception as e:
            raise AssertionError(explained(function, error, n)) from e
        injected += fired
    return injected


CASES = [(what, r) for what in (MEMORY, "calls") for r in REQUESTS]


@pytest.mark.parametrize("what, request_", CASES, ids=[f"{what}-{r.__name__}" for what, r in CASES])
def test_request(request_, what, shim):
    config = CONFIG.replace("[Daemon]\n", LISTENING) if issubclass(request_, Get) else CONFIG
    with Daemon(shim, config=config) as d:
        injected = attack(request_, d, what)
        print(f"{request_.__name__}: {injected} faults of {what}")
    # What heaps say and what is decided for them mostly needs no memory that was not there before.
    assert injected > 0 or (what == MEMORY and request_ in (Window, WindowBySocket, Marks, Malformed))


def test_http_accepts_again(shim):
    """It rests when no connection can be had; that its socket cannot be watched when it is to go on is not the end."""
    with Daemon(shim, config=CONFIG.replace("[Daemon]\n", LISTENING)) as d:
        where = http_client.address(d)
        for _ in range(3):
            with contextlib.closing(http_client.Connection(where)) as first:
                shim.arm("accept4", 2, errno.EMFILE)  # after the first, when it looks for more
                assert first.get("/")[0] == 200
                shim.arm("epoll_ctl", 1, errno.ENOMEM)
                time.sleep(0.3)  # (it rests for a tenth of a second, and is not asked again meanwhile)
            shim.disarm()
            with contextlib.closing(http_client.Connection(where)) as second:
                assert second.get("/")[0] == 200
