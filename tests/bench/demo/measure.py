# SPDX-License-Identifier: MIT
"""One run of the demo: the service up, load on it, and what was seen."""

import contextlib
import csv
import dataclasses
import pathlib
import time

import check_pauses
from cluster import Cluster, RssSampler
from processes import Failure, wait_until

# What the processes record takes a moment to be counted by the daemon.
COUNTING_NS = 500_000_000

# What demo.json holds of each run.
KEYS = ("p50_ms", "p99_ms", "p999_ms", "max_ms", "longest_pause_ms", "paused_max",
        "rss_start_bytes", "rss_end_bytes", "forced", "over_limit")


@dataclasses.dataclass
class Measured:
    run: str
    figures: dict  # by KEYS
    load: dict  # what rtgc-load printed
    daemon: dict  # what rtgcd counted, held against the records; None without it
    requests: list  # (intended_ns, latency_ns, status)
    pauses: list  # full collections and long young ones, as the processes recorded them
    names: dict  # of the processes, by pid
    full_at_once: int  # full collections
    events: pathlib.Path = None  # the daemon's own log; None without it
    trace: pathlib.Path = None  # what the daemon knows at the end, for Perfetto; None without it


def look(cluster):
    """What the daemon has counted so far."""
    if not cluster.daemon:
        return None
    begin_ns = time.monotonic_ns()
    status = cluster.call("GetStatus")
    majors, snapshots = (sum(heap["collections"][kind] for heap in cluster.heaps())
                         for kind in ("major", "snapshot"))
    return {"begin_ns": begin_ns, "status": status, "majors": majors, "snapshots": snapshots,
            "end_ns": time.monotonic_ns()}


def compare(before, warm, after, pauses):
    """Holds the daemon's count of full collections against the processes' own records. Those that
    end while it is being asked may be in its count or not."""
    least = [pause for pause in pauses if pause.end_ns >= before["end_ns"]
             and pause.end_ns <= after["begin_ns"] - COUNTING_NS]
    most = [pause for pause in pauses if pause.end_ns >= before["begin_ns"] - COUNTING_NS
            and pause.end_ns <= after["end_ns"]]
    counted = after["majors"] - before["majors"]
    return {"collections_counted": counted, "collections_recorded": [len(least), len(most)],
            "counts_agree": len(least) <= counted <= len(most),
            "snapshots": after["snapshots"] - before["snapshots"],
            "status_warm": warm["status"], "status_after": after["status"]}


def wait_for_load(cluster, load, options, progress):
    """Returns what the load program says, and the daemon's state when the warm-up was over."""
    seconds = options.warmup + options.seconds
    began = time.monotonic()
    warm = None

    def ended():
        nonlocal warm
        if warm is None and time.monotonic() - began >= options.warmup:
            warm = look(cluster)
        progress(f"load, {min(seconds, time.monotonic() - began):.0f} of {seconds:.0f} s")
        cluster.check()
        return load.popen.poll() is not None

    wait_until(ended, "the end of the load", seconds + 60, interval=0.25)
    return cluster.finish_load(load), warm


def read_series(path):
    with open(path) as file:
        rows = csv.reader(file)
        next(rows)
        return [tuple(map(int, row)) for row in rows]


def measure(run, options, directory, progress):
    directory = pathlib.Path(directory)
    series = directory / "requests.csv"
    with Cluster(run, options, directory, progress) as cluster:
        events = cluster.record_daemon() if cluster.daemon else None
        before = look(cluster)
        with RssSampler(list(cluster.replicas.values())) as rss:
            load, warm = wait_for_load(cluster, cluster.start_load(series=series), options,
                                       progress)
        if run == "snapshots":
            # The first may still be at work beside its program, where that has little CPU.
            with contextlib.suppress(Failure):
                wait_until(lambda: look(cluster)["snapshots"] > before["snapshots"], "a snapshot", 60, interval=0.25)
        after = look(cluster)
        progress("stopping")
        trace = cluster.trace_daemon() if cluster.daemon else None
        names = {replica.pid: name for name, replica in cluster.replicas.items()}
        cluster.stop_replicas()
    recorded = check_pauses.read_records(directory / "records")
    full = check_pauses.full(recorded)
    begin_ns, end_ns = load["begin_ns"], load["end_ns"]
    figures = {
        **{key: load[key] for key in ("p50_ms", "p99_ms", "p999_ms", "max_ms")},
        "longest_pause_ms": check_pauses.longest_ms(
            [pause for pause in recorded if begin_ns <= pause.begin_ns < end_ns]),
        "paused_max": check_pauses.most_at_once(check_pauses.stops(recorded, begin_ns, end_ns)),
        "rss_start_bytes": rss.at(begin_ns),
        "rss_end_bytes": rss.at(end_ns),
        **{key: after and after["status"][key] - warm["status"][key]
           for key in ("forced", "over_limit")},
    }
    assert tuple(figures) == KEYS
    return Measured(
        run, figures, load, after and compare(before, warm, after, full), read_series(series),
        check_pauses.stops(recorded, begin_ns, end_ns), names,
        check_pauses.most_at_once(check_pauses.full(recorded, begin_ns, end_ns)), events, trace)
