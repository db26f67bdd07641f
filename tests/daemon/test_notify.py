# SPDX-License-Identifier: MIT
"""What the daemon tells its service manager, heard on a real notify socket."""

import os
import select
import socket
import struct
import tempfile

import pytest

from common import harness
from frames import BYE, Client

SO_TIMESTAMPNS = 35  # Linux; the module has no name for it
CLOCKS_MAY_DIFFER = 0.01  # the daemon waits by another clock than the kernel stamps by


class Manager:
    """The manager's end. Messages are stamped by the kernel as they are sent, not as they are read."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.messages = []  # (seconds, {key: value})

    def read(self):
        while True:
            try:
                text, more, _, _ = self.socket.recvmsg(4096, 256)
            except BlockingIOError:
                return self.messages
            stamp, = (data for _, kind, data in more if kind == SO_TIMESTAMPNS)
            seconds, nanoseconds = struct.unpack("ll", stamp)
            said = dict(line.split("=", 1) for line in text.decode().splitlines())
            self.messages.append((seconds + nanoseconds / 1e9, said))

    def all(self, key):
        return [(at, said[key]) for at, said in self.read() if key in said]

    def wait(self, predicate, what):
        while not predicate():
            assert select.select([self.socket], [], [], harness.PATIENCE)[0], f"never: {what}: {self.messages}"


@pytest.fixture
def manager():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        m = Manager(folder)
        yield m
        m.socket.close()


def come_and_go(daemon):
    with Client(daemon, service="web", heap="h") as client:
        client.sync()
        client.send(BYE)


def test_the_life_of_a_daemon(manager):
    with harness.Daemon(environ={"NOTIFY_SOCKET": manager.path}) as d:
        manager.wait(lambda: manager.all("READY"), "it is ready")
        assert [said for _, said in manager.all("READY")] == ["1"]
        d.call("Reload")
        assert [said for _, said in manager.all("RELOADING")] == ["1"]
        assert len(manager.all("READY")) == 2
    assert manager.read()[-1][1] == {"STOPPING": "1"}


def test_the_status_at_most_once_a_second(manager):
    """Hundreds of comings and goings: few lines, a second apart; and the last one is right."""
    changes = 0
    with harness.Daemon(environ={"NOTIFY_SOCKET": manager.path}) as d:
        while changes < 100 or len(manager.all("STATUS")) < 4:
            come_and_go(d)
            changes += 1
        with Client(d, service="web", heap="1"), Client(d, service="web", heap="2"), \
                Client(d, service="db", heap="1") as last:
            last.sync()
            manager.wait(lambda: manager.all("STATUS")[-1][1] == "3 heaps in 2 services", "what is so in the end")
    told = [at for at, _ in manager.all("STATUS")]
    gaps = [after - before for before, after in zip(told, told[1:])]
    assert min(gaps) >= 1 - CLOCKS_MAY_DIFFER, gaps


def test_a_status_that_stays_is_not_told_again(manager):
    with harness.Daemon(environ={"NOTIFY_SOCKET": manager.path}) as d:
        manager.wait(lambda: manager.all("STATUS"), "the first status")
        with Client(d, service="web", heap="1") as client:
            client.sync()
            manager.wait(lambda: len(manager.all("STATUS")) == 2, "the heap is told")
            for _ in range(100):
                client.report(1)
                client.sync()
    assert [text for _, text in manager.all("STATUS")] == ["0 heaps in 0 services", "1 heaps in 1 services"]
