# SPDX-License-Identifier: MIT
"""Measures a pre-fork gunicorn: workers on one listening socket and no balancer, with the collector
as it comes, switched off, with the gc.freeze() recipe, and under rtgcd.

make bench BENCH=gunicorn: three interleaved rounds, medians, held against the goals. The table, and
gunicorn.json, in bench-results/gunicorn/.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import statistics
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
DEMO = HERE.parent / "demo"
sys.path.insert(0, str(HERE.parent))

import bench  # noqa: E402
import check_pauses  # noqa: E402
import control  # noqa: E402
import report  # noqa: E402
from cluster import RUNS, START_TIMEOUT, RssSampler  # noqa: E402
from processes import Process, wait_until  # noqa: E402

CONFIG = """\
[Daemon]
MaxConcurrent=1

[Service:shop]
Policy=stagger
MaxConcurrent=1
Lead=500ms
"""
SETTLED_NS = 5_000_000_000  # the end of the load, over which memory is averaged


@dataclasses.dataclass
class Options:
    build: pathlib.Path
    workers: int = 4
    worker_class: str = "sync"
    threads: int = 1
    cached: int = 8_000
    products: int = 16_000
    rate: float = 300
    warmup: float = 3
    seconds: float = 20
    seed: int = 1
    timeout: float = 10  # of a request


@dataclasses.dataclass
class Measured:
    figures: dict  # as the demo's, and pss_bytes
    load: dict
    windows: int  # granted while it was measured; None without rtgcd


class Worker:
    """A process that gunicorn started."""

    def __init__(self, pid):
        self.pid = pid

    def _kilobytes(self, file, key):
        try:
            with open(f"/proc/{self.pid}/{file}") as status:
                for line in status:
                    if line.startswith(key):
                        return int(line.split()[1])
        except (FileNotFoundError, ProcessLookupError):
            pass
        return 0

    def rss_bytes(self):
        return 1024 * self._kilobytes("status", "VmRSS:")

    def pss_bytes(self):
        """Takes a while in which the process may have to wait: not while it is measured."""
        return 1024 * self._kilobytes("smaps_rollup", "Pss:")


class Gunicorn:
    """One run's processes, from `with` on: up, and the caches full."""

    def __init__(self, run, options, directory):
        self.run = run
        self.options = options
        self.logs = directory
        self.records = directory / "records"
        self.records.mkdir(parents=True)
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with self.stack:
            # Sockets live in a folder of their own: their paths may have 108 bytes at most.
            self.private = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="rtgc-"))
            if self.run == "rtgcd":
                self.start_daemon()
            self.start_gunicorn()
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *exception):
        return self.stack.__exit__(*exception)

    def spawn(self, name, argv, env=None):
        process = Process(name, [str(arg) for arg in argv], self.logs / f"{name}.log", env)
        self.stack.callback(process.stop)
        return process

    def path(self, name):
        return os.path.join(self.private, name)

    def status(self):
        try:
            return control.varlink(self.path("control.sock"), "GetStatus")
        except OSError:
            return None

    def start_daemon(self):
        pathlib.Path(self.path("conf")).write_text(CONFIG)
        self.daemon = self.spawn("rtgcd", [
            self.options.build / "rtgcd", "--foreground", "--config", self.path("conf"),
            "--socket", self.path("runtime.sock"), "--control", self.path("control.sock")])
        wait_until(self.status, "rtgcd's answer to GetStatus", START_TIMEOUT, self.daemon)

    def start_gunicorn(self):
        options = self.options
        path = [str(HERE), str(DEMO), str(DEMO / "recorder")]
        launcher = []
        env = {"SHOP_WORKERS": str(options.workers), "SHOP_WORKER_CLASS": options.worker_class,
               "SHOP_THREADS": str(options.threads), "SHOP_CACHED": str(options.cached),
               "SHOP_PRODUCTS": str(options.products), "SHOP_RECORDS": str(self.records),
               "SHOP_COLLECTOR": self.run, "PYTHONHASHSEED": "0"}
        if self.run == "rtgcd":
            launcher = ["-m", "rtgc", "--service", "shop"]
            path.append(str(options.build / "client" / "python" / "stage"))
            env["RTGC_SOCKET"] = self.path("runtime.sock")
        if "PYTHONPATH" in os.environ:
            path.append(os.environ["PYTHONPATH"])
        env["PYTHONPATH"] = os.pathsep.join(path)
        self.master = self.spawn("gunicorn", [
            sys.executable, *launcher, "-m", "gunicorn", "-c", HERE / "settings.py",
            "shop:application"], env)
        ready = wait_until(self.ready, "workers with full caches", START_TIMEOUT, self.master)
        self.workers = [Worker(int(path.stem)) for path in ready]
        self.port = self.listening_port()
        if self.run == "rtgcd":
            wait_until(lambda: self.status()["heaps"] > options.workers, "workers under rtgcd",
                       START_TIMEOUT, self.master, self.daemon)

    def ready(self):
        found = list(self.records.glob("*.ready"))
        return found if len(found) == self.options.workers else None

    def listening_port(self):
        for line in (self.logs / "gunicorn.log").read_text().splitlines():
            if "Listening at:" in line:
                return int(line.split("http://127.0.0.1:")[1].split()[0])
        return self.master.fail("does not say where it listens")

    def start_load(self):
        options = self.options
        return self.spawn("load", [
            options.build / "tests" / "bench" / "rtgc-load", "--rate", options.rate,
            "--warmup", options.warmup, "--seconds", options.seconds, "--keys", options.products,
            "--seed", options.seed, "--timeout", options.timeout, "--series", self.logs / "requests.csv",
            f"http://127.0.0.1:{self.port}/page/%k"])


