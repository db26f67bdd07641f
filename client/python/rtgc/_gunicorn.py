# SPDX-License-Identifier: MIT
"""gunicorn: its workers take requests from one listening socket. One that is to collect leaves
the connections to the others, answers what it has taken, and collects then."""

import functools
import gc

from . import _hooks, _rtgc, _supervise, _wsgi

_frozen = False


def freeze_once():
    """In the master, before a worker is forked: what has been loaded by now is set aside for good.
    The workers' collectors leave it alone, and its pages stay shared."""
    global _frozen
    if not _frozen:
        _frozen = True
        gc.collect()
        gc.freeze()


def _arbiter(module):
    def make(spawn_worker):
        def wrapper(self):
            if _supervise._freeze:
                freeze_once()
            return spawn_worker(self)

        return wrapper

    _hooks.wrap(module.Arbiter, "spawn_worker", make)


def _base(module):
    """Every kind of worker ends its preparations with this call."""

    def make(load_wsgi):
        def wrapper(self):
            _rtgc.checkpoint()  # the connection to the daemon, before the first request
            if self.cfg.workers > 1:
                _hooks.share(self.sockets)
            load_wsgi(self)

        return wrapper

    _hooks.wrap(module.Worker, "load_wsgi", make)


def _sync(module):
    """One request at a time, and a select() that epoll knows nothing of."""

    def make(accept):
        def wrapper(self, listener):
            if _rtgc.draining():
                _rtgc.between()
            return accept(self, listener)

        return wrapper

    _hooks.wrap(module.SyncWorker, "accept", make)


def _close_when_draining(handle_request, index):
    """The client's next request goes to another worker."""

    def wrapper(self, *args):
        if _rtgc.draining():
            args[index].force_close()
        return handle_request(self, *args)

    return wrapper


def _gthread(module):
    def count(wrap_future):
        def wrapper(self, future, conn):
            _rtgc.request_begin()
            try:
                wrap_future(self, future, conn)
            finally:
                future.add_done_callback(lambda future: _rtgc.request_end())

        return wrapper

    _hooks.wrap(module.ThreadWorker, "_wrap_future", count)
    _hooks.wrap(module.ThreadWorker, "handle_request",
                functools.partial(_close_when_draining, index=0))


def _base_async(module):
    def make(handle_request):
        return _wsgi.in_flight(_close_when_draining(handle_request, index=1))

    _hooks.wrap(module.AsyncWorker, "handle_request", make)


_MODULES = {
    "gunicorn.arbiter": _arbiter,
    "gunicorn.workers.base": _base,
    "gunicorn.workers.base_async": _base_async,
    "gunicorn.workers.gthread": _gthread,
    "gunicorn.workers.sync": _sync,
}


def arrived(module):
    _MODULES[module.__name__](module)
