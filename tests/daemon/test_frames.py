# SPDX-License-Identifier: MIT
"""What a client may not say, and that it costs nobody else anything."""

import os
import resource
import signal
import socket
import struct
import subprocess

import pytest

from common import BUDGET, harness
from frames import *  # noqa: F403


@pytest.fixture(name="d", scope="module")
def daemon():
    with harness.Daemon() as d:
        yield d


def refused(client, code, frame_type=None, serial=None):
    """An ERROR that names the frame, then the end of the connection."""
    error = client.expect(ERROR)
    assert error.code == code and error.detail, error
    if frame_type is not None:
        assert (error.of_type, error.of_serial) == (frame_type, serial)
    client.expect_closed()


HELLO_FRAME = encode(HELLO, 7)


def patched(offset, data, frame=HELLO_FRAME):
    return frame[:offset] + data + frame[offset + len(data):]


MALFORMED_HELLOS = {
    "magic": patched(8, b"XXXX"),
    "size in the header": patched(2, b"\0\1"),
    "short": HELLO_FRAME[:-1],
    "long": HELLO_FRAME + b"\0",
    "versions the wrong way round": patched(12, struct.pack("<HH", 2, 1)),
    "unit": patched(20, b"\2"),
    "kinds": patched(21, b"\xff"),
    "reserved bytes": patched(23, b"\1"),
    "service without end": patched(56, b"x" * 64),
    "service empty": patched(56, b"\0" * 64),
    "service not UTF-8": patched(56, b"\xff\xfe\0"),
    "service with a line end": patched(56, b"a\nb\0"),
    "bytes behind a name": patched(120, b"abc\0x"),
}


@pytest.mark.parametrize("what", MALFORMED_HELLOS)
def test_malformed_hello(d, what):
    with Client(d) as c:
        c.send_raw(MALFORMED_HELLOS[what])
        refused(c, MALFORMED, HELLO, 7)


def test_unknown_type(d):
    with Client(d, budget=1) as c:
        c.send_raw(struct.pack("<HHI", 999, 8, 5))
        refused(c, MALFORMED, 999, 5)


@pytest.mark.parametrize("size", range(1, 8))
def test_shorter_than_a_header(d, size):
    with Client(d, budget=1) as c:
        c.send_raw(b"\2" * size)
        refused(c, MALFORMED, 0, 0)


@pytest.mark.parametrize("greeted", [False, True])
def test_empty_message_is_not_the_end(d, greeted):
    with Client(d, **({"budget": 1} if greeted else {})) as c:
        c.send_raw(b"")
        refused(c, MALFORMED, 0, 0)


def test_empty_message_before_the_end(d):
    """Half-closed right behind an empty message: still told apart from the end."""
    with Client(d, budget=1) as c:
        c.sync()
        d.call("GetStatus")  # it has done with this socket
        d.kill(signal.SIGSTOP)  # so that both are there when it looks again
        c.send_raw(b"")
        c.socket.shutdown(socket.SHUT_WR)
        d.kill(signal.SIGCONT)
        refused(c, MALFORMED, 0, 0)


def test_end_is_not_an_empty_message(d):
    with Client(d, budget=1) as c:
        c.sync()
        c.socket.shutdown(socket.SHUT_WR)
        c.expect_closed()


@pytest.mark.parametrize("size", [257, 4096, 100_000])
def test_longer_than_any_frame(d, size):
    with Client(d, budget=1) as c:
        c.send_raw(encode(REPORT, 3).ljust(size, b"\0"))
        refused(c, MALFORMED, REPORT, 3)


CLIENT_FRAMES = [REPORT, DEADLINE, IDLE, BUSY, QUIET, BEGIN, END, DECLINE, BYE, OFFER, HEARTBEAT]


@pytest.mark.parametrize("kind", CLIENT_FRAMES)
def test_before_hello(d, kind):
    with Client(d) as c:
        c.send_raw(encode(kind, 9))
        refused(c, UNEXPECTED, kind, 9)


def test_second_hello(d):
    with Client(d, budget=1) as c:
        c.send_raw(encode(HELLO, 4))
        refused(c, UNEXPECTED, HELLO, 4)


@pytest.mark.parametrize("kind", [WELCOME, DIRECTIVE, ANNOUNCE, WINDOW, REVOKE, ERROR])
def test_frames_of_the_daemon(d, kind):
    fields = {WELCOME: {"epoch": 1}, ANNOUNCE: {"window": 1}, WINDOW: {"window": 1},
              ERROR: {"code": 1, "detail": "x"}}.get(kind, {})
    with Client(d, budget=1) as c:
        c.send_raw(encode(kind, 11, **fields))
        refused(c, UNEXPECTED, kind, 11)


