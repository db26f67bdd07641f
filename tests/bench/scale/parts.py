# SPDX-License-Identifier: MIT
"""The parts of run.py. Each returns its figures, the rows of the table (what, measured, least, most, floor,
unit) and its goals."""

import contextlib
import json
import os
import pathlib
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import attacks
import bench
import cost
import harness

BUILD = pathlib.Path(harness.BUILDDIR)
SCALE = BUILD / "tests" / "bench" / "scale"
CPUS = sorted(os.sched_getaffinity(0))
DESCRIPTORS_A_HEAP = 4  # of the program it is in
HOST = "[Daemon]\nMaxConcurrent=100\n"
SERVICES = 100


# ---- Processes -------------------------------------------------------------------------------


class Load:
    """A program that says when it is ready, and answers each line by what happened since the last one."""

    def __init__(self, program, *args, cpu=None):
        self.name = program
        pinned = [] if cpu is None else ["taskset", "-c", str(cpu)]
        self.proc = subprocess.Popen([*pinned, SCALE / program, *map(str, args)], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)
        self.said = self._line()

    def _line(self):
        line = self.proc.stdout.readline()
        if not line:
            raise bench.Failure(f"{self.name} ended with {self.proc.wait()}")
        return line

    def ask(self):
        self.proc.stdin.write("\n")
        self.proc.stdin.flush()
        return self._line()

    def figures(self):
        return json.loads(self.ask())

    def took(self):
        """Of a probe, as soon as there is something to say."""
        end = time.monotonic() + harness.PATIENCE
        while not (took := self.figures()["took"]):
            if time.monotonic() > end:
                raise bench.Failure(f"{self.name}: nothing in {harness.PATIENCE} s")
            time.sleep(0.01)
        return took

    @property
    def pid(self):
        return self.proc.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.terminate()
        self.proc.communicate()


