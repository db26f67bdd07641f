# SPDX-License-Identifier: MIT
"""The demo's shop as a WSGI application: the same catalogue, cache and pages."""

import json
import os
import random

import app  # the demo's

PRODUCTS = int(os.environ["SHOP_PRODUCTS"])
cache = app.Cache(app.Store(PRODUCTS), int(os.environ["SHOP_CACHED"]))


def fill():
    for number in range(cache.size):
        cache.get(number)


def application(environ, start_response):
    number = int(environ["PATH_INFO"].rpartition("/")[2] or 0) % PRODUCTS
    page = app.Page(f"product {number}")
    together = random.Random(number)
    app.Box(page, cache.get(number))
    for _ in range(app.ON_A_PAGE - 1):
        app.Box(page, cache.get(together.randrange(PRODUCTS)))
    body = json.dumps(page.render()).encode()
    start_response("200 OK", [("Content-Type", "application/json"),
                              ("Content-Length", str(len(body)))])
    return [body]
