# SPDX-License-Identifier: MIT
"""
Real servers, started unchanged with python3 -m rtgc in front: their full collections fall into
windows and between requests, no request fails, nothing is forced, and when the daemon dies each
process has CPython's own policy back.
"""

import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import PYTHON, environment, harness
from servers import Server

CONFIG = "[Service:web]\nMaxConcurrent=1\nLead=2s\n"
RTGC = ["-m", "rtgc", "--service", "web"]
GUNICORN = ["-m", "gunicorn", "-b", "127.0.0.1:0", "--graceful-timeout", "5"]
UVICORN = ["-m", "uvicorn", "--port", "0", "--log-level", "warning"]

FLASK = '''
import flask
import app as plain
app = flask.Flask(__name__)
@app.route("/")
def index():
    return plain.answer(plain.begin()), {"Content-Type": "application/json"}
'''
DJANGO = '''
import sys
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
import app as plain
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", DEBUG=False)
def index(request):
    return HttpResponse(plain.answer(plain.begin()), content_type="application/json")
urlpatterns = [path("", index)]
application = get_wsgi_application()
if __name__ == "__main__":
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
'''
AIOHTTP = '''
import asyncio, sys
from aiohttp import web
import app as plain
async def index(request):
    began = plain.begin()
    await asyncio.sleep(0.002)
    return web.Response(text=plain.answer(began), content_type="application/json")
def make(argv=None):
    application = web.Application()
    application.router.add_get("/", index)
    return application
if __name__ == "__main__":
    if sys.argv[1:] == ["uvloop"]:
        import uvloop
        uvloop.install()
    web.run_app(make(), host="127.0.0.1", port=0, print=None)
'''
GEVENT = '''
from gevent import monkey; monkey.patch_all()
import gc, gevent, sys, time
from gevent.pywsgi import WSGIServer
import app as plain

class Slow:
    "Garbage in a cycle whose finalizer blocks, as those that close something do."
    def __init__(self):
        self.itself = self
    def __del__(self):
        gevent.sleep(0.001)

def application(environ, start_response):
    if len(plain.keep) % 40 == 0:
        Slow()
    return plain.wsgi(environ, start_response)

WSGIServer(("127.0.0.1", 0), application, log=None).serve_forever()
'''
FILES = {"gevents.py": GEVENT, "flasks.py": FLASK, "djangos.py": DJANGO, "aiohttps.py": AIOHTTP}

# name: (packages it needs, command, worker processes, clients keep their connections)
SERVERS = {
    "gunicorn-sync": (["gunicorn"], [*GUNICORN, "-w", "2", "app:wsgi"], 2, False),
    "gunicorn-gthread": (
        ["gunicorn"], [*GUNICORN, "-w", "2", "--threads", "4", "app:wsgi"], 2, True),
    "gunicorn-gevent": (
        ["gunicorn", "gevent"], [*GUNICORN, "-w", "2", "-k", "gevent", "app:wsgi"], 2, True),
    "gunicorn-uvicorn": (
        ["gunicorn", "uvicorn", "uvloop"],
        [*GUNICORN, "-w", "2", "-k", "uvicorn.workers.UvicornWorker", "app:asgi"], 2, True),
    "gunicorn-django": (
        ["gunicorn", "django"], [*GUNICORN, "-w", "2", "djangos:application"], 2, False),
    "uvicorn": (["uvicorn", "uvloop"], [*UVICORN, "--loop", "uvloop", "app:asgi"], 1, False),
    "uvicorn-asyncio": (["uvicorn"], [*UVICORN, "--loop", "asyncio", "app:asgi"], 1, True),
    "uvicorn-workers": (
        ["uvicorn", "uvloop"], [*UVICORN, "--workers", "2", "app:asgi"], 2, True),
    "aiohttp": (["aiohttp"], ["aiohttps.py"], 1, True),
    "aiohttp-uvloop": (["aiohttp", "uvloop"], ["aiohttps.py", "uvloop"], 1, True),
    "gevent": (["gevent"], ["gevents.py"], 1, False),
    "flask": (["flask"], ["-m", "flask", "--app", "flasks", "run", "--port", "0"], 1, False),
    "django": (
        ["django"], ["djangos.py", "runserver", "--noreload", "127.0.0.1:0"], 1, False),
}


# For a snapshot the kind of loop makes a difference, not the server on it.
SNAPSHOTS = ["uvicorn", "uvicorn-asyncio", "gevent", "flask"]


@pytest.fixture
def daemon():
    with harness.Daemon(config=CONFIG) as d:
        yield d


def need(packages):
    for package in packages:
        done = subprocess.run([PYTHON, "-c", f"import {package}"], stderr=subprocess.DEVNULL)
        if done.returncode:
            pytest.skip(f"{package} is not installed")


