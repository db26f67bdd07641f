# SPDX-License-Identifier: MIT
"""Unchanged servers: their full collections fall between requests."""

import concurrent.futures
import os
import subprocess
import sys
import textwrap
import time
import urllib.request

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import PATIENCE, PYTHON, Program, environment, harness, read_record


@pytest.fixture(scope="module")
def daemon():
    with harness.Daemon(config="[Service:web]\nMaxConcurrent=1\nMinYield=0%\n") as d:
        yield d


# What each server below is made of: work() is the request, and keeps some objects alive.
WORK = """
import itertools
spans, keep = [], []
def work():
    begin = time.monotonic_ns()
    now = rtgc.status()
    if now["used"] < 0.9 * now["budget"]:   # never to the ceiling: windows may come slowly
        grow(400, keep)
    spans.append([begin, time.monotonic_ns()])
    return json.dumps({"collected": len(full)})
def report():
    def counted():
        now = rtgc.status()
        return now["collections_in_window"] + now["forced"] + now["uncoordinated"]
    while counted() < len(full):   # the helper thread is at it
        time.sleep(0.001)
    say(spans=spans, full=full, status=rtgc.status())
"""

SERVERS = {
    "wsgiref": """
        from wsgiref.simple_server import WSGIRequestHandler, make_server
        class Quiet(WSGIRequestHandler):
            def log_message(self, *_):
                pass
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "application/json")])
            return [work().encode()]
        server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
        say(port=server.server_port)
        threading.Thread(target=lambda: (sys.stdin.readline(), server.shutdown())).start()
        server.serve_forever()
        report()
    """,
    "socketserver": """
        import socketserver
        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while self.rfile.readline().strip():
                    pass
                body = work().encode()
                self.wfile.write(b"HTTP/1.0 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body))
                self.wfile.write(body)
        with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
            say(port=server.server_address[1])
            threading.Thread(target=lambda: (sys.stdin.readline(), server.shutdown())).start()
            server.serve_forever(poll_interval=0.05)
        report()
    """,
    "asyncio": """
        import asyncio
        async def handle(reader, writer):
            while (await reader.readline()).strip():
                pass
            body = work().encode()
            writer.write(b"HTTP/1.0 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
            await writer.drain()
            writer.close()
        async def main():
            server = await asyncio.start_server(handle, "127.0.0.1", 0)
            say(port=server.sockets[0].getsockname()[1])
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
            server.close()
        asyncio.run(main())
        report()
    """,
    "aiohttp": """
        import asyncio
        from aiohttp import web
        async def handle(request):
            return web.Response(text=work(), content_type="application/json")
        async def main():
            app = web.Application()
            app.router.add_get("/", handle)
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            say(port=site._server.sockets[0].getsockname()[1])
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
            await runner.cleanup()
        asyncio.run(main())
        report()
    """,
}


def get(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE) as reply:
        return reply.read()


def collected(daemon, p):
    return next(h for h in daemon.heaps() if h["pid"] == p.pid)["collections"]["major"]


def overlaps(spans, pauses):
    """Pauses that began in the middle of a request."""
    return [(span, pause) for span in spans for pause in pauses if span[0] < pause[0] < span[1]]