@pytest.mark.parametrize("kind", [REPORT, DEADLINE, IDLE, BUSY, QUIET, BEGIN, END, DECLINE, BYE, OFFER, HEARTBEAT])
def test_wrong_size_of_each_frame(d, kind):
    with Client(d, budget=1) as c:
        frame = encode(kind, 2) + b"\0"
        c.send_raw(frame[:2] + struct.pack("<H", len(frame)) + frame[4:])
        refused(c, MALFORMED, kind, 2)


@pytest.mark.parametrize("kind, fields", [
    (BEGIN, {"kind": 4}), (BEGIN, {"cause": 3}), (END, {"kind": 4}), (END, {"cause": 3}), (DECLINE, {"why": 3}),
    (OFFER, {"kinds": 16}),
])
def test_values_out_of_range(d, kind, fields):
    with Client(d, budget=1) as c:
        c.send_raw(encode(kind, 2, **fields))
        refused(c, MALFORMED, kind, 2)


def test_no_version_in_common(d):
    with Client(d) as c:
        c.send(HELLO, version_min=2, version_max=9)
        error = c.expect(ERROR)
        assert error.code == VERSION and "1" in error.detail
        c.expect_closed()


def test_version_and_capabilities_are_negotiated(d):
    with Client(d) as c:
        welcome = c.greet(version_min=1, version_max=500, caps=0xFFFFFFFF)
        assert welcome.version == 1 and welcome.caps == CAP_PAGE | CAP_QUIET | CAP_MARKS | CAP_ANSWERS
    with Client(d) as c:
        welcome = c.greet(caps=CAP_QUIET)
        assert welcome.caps == CAP_QUIET and welcome.slot == 0 and c.fds == []


@pytest.mark.parametrize("kind, fields", [
    (QUIET, {}), (DECLINE, {}), (BEGIN, {"kind": MAJOR}), (END, {"kind": MAJOR}),
])
def test_window_of_somebody_else(d, kind, fields):
    """The connection stays: a window may just have run out."""
    with Client(d, budget=1) as c:
        c.sync()
        c.pending.clear()
        c.send(kind, window=12345, **fields)
        error = c.expect(ERROR)
        assert error.code == WINDOW_ERROR
        c.sync()


def test_begin_twice_is_out_of_order(d):
    with Client(d, budget=BUDGET) as c:
        c.begin(0, cause=FORCED)
        c.begin(0, cause=FORCED)
        refused(c, UNEXPECTED)


@pytest.mark.parametrize("greeted", [False, True])
def test_descriptors_are_not_taken(d, greeted):
    with open("/dev/null", "rb") as null:
        with Client(d, **({"budget": 1} if greeted else {})) as c:
            if greeted:
                c.sync()
            before = d.descriptors()
            c.send_raw(encode(HELLO if not greeted else HEARTBEAT, 3), fds=[null.fileno()] * 253)
            refused(c, MALFORMED)
            d.wait(lambda d: d.descriptors() <= before, "no descriptor is kept")


def test_a_flood_of_reports_is_taken(d):
    """Far more than are read at once; nothing is lost, nobody is thrown out."""
    with Client(d, budget=10**12) as c:
        c.sync()
        for i in range(2000):
            c.report(i)
        c.sync()
        heap = [h for h in d.heaps() if h["id"] == c.welcome.heap][0]
        assert heap["used"] == 1999


def test_who_does_not_read_is_disconnected():
    with harness.Daemon() as d, Client(d, budget=1) as c:
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(100_000):  # each is answered by ERROR, which nobody reads
                c.send(QUIET, window=99)
        d.wait(lambda d: "does not read" in d.log, "the log tells why")


def test_heartbeats_are_coalesced_for_slow_clients(d):
    """What only tells the present state never fills the queue."""
    with Client(d, budget=1, heap="beats") as c:
        marks = list(range(1, 3000))
        c.socket.setblocking(False)
        sent = 0
        for mark in marks:
            while True:
                try:
                    c.send_raw(encode(HEARTBEAT, mark, at=mark))
                    sent = mark
                    break
                except BlockingIOError:
                    d.call("GetStatus")
        c.socket.settimeout(60)
        seen = []
        while not seen or seen[-1] != sent:
            frame = c.expect(HEARTBEAT)
            seen.append(frame.at)
        assert seen == sorted(seen) and len(seen) < len(marks)


