# SPDX-License-Identifier: MIT
"""
The wire once more, written from its description alone: a client that can also say what no
proper client would. rtgc-protocol(7) and client/wire/wire.c describe the frames.
"""

import array
import ctypes
import errno
import mmap
import os
import select
import socket
import struct
import time

NEVER = 2**64 - 1
MAGIC = 0x43475452
HELLO, REPORT, DEADLINE, IDLE, BUSY, QUIET, BEGIN, END, DECLINE, BYE, ANSWER, OFFER = range(1, 13)
HEARTBEAT = 16
WELCOME, DIRECTIVE, ANNOUNCE, WINDOW, REVOKE, ERROR, ASK = range(32, 39)
MINOR, MAJOR, SNAPSHOT, FREEZE = range(4)
IN_WINDOW, FORCED, UNCOORDINATED = range(3)
CAP_PAGE, CAP_QUIET, CAP_MARKS, CAP_ANSWERS = 1, 2, 4, 8
MALFORMED, UNEXPECTED, VERSION, REFUSED, WINDOW_ERROR, SHUTDOWN = range(1, 7)
PATIENCE = 60
# What a client says, and the fields without which it would not be of its form.
OF_CLIENTS = {kind: {"last": 1, "name": ""} if kind == ANSWER else {} for kind in (*range(HELLO, OFFER + 1), HEARTBEAT)}

# type: (name, layout of the payload, names of its fields)
LAYOUT = {
    HELLO: ("HELLO", "<IHHIBBBxQQQQ64s64s32s",
            "magic version_min version_max caps unit kinds prev_kind budget prev_epoch prev_window "
            "prev_closes service heap runtime"),
    REPORT: ("REPORT", "<QQQQQQQ", "at used allocated live rss_bytes budget step"),
    DEADLINE: ("DEADLINE", "<Q", "at"),
    IDLE: ("IDLE", "<Q", "until"),
    BUSY: ("BUSY", "<", ""),
    QUIET: ("QUIET", "<Q", "window"),
    BEGIN: ("BEGIN", "<QQBB6x", "window at kind cause"),
    END: ("END", "<QQQQQQBB6xQ", "window begin end freed used live kind cause stop"),
    DECLINE: ("DECLINE", "<QB7x", "window why"),
    BYE: ("BYE", "<", ""),
    ANSWER: ("ANSWER", "<QQQQBB6x128s", "ask count bytes took last outcome name"),
    OFFER: ("OFFER", "<B7x", "kinds"),
    HEARTBEAT: ("HEARTBEAT", "<Q", "at"),
    WELCOME: ("WELCOME", "<HHIQQQQ", "version slot caps epoch heap heartbeat_every stale_after"),
    DIRECTIVE: ("DIRECTIVE", "<QQQB7x", "watermark report_by budget want"),
    ANNOUNCE: ("ANNOUNCE", "<QQQBB6x", "window opens_by predicted kind drain"),
    WINDOW: ("WINDOW", "<QQQQBB6x", "window opens closes predicted kind must"),
    REVOKE: ("REVOKE", "<QH6x", "window reason"),
    ERROR: ("ERROR", "<HHI96s", "code of_type of_serial detail"),
    ASK: ("ASK", "<QHB5x", "ask most what"),
}
HELLO_DEFAULTS = dict(magic=MAGIC, version_min=1, version_max=1, caps=0, unit=0, kinds=1 << MAJOR,
                      budget=0, prev_epoch=0, prev_window=0, prev_closes=0,
                      service="web", heap="heap", runtime="test")


def now():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def encode(frame_type, serial=1, **fields):
    _, layout, names = LAYOUT[frame_type]
    if frame_type == HELLO:
        fields = {**HELLO_DEFAULTS, **fields}
    values = [fields.pop(name, 0) for name in names.split()]
    assert not fields, fields
    values = [v.encode() if isinstance(v, str) else v for v in values]
    payload = struct.pack(layout, *values)
    return struct.pack("<HHI", frame_type, 8 + len(payload), serial) + payload


class Frame:
    def __init__(self, data):
        self.type, size, self.serial = struct.unpack_from("<HHI", data)
        assert size == len(data), (size, data)
        self.name, layout, names = LAYOUT[self.type]
        values = struct.unpack(layout, data[8:])
        for name, value in zip(names.split(), values):
            if isinstance(value, bytes):
                value = value.split(b"\0")[0].decode()
            setattr(self, name, value)

    def __repr__(self):
        return f"{self.name} {({k: v for k, v in vars(self).items() if k not in ('type', 'name')})}"


