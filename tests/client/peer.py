# SPDX-License-Identifier: MIT
"""
The daemon's end of the protocol, frame by frame, to say what the real daemon never says:
nothing, half a frame, too early, too late, in the wrong version. It decides nothing.
"""

import fcntl
import mmap
import os
import select
import shutil
import socket
import struct
import tempfile
import time

PATIENCE = 60
NEVER = 2**64 - 1
MAGIC = 0x43475452
PAGE, LINE, SLOTS, LAYOUT = 4096, 64, 63, 1
F_ADD_SEALS, SEAL_SHRINK, SEAL_GROW = 1033, 2, 4
CAP_PAGE, CAP_QUIET, CAP_MARKS = 1, 2, 4
NONE, ANNOUNCED, OPEN = range(3)
MALFORMED, UNEXPECTED, VERSION, REFUSED, WINDOW, SHUTDOWN = range(1, 7)

# Type: name, layout behind the 8-byte header, fields.
FRAMES = {
    1: ("HELLO", "<4xHHIBBBxQQQQ64s64s32s",
        "version_min version_max caps unit kinds prev_kind budget prev_epoch prev_window prev_closes "
        "service heap runtime"),
    2: ("REPORT", "<QQQQQQQ", "at used allocated live rss_bytes budget step"),
    3: ("DEADLINE", "<Q", "at"),
    4: ("IDLE", "<Q", "until"),
    5: ("BUSY", "<", ""),
    6: ("QUIET", "<Q", "window"),
    7: ("BEGIN", "<QQBB6x", "window at kind cause"),
    8: ("END", "<QQQQQQBB6xQ", "window begin end freed used live kind cause stop"),
    9: ("DECLINE", "<QB7x", "window why"),
    10: ("BYE", "<", ""),
    12: ("OFFER", "<B7x", "kinds"),
    16: ("HEARTBEAT", "<Q", "at"),
    32: ("WELCOME", "<HHIQQQQ", "version slot caps epoch heap heartbeat_every stale_after"),
    33: ("DIRECTIVE", "<QQQB7x", "watermark report_by budget want"),
    34: ("ANNOUNCE", "<QQQBB6x", "window opens_by predicted kind drain"),
    35: ("WINDOW", "<QQQQBB6x", "window opens closes predicted kind must"),
    36: ("REVOKE", "<QH6x", "window reason"),
    37: ("ERROR", "<HHI96s", "code type serial detail"),
}
TYPES = {name: type_ for type_, (name, _, _) in FRAMES.items()}


def decode(data):
    type_, size, serial = struct.unpack_from("<HHI", data)
    name, layout, fields = FRAMES[type_]
    assert size == len(data) == 8 + struct.calcsize(layout), (name, data)
    values = dict(zip(fields.split(), struct.unpack_from(layout, data, 8)))
    for key, value in values.items():
        if isinstance(value, bytes):
            values[key] = value.rstrip(b"\0").decode()
    return {"frame": name, "serial": serial, **values}


def encode(name, number=1, **values):
    type_ = TYPES[name]
    _, layout, fields = FRAMES[type_]
    found = [values.pop(f, 0) for f in fields.split()]
    assert not values, values
    found = [v.encode() if isinstance(v, str) else v for v in found]
    if name == "ERROR" and found[3] == 0:
        found[3] = b""
    payload = struct.pack(layout, *found)
    return struct.pack("<HHI", type_, 8 + len(payload), number) + payload


def now():
    return time.monotonic_ns()