class Herd:
    """Heaps of one daemon, in as few programs as their descriptors fit into."""

    def __init__(self, d, heaps, per_s, lasts_ms, services):
        most = (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 64) // DESCRIPTORS_A_HEAP
        n = -(-heaps // most)
        self.loads = []
        with contextlib.ExitStack() as stack:
            for i in range(n):
                self.loads.append(stack.enter_context(
                    Load("herd", d.socket, heaps // n + (i < heaps % n), per_s, lasts_ms, services)))
            self.stack = stack.pop_all()

    def figures(self):
        """Of all: the sums, and the worst times."""
        said = [load.figures() for load in self.loads]
        both = {key: sum(one[key] for one in said) for key in ("published", "collections", "forced", "lost")}
        for key in "late", "window":
            times = [one[key] for one in said if one[key]]
            both[key] = {q: max(one[q] for one in times) for q in times[0]} if times else None
        return both

    @property
    def pids(self):
        return [load.pid for load in self.loads]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()


class Pinned(harness.Daemon):
    def command(self):
        return ["taskset", "-c", str(CPUS[0]), *super().command()]


def used_by(pid):
    """The seconds of CPU it has had, and how often it has waited for something."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        waits = next(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt_switches"))
    return time.clock_gettime(~pid << 3 | 2), waits  # CPUCLOCK_SCHED of that process


class Usage:
    """Of some processes, from here to the end of the block: percents of a CPU, and wake-ups a second."""

    def __init__(self, *pids):
        self.pids = pids

    def __enter__(self):
        self.begun, self.before = time.monotonic(), [used_by(pid) for pid in self.pids]
        return self

    def __exit__(self, *_):
        seconds = time.monotonic() - self.begun
        pairs = list(zip(self.before, (used_by(pid) for pid in self.pids)))
        self.percent = [100 * (after[0] - before[0]) / seconds for before, after in pairs]
        self.wakeups = [(after[1] - before[1]) / seconds for before, after in pairs]


# ---- Rows ------------------------------------------------------------------------------------


def values(rounds, *path):
    """Of the rounds that have it: in a short one nothing may have happened."""
    found = rounds
    for key in path:
        found = [figures[key] for figures in found if figures[key] is not None]
    return found


def median(rounds, *path):
    return statistics.median(values(rounds, *path))


def row(what, found, unit, floor=None, digits=2):
    of_all = (statistics.median(found), min(found), max(found)) if found else (None,) * 3
    return (what, *(bench.number(number, digits) for number in of_all), bench.number(floor, digits), unit)


# ---- Many heaps ------------------------------------------------------------------------------


def quiet(args):
    """They would be full after an hour."""
    hour = 3_600_000
    with contextlib.ExitStack() as stack:
        many, one = (stack.enter_context(harness.Daemon(config=HOST)) for _ in range(2))
        herd = stack.enter_context(Herd(many, args.heaps, 10, hour, SERVICES))
        stack.enter_context(Herd(one, 1, 10, hour, 1))
        time.sleep(min(2, args.seconds))  # the first figures are in

        def measure(name, where, progress):
            herd.figures()
            with Usage(many.pid, one.pid, *herd.pids) as usage:
                time.sleep(args.seconds)
            said = herd.figures()
            return {"cpu_percent": usage.percent[0], "cpu_one_percent": usage.percent[1],
                    "cpu_load_percent": sum(usage.percent[2:]), "wakeups_per_s": usage.wakeups[0],
                    "wakeups_one_per_s": usage.wakeups[1], "published": said["published"],
                    "collections": said["collections"] + said["forced"], "late": said["late"]}

        rounds = bench.interleaved(args, ["quiet"], measure)["quiet"]
    more = statistics.mean(values(rounds, "wakeups_per_s")) - statistics.mean(values(rounds, "wakeups_one_per_s"))
    rows = [row("CPU of the daemon", values(rounds, "cpu_percent"), "%", median(rounds, "cpu_one_percent"), 3),
            row("wake-ups of the daemon", values(rounds, "wakeups_per_s"), "/s", median(rounds, "wakeups_one_per_s")),
            row("late, p99", values(rounds, "late", "p99_us"), "us", digits=0),
            row("CPU of the load", values(rounds, "cpu_load_percent"), "%", digits=0)]
    return {"rounds": rounds, "wakeups_for_heaps_per_s": more}, rows, [
        bench.check("CPU of the daemon, %", median(rounds, "cpu_percent"), "at most", 0.5),
        bench.check("wake-ups a second for heaps", max(more, 0), "at most", 0.5),
        bench.check("collections", sum(values(rounds, "collections")), "at most", 0)]


EVERY_US = 20_000


def publish(args):
    with contextlib.ExitStack() as stack:
        d = stack.enter_context(harness.Daemon(config=HOST))
        probe = stack.enter_context(Load("probe", d.socket, "decision", EVERY_US))
        echo = stack.enter_context(echoing(stack))
        time.sleep(args.seconds / 2)
        alone = {"decision": probe.took(), "echo": echo.took()}
        herd = stack.enter_context(Herd(d, args.heaps, 100, 11_000, SERVICES))
        time.sleep(2 * args.seconds)  # each has collected once

        def measure(name, where, progress):
            for load in (herd, probe, echo):
                load.figures()
            with Usage(d.pid, *herd.pids) as usage:
                time.sleep(args.seconds)
            said = herd.figures()
            return {"cpu_percent": usage.percent[0], "cpu_load_percent": sum(usage.percent[1:]),
                    "wakeups_per_s": usage.wakeups[0], "decision": probe.took(),
                    "echo": echo.took(), "late": said["late"], "window": said["window"],
                    "published_per_s": said["published"] / args.seconds, "forced": said["forced"],
                    "collections_per_s": said["collections"] / args.seconds}

        rounds = bench.interleaved(args, ["publish"], measure)["publish"]
        status = {key: d.call("GetStatus")[key] for key in ("decision_p99_us", "over_limit", "forced", "overruns")}
        rss = attacks.rss_mib(d)
    rows = [row("CPU of the daemon", values(rounds, "cpu_percent"), "%"),
            row("wake-ups of the daemon", values(rounds, "wakeups_per_s"), "/s", digits=0),
            *(row(f"decision, {q}", values(rounds, "decision", f"{q}_us"), "us", median(rounds, "echo", f"{q}_us"), 1)
              for q in ("p50", "p99")),
            row("a window is seen, p99", values(rounds, "window", "p99_us"), "us", digits=0),
            row("late, p99", values(rounds, "late", "p99_us"), "us", digits=0),
            row("CPU of the load", values(rounds, "cpu_load_percent"), "%", digits=0),
            row("publications", values(rounds, "published_per_s"), "/s", digits=0),
            row("collections", values(rounds, "collections_per_s"), "/s", digits=0)]
    return {"rounds": rounds, "alone": alone, "status": status, "rss_mib": rss}, rows, [
        bench.check("CPU of the daemon, %", median(rounds, "cpu_percent"), "at most", 5),
        bench.check("decision, p99, us", median(rounds, "decision", "p99_us"), "at most", 1000),
        bench.check("publications / meant", median(rounds, "published_per_s") / (100 * args.heaps), "at least", 0.95),
        bench.check("collections / meant", median(rounds, "collections_per_s") / (args.heaps / 10), "at least", 0.95)]


@contextlib.contextmanager
def echoing(stack):
    """A probe of a program that sends a message back for each."""
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        at = os.path.join(folder, "s")
        with Load("../grant/grant", "echo", at), Load("probe", at, "echo", EVERY_US) as probe:
            yield probe


# ---- Telemetry without pages -----------------------------------------------------------------

SOCKETS, MESSAGES, FILLS = 100, 200, 5


def ingest(args):
    def filled(load):
        return statistics.median(1e9 * messages / ns for messages, ns in
                                 (map(int, load.ask().split()) for _ in range(FILLS)))

    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="scale-"))
        at = os.path.join(folder, "s")
        d = stack.enter_context(Pinned(config=attacks.EVERY_FRAME))
        bare = stack.enter_context(Load("ingest", at, "take", cpu=CPUS[0]))
        loads = {"rtgcd": stack.enter_context(Load("ingest", d.socket, "fill", SOCKETS, MESSAGES, d.pid, cpu=CPUS[-1])),
                 "bare": stack.enter_context(Load("ingest", at, "fill", SOCKETS, MESSAGES, bare.pid, "bare",
                                                  cpu=CPUS[-1]))}
        rounds = bench.interleaved(args, loads, lambda name, where, progress: filled(loads[name]))
    ours, floor = (statistics.median(rounds[name]) for name in ("rtgcd", "bare"))
    return {"rounds": rounds}, [row("messages", [n / 1e3 for n in rounds["rtgcd"]], "1000/s", floor / 1e3, 0)], [
        bench.check("rtgcd / a bare loop", ours / floor, "at least", 0.6)]


# ---- A window that is known in advance -------------------------------------------------------


def start(args):
    def measure(name, where, progress):
        with harness.Daemon(config="[Service:round]\nPolicy=together\n") as d, \
                Load("probe", d.socket, name, 10_000) as probe:
            time.sleep(args.seconds / 2)
            return probe.took()

    rounds = bench.interleaved(args, ["start", "sleep"], measure)
    rows = [row(f"late, {q}", values(rounds["start"], f"{q}_us"), "us", median(rounds["sleep"], f"{q}_us"), 1)
            for q in ("p50", "p99")]
    return {"rounds": rounds}, rows, [
        bench.check("late, p50, us", median(rounds["start"], "p50_us"), "at most", 60),
        bench.check("late, p99, us", median(rounds["start"], "p99_us"), "at most", 1000)]


# ---- Starting --------------------------------------------------------------------------------

STARTS = 10


class Manager:
    """Starts the daemon, and hears of its READY=1."""

    def __init__(self, folder):
        self.folder, notify = folder, os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(harness.PATIENCE)
        self.socket.bind(notify)
        pathlib.Path(folder, "conf").write_text("")
        self.env = {**os.environ, "NOTIFY_SOCKET": notify}

    def ready(self):
        at = [f"{self.folder}/{name}" for name in ("conf", "s", "c")]
        command = [harness.RTGCD, "--foreground", "--config", at[0], "--socket", at[1], "--control", at[2]]
        begun = time.perf_counter_ns()
        proc = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while "READY=1" not in self.socket.recv(4096).decode().splitlines():
            pass
        took = time.perf_counter_ns() - begun
        proc.terminate()
        if proc.wait(harness.PATIENCE):
            raise bench.Failure(f"the daemon ended with {proc.returncode}")
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.recv(4096)  # its last words
        self.socket.settimeout(harness.PATIENCE)
        return took


def process(*command, env=None):
    begun = time.perf_counter_ns()
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter_ns() - begun


def boot(args):
    with tempfile.TemporaryDirectory(prefix="scale-") as folder, harness.Daemon() as d:
        manager, env = Manager(folder), d.env()
        whats = {"READY=1": manager.ready, "status": lambda: process(BUILD / "rtgcctl", "status", env=env),
                 "true": lambda: process("/bin/true")}
        rounds = bench.interleaved(args, whats, lambda name, where, progress: statistics.median(
            whats[name]() / 1e6 for _ in range(STARTS)))
    floor = statistics.median(rounds["true"])
    rows = [row(what, rounds[what], "ms", floor) for what in ("READY=1", "status")]
    return {"rounds": rounds}, rows, [
        bench.check("READY=1, ms", statistics.median(rounds["READY=1"]), "at most", 20),
        bench.check("rtgcctl status, ms", statistics.median(rounds["status"]), "at most", 10)]


# ---- Python ----------------------------------------------------------------------------------

LOOPS = {"churn": (60_000, 3_000), "allocation": (30_000, 2_000)}


def python(args):
    """By instructions where they can be had, which repeat; young generations are CPython's in both, but for
    gc.disable(), which leaves cycles lie: that loop has no goal."""
    with harness.Daemon() as d:
        env = bench.environment(args, PYTHONHASHSEED="0", RTGC_SOCKET=d.socket)
        rounds = bench.interleaved(args, [f"{loop}, {run}" for loop in LOOPS for run in ("disabled", "rtgcd")],
                                   lambda name, where, progress: cost.seconds(
                                       *reversed(name.split(", ")), LOOPS[name.split(", ")[0]][0], env))
        counted = None if args.no_callgrind else {
            run: cost.per_turn(run, "churn", LOOPS["churn"][1], env) for run in ("disabled", "rtgcd")}
    rows, goals = [], []
    for loop, (times, _) in LOOPS.items():
        ours, floor = ([1e6 * seconds / times for seconds in rounds[f"{loop}, {run}"]] for run in ("rtgcd", "disabled"))
        rows.append(row(f"{loop}, a turn", ours, "us", statistics.median(floor)))
    if counted:
        rows.append(row("churn, instructions a turn", [counted["rtgcd"]], "", counted["disabled"], 0))
        goals = [bench.ratio("instructions, rtgcd / gc.disable()", counted["rtgcd"], counted["disabled"], 1.01)]
    else:
        goals = [bench.ratio("time, rtgcd / gc.disable()", statistics.median(rounds["churn, rtgcd"]),
                             statistics.median(rounds["churn, disabled"]), 1.01)]
    return {"rounds": rounds, "instructions": counted}, rows, goals


# ---- Memory ----------------------------------------------------------------------------------


def grown(args, manager):
    """MiB at the start, with half of the heaps, with all of them; and how often they collected."""
    rss = []
    with harness.Daemon(config=HOST, manager=manager) as d, contextlib.ExitStack() as stack:
        rss.append(attacks.rss_mib(d))
        herds = []
        for _ in range(2):
            herds.append(stack.enter_context(Herd(d, args.heaps // 2, 10, 3000, SERVICES)))
            time.sleep(2 * args.seconds)
            rss.append(attacks.rss_mib(d))
        return rss, sum(herd.figures()["collections"] for herd in herds)


def memory(args):
    """What one more heap takes, which has collected some times: a budget lasts three seconds. (What the daemon has for
    all of them, the last pauses and the pages that were looked at last, is filled by the first half.) Under a service
    manager there is besides what is kept of it over a restart."""
    half = args.heaps // 2
    figures, rows, each = {}, [], {}
    for name, manager in ("alone", False), ("kept over a restart", True):
        rss, collections = grown(args, manager)
        each[name] = (rss[2] - rss[1]) * 2**20 / half
        figures[name] = {"rss_mib": rss, "bytes_a_heap": each[name], "collections": collections}
        rows += [row(f"{name}: RSS at the start", [rss[0]], "MiB"), row(f"RSS with {half} heaps", [rss[1]], "MiB"),
                 row(f"RSS with {2 * half} heaps", [rss[2]], "MiB"), row("one more heap", [each[name]], "bytes", digits=0)]
    return figures, rows, [
        *(bench.check(f"RSS at the start, {name}, MiB", f["rss_mib"][0], "at most", 6) for name, f in figures.items()),
        *(bench.check(f"bytes a heap, {name}", each[name], "at most", 2048) for name in each)]
