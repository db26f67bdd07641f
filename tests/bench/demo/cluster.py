# SPDX-License-Identifier: MIT
"""The service of the demo as it would stand somewhere: replicas behind HAProxy, and rtgcd."""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import control
from processes import Failure, Process, wait_until

HERE = pathlib.Path(__file__).resolve().parent
APP = HERE / "app.py"
RECORDER = HERE / "recorder"
BACKEND = "shop"
MAX_CONCURRENT = 1
START_TIMEOUT = 120
RUNS = ("default", "off", "freeze", "rtgcd")
MORE_RUNS = ("by-hand", "snapshots")

HAPROXY_CONFIG = """\
global
    stats socket {admin} mode 600 level admin
    maxconn 4000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
frontend web
    bind fd@{frontend}
    default_backend {backend}
backend {backend}
    balance roundrobin
    option redispatch
    default-server maxconn 500
{servers}
"""

RTGCD_CONFIG = """\
[Daemon]
MaxConcurrent={max_concurrent}

[Service:{backend}]
Policy=stagger
MaxConcurrent={max_concurrent}
Drain=haproxy:{admin}:{backend}/%h
Lead=500ms
"""


@dataclasses.dataclass
class Options:
    build: pathlib.Path
    replicas: int = 3
    cached: int = 17_000
    products: int = 34_000
    rate: float = 250
    warmup: float = 4
    seconds: float = 30
    seed: int = 1
    timeout: float = 10  # of a request
    collect_every: int = 1000  # requests of a replica, by hand
    python: str = sys.executable
    haproxy: str = dataclasses.field(
        default_factory=lambda: os.environ.get("HAPROXY") or shutil.which(
            "haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin") or "haproxy")


class RssSampler:
    """The resident memory of processes, several times a second, seen from outside."""

    INTERVAL = 0.2

    def __init__(self, processes):
        self.processes = processes
        self.samples = []  # (instant in ns, bytes of all)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.stop.set()
        self.thread.join()

    def run(self):
        while True:
            total = sum(process.rss_bytes() for process in self.processes)
            self.samples.append((time.monotonic_ns(), total))
            if self.stop.wait(self.INTERVAL):
                return

    def at(self, instant_ns):
        """The sample taken nearest to that instant."""
        return min(self.samples, key=lambda sample: abs(sample[0] - instant_ns))[1]

    def most(self, begin_ns, end_ns):
        return max(size for at, size in self.samples if begin_ns <= at <= end_ns)


