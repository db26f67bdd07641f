# SPDX-License-Identifier: MIT
"""What it costs everybody else that somebody looks.

make bench BENCH=seen

A daemon has 2,000 heaps that report once a second each, and one that is due each millisecond: DECISION is from
its report until its window comes. Meanwhile

nobody       looks
top          rtgcctl top -b is open
subscribe    a caller of Subscribe is told everything
page         the live page is open: what it asks over HTTP, as often as it does

Each in turn for some seconds, in rounds, of one and the same daemon. The goals hold p99 with a watcher against
p99 without.
"""

import contextlib
import json
import pathlib
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent.parent
sys.path[:0] = [str(HERE.parent), str(TESTS / "stress"), str(TESTS / "daemon"), str(TESTS)]

import bench  # noqa: E402

WATCHERS = ("nobody", "top", "subscribe", "page")
LIMIT = 1.10
LEAST = 100  # decisions: a p99 of fewer says nothing
# As daemon/web/feed.js has them.
PAUSES_EVERY, STATE_EVERY, HEAPS_EVERY, HEAPS_A_PIECE, PIECES_EVERY = 0.25, 1, 1, 25, 0.1


# ---- Watchers: programs of their own, which say a word when they have seen everything once --------------------


def subscribe(control):
    import harness
    with harness.Varlink(control) as caller:
        caller.send({"method": f"{harness.INTERFACE}.Subscribe", "more": True})
        while "present" not in caller.receive()["parameters"]:
            pass
        print("seen", flush=True)
        caller.socket.settimeout(None)
        while caller.socket.recv(1 << 16):
            pass


def page(where):
    from http_client import Connection
    host, _, port = where.rpartition(":")
    lock = threading.Lock()
    connection = Connection((host.strip("[]"), int(port)))

    def ask(method, **parameters):
        query = "&".join(f"{key}={value}" for key, value in parameters.items())
        with lock:
            connection.request("GET", f"/api/{method}?{query}")
            return json.load(connection.getresponse())["parameters"]

    def whole(method, pause=0, **parameters):
        told = first = ask(method, **parameters)
        while told["next"] is not None:
            time.sleep(pause)
            told = ask(method, after=told["next"], **parameters)
        return first

    def pauses():
        parameters = {"seconds": 600}
        while True:
            parameters = {"changed_after": whole("ListPauses", **parameters)["changes"]}
            time.sleep(PAUSES_EVERY)

    def state():
        while True:
            ask("GetStatus")
            whole("ListServices")
            time.sleep(STATE_EVERY)

    for take in pauses, state:
        threading.Thread(target=take, daemon=True).start()
    while True:
        whole("ListHeaps", pause=PIECES_EVERY, limit=HEAPS_A_PIECE)
        print("seen", flush=True)
        time.sleep(HEAPS_EVERY)


def command(what, daemon, build):
    if what == "top":
        return [build / "rtgcctl", "--control", daemon.control, "top", "-b"]
    at = daemon.control if what == "subscribe" else daemon.call("GetStatus")["http"]
    return [sys.executable, "-B", __file__, "--as", what, at]


@contextlib.contextmanager
def watcher(what, daemon, build):
    """Somebody looks, and has seen everything once."""
    if what == "nobody":
        yield
        return
    with subprocess.Popen(list(map(str, command(what, daemon, build))), stdout=subprocess.PIPE) as proc:
        if not proc.stdout.readline():
            raise bench.Failure(f"{what}: ended with {proc.wait()}")
        # What it says is read, and no work is made of it.
        rest = threading.Thread(target=lambda: all(iter(lambda: proc.stdout.read1(1 << 16), b"")))
        rest.start()
        try:
            yield
            if proc.poll() is not None:
                raise bench.Failure(f"{what}: ended with {proc.returncode}")
        finally:
            proc.kill()
            rest.join()


# ---- Rounds ---------------------------------------------------------------------------------------------------


def quantiles(samples, intervals):
    """Of each interval."""
    for since, until in intervals:
        took = sorted(took for at, took in samples if since <= at < until)
        if len(took) < LEAST:
            raise bench.Failure(f"{len(took)} decisions in {(until - since) / 1e9:.1f} s")
        yield {"p50_us": took[len(took) // 2] / 1000, "p99_us": took[len(took) * 99 // 100] / 1000,
               "decisions": len(took)}


def main():
    if sys.argv[1:2] == ["--as"]:
        return {"subscribe": subscribe, "page": page}[sys.argv[2]](sys.argv[3])
    parser = bench.arguments("seen", __doc__, rounds=8)
    parser.add_argument("--heaps", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=5)
    args = bench.prepare(parser.parse_args())
    import attacks  # of the build folder that bench.prepare() has named
    import harness

    def measure(what, where, progress):
        with watcher(what, daemon, args.build):
            return attacks.span(daemon, args.seconds, 2 * LEAST)

    with harness.Daemon(config="[Daemon]\nListenHTTP=127.0.0.1:0\nFramesPerSecondPerUser=1000000\n") as daemon:
        probe = attacks.Probe(daemon)
        with probe, attacks.Storm(daemon, "murmur", args.heaps) as murmur:
            murmur.listen()
            rounds = bench.interleaved(args, WATCHERS, measure)
            samples = probe.end()
    rounds = {what: list(quantiles(samples, intervals)) for what, intervals in rounds.items()}
    runs = {what: bench.medians(of, ("p50_us", "p99_us")) for what, of in rounds.items()}
    rows = [(what, *(bench.number(runs[what][key], 1) for key in ("p50_us", "p99_us")),
             *(bench.number(runs[what][key] / runs["nobody"][key], 3) for key in ("p50_us", "p99_us")))
            for what in WATCHERS]
    found = [bench.ratio(f"{what} / nobody, p99", runs[what]["p99_us"], runs["nobody"]["p99_us"], LIMIT)
             for what in WATCHERS[1:]]
    text = bench.text(bench.table(("who looks", "p50", "p99", "p50", "p99"), ("", "us", "us", "/ nobody", "/ nobody"),
                                  rows), bench.verdict(found))
    return bench.finish(args, text, {"runs": runs, "rounds": rounds, "heaps": args.heaps, "seconds": args.seconds,
                                     "machine": bench.machine(), **bench.judged(found)})


bench.run("seen", main)
