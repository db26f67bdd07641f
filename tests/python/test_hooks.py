# SPDX-License-Identifier: MIT
"""Packages are looked after when the program imports them: nothing is imported for it, and one
that is not as expected does not stop it."""

import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import PYTHON, Program, environment, harness

OURS = {"_aiohttp", "_gevent", "_gunicorn", "_multiprocessing", "_uvicorn", "_uvloop", "_web",
        "_wsgi", "gunicorn"}


@pytest.fixture(scope="module")
def daemon():
    with harness.Daemon() as d:
        yield d


def run(daemon, source, *, folder, status=0):
    path = os.path.join(folder, "program.py")
    with open(path, "w", encoding="utf-8") as file:
        file.write(source)
    done = subprocess.run([PYTHON, "-m", "rtgc", path], env=environment(daemon.env()),
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stderr
    return done.stdout.split(), done.stderr


def test_nothing_is_imported(daemon, tmp_path):
    out, err = run(daemon, "import sys; print(*sys.modules)", folder=tmp_path)
    assert not {f"rtgc.{name}" for name in OURS} & set(out)
    assert not {"asyncio", "multiprocessing", "aiohttp", "gevent", "uvloop"} & set(out)
    assert err == ""


def test_only_what_is_used(daemon, tmp_path):
    out, _ = run(daemon, "import multiprocessing.spawn, sys; print(*sys.modules)",
                 folder=tmp_path)
    assert {name for name in OURS if f"rtgc.{name}" in out} == {"_multiprocessing"}


def test_a_package_that_is_another_one(daemon, tmp_path):
    (tmp_path / "uvloop.py").write_text("answer = 42\n")
    out, err = run(daemon, "import uvloop; print(uvloop.answer, uvloop.__spec__.name)",
                   folder=tmp_path)
    assert out == ["42", "uvloop"]
    assert err.startswith("rtgc: this uvloop is another one: AttributeError")
    assert len(err.splitlines()) == 1


def test_a_package_that_fails(daemon, tmp_path):
    """Its exception is the program's, from the import on as ever; the next try is a new one."""
    (tmp_path / "uvloop.py").write_text("import sys\nsys.tries += 1\nraise RuntimeError('mine')\n")
    out, err = run(daemon, """
import sys
sys.tries = 0
for _ in range(2):
    try:
        import uvloop
    except RuntimeError as error:
        print(error, "uvloop" in sys.modules)
print(sys.tries)
""", folder=tmp_path)
    assert out == ["mine", "False", "mine", "False", "2"]
    assert err == ""


def test_names_are_kept(daemon):
    """Wrapped functions look as they did, and reload() and a second supervise() wrap once."""
    with Program("""
import importlib, inspect, rtgc
import wsgiref.handlers
rtgc.supervise()
first = wsgiref.handlers.BaseHandler.run
importlib.reload(wsgiref.handlers)
second = wsgiref.handlers.BaseHandler.run
rtgc.supervise(service="other")
say(name=second.__qualname__, doc=second.__doc__ == first.__wrapped__.__doc__,
    depth=hasattr(second.__wrapped__, "__wrapped__"), anew=first is not second,
    source="def run" in inspect.getsource(second))
""", environment(daemon.env()), launcher=()) as p:
        assert p.next() == {"name": "BaseHandler.run", "doc": True, "depth": False, "anew": True,
                            "source": True}
