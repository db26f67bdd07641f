# SPDX-License-Identifier: MIT
"""A shared listening socket: while a window is announced or open, the loop takes no connection
from it, and afterwards it does again, whatever happens to the daemon."""

import errno
import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program, environment, harness

SHARE = """
import rtgc, select, selectors, signal, socket
from rtgc import _rtgc
rtgc.supervise(service="web")
while not rtgc.status()["supervised"]:
    time.sleep(0.001)
listener = socket.create_server(("127.0.0.1", 0))
listener.setblocking(False)
selector = selectors.DefaultSelector()
selector.register(listener, selectors.EVENT_READ)

def waits():
    "Whether the selector's set waits for connections."
    with open(f"/proc/self/fdinfo/{selector.fileno()}") as info:
        for line in info:
            fields = line.split()
            if fields[:2] == ["tfd:", str(listener.fileno())]:
                return int(fields[3], 16) & select.EPOLLIN != 0

keep = []
def until(predicate):
    while not predicate():
        trickle(keep)
        selector.select(0.005)
"""


@pytest.fixture
def daemon():
    with harness.Daemon(config="[Service:web]\nMaxConcurrent=1\nLead=20s\n") as d:
        yield d


def test_shut_for_the_window(daemon):
    """Announced: shut, until what is in flight is answered and the window has been used. A
    connection that comes meanwhile waits in the socket's queue."""
    with Program(SHARE + """
rtgc.share(listener)
fill(keep)
before = waits()
_rtgc.request_begin()
until(_rtgc.draining)
selector.select(0)
inside = waits()
client = socket.create_connection(listener.getsockname())
told = [key for key, _ in selector.select(0)]
collected = rtgc.status()["collections_in_window"]
_rtgc.request_end()
until(lambda: rtgc.status()["collections_in_window"] > collected)
after = waits()
found = [key.fileobj is listener for key, _ in selector.select()]
say(before=before, inside=inside, told=told, after=after, found=found, status=rtgc.status())
""", environment(daemon.env()), launcher=()) as p:
        said = p.next()
    assert said["before"] and not said["inside"] and said["after"]
    assert said["told"] == [] and said["found"] == [True]
    assert said["status"]["forced"] == said["status"]["uncoordinated"] == 0


@pytest.mark.parametrize("end", ["SIGKILL", "SIGSTOP"])
def test_opened_when_the_daemon_is_gone(daemon, end):
    """Dead or hung: the process accepts again, and so it does when it rests in the selector."""
    with Program(SHARE + """
rtgc.share(listener)
fill(keep)
_rtgc.request_begin()
until(_rtgc.draining)
selector.select(0)
say(shut=not waits())
client = socket.create_connection(listener.getsockname())
found = [key.fileobj is listener for key, _ in selector.select()]
say(found=found, waits=waits(), state=rtgc.status()["state"])
""", environment(daemon.env()), launcher=()) as p:
        assert p.next()["shut"]
        daemon.kill(getattr(signal, end))
        assert p.next() == {"found": [True], "waits": True, "state": "alone"}


def test_alone_it_accepts(daemon):
    """A socket nobody else takes from stays open: its connections would only wait longer."""
    with Program(SHARE + """
fill(keep)
_rtgc.request_begin()
until(lambda: rtgc.status()["window"])
selector.select(0)
say(waits=waits(), draining=_rtgc.draining())
_rtgc.request_end()
""", environment(daemon.env()), launcher=()) as p:
        assert p.next() == {"waits": True, "draining": False}


def test_fork_and_close(daemon):
    """A child leaves the parent's set alone. What the server closes is forgotten, and a
    descriptor that gets its number is not touched."""
    with Program(SHARE + """
rtgc.share(listener)
fill(keep)
_rtgc.request_begin()
until(_rtgc.draining)
selector.select(0)
child = os.fork()
if child == 0:
    selector.select(0)
    os._exit(0)
status = os.waitpid(child, 0)[1]
shut = not waits()
number = listener.fileno()
selector.unregister(listener)
listener.close()
a, b = socket.socketpair()
if a.fileno() != number:
    os.dup2(a.fileno(), number)
selector.register(number, selectors.EVENT_WRITE)
collected = rtgc.status()["collections_in_window"]
_rtgc.request_end()
while rtgc.status()["collections_in_window"] == collected:
    trickle(keep)
    rtgc.checkpoint()
ready = [(key.fd == number, events) for key, events in selector.select(0)]
say(status=status, shut=shut, ready=ready)
""", environment(daemon.env()), launcher=()) as p:
        assert p.next() == {"status": 0, "shut": True, "ready": [[True, 2]]}


def test_only_listening_sockets(daemon):
    with Program(SHARE + """
failed = []
for wrong in (socket.socket(), selector, 10**6):
    try:
        rtgc.share(wrong)
    except OSError as error:
        failed.append(error.errno)
many = [socket.create_server(("127.0.0.1", 0)) for _ in range(16)]
rtgc.share(*many)
try:
    rtgc.share(listener)
except OSError as error:
    failed.append(error.errno)
many.pop().close()
rtgc.share(listener)    # its place is free
say(failed=failed)
""", environment(daemon.env()), launcher=()) as p:
        assert p.next()["failed"] == [errno.EINVAL, errno.ENOTSOCK, errno.EBADF, errno.ENOSPC]
