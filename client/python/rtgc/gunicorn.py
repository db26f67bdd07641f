# SPDX-License-Identifier: MIT
"""Settings for gunicorn, where python3 -m rtgc cannot be put in front of it:

    gunicorn -c python:rtgc.gunicorn app:application

or, in settings of your own, `from rtgc.gunicorn import post_fork, pre_fork`. The workers are
supervised and the master is not. The service is $RTGC_SERVICE, else "gunicorn".
"""

import rtgc

from . import _gunicorn


def pre_fork(server, worker):
    """With preload_app, what the application has loaded is set aside for good (gc.freeze()) before
    the first worker is forked, so that its pages stay shared."""
    if server.cfg.preload_app:
        _gunicorn.freeze_once()


def post_fork(server, worker):
    """Takes over the full collections of this worker."""
    rtgc.supervise()
