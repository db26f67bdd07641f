# SPDX-License-Identifier: MIT
"""
The demo's shop as one process, with nobody to drain it to. The objects it has at the end go to --report.
"""

import argparse
import gc
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "demo"))
import app


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=("default", "off", "snapshot"), required=True)
    parser.add_argument("--report", required=True)
    given, rest = parser.parse_known_args()
    rtgc = None
    if given.mode == "off":
        gc.disable()
    if given.mode == "snapshot":
        import rtgc

        rtgc.supervise(service="shop")  # "auto": what suits
    sys.argv = [sys.argv[0], *rest]
    app.main()
    said = {"objects": len(gc.get_objects()), "forced": rtgc.status()["forced"] if rtgc else 0}
    with open(given.report, "w", encoding="utf-8") as file:
        json.dump(said, file)


if __name__ == "__main__":
    main()
