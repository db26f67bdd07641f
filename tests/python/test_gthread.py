# SPDX-License-Identifier: MIT
"""gunicorn's threads with connections that are kept open: what is in flight, and who accepts."""

import http.client
import os
import re
import socket
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import PATIENCE, environment, harness
from servers import Server

pytest.importorskip("gunicorn")

# /NAME?PID answers with the process it is in; in that one it goes on when there is a file of that name.
HOLD = '''
import os, time
import app as plain

def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/":
        return plain.wsgi(environ, start_response)
    start_response("200 OK", [("Content-Length", "16")])
    return hold(environ["PATH_INFO"][1:], int(environ["QUERY_STRING"]) == os.getpid())

def hold(name, here):
    yield b"%8d" % os.getpid()
    while here and not os.path.exists(name):
        time.sleep(0.001)
    yield b"%8d" % os.getpid()
'''
GTHREAD = ["-m", "rtgc", "--service", "web", "-m", "gunicorn", "-b", "127.0.0.1:0", "--graceful-timeout", "5",
           "--threads", "4", "--keep-alive", "60", "holds:wsgi"]


@pytest.fixture
def daemon():
    with harness.Daemon(config="[Service:web]\nMaxConcurrent=1\nLead=60s\n") as d:
        yield d


def connect(server):
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)


def hold(server, pid):
    """A request that the process of that id is busy with until the file "go" is there."""
    while True:
        connection = connect(server)
        connection.request("GET", f"/go?{pid}")
        reply = connection.getresponse()
        if int(reply.read(8)) == pid:
            return connection, reply
        connection.close()


def accepts(pid):
    """Whether its loop waits for connections: the first descriptor in its epoll set does not rest."""
    for number in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{number}", encoding="ascii") as info:
                waits = re.findall(r"^tfd: +\d+ events: +([0-9a-f]+) ", info.read(), re.M)
            name = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            continue
        if name == "anon_inode:[eventpoll]" and any(int(events, 16) & 1 == 0 for events in waits):
            return False
    return True


def heap(daemon, pid):
    return next(h for h in daemon.heaps() if h["pid"] == pid)


def test_kept_connections(daemon):
    """One process is to collect while it is busy. Its kept connections are closed with their next
    answer, new ones go to the other, and it collects when it has answered all it had."""
    with Server([*GTHREAD, "-w", "2"], environment(daemon.env()), {"holds.py": HOLD}) as server:
        daemon.wait(lambda d: len(d.heaps()) == 3, "its processes are supervised")
        kept = connect(server)
        pid = server.get(kept)["pid"]
        held, reply = hold(server, pid)
        closed = False
        while not closed:
            kept.request("GET", "/")
            answer = kept.getresponse()
            answer.read()
            closed = answer.getheader("Connection") == "close"
        assert heap(daemon, pid)["state"] == "draining"
        server.until(lambda: not accepts(pid), "it leaves the connections to the other")
        assert {server.get()["pid"] for _ in range(30)}.isdisjoint({pid})
        assert server.pauses() == [] and heap(daemon, pid)["state"] == "draining"
        with open(os.path.join(server.dir.name, "go"), "w", encoding="ascii"):
            pass
        assert int(reply.read()) == pid
        held.close()
        daemon.wait(lambda d: heap(d, pid)["collections"]["major"] == 1, "it has collected")
        server.until(lambda: accepts(pid), "it accepts again")
        while server.get()["pid"] != pid:
            pass
        server.stop()
        assert [pause["cause"] for pause in server.pauses() if pause["pid"] == pid] == ["window"]


def owner(server, client, pids):
    """The process that has accepted this connection."""
    ports = [f":{port:04X}" for port in (server.port, client.getsockname()[1])]
    with open("/proc/self/net/tcp", encoding="ascii") as table:
        inode, = (line.split()[9] for line in table
                  if line.split()[1].endswith(ports[0]) and line.split()[2].endswith(ports[1]))
    for pid in pids:
        for number in os.listdir(f"/proc/{pid}/fd"):
            try:
                if os.readlink(f"/proc/{pid}/fd/{number}") == f"socket:[{inode}]":
                    return pid
            except FileNotFoundError:
                pass  # closed meanwhile
    return None


def test_silent_connections(daemon):
    """A connection on which nothing comes is no request: the window need not wait for it. Once
    something has come it is one."""
    with Server([*GTHREAD, "-w", "2"], environment(daemon.env()), {"holds.py": HOLD}) as server:
        daemon.wait(lambda d: len(d.heaps()) == 3, "its processes are supervised")
        pids = {h["pid"] for h in daemon.heaps()} - {server.proc.pid}
        silent = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        pid = server.until(lambda: owner(server, silent, pids), "the connection is accepted")

        def reasons():
            decisions = daemon.call("Explain", heap=str(heap(daemon, pid)["id"]))["decisions"]
            return {decision["reason"] for decision in decisions}

        # It has nothing in flight, and says so: its window opens then, and not when Lead is over.
        server.load(lambda: "quiet" in reasons() and heap(daemon, pid)["collections"]["major"] >= 1)
        silent.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b'"begin"' in b"".join(iter(lambda: silent.recv(65536), b""))
        silent.close()
        server.stop()
        assert {pause["cause"] for pause in server.pauses()} == {"window"}
