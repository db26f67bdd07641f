# SPDX-License-Identifier: MIT
"""The life of a window over the wire and over the pages."""

import contextlib
import fcntl
import mmap
import os
import select
import signal
import subprocess

import pytest

from common import BUDGET, due, harness, window
from frames import *  # noqa: F403

ONE = "[Service:web]\nMaxConcurrent=1\n"
LEAD = "[Service:web]\nMaxConcurrent=1\nDrain=client\nLead=50s\n"


def heap(d, client):
    return [h for h in d.heaps() if h["id"] == client.welcome.heap][0]


@pytest.mark.parametrize("caps", [0, CAP_PAGE])
def test_from_report_to_end(caps):
    with harness.Daemon(config=ONE) as d, Client(d, budget=BUDGET, caps=caps) as c:
        due(c)
        w = window(c)
        assert w.kind == MAJOR and w.must == 1 and w.opens <= now() < w.closes
        begun = c.begin(w.window)
        c.sync()
        status = d.call("GetStatus")
        assert (status["paused_now"], status["windows_open"]) == (1, 1)
        assert heap(d, c)["state"] == "collecting"
        assert [(x["id"], x["state"], x["kind"]) for x in d.windows()] == [(w.window, "in_use", "major")]
        c.end(w.window, begun, freed=700, used=100)
        c.sync()
        status = d.call("GetStatus")
        assert (status["paused_now"], status["paused_max"], status["windows_open"],
                status["windows_granted"]) == (0, 1, 0, 1)
        assert (status["forced"], status["over_limit"], status["overruns"]) == (0, 0, 0)
        h = heap(d, c)
        assert (h["state"], h["used"], h["yield_last"]) == ("idle", 100, 700)
        assert h["collections"] == {"minor": 0, "major": 1, "snapshot": 0, "freeze": 0}
        assert status["decision_p99_us"] > 0
        reasons = [x["reason"] for x in d.call("Explain", heap=str(h["id"]))["decisions"]]
        assert reasons[0] == "due" and reasons[-2:] == ["began", "ended"]


def test_announced_then_quiet_then_open():
    with harness.Daemon(config=LEAD) as d, Client(d, budget=BUDGET, caps=CAP_QUIET) as c:
        due(c, ahead=1000, permille=945)
        a = c.expect(ANNOUNCE)
        assert a.drain == 1 and a.kind == MAJOR and a.opens_by > now()
        c.nothing_pending()
        assert heap(d, c)["state"] == "draining"
        c.send(QUIET, window=a.window)
        w = window(c)
        assert w.window == a.window and w.opens <= now()
        c.collect(w.window)
        c.nothing_pending()


def test_declined():
    with harness.Daemon(config=ONE) as d, Client(d, budget=BUDGET) as c:
        due(c)
        w = window(c)
        c.send(DECLINE, window=w.window, why=2)
        revoke = c.expect(REVOKE)
        assert revoke.window == w.window
        assert heap(d, c)["declined"] == 1


def test_unused_window_runs_out():
    with harness.Daemon(config=ONE) as d, Client(d, budget=BUDGET, caps=CAP_PAGE) as c:
        page = WindowPage(c)
        due(c)
        w = window(c)
        assert page.slot()["window"] == w.window
        revoke = c.expect(REVOKE)
        assert revoke.window == w.window and now() >= w.closes
        assert page.slot()["window"] != w.window
        assert heap(d, c)["expired"] == 1
        c.begin(w.window)  # too late by far
        c.pending = [f for f in c.pending if f.type != WINDOW]
        assert c.expect(ERROR, skip=(DIRECTIVE, WINDOW, REVOKE)).code == WINDOW_ERROR


def test_one_at_a_time():
    """Two heaps are due at once, the service has one slot."""
    with harness.Daemon(config="[Daemon]\nMaxConcurrent=2\n" + ONE) as d, \
            Client(d, budget=BUDGET, heap="a") as a, Client(d, budget=BUDGET, heap="b") as b:
        due(a)
        wa = window(a)
        begun = a.begin(wa.window)
        a.sync()
        due(b)
        b.sync()
        b.nothing_pending()
        assert heap(d, b)["state"] == "wanting"
        explained = d.call("Explain", heap="b")["decisions"][-1]
        assert (explained["reason"], explained["holder"]) == ("slot-busy", "a")
        a.end(wa.window, begun)
        wb = window(b)
        b.collect(wb.window)
        b.sync()
        status = d.call("GetStatus")
        assert (status["paused_max"], status["windows_granted"], status["over_limit"]) == (1, 2, 0)


