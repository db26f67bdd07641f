# SPDX-License-Identifier: MIT
"""
Servers under test: the real packages, started from the command line as their users start them.

    with Server(["-m", "gunicorn", "-w", "2", "app:wsgi"], env) as server:
        server.load(until=…)

The applications say in each answer when they worked on it and in which process, so that the
requests can be held against the processes' own records of their pauses.
"""

import concurrent.futures
import http.client
import json
import os
import signal
import subprocess
import tempfile
import threading
import time

from program import PATIENCE, PYTHON, harness, read_record

APP = '''
import asyncio, gc, json, os, time
import rtgc

keep = []
gc.set_threshold(700, 10, 10)

def grow():
    "Never to the ceiling: windows may come slowly."
    now = rtgc.status()
    if not now["supervised"] or now["used"] < 0.9 * now["budget"]:
        keep.append([[] for _ in range(200)])

def begin():
    began = time.monotonic_ns()
    grow()
    return began

def answer(began):
    grow()
    return json.dumps({"pid": os.getpid(), "begin": began, "end": time.monotonic_ns(),
                       "threshold": gc.get_threshold()[2], "frozen": gc.get_freeze_count()})

def wsgi(environ, start_response):
    began = begin()
    time.sleep(0.002)
    body = answer(began).encode()
    start_response("200 OK", [("Content-Type", "application/json"),
                              ("Content-Length", str(len(body)))])
    return [body]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    began = begin()
    await asyncio.sleep(0.002)
    body = answer(began).encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
'''


def listening_ports(pid):
    """The TCP ports on which a process listens."""
    sockets = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    ports = []
    with open(f"/proc/{pid}/net/tcp", encoding="ascii") as table:
        for line in list(table)[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                ports.append(int(fields[1].split(":")[1], 16))
    return ports


class Server:
    """A server as a context manager, in a folder of its own with app.py and more files."""

    def __init__(self, command, env, files=None):
        self.dir = tempfile.TemporaryDirectory(prefix="rtgc-test-")
        for name, text in {"app.py": APP, **(files or {})}.items():
            with open(os.path.join(self.dir.name, name), "w", encoding="utf-8") as file:
                file.write(text)
        self.record = os.path.join(self.dir.name, "record")
        self.log_path = os.path.join(self.dir.name, "log")
        self.answers = []
        self.failed = []
        self.pidfd = None
        with open(self.log_path, "w", encoding="utf-8") as log:
            self.proc = subprocess.Popen(
                [PYTHON, *command], cwd=self.dir.name, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
                env={**env, "RTGC_RECORD": self.record})
        try:
            self.port = self.until(lambda: listening_ports(self.proc.pid), "it listens")[0]
        except BaseException:
            self.close()
            raise

    @property
    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def until(self, predicate, what):
        end = time.monotonic() + PATIENCE
        while True:
            found = predicate()
            if found:
                return found
            if self.proc.poll() is not None:
                raise AssertionError(f"the server ended before: {what}\n{self.log}")
            if time.monotonic() > end:
                raise AssertionError(f"never: {what}\n{self.log}")
            threading.Event().wait(0.003)

    def get(self, connection=None, path="/"):
        """One request: its answer, also kept in self.answers."""
        own = connection is None
        if own:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            body = reply.read()
            if reply.status != 200:
                raise AssertionError(f"{reply.status}: {body[:300]}\n{self.log}")
            answer = json.loads(body)
            self.answers.append(answer)
            return answer
        finally:
            if own:
                connection.close()

    def load(self, done, clients=3, keep_alive=False):
        """Requests without a break from so many clients until done() is true."""
        end = time.monotonic() + PATIENCE
        over = threading.Event()

        def client():
            connection = None
            if keep_alive:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            try:
                while not over.is_set():
                    self.get(connection)
            finally:
                over.set()
                if connection:
                    connection.close()

        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            running = [pool.submit(client) for _ in range(clients)]
            try:
                while not done() and not over.is_set():
                    if time.monotonic() > end:
                        raise AssertionError(f"never came to its end\n{self.log}")
                    over.wait(0.02)
            finally:
                over.set()
            for one in running:
                one.result()

    def pids(self):
        return {answer["pid"] for answer in self.answers}

    def pauses(self):
        """Its full collections, as the processes recorded them."""
        return [line for line in read_record(self.record) if "cause" in line]

    def hit(self):
        """Pauses that began in the middle of a request of the same process."""
        return [(answer, pause) for pause in self.pauses() for answer in self.answers
                if answer["pid"] == pause["pid"]
                and answer["begin"] < pause["begin_ns"] < answer["end"]]

    def stop(self):
        """SIGTERM; every process of it has ended when this returns."""
        self.proc.terminate()
        try:
            return self.proc.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server does not end\n{self.log}") from None

    def close(self):
        if self.proc.poll() is None:
            # The group is its own: workers of a master that is killed go with it.
            os.killpg(self.proc.pid, signal.SIGKILL)
            self.proc.wait()
        self.dir.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


__all__ = ["APP", "Server", "harness"]
