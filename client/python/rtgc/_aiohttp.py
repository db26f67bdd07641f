# SPDX-License-Identifier: MIT
"""aiohttp: requests that wait for others are in flight, though their loop has nothing to do."""

from . import _hooks, _rtgc


def arrived(module):
    def make(handle):
        async def _handle(self, request):
            _rtgc.request_begin()
            try:
                response = await handle(self, request)
            finally:
                _rtgc.request_done()
            if _rtgc.draining() and not response.prepared:
                response.force_close()  # the next request of this client is another process's
            return response

        return _handle

    _hooks.wrap(module.Application, "_handle", make)