def test_two_slots():
    with harness.Daemon(config="[Daemon]\nMaxConcurrent=2\n[Service:web]\nMaxConcurrent=2\n") as d, \
            Client(d, budget=BUDGET, heap="a") as a, Client(d, budget=BUDGET, heap="b") as b:
        for client in (a, b):
            due(client, live=30 << 30)  # windows of minutes: none is over before the other has begun
        wa, wb = window(a), window(b)
        at, bt = a.begin(wa.window), b.begin(wb.window)
        a.sync()
        b.sync()
        assert d.call("GetStatus")["paused_now"] == 2
        a.end(wa.window, at)
        b.end(wb.window, bt)


HOLDER = """
import os, sys
sys.path[:0] = sys.argv[2:]
os.environ["RTGC_SRCDIR"] = sys.argv[3]
from common import BUDGET, due, window
from frames import Client
class D: socket = sys.argv[1]
c = Client(D, budget=BUDGET, heap="holder")
due(c)
w = window(c)
c.begin(w.window)
c.sync()
if os.fork() == 0:  # keeps the connection open
    os.read(0, 1)
    os._exit(0)
print("in the window", flush=True)
os.read(0, 1)
"""


def test_killed_in_its_window():
    """The slot of a dead process is free at once, whoever still holds its socket."""
    here = os.path.dirname(os.path.abspath(__file__))
    with harness.Daemon(config=ONE) as d, Client(d, budget=BUDGET, heap="b") as b:
        p = subprocess.Popen([os.environ["PYTHON"], "-c", HOLDER, d.socket, here, os.environ["RTGC_SRCDIR"]],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert p.stdout.readline() == b"in the window\n"
        due(b)
        b.nothing_pending()
        p.kill()
        w = window(b)
        b.collect(w.window)
        b.sync()
        assert d.call("GetStatus")["over_limit"] == 0
        assert [h["name"] for h in d.heaps()] == ["b"]
        p.stdin.close()
        p.stdout.close()
        p.wait()


def test_goodbye_in_its_window():
    with harness.Daemon(config=ONE) as d, Client(d, budget=BUDGET, heap="a") as a, \
            Client(d, budget=BUDGET, heap="b") as b:
        due(a)
        a.begin(window(a).window)
        a.sync()
        due(b)
        b.nothing_pending()
        a.send(BYE)
        window(b)


def test_comes_back_with_its_window():
    """The window that was begun before a restart counts until it ends (I-2)."""
    with harness.Daemon(config=ONE) as d:
        a = Client(d, budget=BUDGET, heap="a")
        due(a)
        w = window(a)
        begun = a.begin(w.window)
        a.sync()
        before = a.welcome.epoch
        d.restart()
        a.close()
        closes = now() + 50 * 10**9
        with Client(d, budget=BUDGET, heap="a", prev_epoch=before, prev_window=w.window,
                    prev_closes=closes) as again, Client(d, budget=BUDGET, heap="b") as b:
            assert again.welcome.epoch != before
            due(b)
            b.nothing_pending()
            assert heap(d, b)["state"] == "wanting"
            again.end(w.window, begun)
            window(b)
            assert d.call("GetStatus")["over_limit"] == 0


def test_comes_back_to_the_same_daemon():
    """A connection broken in the middle of a window: the slot is held once, not twice."""
    with harness.Daemon(config=ONE) as d:
        a = Client(d, budget=BUDGET, heap="a")
        due(a)
        w = window(a)
        begun = a.begin(w.window)
        a.sync()
        epoch = a.welcome.epoch
        a.close()
        d.wait(lambda d: [h["state"] for h in d.heaps()] == ["lost"], "lost")
        with Client(d, budget=BUDGET, heap="a", prev_epoch=epoch, prev_window=w.window,
                    prev_closes=w.closes + 50 * 10**9) as again, Client(d, budget=BUDGET, heap="b") as b:
            assert [h["name"] for h in d.heaps()] == ["a", "b"]
            due(b)
            b.nothing_pending()
            again.end(w.window, begun)
            window(b)
            assert d.call("GetStatus")["over_limit"] == 0


def test_forced_and_uncoordinated_are_counted():
    with harness.Daemon() as d, Client(d, budget=BUDGET) as c:
        c.end(0, c.begin(0, cause=FORCED), cause=FORCED, lasted=1000)
        c.end(0, now() - 1000, cause=UNCOORDINATED, lasted=1000)  # noticed, not run: no BEGIN
        c.sync()
        status = d.call("GetStatus")
        assert (status["forced"], status["uncoordinated"]) == (1, 1)
        shown = heap(d, c)
        assert shown["collections"]["major"] == 2
        # Short pauses under a first, high guess: inside, and far over-predicted.
        for about in shown, d.services()[0]:
            assert about["predictions"] == 2 and about["prediction_coverage_permille"] == 1000
            assert about["over_prediction_p50_permille"] > 1000


# ---- pages ---------------------------------------------------------------------------------


@pytest.fixture(name="paged")
def paged_client():
    with harness.Daemon(config=ONE) as d, Client(d, budget=BUDGET, caps=CAP_PAGE, heap="paged") as c:
        yield d, c


@pytest.fixture(name="marking")
def marking_client():
    with harness.Daemon(config=ONE) as d, \
            Client(d, budget=BUDGET, caps=CAP_PAGE | CAP_MARKS, heap="paged") as c:
        yield d, c


def test_window_page_cannot_be_written(paged):
    _, c = paged
    fd = c.fds[0]
    assert 1 <= c.welcome.slot <= 63
    with pytest.raises(PermissionError):
        mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 0)
    with pytest.raises(OSError):
        with open(f"/proc/self/fd/{fd}", "r+b", buffering=0) as again:
            mmap.mmap(again.fileno(), 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)