class Client:
    """One connection; a context manager."""

    def __init__(self, daemon, **hello):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(daemon.socket)
        self.serial = 0
        self.fds = []
        self.welcome = None
        self.budget = hello.get("budget", 0)
        self.pending = []
        if hello:
            self.greet(**hello)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def send_raw(self, data, fds=()):
        ancillary = []
        if fds:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        self.socket.sendmsg([data], ancillary)

    def send(self, frame_type, **fields):
        self.serial += 1
        self.send_raw(encode(frame_type, self.serial, **fields))
        return self.serial

    def receive(self):
        """The next frame; None at the end of the connection."""
        if self.pending:
            return self.pending.pop(0)
        while True:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(8 * 4))
                break
            except ConnectionResetError:
                continue  # what the daemon had sent before it hung up follows
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds = array.array("i")
                fds.frombytes(payload)
                self.fds += list(fds)
        return Frame(data) if data else None

    def expect(self, *kinds, skip=(DIRECTIVE,)):
        """The next frame but for those to skip, which must be of one of these kinds."""
        while True:
            frame = self.receive()
            assert frame is not None, f"closed instead of {kinds}"
            if frame.type in kinds:
                return frame
            assert frame.type in skip, f"{frame} instead of {[LAYOUT[k][0] for k in kinds]}"

    def expect_closed(self, skip=(DIRECTIVE,)):
        while (frame := self.receive()) is not None:
            assert frame.type in skip, f"{frame} instead of the end"

    def greet(self, **hello):
        self.send(HELLO, **hello)
        self.welcome = self.expect(WELCOME)
        return self.welcome

    def sync(self):
        """Returns when the daemon has handled all that was sent; frames met stay pending."""
        mark = now()
        self.send(HEARTBEAT, at=mark)
        kept = []
        while True:
            frame = self.receive()
            assert frame is not None, "closed"
            if frame.type == HEARTBEAT and frame.at == mark:
                break
            kept.append(frame)
        self.pending = kept + self.pending

    def nothing_pending(self):
        """After a round trip: no frame but directives has come."""
        self.sync()
        others = [f for f in self.pending if f.type != DIRECTIVE]
        assert not others, others

    # ---- what a heap says --------------------------------------------------------------

    def report(self, used, allocated=None, live=0, at=None):
        return self.send(REPORT, at=now() if at is None else at, used=used, live=live, budget=self.budget,
                         allocated=used if allocated is None else allocated)

    def begin(self, window, cause=IN_WINDOW, kind=MAJOR):
        at = now()
        self.send(BEGIN, window=window, at=at, kind=kind, cause=cause)
        return at

    def end(self, window, begun, cause=IN_WINDOW, kind=MAJOR, freed=1000, used=0, live=0, lasted=None):
        """lasted: nanoseconds, where it matters; else until now, however busy the machine is."""
        ended = now() if lasted is None else begun + lasted
        return self.send(END, window=window, begin=begun, end=ended, kind=kind, cause=cause,
                         freed=freed, used=used, live=live)

    def collect(self, window, freed=1000, used=0):
        self.end(window, self.begin(window), freed=freed, used=used)


class WindowPage:
    """The window page as a client sees it."""

    def __init__(self, client):
        self.map = mmap.mmap(client.fds[0], 4096, mmap.MAP_SHARED, mmap.PROT_READ)
        self.offset = 64 * client.welcome.slot

    def header(self):
        magic, layout, slots, epoch, heartbeat = struct.unpack_from("<IHHQQ", self.map, 0)
        return dict(magic=magic, layout=layout, slots=slots, epoch=epoch, heartbeat=heartbeat)

    def slot(self):
        names = "seq state window opens closes predicted watermark budget kind must drain want"
        values = struct.unpack_from("<IIQQQQQQHBBI", self.map, self.offset)
        return dict(zip(names.split(), values))


class HeapPage:
    """The heap's own page, for writing."""

    def __init__(self, client):
        self.map = mmap.mmap(client.fds[1], 4096)
        self.budget = client.budget
        self.seq = 0

    def publish(self, used, allocated=None, live=0, rss=0):
        self.seq += 2
        struct.pack_into("<I", self.map, 64, self.seq - 1)
        struct.pack_into("<QQQQQQ", self.map, 72, now(), used,
                         used if allocated is None else allocated, live, rss, self.budget)
        struct.pack_into("<I", self.map, 64, self.seq)

    def mark(self, mark, deadline=NEVER, idle_until=NEVER):
        struct.pack_into("<QQ", self.map, 136, deadline, idle_until)
        struct.pack_into("<I", self.map, 128, mark)
