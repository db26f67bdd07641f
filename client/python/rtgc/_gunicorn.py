# SPDX-License-Identifier: MIT
"""gunicorn: its workers take requests from one listening socket. One that is to collect leaves
the connections to the others, answers what it has taken, and collects then."""

import gc
import socket

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


def _has_spoken(sock):
    """Whether the client has sent something that is not read yet, or has gone."""
    try:
        sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except (OSError, ValueError):  # gone; TLS, which has no MSG_PEEK
        pass
    return True


class _Request:
    """Counted once, however often that is said."""

    in_flight = False

    def begin(self):
        if not self.in_flight:
            self.in_flight = True
            _rtgc.request_begin()

    def end(self):
        if self.in_flight:
            self.in_flight = False
            _rtgc.request_end()


def _gthread(module):
    """A connection goes to a thread, which reads the request and answers it; between two requests
    the loop keeps it. In flight is what the client has begun to send, not a connection on which it
    is silent."""

    def take(enqueue_req):
        def wrapper(self, conn):
            conn.rtgc_request = request = _Request()
            if _has_spoken(conn.sock):
                request.begin()
            try:
                enqueue_req(self, conn)
            except BaseException:
                request.end()
                raise

        return wrapper

    def answer(handle_request):
        def wrapper(self, req, conn):
            conn.rtgc_request.begin()
            return handle_request(self, req, conn)

        return wrapper

    def count(wrap_future):
        def wrapper(self, future, conn):
            # The connection may have its next request before this one is done with.
            request = conn.rtgc_request
            wrap_future(self, future, conn)
            future.add_done_callback(lambda future: request.end())

        return wrapper

    _hooks.wrap(module.ThreadWorker, "enqueue_req", take)
    _hooks.wrap(module.ThreadWorker, "_wrap_future", count)
    _hooks.wrap(module.ThreadWorker, "handle_request",
                lambda handle_request: answer(_close_when_draining(handle_request, index=0)))


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