class Cluster:
    """One run's processes, from `with` on: up, filled, and reachable through HAProxy."""

    def __init__(self, run, options, directory, progress=lambda text: None):
        if run not in RUNS + MORE_RUNS:
            raise ValueError(f"no such run: {run}")
        self.run = run
        self.supervised = run in ("rtgcd", "snapshots")
        self.options = options
        self.logs = pathlib.Path(directory)
        self.records = self.logs / "records"
        self.progress = progress
        self.daemon = None
        self.replicas = {}

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.records.mkdir(parents=True, exist_ok=True)
            # Sockets live in a folder of their own: their paths may have 108 bytes at most.
            self.private = stack.enter_context(tempfile.TemporaryDirectory(prefix="rtgc-demo-"))
            self.admin = os.path.join(self.private, "haproxy.sock")
            self.runtime = os.path.join(self.private, "runtime.sock")
            self.control = os.path.join(self.private, "control.sock")
            self.stack = stack
            self.start_haproxy()
            if self.supervised:
                self.start_daemon()
            self.start_replicas()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        return self.stack.__exit__(*exception)

    def spawn(self, name, argv, env=None, pass_fds=()):
        log = self.logs / f"{name}.log"
        process = Process(name, [str(arg) for arg in argv], log, env, pass_fds)
        self.stack.callback(process.stop)
        return process

    # ---- HAProxy

    def start_haproxy(self):
        # Servers get their addresses when they are up: until then nobody knows their ports.
        names = [f"s{i + 1}" for i in range(self.options.replicas)]
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as frontend:
            self.port = frontend.getsockname()[1]
            config = pathlib.Path(self.private, "haproxy.cfg")
            config.write_text(HAPROXY_CONFIG.format(
                admin=self.admin, frontend=frontend.fileno(), backend=BACKEND,
                servers="\n".join(f"    server {name} 127.0.0.1:1" for name in names)))
            self.haproxy = self.spawn("haproxy", [self.options.haproxy, "-db", "-f", config],
                                      pass_fds=[frontend.fileno()])
            wait_until(self.haproxy_answers, "HAProxy's runtime API", START_TIMEOUT, self.haproxy)

    def haproxy_answers(self):
        try:
            return control.haproxy(self.admin, "show info")
        except OSError:
            return None

    def drained(self):
        return control.drained_servers(self.admin, BACKEND)

    def add_server(self, name, address):
        host, port = address.removeprefix("http://").split(":")
        control.haproxy(self.admin, f"set server {BACKEND}/{name} addr {host} port {port}")
        control.haproxy(self.admin, f"set server {BACKEND}/{name} state ready")

    # ---- rtgcd

    def start_daemon(self):
        config = pathlib.Path(self.private, "rtgcd.conf")
        config.write_text(RTGCD_CONFIG.format(max_concurrent=MAX_CONCURRENT, backend=BACKEND,
                                              admin=self.admin))
        self.daemon_argv = [
            self.options.build / "rtgcd", "--foreground", "--config", config,
            "--socket", self.runtime, "--control", self.control]
        self.daemon = self.spawn("rtgcd", self.daemon_argv)
        wait_until(self.status, "rtgcd's answer to GetStatus", START_TIMEOUT, self.daemon)

    def record_daemon(self):
        """Its event log, from now until its end. Returns where it is."""
        path = self.logs / "rtgcd.events"
        self.spawn("trace", ["/bin/sh", "-c", 'exec "$@" >"$0"', path, self.options.build / "rtgcctl",
                             "--control", self.control, "trace"])
        return path

    def trace_daemon(self):
        """What it knows of the past, in the trace-event format. Returns where it is."""
        path = self.logs / "trace.json"
        with open(path, "wb") as file:
            done = subprocess.run([self.options.build / "rtgcctl", "--control", self.control, "trace",
                                   "--format=chrome"], stdout=file, stderr=subprocess.PIPE)
        if done.returncode:
            raise Failure(f"rtgcctl trace: {done.stderr.decode(errors='replace').strip()}")
        return path

    def restart_daemon(self):
        """Once it is dead; without waiting for it."""
        self.daemon = self.spawn("rtgcd", self.daemon_argv)

    def call(self, method, **parameters):
        return control.varlink(self.control, method, **parameters)

    def status(self):
        """None when no daemon answers."""
        try:
            return self.call("GetStatus")
        except OSError:
            return None

    def heaps(self):
        return control.varlink_list(self.control, "ListHeaps", "heaps")

    def wait_supervised(self):
        wait_until(lambda: (self.status() or {}).get("heaps") == self.options.replicas,
                   f"{self.options.replicas} heaps under rtgcd", START_TIMEOUT,
                   self.daemon, *self.replicas.values())

    # ---- replicas

    def start_replica(self, name):
        app = [APP, "--port", 0, "--cached", self.options.cached,
               "--products", self.options.products]
        path = [str(RECORDER)]
        env = {"RECORD_DIR": str(self.records), "PYTHONHASHSEED": "0",
               "GC_POLICY": self.run if self.run in ("off", "freeze") else "default"}
        if self.run == "by-hand":
            app += ["--collect-every", self.options.collect_every]
        if self.supervised:
            app = ["-m", "rtgc", "--service", BACKEND, "--heap", name, *app]
            path.append(str(self.options.build / "client" / "python" / "stage"))
            env["RTGC_SOCKET"] = self.runtime
            env["RTGC_COLLECTOR"] = "snapshot" if self.run == "snapshots" else "window"
        if "PYTHONPATH" in os.environ:
            path.append(os.environ["PYTHONPATH"])
        env["PYTHONPATH"] = os.pathsep.join(path)
        return self.spawn(name, [self.options.python, *app], env)

    def start_replicas(self):
        self.progress("starting")
        for number in range(self.options.replicas):
            name = f"s{number + 1}"
            self.replicas[name] = self.start_replica(name)
        addresses = {name: replica.wait_line("ready", START_TIMEOUT).split()[1]
                     for name, replica in self.replicas.items()}
        if self.run == "freeze":
            for replica in self.replicas.values():
                replica.signal(signal.SIGUSR1)
            for replica in self.replicas.values():
                replica.wait_line("frozen", START_TIMEOUT)
        if self.supervised:
            self.wait_supervised()
        for name, address in addresses.items():
            self.add_server(name, address)

    def stop_replicas(self):
        """All at once, so that each has flushed its record when this returns."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            ended = list(pool.map(Process.stop, self.replicas.values()))
        for replica, by_itself in zip(self.replicas.values(), ended):
            if not by_itself:
                replica.fail("did not end when asked to")

    def check(self):
        for process in [self.haproxy, *self.replicas.values()]:
            process.check()

    # ---- load

    def start_load(self, seconds=None, series=None):
        options = self.options
        argv = [options.build / "tests" / "bench" / "rtgc-load", "--rate", options.rate,
                "--warmup", options.warmup, "--seconds", seconds or options.seconds,
                "--keys", options.products, "--seed", options.seed,
                "--timeout", options.timeout]
        if series:
            argv += ["--series", series]
        return self.spawn("load", [*argv, f"http://127.0.0.1:{self.port}/page/%k"])

    def finish_load(self, load, timeout=None):
        line = load.wait_line("{", timeout or self.options.warmup + self.options.seconds + 60)
        return json.loads(line)
