# SPDX-License-Identifier: MIT
"""uvicorn: the requests of its application are in flight, and its workers share a socket."""

from . import _hooks, _rtgc, _web


def _config(module):
    def make(load):
        def wrapper(self):
            load(self)
            self.loaded_app = _web.asgi(self.loaded_app)

        return wrapper

    _hooks.wrap(module.Config, "load", make)


def _server(module):
    def make(startup):
        async def wrapper(self, sockets=None):
            await startup(self, sockets=sockets)
            if self.config.workers > 1:
                _hooks.share(sockets or ())

        return wrapper

    _hooks.wrap(module.Server, "startup", make)


def arrived(module):
    {"uvicorn.config": _config, "uvicorn.server": _server}[module.__name__](module)
