# SPDX-License-Identifier: MIT
"""gunicorn's settings of the benchmark. Each worker fills its cache, does with its collector what
the operator of this run has chosen, and records its collections."""

import gc
import os
import pathlib

bind = "127.0.0.1:0"
workers = int(os.environ["SHOP_WORKERS"])
worker_class = os.environ["SHOP_WORKER_CLASS"]
threads = int(os.environ["SHOP_THREADS"])
graceful_timeout = 10
timeout = 120


def post_worker_init(worker):
    import shop
    import sitecustomize  # the demo's recorder

    records = pathlib.Path(os.environ["SHOP_RECORDS"])
    sitecustomize.Recorder(records).start()
    shop.fill()
    policy = os.environ["SHOP_COLLECTOR"]
    if policy == "off":
        gc.disable()
    elif policy == "freeze":
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000)
    (records / f"{os.getpid()}.ready").touch()
