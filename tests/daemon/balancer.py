# SPDX-License-Identifier: MIT
"""A real HAProxy on private sockets, before small backends of which each knows its requests."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time

HAPROXY = os.environ.get("HAPROXY", "no")
MISSING = not os.access(HAPROXY, os.X_OK)

CONFIG = """
global
    stats socket {dir}/admin.sock mode 600 level {level}
    {run_as}
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend front
    bind unix@{dir}/front.sock
    default_backend be
backend be
    balance roundrobin
{servers}
"""


class Backend:
    """An HTTP server on a Unix socket. Each request waits until it is let go."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o666)
        self.listener.listen(64)
        self.arrived = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)
        self.holding = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        with s:
            data = b""
            while b"\r\n\r\n" not in data:
                piece = s.recv(4096)
                if not piece:
                    return
                data += piece
            self.arrived.release()
            if self.holding:
                self.let_go.acquire()
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    def close(self):
        self.listener.close()


class Balancer:
    """A context manager: servers s0, s1, … of the backend be."""

    def __init__(self, n=3, level="admin"):
        self.dir = tempfile.mkdtemp(prefix="rtgcd-haproxy-", dir="/tmp")
        self.admin = os.path.join(self.dir, "admin.sock")
        self.backends = [Backend(os.path.join(self.dir, f"b{i}")) for i in range(n)]
        servers = "\n".join(f"    server s{i} unix@{self.dir}/b{i}" for i in range(n))
        config = os.path.join(self.dir, "conf")
        with open(config, "w", encoding="utf-8") as f:
            f.write(CONFIG.format(dir=self.dir, level=level, servers=servers, run_as=""))
        self.proc = subprocess.Popen([HAPROXY, "-db", "-f", config], stderr=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL)
        self.until(lambda: self.states() is not None, "HAProxy answers")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.kill()
        self.proc.wait()
        for b in self.backends:
            b.close()
        shutil.rmtree(self.dir)

    def until(self, predicate, what):
        end = time.monotonic() + 60
        while not (result := predicate()):
            assert self.proc.poll() is None, "HAProxy has ended"
            assert time.monotonic() < end, f"never: {what}: {self.states()}"
            os.sched_yield()
        return result

    def command(self, text):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.admin)
            s.sendall(text.encode() + b"\n")
            answer = b""
            while piece := s.recv(65536):
                answer += piece
        return answer.decode()

    def states(self):
        """server -> its administrative state; 0 is ready, 8 drained, 1 maintenance."""
        try:
            lines = self.command("show servers state be").splitlines()
        except (FileNotFoundError, ConnectionError):
            return None
        header = next(line for line in lines if line.startswith("# "))[2:].split()
        rows = [dict(zip(header, line.split())) for line in lines[2:] if line]
        return {r["srv_name"]: int(r["srv_admin_state"]) for r in rows}

    def state(self, server):
        return self.states()[server]

    def request(self):
        """Starts a request; call the result to get the answer's first line."""
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        s.connect(os.path.join(self.dir, "front.sock"))
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

        def answer():
            data = b""
            while piece := s.recv(4096):
                data += piece
            s.close()
            return data.split(b"\r\n")[0].decode()

        return answer