def figures_of(load, before, after, rss, pss, recorded):
    begin_ns, end_ns = load["begin_ns"], load["end_ns"]
    settled = [size for at, size in rss.samples if end_ns - SETTLED_NS <= at <= end_ns]
    return {
        **{key: load[key] for key in ("p50_ms", "p99_ms", "p999_ms", "max_ms")},
        "longest_pause_ms": check_pauses.longest_ms(
            [pause for pause in recorded if begin_ns <= pause.begin_ns < end_ns]),
        "paused_max": check_pauses.most_at_once(check_pauses.stops(recorded, begin_ns, end_ns)),
        "rss_start_bytes": rss.at(begin_ns),
        "rss_end_bytes": statistics.mean(settled),
        **{key: after and after[key] - before[key] for key in ("forced", "over_limit")},
        "pss_bytes": pss,
    }


def measure(run, options, directory, progress):
    with Gunicorn(run, options, directory) as server:
        before = server.status() if run == "rtgcd" else None
        progress("load")
        with RssSampler(server.workers) as rss:
            load = server.start_load()
            seconds = options.warmup + options.seconds + 60
            wait_until(lambda: load.popen.poll() is not None, "the end of the load", seconds,
                       server.master, interval=0.25)
        load = json.loads(load.wait_line("{", 10))
        after = server.status() if run == "rtgcd" else None
        pss = sum(worker.pss_bytes() for worker in [*server.workers, Worker(server.master.pid)])
        progress("stopping")
        if not server.master.stop():
            server.master.fail("did not end when asked to")
    recorded = check_pauses.read_records(directory / "records")
    return Measured(figures_of(load, before, after, rss, pss, recorded), load,
                    after and after["windows_granted"] - before["windows_granted"])


def checks(runs, rounds):
    found = []
    ours, default, off = (runs.get(name) for name in ("rtgcd", "default", "off"))
    if ours and off:
        found.append(bench.ratio("p99.9, rtgcd / off", ours["p999_ms"], off["p999_ms"], 1.5))
    if ours and default:
        found.append(bench.ratio("RSS at the end, rtgcd / default", ours["rss_end_bytes"],
                                 default["rss_end_bytes"], 1.10))
    if ours:
        found.append(bench.check("forced, rtgcd", ours["forced"], "at most", 0))
        idle = sum(not one.windows for one in rounds["rtgcd"])
        found.append(bench.check("rounds without a window, rtgcd", idle, "at most", 0))
    failed = sum(one.load["errors"] for measured in rounds.values() for one in measured)
    found.append(bench.check("failed requests, all runs", failed, "at most", 0))
    return found


def pss_line(runs):
    return "PSS of all processes at the end: " + ", ".join(
        f"{name} {figures['pss_bytes'] / report.MB:.0f} MB" for name, figures in runs.items())


def arguments():
    parser = bench.arguments("gunicorn", __doc__, rounds=3)
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=RUNS)
    for field in dataclasses.fields(Options)[1:]:
        parser.add_argument("--" + field.name.replace("_", "-"), type=field.type,
                            default=field.default)
    return parser.parse_args()


def main():
    args = bench.prepare(arguments())
    options = Options(**{field.name: getattr(args, field.name)
                         for field in dataclasses.fields(Options)})
    rounds = bench.interleaved(
        args, args.runs, lambda run, where, progress: measure(run, options, where, progress))
    runs = {run: {**report.median([one.figures for one in measured]),
                  "pss_bytes": statistics.median(one.figures["pss_bytes"] for one in measured)}
            for run, measured in rounds.items()}
    found = checks(runs, rounds)
    text = bench.text(report.table(runs), bench.verdict(found),
                      pss_line(runs) + "\n" + report.noise(rounds))
    return bench.finish(args, text, {
        "runs": runs, **bench.judged(found),
        "rounds": {run: [dataclasses.asdict(one) for one in measured]
                   for run, measured in rounds.items()},
        "parameters": {**dataclasses.asdict(options), "build": None},
    })


if __name__ == "__main__":
    bench.run("gunicorn", main)