@pytest.mark.parametrize("server", SERVERS)
def test_between_requests(daemon, tmp_path, server):
    if subprocess.run([PYTHON, "-c", f"import {server}"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip(f"{server} is not installed")
    record = str(tmp_path / "record")
    env = environment(daemon.env(), RTGC_RECORD=record)
    with Program(WORK + textwrap.dedent(SERVERS[server]), env,
                 launcher=("-m", "rtgc", "--service", "web")) as p:
        port = p.next()["port"]

        end = time.monotonic() + PATIENCE
        while collected(daemon, p) < 3 and time.monotonic() < end:
            get(port)
        said = p.ask("end")
    assert len(said["full"]) >= 3
    assert said["status"]["forced"] == said["status"]["uncoordinated"] == 0
    assert said["status"]["collections_in_window"] == len(said["full"])
    assert overlaps(said["spans"], said["full"]) == []
    lines = read_record(record)
    assert [line["cause"] for line in lines] == ["window"] * len(said["full"])
    # The record agrees: by it as well no request was running.
    pauses = [(line["begin_ns"], line["end_ns"]) for line in lines]
    assert overlaps(said["spans"], pauses) == []


def test_many_clients(daemon):
    """Open connections at all times, the program never rests: no request fails, and full
    collections still happen in windows. (A machine that stalls may force one.)"""
    with Program(WORK + textwrap.dedent(SERVERS["asyncio"]), environment(daemon.env()),
                 launcher=("-m", "rtgc", "--service", "web")) as p:
        port = p.next()["port"]
        replies, end = [], time.monotonic() + PATIENCE
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            while len(replies) < 1200 or collected(daemon, p) < 2 and time.monotonic() < end:
                replies += pool.map(lambda _: get(port), range(400))
        said = p.ask("end")
    assert len(replies) == len(said["spans"]) >= 1200
    status = said["status"]
    assert status["collections_in_window"] >= 2
    assert status["uncoordinated"] == 0


MIDDLEWARE = """
import rtgc, select
rtgc.supervise(service="web")
keep = []
"""


def test_wsgi_middleware(daemon):
    """No window is taken while a request is in flight; the end of the last is a safe point."""
    with Program(MIDDLEWARE + """
class Body(list):
    closed = 0
    def close(self):
        self.closed += 1
body = Body([b"one", b"two"])
def app(environ, start_response):
    if environ.get("fail"):
        raise ValueError("from the application")
    start_response("200 OK", [])
    return body
wrapped = rtgc.wsgi(app)
began = []
fill(keep)
first = wrapped({}, lambda *a: began.append(a))
seen = len(full)
while rtgc.status()["windows_opened"] < 1:
    trickle(keep)
    select.select([], [], [], 0.005)
inside = rtgc.status()["collections_in_window"] - 0
content = b"".join(first)
second = wrapped({}, lambda *a: began.append(a))
first.close()
between = len(full)
second.close()
second.close()
del second
try:
    wrapped({"fail": True}, None)
except ValueError as error:
    failed = str(error)
while len(full) == seen:
    trickle(keep)
    wrapped({}, lambda *a: began.append(a)).close()
say(content=content.decode(), closed=body.closed >= 3, failed=failed, status=rtgc.status(),
    began=began[0][0])
""", environment(daemon.env()), launcher=()) as p:
        said = p.next()
        assert said["content"] == "onetwo" and said["closed"] and said["began"] == "200 OK"
        assert said["failed"] == "from the application"
        assert said["status"]["collections_in_window"] >= 1


def test_asgi_middleware(daemon):
    """Coroutines that sleep inside their requests: for the loop alone that would be rest."""
    with Program(MIDDLEWARE + """
import asyncio
spans = []
async def app(scope, receive, send):
    if scope["type"] != "http":
        await send("lifespan")
        return
    begin = time.monotonic_ns()
    await asyncio.sleep(0.02)
    grow(2000, keep)
    spans.append([begin, time.monotonic_ns()])
    await send("done")
wrapped = rtgc.asgi(app)
sent = []
async def send(message):
    sent.append(message)
async def main():
    await wrapped({"type": "lifespan"}, None, send)
    while rtgc.status()["collections_in_window"] < 3:
        await asyncio.gather(*(wrapped({"type": "http"}, None, send) for _ in range(3)))
        await asyncio.sleep(0.01)
asyncio.run(main())
say(spans=spans, full=full, sent=sorted(set(sent)), status=rtgc.status())
""", environment(daemon.env()), launcher=()) as p:
        said = p.next()
        assert said["sent"] == ["done", "lifespan"]
        assert said["status"]["forced"] == 0
        assert overlaps(said["spans"], said["full"]) == []


def test_websockets(daemon):
    """A websocket that waits for its client is not in flight: windows are used meanwhile, and
    none while a message is worked on."""
    with Program(MIDDLEWARE + """
import asyncio
spans = []
async def app(scope, receive, send):
    while (await receive())["type"] != "websocket.disconnect":
        begin = time.monotonic_ns()
        await asyncio.sleep(0.02)
        grow(2000, keep)
        spans.append([begin, time.monotonic_ns()])
async def receive():
    await asyncio.sleep(0.01)
    over = rtgc.status()["collections_in_window"] >= 3
    return {"type": "websocket.disconnect" if over else "websocket.receive"}
asyncio.run(rtgc.asgi(app)({"type": "websocket"}, receive, None))
say(spans=spans, full=full, status=rtgc.status())
""", environment(daemon.env()), launcher=()) as p:
        said = p.next()
        assert said["status"]["forced"] == 0
        assert overlaps(said["spans"], said["full"]) == []


def test_answers_while_draining(daemon):
    """Of a process whose connections others can take: the client is asked to come back on another
    one; not by HTTP/2, which has no such header."""
    with Program(MIDDLEWARE + """
import asyncio, socket
from rtgc import _rtgc
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body"})
wrapped = rtgc.asgi(app)
async def answer(version):
    sent = []
    async def send(message):
        sent.append(message)
    await wrapped({"type": "http", "http_version": version}, None, send)
    return [[name.decode() for name, _ in sent[0]["headers"]], len(sent)]
async def main():
    first = await answer("1.1")
    rtgc.share(socket.create_server(("127.0.0.1", 0)))
    _rtgc.request_begin()
    fill(keep)
    while not rtgc.status()["window"]:
        trickle(keep)
        await asyncio.sleep(0.005)
    say(first=first, then=await answer("1.1"), http2=await answer("2"))
    _rtgc.request_end()
asyncio.run(main())
""", environment(daemon.env()), launcher=()) as p:
        assert p.next() == {"first": [["a"], 2], "then": [["a", "connection"], 2],
                            "http2": [["a"], 2]}
