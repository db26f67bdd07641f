# SPDX-License-Identifier: MIT
"""Draining at a real HAProxy, and the rule: nothing that happens to us leaves a server drained."""

import os
import select
import signal
import socket

import pytest

import balancer
from balancer import Balancer
from common import BUDGET, due, harness, window
from frames import *  # noqa: F403

pytestmark = pytest.mark.skipif(balancer.MISSING, reason="there is no haproxy here")


def config(b, server="%h", backend="be", lead="50s"):
    """
    Several services with the same servers: the core learns how long draining takes in each,
    and these tests want the whole lead every time.
    """
    return "".join(f"[Service:{name}]\nMaxConcurrent=3\nLead={lead}\n"
                   f"Drain=haproxy:{b.admin}:{backend}/{server}\n"
                   for name in ("web", "web1", "web2", "web3", "web4"))


def children(pid):
    """The daemon's guards: processes named rtgcd-drain that it has started."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8") as f:
                    name, rest = f.read().rsplit(")", 1)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(rest.split()[1]) == pid and rest.split()[0] != "Z":
                found.append((int(entry), name.split("(", 1)[1]))
    return found


def guard_of(d):
    (pid, name), = d.wait(lambda d: [c for c in children(d.pid) if c[1] == "rtgcd-drain"], "the guard runs")
    return pid


def heap(client, d):
    return [h for h in d.heaps() if h["id"] == client.welcome.heap][0]


def due_slowly(client):
    """Due now, but with 45 s until the latest start: the lead is not cut short."""
    due(client, ahead=1000, permille=945)


def drained(client, d, name="s1"):
    """A window for which the server has been drained. (An HAProxy that gets no CPU for long is asked once more.)"""
    for _ in range(5):
        due_slowly(client)
        client.expect(ANNOUNCE)
        w = window(client)
        how = reasons(d, name)[-1]
        if how == "drained":
            return w
        assert how == "undrainable"
        client.collect(w.window)
    raise AssertionError(f"not drained: {d.log}")


@pytest.fixture(name="b")
def haproxy():
    with Balancer() as b:
        yield b


@pytest.fixture(name="d")
def daemon(b):
    with harness.Daemon(config=config(b)) as d:
        yield d


@pytest.fixture(name="c")
def client(d):
    with Client(d, budget=BUDGET, heap="s1") as c:
        yield c


def reasons(d, name="s1"):
    return [x["reason"] for x in d.call("Explain", heap=name)["decisions"]]


def test_drained_then_back(b, d, c):
    w = drained(c, d)
    assert reasons(d)[-1] == "drained"
    assert b.states() == {"s0": 0, "s1": 8, "s2": 0}
    c.collect(w.window)
    b.until(lambda: b.state("s1") == 0, "it is ready again")


def test_drained_for_the_fork_of_a_snapshot(b, d):
    """It serves again while its snapshot goes on, and then nobody is told anything more."""
    with Client(d, budget=BUDGET, heap="s1", kinds=1 << SNAPSHOT) as c:
        w = drained(c, d)
        assert w.kind == SNAPSHOT and b.states() == {"s0": 0, "s1": 8, "s2": 0}
        begun = c.begin(w.window, kind=SNAPSHOT)
        b.until(lambda: b.state("s1") == 0, "it is ready again")
        open_now, = d.call("ListWindows")["windows"]
        assert (open_now["id"], open_now["state"], open_now["kind"]) == (w.window, "in_use", "snapshot")
        c.end(w.window, begun, kind=SNAPSHOT)
        c.sync()
        assert d.call("GetStatus")["windows_open"] == 0 and heap(c, d)["overruns"] == 0
        assert b.states() == {"s0": 0, "s1": 0, "s2": 0}


def test_waits_for_the_last_request(b, d, c):
    s1 = b.backends[1]
    s1.holding = True
    answers = []
    while not s1.arrived.acquire(blocking=False):
        answers.append(b.request())
        if len(answers) > 2:
            s1.arrived.acquire()
            break
    due_slowly(c)
    c.expect(ANNOUNCE)
    b.until(lambda: b.state("s1") == 8, "it is being drained")
    c.nothing_pending()
    assert heap(c, d)["state"] == "draining"
    others = [b.request()() for _ in range(6)]  # go elsewhere
    assert others == ["HTTP/1.1 200 OK"] * 6
    c.nothing_pending()
    s1.let_go.release()
    w = window(c)
    assert [a() for a in answers] == ["HTTP/1.1 200 OK"] * len(answers)
    c.collect(w.window)
    b.until(lambda: b.state("s1") == 0, "it is ready again")


def test_lead_runs_out(b):
    """It opens anyway, and the server is put back anyway."""
    with harness.Daemon(config=config(b, lead="200ms")) as d, Client(d, budget=BUDGET, heap="s1") as c:
        s1 = b.backends[1]
        s1.holding = True
        answers = [b.request() for _ in range(3)]
        s1.arrived.acquire()
        due(c, permille=897)
        w = window(c)
        assert reasons(d)[-1] == "lead-over"
        c.collect(w.window)
        b.until(lambda: b.state("s1") == 0, "it is ready again")
        s1.let_go.release()
        assert [a() for a in answers] == ["HTTP/1.1 200 OK"] * 3


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_daemon_ends_while_drained(b, d, c, sig):
    drained(c, d)
    assert b.state("s1") == 8
    guard = os.pidfd_open(guard_of(d))
    d.kill(sig)
    b.until(lambda: b.state("s1") == 0, "it is ready again though nobody restarts the daemon")

    assert select.select([guard], [], [], 60)[0]  # and the guard has gone
    os.close(guard)


def test_daemon_killed_while_draining(b, d, c):
    s1 = b.backends[1]
    s1.holding = True
    answers = [b.request() for _ in range(3)]
    s1.arrived.acquire()
    due_slowly(c)
    b.until(lambda: b.state("s1") == 8, "it is being drained")
    d.kill()
    b.until(lambda: b.state("s1") == 0, "it is ready again")
    s1.let_go.release()
    assert [a() for a in answers] == ["HTTP/1.1 200 OK"] * 3


def test_daemon_stopped_while_drained(b, d, c):
    """The lease runs out by itself."""
    drained(c, d)
    d.kill(signal.SIGSTOP)
    try:
        assert b.state("s1") in (0, 8)
        b.until(lambda: b.state("s1") == 0, "it is ready again")
    finally:
        d.kill(signal.SIGCONT)


def test_guard_told_to_end(b, d, c):
    drained(c, d)
    guard = guard_of(d)
    os.kill(guard, signal.SIGTERM)
    b.until(lambda: b.state("s1") == 0, "it is ready again")
    d.wait(lambda d: guard_of(d) != guard, "there is another one")


def test_guard_killed_while_drained(b, d, c):
    drained(c, d)
    guard = guard_of(d)
    os.kill(guard, signal.SIGKILL)
    b.until(lambda: b.state("s1") == 0, "it is ready again")
    assert guard_of(d) != guard


def test_drains_again_after_the_guards_death(b, d, c):
    w = drained(c, d)
    guard = guard_of(d)
    os.kill(guard, signal.SIGKILL)
    c.collect(w.window)
    b.until(lambda: b.state("s1") == 0, "it is ready again")
    d.wait(lambda d: guard_of(d) != guard, "there is another one")
    with Client(d, budget=BUDGET, heap="s2", service="web1") as other:
        w = drained(other, d, "s2")
        assert b.state("s2") == 8
        other.collect(w.window)
        b.until(lambda: b.state("s2") == 0, "it is ready again")


def test_client_killed_while_drained(b, d):
    with Client(d, budget=BUDGET, heap="s1") as c:
        drained(c, d)
        c.send(BYE)
        c.expect_closed()
    b.until(lambda: b.state("s1") == 0, "it is ready again")


@pytest.mark.parametrize("state, admin", [("drain", 8), ("maint", 1)])
def test_operators_own_work_is_left_alone(b, d, c, state, admin):
    b.command(f"set server be/s1 state {state}")
    w = drained(c, d)
    assert reasons(d)[-1] == "drained"
    c.collect(w.window)
    # A heap that is drained and put back by us afterwards shows that all is done.
    with Client(d, budget=BUDGET, heap="s2", service="web1") as other:
        other.collect(drained(other, d, "s2").window)
        b.until(lambda: b.state("s2") == 0, "the other one is ready again")
    assert b.state("s1") == admin


def test_maintenance_while_drained_is_left_alone(b, d, c):
    w = drained(c, d)
    b.command("set server be/s1 state maint")
    before = b.state("s1")
    assert before & 1
    c.collect(w.window)
    with Client(d, budget=BUDGET, heap="s2", service="web1") as other:
        other.collect(drained(other, d, "s2").window)
        b.until(lambda: b.state("s2") == 0, "the other one is ready again")
    assert b.state("s1") == before


def undrainable(d, name="s1"):
    return "undrainable" in reasons(d, name)


def test_last_server_is_not_drained(b, d, c):
    for server in ("s0", "s2"):
        b.command(f"set server be/{server} state maint")
    due_slowly(c)
    w = window(c)
    assert undrainable(d) and "last server" in d.log
    assert b.states() == {"s0": 1, "s1": 0, "s2": 1}
    c.collect(w.window)


def test_two_at_once_never_take_the_last(b):
    """Three servers, three heaps due at the same moment: one server always stays."""
    with harness.Daemon(config="[Daemon]\nMaxConcurrent=3\n" + config(b)) as d:
        clients = [Client(d, budget=BUDGET, heap=f"s{i}", service=name)
                   for i, name in enumerate(("web", "web1", "web2"))]
        for c in clients:
            due_slowly(c)
        windows = [window(c) for c in clients]
        assert sorted(b.states().values()) == [0, 8, 8]
        assert sorted(undrainable(d, f"s{i}") for i in range(3)) == [False, False, True]
        for c, w in zip(clients, windows):
            c.collect(w.window)
        b.until(lambda: set(b.states().values()) == {0}, "all are ready again")
        for c in clients:
            c.close()


@pytest.mark.parametrize("name", ["nobody", "s1;disable", "s1 state maint", "s1/x", "ünïcode", "x" * 63])
def test_names_are_never_commands(b, d, name):
    """What a client calls itself becomes the name of a server, or nothing."""
    with Client(d, budget=BUDGET, heap=name) as c:
        due_slowly(c)
        w = window(c)
        assert undrainable(d, name)
        c.collect(w.window)
    assert b.states() == {"s0": 0, "s1": 0, "s2": 0}


def test_no_such_backend(b):
    with harness.Daemon(config=config(b, backend="nowhere")) as d, Client(d, budget=BUDGET, heap="s1") as c:
        due_slowly(c)
        window(c)
        assert undrainable(d) and "nowhere/s1" in d.log


def test_nobody_listens():
    with harness.Daemon() as d:
        d.write_config("[Service:web]\nLead=50s\nDrain=haproxy:/nonexistent/sock:be/%h\n")
        d.call("Reload")  # starts the guard, too
        with Client(d, budget=BUDGET, heap="s1") as c:
            due_slowly(c)
            window(c)
            assert undrainable(d) and "/nonexistent/sock" in d.log


def test_may_not_drain():
    """A stats socket below the level of admin: seen, and nothing is taken for drained."""
    with Balancer(level="operator") as b, harness.Daemon(config=config(b)) as d, \
            Client(d, budget=BUDGET, heap="s1") as c:
        due_slowly(c)
        window(c)
        assert undrainable(d) and "ermission denied" in d.log
        assert b.state("s1") == 0


def test_a_balancer_that_hangs(b):
    """It accepts and never answers: the window is not held up for ever, nor the daemon."""
    with harness.Daemon() as d, socket.socket(socket.AF_UNIX) as s:
        path = os.path.join(d.dir, "deaf")
        s.bind(path)
        s.listen(16)
        d.write_config(f"[Service:web]\nLead=50s\nDrain=haproxy:{path}:be/%h\n")
        d.call("Reload")
        with Client(d, budget=BUDGET, heap="s1") as c:
            due_slowly(c)
            window(c)
            assert undrainable(d)


def test_haproxy_ends_while_drained(b, d, c):
    """Nothing is left to be put back; the guard does not try for ever."""
    w = drained(c, d)
    b.proc.kill()
    b.proc.wait()
    c.collect(w.window)
    c.sync()
    guard = os.pidfd_open(guard_of(d))
    d.stop()

    assert select.select([guard], [], [], 60)[0]
    os.close(guard)


def test_no_guard_without_need():
    with harness.Daemon(config="[Service:web]\nDrain=client\n") as d:
        assert children(d.pid) == []


def test_guard_has_nothing_of_the_daemons(b, d, c):
    """Neither its sockets nor its pages: only its end of the pair."""
    drained(c, d)
    guard = guard_of(d)
    names = set()
    for fd in os.listdir(f"/proc/{guard}/fd"):
        try:
            names.add(os.readlink(f"/proc/{guard}/fd/{fd}").split(":")[0])
        except FileNotFoundError:
            pass
    assert not [n for n in names if "memfd" in n or "eventpoll" in n or "timerfd" in n or "pidfd" in n], names
    with open(f"/proc/{guard}/net/unix", encoding="utf-8") as f:
        listening = {line.split()[6] for line in f if d.socket in line or d.control in line}
    held = {os.readlink(f"/proc/{guard}/fd/{fd}") for fd in os.listdir(f"/proc/{guard}/fd")}
    assert not {f"socket:[{inode}]" for inode in listening} & held


def test_balancer_serves_all_the_time(b, d):
    """Requests in flight around every drain: not one fails."""
    for service in ("web", "web1", "web2", "web3", "web4"):
        with Client(d, budget=BUDGET, heap="s1", service=service) as c:
            answers = [b.request() for _ in range(12)]
            w = drained(c, d)
            answers += [b.request() for _ in range(12)]
            c.collect(w.window)
            assert [a() for a in answers] == ["HTTP/1.1 200 OK"] * 24
            c.send(BYE)
    b.until(lambda: b.state("s1") == 0, "it is ready again")
