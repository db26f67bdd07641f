# SPDX-License-Identifier: MIT
"""Servers that answer in threads of their own: wsgiref (Django's too) and werkzeug (Flask's)."""

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


def arrived(module):
    if module.__name__ == "wsgiref.handlers":
        _hooks.wrap(module.BaseHandler, "run", in_flight)
    else:
        _hooks.wrap(module.WSGIRequestHandler, "run_wsgi", in_flight)