@pytest.mark.parametrize("index", [0, 1])
def test_pages_cannot_be_resized(paged, index):
    """A shrunk page would kill its reader."""
    _, c = paged
    for size in (0, 100, 8192):
        with pytest.raises(PermissionError):
            os.ftruncate(c.fds[index], size)
    assert os.fstat(c.fds[index]).st_size == 4096
    with pytest.raises(PermissionError):  # sealed for good
        fcntl.fcntl(c.fds[index], fcntl.F_ADD_SEALS, 0x8)


def test_headers(paged):
    _, c = paged
    header = WindowPage(c).header()
    assert (header["magic"], header["layout"], header["slots"]) == (MAGIC, 1, 63)
    assert header["epoch"] == c.welcome.epoch
    assert c.welcome.heartbeat_every == 200_000_000 and c.welcome.stale_after == 800_000_000


def test_heartbeat_goes_on(paged):
    d, c = paged
    page = WindowPage(c)
    first = page.header()["heartbeat"]
    d.wait(lambda d: page.header()["heartbeat"] > first, "the heartbeat goes on")
    d.kill(signal.SIGSTOP)
    stopped = page.header()["heartbeat"]
    gone = os.pidfd_open(d.pid)
    select.select([gone], [], [], 0.5)
    os.close(gone)
    assert page.header()["heartbeat"] == stopped  # nobody else beats it
    d.kill(signal.SIGCONT)
    d.wait(lambda d: page.header()["heartbeat"] > stopped, "it goes on again")


def test_a_beginning_in_time_is_heard():
    """Behind what many others say, by a daemon that comes to it late: before the slot is given away."""
    with harness.Daemon(config=ONE + "[Daemon]\nGateLag=1h\n") as d, contextlib.ExitStack() as stack:
        one, two, *others = [stack.enter_context(Client(d, heap=f"h{i}", budget=BUDGET)) for i in range(42)]
        due(one, live=1 << 30)  # a second is guessed, hence a window that a slow machine can begin in
        w = window(one)
        assert w.closes - w.opens < 8 * 10**9
        due(two)  # it can wait for ten seconds
        two.nothing_pending()
        d.kill(signal.SIGSTOP)
        for other in others:
            other.report(used=1)
        begun = one.begin(w.window)
        assert begun < w.closes
        while now() <= w.closes + 50_000_000:
            pass
        d.kill(signal.SIGCONT)
        two.nothing_pending()
        status = d.call("GetStatus")
        assert (status["paused_now"], status["windows_open"], status["over_limit"]) == (1, 1, 0)
        one.end(w.window, begun)
        window(two)


def test_directives_are_stores(paged):
    """With pages a directive is no frame."""
    d, c = paged
    page = WindowPage(c)
    c.report(10)
    c.sync()
    assert c.pending == []
    assert 10 < page.slot()["watermark"] < BUDGET


def test_window_by_page(paged):
    """The slot is there before the frame."""
    d, c = paged
    page = WindowPage(c)
    due(c)
    frame = window(c)
    slot = page.slot()
    assert slot["seq"] % 2 == 0 and slot["state"] == 2
    assert [slot[k] for k in ("window", "opens", "closes", "predicted", "kind", "must")] == \
        [frame.window, frame.opens, frame.closes, frame.predicted, frame.kind, frame.must]
    c.collect(frame.window)
    c.sync()
    slot = page.slot()
    assert slot["state"] == 0 and slot["window"] == 0