def majors(daemon, pids=None):
    """Full collections of each process, by the daemon's count."""
    return {heap["pid"]: heap["collections"]["major"] for heap in daemon.heaps()
            if pids is None or heap["pid"] in pids}


def collected(daemon, server, workers, times=2):
    """Each worker has, so often."""
    found = majors(daemon, server.pids())
    return len(found) == workers and min(found.values()) >= times


def load_and_check(daemon, server, workers, keep_alive=False):
    """Until each worker has collected twice; then the daemon dies."""
    server.load(lambda: collected(daemon, server, workers), clients=3 if workers > 1 else 1,
                keep_alive=keep_alive)
    status = daemon.call("GetStatus")
    assert status["forced"] == status["uncoordinated"] == 0
    assert {answer["threshold"] for answer in server.answers[-20:]} == {1021}
    # Every process has its own policy back, and goes on serving.
    daemon.kill()
    back = set()
    while back != server.pids():
        server.until(lambda: True, "it lives")
        answer = server.get()
        if answer["threshold"] == 10:
            back.add(answer["pid"])
    server.stop()
    hit = server.hit()
    if workers == 1:
        assert hit == []
    else:
        # (A heap about to reach its budget has no time to wait for an answer.)
        assert 2 * len({pause["begin_ns"] for _, pause in hit}) <= len(server.pauses())
    causes = [pause["cause"] for pause in server.pauses() if pause["pid"] in server.pids()]
    assert causes.count("window") >= 2 * workers
    assert set(causes) <= {"window", "default"}


@pytest.mark.parametrize("name", SERVERS)
def test_unchanged(daemon, name):
    packages, command, workers, keep_alive = SERVERS[name]
    need(packages)
    env = environment(daemon.env(), **({"RTGC_COLLECTOR": "window"} if workers == 1 else {}))
    with Server([*RTGC, *command], env, FILES) as server:
        daemon.wait(lambda d: len(majors(d)) >= workers, "its processes are supervised")
        load_and_check(daemon, server, workers, keep_alive)


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_snapshots(daemon, name):
    """One process alone cannot be drained: its garbage is found by a child and freed bit by bit, in
    its own loop."""
    packages, command, _, keep_alive = SERVERS[name]
    need(packages)
    env = environment(daemon.env(), RTGC_COLLECTOR="snapshot")
    with Server([*RTGC, *command], env, FILES) as server:
        def taken():
            heap = next((h for h in daemon.heaps() if h["pid"] == server.proc.pid), None)
            return heap and heap["collections"]["snapshot"] >= 2
        server.load(taken, clients=2, keep_alive=keep_alive)
        status = daemon.call("GetStatus")
        assert status["forced"] == status["uncoordinated"] == 0
        server.stop()
        # A young collection may come in gevent's hub, where no finalizer may block, as it may without us.
        assert [text for text in server.log.split("Traceback")[1:] if "BlockingSwitchOutError" not in text] == []


def test_gunicorn_settings(daemon):
    """Without python3 -m rtgc in front: the workers are supervised, the master is not. What it has
    preloaded is frozen."""
    need(["gunicorn"])
    env = environment(daemon.env(), RTGC_SERVICE="web")
    command = [*GUNICORN, "-c", "python:rtgc.gunicorn", "--preload", "-w", "2", "app:wsgi"]
    with Server(command, env) as server:
        daemon.wait(lambda d: len(majors(d)) == 2, "its workers are supervised")
        assert server.proc.pid not in majors(daemon)
        assert server.get()["frozen"] > 1000
        load_and_check(daemon, server, 2)


@pytest.mark.parametrize("freeze", [True, False])
def test_gunicorn_freeze(daemon, freeze):
    """--freeze sets aside what the master has loaded, before it forks, and nothing does so unasked.
    Workers that are replaced are supervised as well."""
    need(["gunicorn"])
    command = [*RTGC, *["--freeze"][:freeze], *GUNICORN, "--preload", "--max-requests", "20",
               "-w", "2", "app:wsgi"]
    with Server(command, environment(daemon.env())) as server:
        server.load(lambda: len(server.pids()) >= 6)
        assert all((answer["frozen"] > 1000) == freeze for answer in server.answers)
        daemon.wait(lambda d: len(set(majors(d)) - {server.proc.pid}) == 2,
                    "the present workers are supervised, and those that ended are forgotten")
        server.stop()


def test_reuseport_is_said(daemon):
    """Its connections cannot be kept away; the server runs as ever."""
    need(["aiohttp"])
    source = AIOHTTP.replace("print=None", "print=None, reuse_port=True")
    with Server([*RTGC, "ports.py"], environment(daemon.env()), {"ports.py": source}) as server:
        server.get()
        server.stop()
        said = [line for line in server.log.splitlines() if line.startswith("rtgc:")]
        assert len(said) == 1 and "SO_REUSEPORT" in said[0]
