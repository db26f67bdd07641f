# SPDX-License-Identifier: MIT
"""
The demo's shop as one process, with nobody to drain it to. What its collector did meanwhile goes
to --report when it has ended.
"""

import argparse
import gc
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "demo"))
import app


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=("default", "off", "snapshot"), required=True)
    parser.add_argument("--report", required=True)
    given, rest = parser.parse_known_args()
    pauses, begun = [0, 0, 0], 0

    def watch(phase, info):
        nonlocal begun
        if phase == "start":
            begun = time.monotonic_ns()
        else:
            length = time.monotonic_ns() - begun
            pauses[info["generation"]] = max(pauses[info["generation"]], length)

    gc.callbacks.append(watch)
    rtgc = None
    if given.mode == "off":
        gc.disable()
    if given.mode == "snapshot":
        import rtgc

        rtgc.supervise(service="shop")  # "auto": what suits
    sys.argv = [sys.argv[0], *rest]
    app.main()
    said = {"objects": len(gc.get_objects()), "pause_max_ms": [p / 1e6 for p in pauses]}
    if rtgc:
        status = rtgc.status()
        said.update(snapshots=status["snapshots"], forced=status["forced"],
                    full=status["collections_in_window"] - status["snapshots"]["taken"])
    with open(given.report, "w", encoding="utf-8") as file:
        json.dump(said, file)


if __name__ == "__main__":
    main()