def test_too_many_without_hello(d):
    clients = [Client(d) for _ in range(65)]
    last = clients[-1]
    refused(last, REFUSED, 0, 0)
    clients[0].greet(budget=1)  # those before are still served
    for c in clients:
        c.close()


def test_absurd_figures(d):
    most = 2**64 - 1
    with Client(d, budget=most) as c:
        for used, allocated, live in ((most, most, most), (0, 0, 0), (most, 0, most), (1, most, 1)):
            c.report(used, allocated, live, at=most)
            c.report(used, allocated, live, at=0)
            c.report(used, allocated, live)
        for kind in (DEADLINE, IDLE):
            for at in (0, 1, most - 1, most):
                c.send(kind, **{"at" if kind == DEADLINE else "until": at})
        c.send(END, window=0, begin=0, end=most, freed=most, used=most, live=most, kind=MAJOR, cause=UNCOORDINATED)
        c.sync()
    assert d.heaps() is not None


def test_forked_child_keeps_the_socket(d):
    """The end of the connection is not death, and death does not need the end."""
    code = ("import os, sys; sys.path[:0] = sys.argv[2:]\n"
            "from frames import Client\n"
            "class D: socket = sys.argv[1]\n"
            "c = Client(D, budget=1, heap='parent'); c.sync()\n"
            "r, w = os.pipe()\n"
            "if os.fork() == 0:\n"
            "    os.close(w); print('child', flush=True); os.read(0, 1); os._exit(0)\n"
            "os.read(0, 1); os._exit(0)\n")
    here = os.path.dirname(os.path.abspath(__file__))
    p = subprocess.Popen([os.environ["PYTHON"], "-c", code, d.socket, here],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"child\n"

    def state(d):
        return [h["state"] for h in d.heaps() if h["name"] == "parent"]

    assert state(d) == ["idle"]
    p.kill()  # the child still holds the connection
    p.wait()
    d.wait(lambda d: state(d) == [], "the dead process's heap has left")
    p.stdin.close()  # lets the child go
    p.stdout.close()


def test_closed_by_a_living_process_is_lost_until_it_comes_back(d):
    c = Client(d, budget=1, heap="comes-and-goes")
    c.close()
    d.wait(lambda d: [h["state"] for h in d.heaps() if h["name"] == "comes-and-goes"] == ["lost"], "lost")
    with Client(d, budget=1, heap="comes-and-goes") as again:
        again.sync()
        assert [h["id"] for h in d.heaps() if h["name"] == "comes-and-goes"] == [again.welcome.heap]
        again.send(BYE)
        again.expect_closed()
    d.wait(lambda d: not [h for h in d.heaps() if h["name"] == "comes-and-goes"], "it has left")


def test_200_clients_come_and_go():
    """Descriptors are back where they were."""
    with harness.Daemon() as d:
        def all_gone(d):
            return d.call("GetStatus")["heaps"] == 0
        baseline = d.wait(lambda d: d.descriptors(), "a number")
        for turn in range(2):
            clients = [Client(d, budget=1, heap=f"h{i}", caps=CAP_PAGE) for i in range(100)]
            assert d.call("GetStatus")["heaps"] == 100
            assert d.descriptors() > baseline + 100
            for c in clients:
                c.send(BYE)
            for c in clients:
                c.expect_closed()
                c.close()
            d.wait(all_gone, "all have left")
            d.wait(lambda d: d.descriptors() == baseline, f"{baseline} descriptors are open, as before")
        with open(f"/proc/{d.pid}/maps", encoding="utf-8") as f:
            assert "memfd:rtgcd" not in f.read()


def test_out_of_descriptors():
    """Nobody is left waiting, the daemon does not spin, and it recovers."""
    with harness.Daemon() as d:
        _, most = resource.prlimit(d.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(d.pid, resource.RLIMIT_NOFILE, (d.descriptors() + 8, most))
        clients = []
        hung_up = False
        while not hung_up:
            assert len(clients) < 50
            c = Client(d)
            clients.append(c)
            try:
                c.send(HELLO, budget=1, heap=f"h{len(clients)}")
                hung_up = c.receive() is None
            except (BrokenPipeError, ConnectionResetError):
                hung_up = True
        for c in clients:
            c.close()
        d.wait(lambda d: "accept" in d.log, "the log tells")

        def works(d):
            try:
                with Client(d) as c:
                    c.send(HELLO, budget=1, heap="after")
                    return c.receive() is not None
            except OSError:
                return False

        resource.prlimit(d.pid, resource.RLIMIT_NOFILE, (most, most))
        d.wait(works, "new clients are served again")