def page_fd(slots, epoch, seals=SEAL_SHRINK | SEAL_GROW, size=PAGE, magic=MAGIC):
    fd = os.memfd_create("page", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    os.pwrite(fd, struct.pack("<IHHQQ", magic, LAYOUT, slots, epoch, now()), 0)
    fcntl.fcntl(fd, F_ADD_SEALS, seals)
    return fd


class Client:
    """One connection that a client has made."""

    def __init__(self, sock):
        self.socket = sock
        self.socket.settimeout(PATIENCE)
        self.windows = self.heap = None  # mapped pages
        self.slot = 0
        self.epoch = 0
        self.serial = 0

    def close(self):
        self.socket.close()

    # ---- frames ----------------------------------------------------------------------

    def receive(self, *names):
        """The next frame that is no HEARTBEAT (those come when it is time), or the next of those names."""
        end = time.monotonic() + PATIENCE
        while True:
            data = self.socket.recv(512)
            if not data:
                return None
            frame = decode(data)
            if frame["frame"] in names or not names and frame["frame"] != "HEARTBEAT":
                return frame
            assert time.monotonic() < end, f"no {names}"

    def frames_until(self, name):
        """All frames until one of that name, which is the last."""
        found = []
        while not found or found[-1]["frame"] != name:
            found.append(self.receive())
            assert found[-1], f"closed before {name}: {found}"
        return found

    def send(self, name, **values):
        self.serial += 1
        self.socket.send(encode(name, self.serial, **values))

    def send_raw(self, data):
        self.socket.send(data)

    def welcome(self, pages=True, epoch=7, heap=3, slot=5, every=20_000_000,
                stale=10_000_000_000, version=1, fds=None, caps=CAP_QUIET | CAP_MARKS):
        """HELLO has come. fds: other descriptors than those of two good pages."""
        self.epoch = epoch
        good = fds is None
        if good and pages:
            fds = [page_fd(SLOTS, epoch), page_fd(0, epoch)]
        if good and pages:
            self.windows, self.heap = (mmap.mmap(fd, PAGE) for fd in fds)
            self.slot = slot * LINE
            struct.pack_into("<Q", self.windows, self.slot + 40, NEVER)
        frame = encode("WELCOME", version=version, slot=slot if pages else 0,
                       caps=caps | (CAP_PAGE if pages else 0), epoch=epoch, heap=heap,
                       heartbeat_every=every, stale_after=stale)
        socket.send_fds(self.socket, [frame], fds or [])
        for fd in fds or []:
            os.close(fd)

    # ---- what a daemon does with a page or, where there is none, by frame --------------

    def heartbeat(self, at=None):
        if self.windows:
            struct.pack_into("<Q", self.windows, 16, now() if at is None else at)

    def _write(self, state, window, opens, closes, predicted, kind, must, drain):
        at = self.slot
        seq = struct.unpack_from("<I", self.windows, at)[0] + 1
        struct.pack_into("<I", self.windows, at, seq)
        struct.pack_into("<QQQQ", self.windows, at + 8, window, opens, closes, predicted)
        struct.pack_into("<HBB", self.windows, at + 56, kind, must, drain)
        struct.pack_into("<I", self.windows, at + 4, state)
        struct.pack_into("<I", self.windows, at, seq + 1)

    def direct(self, watermark=NEVER, report_by=NEVER, budget=0, want=0):
        if self.windows:
            struct.pack_into("<QQ", self.windows, self.slot + 40, watermark, budget)
            struct.pack_into("<I", self.windows, self.slot + 60, want)
        else:
            self.send("DIRECTIVE", watermark=watermark, report_by=report_by, budget=budget,
                      want=want)

    def announce(self, window, opens_by=NEVER, predicted=1000, kind=1, drain=1):
        if self.windows:
            self._write(ANNOUNCED, window, opens_by, NEVER, predicted, kind, 0, drain)
        self.send("ANNOUNCE", window=window, opens_by=opens_by, predicted=predicted, kind=kind,
                  drain=drain)

    def open(self, window, opens=1, closes=NEVER, predicted=1000, kind=1, must=0):
        if self.windows:
            self._write(OPEN, window, opens, closes, predicted, kind, must, 0)
        self.send("WINDOW", window=window, opens=opens, closes=closes, predicted=predicted,
                  kind=kind, must=must)

    def revoke(self, window):
        if self.windows:
            self._write(NONE, 0, 0, 0, 0, 0, 0, 0)
        self.send("REVOKE", window=window)

    def telemetry(self):
        """What the client has written into its page."""
        names = "at used allocated live rss_bytes budget step".split()
        return dict(zip(names, struct.unpack_from("<QQQQQQQ", self.heap, LINE + 8)))

    def app(self):
        mark, deadline, until = struct.unpack_from("<I4xQQ", self.heap, 2 * LINE)
        return {"mark": mark, "deadline": deadline, "idle_until": until}


class Peer:
    """Listens as a daemon would; a context manager."""

    def __init__(self, backlog=16):
        self.dir = tempfile.mkdtemp(prefix="rtgc-peer-", dir="/tmp")
        self.path = os.path.join(self.dir, "s")
        self.clients = []
        self.listen(backlog)

    def listen(self, backlog=16):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(self.path)
        self.socket.listen(backlog)
        self.socket.settimeout(PATIENCE)

    def deafen(self):
        """Nobody listens there any more, and all connections end."""
        self.socket.close()
        os.unlink(self.path)
        for client in self.clients:
            client.close()
        self.clients = []

    def accept(self):
        client = Client(self.socket.accept()[0])
        self.clients.append(client)
        return client

    def greet(self, **welcome):
        """The next connection, welcomed; hello is what it said."""
        client = self.accept()
        client.hello = client.receive()
        assert client.hello["frame"] == "HELLO"
        client.welcome(**welcome)
        return client

    def knocks(self):
        """Does anybody want to connect at this moment?"""
        return bool(select.select([self.socket], [], [], 0)[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.close()
        self.socket.close()
        shutil.rmtree(self.dir)
