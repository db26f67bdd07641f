# SPDX-License-Identifier: MIT
"""The all-reduce of ranks in lockstep: each sends a number, all get the mean back.

    hub = Hub(path, ranks=4)       # a thread; ranks connect with Group(path, rank)
    hub.released                   # time.monotonic_ns() of the end of each step
    hub.excuse(rank)               # go on without one that stands still
    Hub(path, 4, hold=(20, 100))   # these two steps end when hub.go() is called
    hub.held                       # set while only that is missing

Who hangs up is left out from then on; who was excused and sends again takes part again.
"""

import selectors
import socket
import struct
import threading
import time

NUMBER = struct.Struct("<d")
NOBODY = 255


class Group:
    """A rank's side."""

    def __init__(self, path, rank):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(path)
        self.socket.send(NUMBER.pack(rank))

    def mean(self, number):
        """Blocks until every rank has called it."""
        self.socket.send(NUMBER.pack(number))
        answer = self.socket.recv(NUMBER.size)
        if not answer:
            raise ConnectionError("the hub has gone")
        return NUMBER.unpack(answer)[0]


class Hub:
    def __init__(self, path, ranks, hold=()):
        self.expected = ranks
        self.released = []
        self.held = threading.Event()
        self._hold = set(hold)
        self._ranks = {}  # connection -> rank, None before it has said
        self._sent = {}  # connection -> what it sent in this step
        self._excused = set()
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(path)
        self._listener.listen()
        self._wake, self._woken = socket.socketpair()
        for sock in (self._listener, self._woken):
            self._selector.register(sock, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
        self._thread.start()

    def excuse(self, rank):
        self._wake.send(bytes([rank]))

    def go(self):
        self.held.clear()
        self._hold.discard(min(self._hold))
        self._wake.send(bytes([NOBODY]))

    def close(self):
        self._wake.close()
        self._thread.join()
        for sock in (self._listener, self._woken, *self._ranks):
            sock.close()
        self._selector.close()

    def _hear(self, connection):
        try:
            message = connection.recv(NUMBER.size)
        except ConnectionResetError:
            message = b""
        if not message:
            self._selector.unregister(connection)
            del self._ranks[connection]
            self._sent.pop(connection, None)
            connection.close()
            return
        number, = NUMBER.unpack(message)
        if self._ranks[connection] is None:
            self._ranks[connection] = int(number)
        else:
            self._sent[connection] = number
            self._excused.discard(self._ranks[connection])

    def _release(self):
        missing = [rank for connection, rank in self._ranks.items()
                   if connection not in self._sent and rank not in self._excused]
        if missing or not self._sent or len(self._ranks) < self.expected and not self.released:
            return
        if len(self.released) + 1 in self._hold:
            self.held.set()
            return
        mean = sum(self._sent.values()) / len(self._sent)
        self.released.append(time.monotonic_ns())
        for connection in self._sent:
            try:
                connection.send(NUMBER.pack(mean))
            except (BrokenPipeError, ConnectionResetError):
                pass  # its end is read in the next turn
        self._sent.clear()

    def _run(self):
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    connection, _ = self._listener.accept()
                    self._ranks[connection] = None
                    self._selector.register(connection, selectors.EVENT_READ)
                elif key.fileobj is self._woken:
                    ranks = self._woken.recv(64)
                    if not ranks:
                        return
                    self._excused.update(ranks)
                else:
                    self._hear(key.fileobj)
            self._release()