def test_daemon_looks_at_the_page(paged):
    """Figures are published, no frame is sent: the daemon looks when they are due."""
    d, c = paged
    page = HeapPage(c)
    due(c, ahead=10)  # when it lasted, by these figures, until nearly now
    w = window(c)
    c.collect(w.window)
    c.sync()
    begun = now()
    page.publish(used=0, allocated=10**9)
    c.report(used=0, allocated=10**9)
    while now() - begun < 50_000_000:
        c.sync()
    # By frame: it lasts for a second. By page: it has not grown since.
    grown = BUDGET * (now() - begun) // 10**9
    c.report(used=BUDGET * 80 // 100, allocated=10**9 + grown)
    page.publish(used=BUDGET // 2, allocated=10**9 + grown + 1)
    d.wait(lambda d: heap(d, c)["used"] == BUDGET // 2, "it has looked")


def test_marks_are_read_with_a_kick(marking):
    d, c = marking
    page = HeapPage(c)
    due(c)
    w = window(c)
    c.collect(w.window, used=BUDGET * 6 // 10)
    c.sync()
    # Idle for long, with enough to collect: slack is used.
    page.publish(used=BUDGET * 7 // 10, allocated=BUDGET * 2)
    page.mark(2, idle_until=now() + 60 * 10**9)
    c.report(used=BUDGET * 7 // 10, allocated=BUDGET * 2)
    w = window(c)
    assert w.must == 0
    assert d.call("Explain", heap="paged")["heap"]["reason"] == "slack"


@pytest.mark.parametrize("told", ["report", "end"])
def test_published_before_the_watermark_could_be_seen(marking, told):
    """A heap went on while its figures were on their way, and is silent from then on: it is idle."""
    d, c = marking
    page = HeapPage(c)
    if told == "end":
        due(c)
        w = window(c)
        begun = c.begin(w.window)
    at = now()
    page.publish(used=BUDGET * 66 // 100, allocated=BUDGET * 2)
    page.mark(2, idle_until=now() + 60 * 10**9)
    if told == "end":
        c.end(w.window, begun, used=BUDGET * 4 // 10, lasted=at - begun)
    else:
        c.report(used=BUDGET * 4 // 10, allocated=BUDGET, at=at)
    c.sync()
    assert heap(d, c)["used"] == BUDGET * 66 // 100


def test_hostile_page(paged):
    """Whatever lies in the heap page, torn or absurd, the daemon lives and serves others."""
    d, c = paged
    raw = mmap.mmap(c.fds[1], 4096)
    for fill in (b"\xff" * 4096, b"\0" * 4096, os.urandom(4096), b"\1" * 4096):
        raw[:] = fill
        c.report(BUDGET * 9 // 10, allocated=BUDGET)
        c.sync()
    with Client(d, budget=BUDGET, heap="other") as other:
        due(other)
        window(other)


def test_pages_are_shared_within_a_uid_only():
    if os.geteuid() != 0:
        pytest.skip("needs root to be two users")
    code = ("import os, sys; sys.path[:0] = sys.argv[2:]\n"
            "from frames import Client\n"
            "os.setgid(65534); os.setuid(65534)\n"
            "class D: socket = sys.argv[1]\n"
            "c = Client(D, budget=1, caps=1, heap='other')\n"
            "print(os.fstat(c.fds[0]).st_ino, c.welcome.slot, flush=True); os.read(0, 1)\n")
    here = os.path.dirname(os.path.abspath(__file__))
    with harness.Daemon() as d, Client(d, budget=1, caps=CAP_PAGE) as a, Client(d, budget=1, caps=CAP_PAGE) as b:
        p = subprocess.Popen([os.environ["PYTHON"], "-c", code, d.socket, here],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        inode = int(p.stdout.readline().split()[0])
        mine = {os.fstat(c.fds[0]).st_ino for c in (a, b)}
        assert len(mine) == 1 and inode not in mine
        assert {a.welcome.slot, b.welcome.slot} == {1, 2}
        assert {h["uid"] for h in d.heaps()} == {0, 65534}
        p.communicate("")


def test_more_heaps_than_a_page_holds():
    with harness.Daemon() as d:
        clients = [Client(d, budget=1, caps=CAP_PAGE, heap=f"h{i}") for i in range(70)]
        places = {(os.fstat(c.fds[0]).st_ino, c.welcome.slot) for c in clients}
        assert len(places) == 70 and len({page for page, _ in places}) == 2
        gone = clients[5]
        place = (os.fstat(gone.fds[0]).st_ino, gone.welcome.slot)
        gone.send(BYE)
        gone.expect_closed()
        with Client(d, budget=1, caps=CAP_PAGE, heap="new") as c:
            assert (os.fstat(c.fds[0]).st_ino, c.welcome.slot) == place  # used again
        for c in clients:
            c.close()
