# SPDX-License-Identifier: MIT
"""Listening sockets from which several processes accept."""

import sys

from . import _hooks, _rtgc

_said = False


def share(*sockets):
    """Say that other processes accept from these listening sockets as well.

    While a window of this process is announced or open, its event loop (on epoll: asyncio,
    uvloop, gevent, selectors) is not told of new connections, so the others get them; what is
    in flight is answered, then the window is used. Each socket is a socket or its descriptor,
    inherited or passed on, not one bound with SO_REUSEPORT by each process for itself: there the
    kernel goes on choosing this process. gunicorn's and uvicorn's are known without this call.
    """
    for sock in sockets:
        _rtgc.share(sock)


def _say_not_shared(server):
    global _said
    if not _said and server.sockets:
        _said = True
        print(
            f"rtgc: {server.sockets[0].getsockname()} is bound with SO_REUSEPORT: new connections "
            "cannot be kept away from a process that collects. With one socket that all processes "
            "share they can.", file=sys.stderr, flush=True)


def _create_server(create_server):
    async def wrapper(self, *args, **keywords):
        server = await create_server(self, *args, **keywords)
        if keywords.get("reuse_port") and _rtgc.status()["state"] != "unsupervised":
            _say_not_shared(server)
        return server

    return wrapper


def arrived(module):
    _hooks.wrap(module.BaseEventLoop, "create_server", _create_server)
