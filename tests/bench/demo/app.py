# SPDX-License-Identifier: MIT
"""A shop's catalogue service, as one finds many: aiohttp, JSON documents, a cache in memory.

GET /page/N answers with product N and the products bought together with it. Products come as
JSON from the store (here: made from their number), are linked up for the templates (each variant
knows its product), and are kept in a cache that drops what was not used for longest.
"""

import argparse
import collections
import gc
import json
import random
import socket

from aiohttp import web

COLOURS = "black blue brown green grey orange pink purple red white yellow".split()
MATERIALS = "cotton linen wool silk leather denim fleece canvas".split()
VARIANTS = 8
ON_A_PAGE = 10  # a product, and those bought together with it


class Store:
    """What would be a database: the JSON document of a product, always the same for a number."""

    VARIANT = (
        '{"sku": "P%06d-%d", "colour": "%s", "size": %d, "cents": %d,'
        ' "images": ["/i/%d/%d-front.jpg", "/i/%d/%d-back.jpg"], "stock": [%d, %d, %d]}'
    )
    PRODUCT = (
        '{"number": %d, "name": "%s %s no. %d", "brand": "brand-%d", "category": "c-%d",'
        ' "description": "%s", "tags": ["%s", "%s", "season-%d"], "variants": [%s]}'
    )

    def __init__(self, products):
        self.products = products

    def fetch(self, number):
        rng = random.Random(number)
        colour, material = rng.choice(COLOURS), rng.choice(MATERIALS)
        price = rng.randrange(10, 300)
        variants = ", ".join(
            self.VARIANT % (number, i, COLOURS[(price + i) % 11], 34 + i, 100 * price - i,
                            number, i, number, i, i, price % 7, price % 5)
            for i in range(VARIANTS)
        )
        return self.PRODUCT % (number, colour, material, number, price % 40, price % 25,
                               f"Of {material}, {colour}, made to last. " * 4,
                               colour, material, price % 4, variants)


class Entry:
    """A product in the cache, ready for use."""

    def __init__(self, product):
        self.product = product
        self.views = 0
        for variant in product["variants"]:
            variant["product"] = product  # a template is handed variants and asks for the rest


class Cache:
    """The products used last."""

    def __init__(self, store, size):
        self.store = store
        self.size = size
        self.entries = collections.OrderedDict()
        self.hits = self.misses = 0

    def get(self, number):
        entry = self.entries.get(number)
        if entry is not None:
            self.entries.move_to_end(number)
            self.hits += 1
        else:
            self.misses += 1
            entry = Entry(json.loads(self.store.fetch(number)))
            self.entries[number] = entry
            if len(self.entries) > self.size:
                self.entries.popitem(last=False)
        entry.views += 1
        return entry


class Page:
    """What one request shows. Boxes know their page, the page its boxes: garbage in a cycle."""

    def __init__(self, title):
        self.title = title
        self.boxes = []

    def render(self):
        return {"title": self.title, "boxes": [box.render() for box in self.boxes]}


class Box:
    def __init__(self, page, entry):
        self.page = page
        self.product = entry.product
        self.position = len(page.boxes)
        page.boxes.append(self)

    def render(self):
        cheapest = min(self.product["variants"], key=lambda variant: variant["cents"])
        return {"position": self.position, "name": self.product["name"],
                "cents": cheapest["cents"], "image": cheapest["images"][0],
                "in_stock": sum(cheapest["stock"]), "page": self.page.title}


class Shop:
    def __init__(self, products, cached):
        self.cache = Cache(Store(products), cached)
        self.products = products
        for number in range(cached):
            self.cache.get(number)

    async def page(self, request):
        number = int(request.match_info["number"]) % self.products
        page = Page(f"product {number}")
        together = random.Random(number)
        Box(page, self.cache.get(number))
        for _ in range(ON_A_PAGE - 1):
            Box(page, self.cache.get(together.randrange(self.products)))
        return web.json_response(page.render())

    async def health(self, request):
        return web.json_response({"entries": len(self.cache.entries), "hits": self.cache.hits,
                                  "misses": self.cache.misses})


def collect_every(requests):
    """What one does by hand: no collection but after so many requests, once the answer is out."""
    served = 0

    @web.middleware
    async def middleware(request, handler):
        nonlocal served
        response = await handler(request)
        served += 1
        if served % requests == 0:
            await response.prepare(request)
            await response.write_eof()
            gc.collect()
        return response

    gc.disable()
    return middleware


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0: any free one")
    parser.add_argument("--products", type=int, default=34_000, help="in the store")
    parser.add_argument("--cached", type=int, default=17_000, help="of them in memory")
    parser.add_argument("--collect-every", type=int, metavar="REQUESTS", help="by hand")
    args = parser.parse_args()

    shop = Shop(args.products, args.cached)
    app = web.Application(middlewares=[collect_every(args.collect_every)] if args.collect_every else [])
    app.add_routes([web.get("/page/{number:[0-9]+}", shop.page), web.get("/health", shop.health)])
    listener = socket.create_server((args.host, args.port))
    address = "http://%s:%d" % listener.getsockname()[:2]
    web.run_app(app, sock=listener, access_log=None,
                print=lambda _: print("ready", address, flush=True))


if __name__ == "__main__":
    main()
