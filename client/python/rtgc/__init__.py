# SPDX-License-Identifier: MIT
"""Lets rtgcd decide when CPython's full collections may pause this process.

    import rtgc
    rtgc.supervise(service="checkout")

From then on full collections happen in the windows the daemon opens: while the program waits
in a selector or in select.select(), at rtgc.checkpoint(), in rtgc.slack(), and, when nothing
else comes in time, at the next safe point. The young generations stay with CPython, which looks
less often for what it never finds (status()["young_is_wide"]). Without a
daemon (absent, hung, gone) CPython's own policy holds, as if this module were not there.

An unchanged program: python3 -m rtgc [--service NAME] SCRIPT …, or -m rtgc … -m MODULE ….

asyncio, uvloop, aiohttp, uvicorn, gunicorn, gevent, werkzeug, wsgiref and multiprocessing are looked
after when the program imports them: no window is taken while their requests are in flight, and
workers that share a listening socket leave new connections to each other (share()).

Where a fork is cheap and nothing can be drained, full collections are made by snapshots: a forked
child finds the garbage while the program goes on (supervise(collector=…)).

Environment: RTGC_SERVICE, RTGC_HEAP, RTGC_SOCKET, RTGC_COLLECTOR, RTGC_FORK_LIMIT; RTGC_RECORD=FILE appends one JSON line for
each full collection of this process.
"""

try:
    from . import _rtgc
except ImportError as _error:
    _refused = str(_error)

    def __getattr__(name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise ImportError(_refused)
else:
    _refused = None
    from ._rtgc import Pool, checkpoint, slack, status

    __version__ = _rtgc.version
    __all__ = [
        "Pool", "advise", "allocation_sites", "asgi", "checkpoint", "critical", "freeze_after",
        "heap_summary", "share", "slack", "status", "supervise", "wsgi",
    ]

    def __getattr__(name):
        # Late, so that python3 -m rtgc imports nothing before it has set sys.path right.
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import _advise, _freeze, _listen, _sites, _summary, _supervise, _web

        globals().update(
            advise=_advise.advise,
            allocation_sites=_sites.allocation_sites,
            freeze_after=_freeze.freeze_after,
            heap_summary=_summary.heap_summary,
            critical=_supervise.critical,
            share=_listen.share,
            supervise=_supervise.supervise,
            asgi=_web.asgi,
            wsgi=_web.wsgi,
        )
        return globals()[name]

    def __dir__():
        return sorted({*globals(), *__all__})
