# SPDX-License-Identifier: MIT
"""Servers that answer in threads or greenlets of their own: wsgiref (Django's too), werkzeug
(Flask's), gevent.pywsgi."""

from . import _hooks, _rtgc


def in_flight(function):
    """The function, as a request in flight."""

    def wrapper(*args, **keywords):
        _rtgc.request_begin()
        try:
            return function(*args, **keywords)
        finally:
            _rtgc.request_end()

    return wrapper


# Module -> the class and the method of it that serve a request.
_SERVE = {
    "gevent.pywsgi": ("WSGIHandler", "run_application"),
    "werkzeug.serving": ("WSGIRequestHandler", "run_wsgi"),
    "wsgiref.handlers": ("BaseHandler", "run"),
}


def arrived(module):
    owner, method = _SERVE[module.__name__]
    _hooks.wrap(getattr(module, owner), method, in_flight)
