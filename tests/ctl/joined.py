# SPDX-License-Identifier: MIT
"""Heaps that join a real daemon frame by frame, as rtgc-protocol(7) has it; no pages."""

import socket
import struct
import time

MAJOR = 1


def now():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class Heap:
    """One connection. A context manager."""

    def __init__(self, path, service, name, budget=0, runtime="test 1", objects=True, caps=0):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.serial = 0
        self.allocated = 0
        self.send(1, struct.pack("<4sHHIBBxxQQQQ64s64s32s", b"RTGC", 1, 1, caps, objects,
                                 1 << MAJOR, budget, 0, 0, 0, service.encode(), name.encode(),
                                 runtime.encode()))
        self.id = struct.unpack_from("<Q", self.receive(32), 24)[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, kind, payload=b""):
        self.serial += 1
        self.socket.sendall(struct.pack("<HHI", kind, 8 + len(payload), self.serial) + payload)

    def receive(self, kind):
        """The next frame of that type; others are passed over."""
        while True:
            frame = self.socket.recv(256)
            assert frame, "the daemon hung up"
            if struct.unpack_from("<H", frame)[0] == kind:
                return frame

    def report(self, used, grown=0, live=1000):
        """Figures of now. grown: allocated since the last report."""
        self.allocated += grown
        self.reported = now()
        self.send(2, struct.pack("<QQQQQQQ", self.reported, used, self.allocated, live, 64 << 20, 0,
                                 0))

    def grow(self, used, rate, live=1000):
        """Two reports that show that rate; the daemon believes no shorter span than 20 ms."""
        self.report(used, live=live)
        first = self.reported
        while now() - first < 25_000_000:
            self.settle()
        self.report(used, grown=int(rate * (now() - first) / 1e9), live=live)
        self.settle()

    def window(self):
        """Waits for an open window; its id."""
        return struct.unpack_from("<Q", self.receive(35), 8)[0]

    def begin(self, window=0, cause=0):
        self.began = now()
        self.send(7, struct.pack("<QQBB6x", window, self.began, MAJOR, cause))

    def end(self, window=0, cause=0, freed=500, used=500, live=500):
        self.send(8, struct.pack("<QQQQQQBB6xQ", window, self.began, now(), freed, used, live,
                                 MAJOR, cause, 0))

    def settle(self):
        """A round trip: what was sent before has been read."""
        self.send(16, struct.pack("<Q", 1))
        self.receive(16)
