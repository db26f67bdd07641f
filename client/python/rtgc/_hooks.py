# SPDX-License-Identifier: MIT
"""What is done for a program's packages when it imports them, and not before."""

import importlib
import sys

from . import _rtgc

# Module of a package -> ours that looks after it: its function arrived(module).
_HOOKS = {
    "aiohttp.web_app": "_aiohttp",
    "asyncio.base_events": "_listen",
    "gevent.hub": "_gevent",
    "gevent.pywsgi": "_wsgi",
    "gunicorn.arbiter": "_gunicorn",
    "gunicorn.workers.base": "_gunicorn",
    "gunicorn.workers.base_async": "_gunicorn",
    "gunicorn.workers.gthread": "_gunicorn",
    "gunicorn.workers.sync": "_gunicorn",
    "multiprocessing.spawn": "_multiprocessing",
    "uvicorn.config": "_uvicorn",
    "uvicorn.server": "_uvicorn",
    "uvloop": "_uvloop",
    "werkzeug.serving": "_wsgi",
    "wsgiref.handlers": "_wsgi",
}


def _arrived(module):
    name = module.__name__
    try:
        importlib.import_module("." + _HOOKS[name], __package__).arrived(module)
    except Exception as error:  # another version of it: the program must run all the same
        print(f"rtgc: this {name} is another one: {error!r}: what it serves is not seen",
              file=sys.stderr, flush=True)


def _find(name, path, target):
    for finder in sys.meta_path:
        find_spec = getattr(finder, "find_spec", None)
        if find_spec is not None and finder is not _Finder:
            spec = find_spec(name, path, target)
            if spec is not None:
                return spec
    return None


class _Finder:
    """Lets the others find a module, and has it looked after as soon as it is executed."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in _HOOKS:
            return None
        spec = _find(name, path, target)
        loader = getattr(spec, "loader", None)
        if not hasattr(loader, "exec_module"):
            return spec

        def exec_module(module):
            del loader.exec_module  # the loader's own again
            loader.exec_module(module)
            _arrived(module)

        try:
            loader.exec_module = exec_module
        except AttributeError:
            pass  # no ordinary loader
        return spec


def install():
    """Once in a process. Packages that are there already are looked after at once."""
    sys.meta_path.insert(0, _Finder)
    for name in _HOOKS:
        module = sys.modules.get(name)
        if module is not None:
            _arrived(module)


def wrap(owner, name, make):
    """Puts make(the function) in the place of owner.name, with its name and docstring. Once."""
    function = getattr(owner, name)
    if getattr(function, "_rtgc", False):
        return
    wrapper = make(function)
    for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
        try:
            setattr(wrapper, attribute, getattr(function, attribute))
        except AttributeError:
            pass
    wrapper.__wrapped__ = function
    wrapper._rtgc = True
    setattr(owner, name, wrapper)


def share(sockets):
    """Listening sockets that other processes accept from as well."""
    for sock in sockets:
        try:
            _rtgc.share(sock)
        except OSError:
            pass  # closed meanwhile, or one too many: it stays as it is
