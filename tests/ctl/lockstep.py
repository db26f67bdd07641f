# SPDX-License-Identifier: MIT
"""
Prints lockstep.events: three heaps of one service with one slot, that all fill at the same rate.
Each collects when 90,000 of its 100,000 units are used and the slot is free, and pauses for 100 ms.
"""

import json

MS = 1_000_000
START, END = 1000 * MS, 11_000 * MS
RATE, BUDGET, WANTED, LIVE = 100, 100_000, 90_000, 50_000  # RATE: units a millisecond
PAUSE, SAFE_POINT, EVERY = 100, 1, 100  # milliseconds
SERVICE = {"policy": "stagger", "drain": "none", "max_concurrent": 1, "budget_bytes": 0, "lead_ns": 200 * MS,
           "max_defer_ns": 30_000 * MS, "min_yield_permille": 10, "never_with": []}


class Heap:
    def __init__(self, number):
        self.number = number
        self.used = self.allocated = 0
        self.wanted = self.begin = None


def lines():
    yield {"format": "rtgcd-events", "version": 1, "rtgcd": "0.1.0", "epoch": 1, "cpus": 4, "clock": "monotonic",
           "at_ns": START, "max_concurrent": 4, "memory_budget_bytes": 0, "defaults": {"name": "", **SERVICE},
           "services": [{"name": "web", **SERVICE}]}
    heaps = [Heap(n) for n in (1, 2, 3)]
    for h in heaps:
        yield {"at_ns": START, "event": "join", "heap": h.number, "uid": 1000, "pid": 100 + h.number,
               "version_min": 1, "version_max": 1, "caps": 0, "unit": "objects", "kinds": ["major"],
               "budget": BUDGET, "prev_epoch": 0, "prev_window": 0, "prev_kind": "minor",
               "prev_closes_ns": 0, "service": "web",
               "name": f"web-{h.number}", "runtime": "model"}
    window, holder = 0, None
    for now in range(START, END + 1, MS):
        if holder and now == holder.begin:
            yield {"at_ns": now, "event": "begin", "heap": holder.number, "window": window, "begin_ns": now,
                   "kind": "major", "cause": "window"}
        if holder and now == holder.begin + PAUSE * MS:
            yield {"at_ns": now, "event": "end", "heap": holder.number, "window": window, "begin_ns": holder.begin,
                   "end_ns": now, "freed": holder.used, "used": 0, "live": LIVE, "kind": "major", "cause": "window",
                   "failed": False, "stop_ns": 0}
            yield {"at_ns": now, "action": "close", "heap": holder.number, "window": window, "reason": "ended"}
            holder.used, holder.wanted, holder.begin, holder = 0, None, None, None
        for h in heaps:
            if h.begin is None or now <= h.begin:
                h.used += RATE
                h.allocated += RATE
                if (now - START) // MS % EVERY == 0:
                    yield {"at_ns": now, "event": "report", "heap": h.number, "taken_ns": now, "used": h.used,
                           "allocated": h.allocated, "live": LIVE + h.used, "rss_bytes": 0, "budget": BUDGET}
            if h.used >= WANTED and h.wanted is None:
                h.wanted = now
        waiting = [h for h in heaps if h.wanted is not None and h is not holder]
        if waiting and holder is None and now + (SAFE_POINT + PAUSE) * MS <= END:
            holder = min(waiting, key=lambda h: h.wanted)
            window += 1
            holder.begin = now + SAFE_POINT * MS
            yield {"at_ns": now, "action": "open", "heap": holder.number, "window": window, "opens_ns": now,
                   "closes_ns": now + 400 * MS, "predicted_ns": 110 * MS, "kind": "major", "must": True,
                   "over_limit": False, "wanted_ns": holder.wanted, "reason": "due"}


if __name__ == "__main__":
    for line in lines():
        print(json.dumps(line, separators=(",", ":")))
