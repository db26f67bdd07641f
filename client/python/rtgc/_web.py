# SPDX-License-Identifier: MIT
"""Middlewares that say when requests are in flight. Servers built on selectors, select or
asyncio need none; a server that waits for the answers of others (threads, coroutines that
sleep) is at rest for us only when the middleware says so."""

from . import _rtgc


class _Body:
    """A WSGI body; the request ends when the server closes it."""

    __slots__ = ("_body", "_iterator", "_open")

    def __init__(self, body):
        self._body = body
        self._iterator = iter(body)
        self._open = True

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._iterator)

    def close(self):
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            if self._open:
                self._open = False
                _rtgc.request_end()

    def __del__(self):
        if self._open:
            self._open = False
            _rtgc.request_end()


def wsgi(app):
    """WSGI middleware: no window is taken while a request is in flight, and the moment after
    the last one is a safe point."""

    def middleware(environ, start_response):
        _rtgc.request_begin()
        try:
            return _Body(app(environ, start_response))
        except BaseException:
            _rtgc.request_end()
            raise

    return middleware


async def _websocket(app, scope, receive, send):
    """In flight from a message on until the next one is waited for, not for its whole life."""

    async def received():
        _rtgc.request_done()
        try:
            return await receive()
        finally:
            _rtgc.request_begin()

    await app(scope, received, send)


async def _http(app, scope, receive, send):
    if scope.get("http_version") in ("1.0", "1.1") and _rtgc.draining():

        async def closing(message):
            # The next request of this client goes to another process.
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"connection", b"close")]
                message = {**message, "headers": headers}
            await send(message)

        await app(scope, receive, closing)
    else:
        await app(scope, receive, send)


_SCOPES = {"http": _http, "websocket": _websocket}


def asgi(app):
    """The same for ASGI: HTTP requests, and websockets while a message is worked on. uvicorn needs
    none, its applications are looked after."""
    if getattr(app, "_rtgc", False):
        return app

    async def middleware(scope, receive, send):
        serve = _SCOPES.get(scope["type"])
        if serve is None:
            await app(scope, receive, send)
            return
        _rtgc.request_begin()
        try:
            await serve(app, scope, receive, send)
        finally:
            _rtgc.request_done()

    middleware._rtgc = True
    return middleware
