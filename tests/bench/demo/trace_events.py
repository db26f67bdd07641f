# SPDX-License-Identifier: MIT
"""Both runs as event logs (rtgcd-events(5)), and what rtgcctl trace draws of them: the same stretch of
time, the measured load, from its beginning on."""

import json
import subprocess

from cluster import BACKEND, MAX_CONCURRENT
from processes import Failure

KINDS = ("minor", "minor", "major")  # by generation
# What a timeline is drawn from, and what must be known before.
BEFORE = ("join", "config")


def _write(path, header, lines):
    with open(path, "w") as file:
        for line in (header, *lines):
            file.write(json.dumps(line, separators=(",", ":")) + "\n")


def of_records(measured, path):
    """The log of processes that nobody supervised, by their own records."""
    begin_ns, end_ns = measured.load["begin_ns"], measured.load["end_ns"]
    pids = {pid: number for number, pid in enumerate(sorted(measured.names), 1)}
    service = {"name": BACKEND, "policy": "stagger", "max_concurrent": MAX_CONCURRENT}
    header = {"format": "rtgcd-events", "version": 2, "rtgcd": "none", "epoch": 0, "cpus": 0, "clock": "monotonic",
              "at_ns": begin_ns, "max_concurrent": MAX_CONCURRENT, "memory_budget_bytes": 0,
              "defaults": {**service, "name": ""}, "services": [service]}
    joins = [{"at_ns": begin_ns, "event": "join", "heap": number, "pid": pid, "service": BACKEND,
              "name": measured.names[pid], "unit": "objects", "budget": 0} for pid, number in pids.items()]
    events = []
    for pause in measured.pauses:
        one = {"heap": pids[pause.pid], "window": 0, "begin_ns": pause.begin_ns, "kind": KINDS[pause.generation],
               "cause": "uncoordinated"}
        events.append({"at_ns": pause.begin_ns, "event": "begin", **one})
        events.append({"at_ns": pause.end_ns, "event": "end", **one, "end_ns": pause.end_ns, "freed": pause.collected})
    events = [{**event, "at_ns": min(max(event["at_ns"], begin_ns), end_ns)} for event in events]
    _write(path, header, joins + sorted(events, key=lambda event: event["at_ns"]))


def of_the_daemon(recorded, measured, path):
    """The part of its log that the load is in."""
    begin_ns, end_ns = measured.load["begin_ns"], measured.load["end_ns"]
    with open(recorded) as file:
        header, *lines = map(json.loads, file)
    kept = []
    for line in lines:
        if line["at_ns"] < begin_ns and line.get("event") in BEFORE:
            kept.append({**line, "at_ns": begin_ns})
        elif begin_ns <= line["at_ns"] <= end_ns:
            kept.append(line)
    _write(path, {**header, "at_ns": begin_ns}, kept)


def draw(build, logs, path):
    """One file with the timelines of these logs, for a browser."""
    with open(path, "wb") as file:
        done = subprocess.run([build / "rtgcctl", "trace", "--format=html", *logs], stdout=file, stderr=subprocess.PIPE)
    if done.returncode:
        raise Failure(f"rtgcctl trace: {done.stderr.decode(errors='replace').strip()}")
