# SPDX-License-Identifier: MIT
"""
Attacks on a daemon by storm.c, each of any size: what the daemon was, and what others noticed of it.
Every function returns figures, and fails only where no figure would mean anything.
"""

import contextlib
import os
import resource
import statistics
import subprocess
import time

import harness

STORM = os.path.join(harness.BUILDDIR, "tests", "stress", "storm")
ONE = 54321  # a user who is neither root nor the daemon's own
EVERY_FRAME = "[Daemon]\nFramesPerSecond=1000000\nFramesPerSecondPerUser=1000000\n"
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 300


def clients_most():
    """As many as a daemon takes that is started from here: each takes two descriptors."""
    return (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1200) * 48 // 100


class Storm:
    """One that runs until the end of the block. `said` is what it says at first."""

    def __init__(self, d, *args, uid=None):
        program = STORM
        if uid is not None:
            program = os.path.join(d.dir, "storm")
            if not os.path.exists(program):
                d.copy(STORM)
        self.proc = subprocess.Popen([program, d.socket, *map(str, args)], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True, user=uid)
        self.said = self.rest = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.rest is None:
            self.end()

    def listen(self):
        self.said = self.proc.stdout.readline().split()
        assert self.said, "it has ended"
        return self.said

    def end(self):
        self.rest, _ = self.proc.communicate(timeout=PATIENCE)
        return self.rest


class Probe(Storm):
    """A heap that is due each ms, and how long its windows took to open."""

    def __init__(self, d):
        super().__init__(d, "probe")
        self.listen()
        self.samples = None

    def end(self):
        self.samples = [tuple(map(int, line.split())) for line in super().end().splitlines()]
        return self.samples

    def p99_us(self, since, until):
        """Of the windows asked for between these instants."""
        took = sorted(took for at, took in self.samples if since <= at < until)
        assert len(took) >= 20, f"{len(took)} samples"
        return took[len(took) * 99 // 100] / 1000


def rss_mib(d):
    with open(f"/proc/{d.pid}/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


def cpu_seconds(d):
    with open(f"/proc/{d.pid}/stat", encoding="utf-8") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def refused(d):
    return d.call("GetStatus")["refused"]


def all_gone(d):
    d.wait(lambda d: d.call("GetStatus")["heaps"] == d.call("GetStatus")["connections"] == 0, "all have gone",
           timeout=PATIENCE)
    status = d.call("GetStatus")
    assert status["ungreeted"] == 0 and status["callers"] <= 2, status


def crowd(n, parts=4, quiet_s=5):
    """n clients connect at once, from several processes, while others are served."""
    with harness.Daemon() as d:
        probe = Probe(d)
        with probe, contextlib.ExitStack() as stack:
            begun, before = time.monotonic_ns(), rss_mib(d)
            time.sleep(quiet_s)
            stormed = time.monotonic_ns()
            crowds = [stack.enter_context(Storm(d, "crowd", n // parts, f"p{i}")) for i in range(parts)]
            for one in crowds:
                one.listen()
            served = time.monotonic_ns()
            status = d.call("GetStatus")
            rss = rss_mib(d)
            figures = {"clients": n, "served": status["heaps"] - 1, "rss_before_mib": before, "rss_mib": rss,
                       "bytes_a_client": round((rss - before) * 2**20 / n),
                       "seconds": (served - stormed) / 1e9, "refused": sum(status["refused"].values())}
            probe.end()
        all_gone(d)
    quiet, meanwhile = probe.p99_us(begun, stormed), probe.p99_us(stormed, served)
    return {**figures, "quiet_p99_us": quiet, "p99_us": meanwhile, "ratio": meanwhile / quiet}


def half_open(n, parts=4):
    """n connections of one user that say nothing; then one of another, and a caller."""
    from frames import Client
    with harness.Daemon() as d:
        with contextlib.ExitStack() as stack:
            begun = time.monotonic_ns()
            silent = [stack.enter_context(Storm(d, "silent", n // parts, uid=ONE)) for _ in range(parts)]
            for one in silent:
                one.listen()
            in_between = time.monotonic_ns()
            with Client(d, budget=1):
                welcomed = time.monotonic_ns()
                status = d.call("GetStatus")
                answered = time.monotonic_ns()
                d.wait(lambda d: refused(d)["ungreeted"] == n - 64, "the others were refused", timeout=PATIENCE)
                kept = d.call("GetStatus")["ungreeted"]
        d.wait(lambda d: d.call("GetStatus")["connections"] == 0, "all have gone", timeout=PATIENCE)
        lines = d.log.count("without HELLO")
    return {"connections": n, "kept": kept, "seconds": (in_between - begun) / 1e9, "log_lines": lines,
            "welcome_ms": (welcomed - in_between) / 1e6, "answer_ms": (answered - welcomed) / 1e6,
            "heaps": status["heaps"]}


def out_of_descriptors(seconds):
    """As many clients as there are descriptors, and more that want in all the time."""
    from frames import Client
    with harness.Daemon() as d:
        _, most = resource.prlimit(d.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(d.pid, resource.RLIMIT_NOFILE, (d.descriptors() + 40, most))
        clients = []
        while not refused_for_descriptors(d, clients):
            assert len(clients) < 100
        waiting = [waiting_connection(d) for _ in range(200)]
        before, begun = cpu_seconds(d), time.monotonic()
        time.sleep(seconds)
        spent = (cpu_seconds(d) - before) / (time.monotonic() - begun)
        lines = d.log.count("accept:")
        for one in waiting:
            one.close()
        served = clients.pop()
        served.close()
        for one in clients:
            one.close()
        resource.prlimit(d.pid, resource.RLIMIT_NOFILE, (most, most))
        d.wait(lambda d: works(d, Client), "new clients are served again")
    return {"seconds": seconds, "cpu_percent": 100 * spent, "log_lines": lines,
            "lines_a_minute": lines / max(1, seconds / 60)}


def refused_for_descriptors(d, clients):
    """One client more. True: it was hung up on."""
    from frames import HELLO, Client
    one = Client(d)
    clients.append(one)
    try:
        one.send(HELLO, budget=1, heap=f"h{len(clients)}")
        return one.receive() is None
    except (BrokenPipeError, ConnectionResetError):
        return True


def waiting_connection(d):
    import socket
    one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        one.connect(d.socket)
    return one


def works(d, client):
    try:
        with client(d, budget=1, heap="after") as c:
            return c.welcome is not None
    except (AssertionError, OSError):
        return False


def subscribers(n, queue=None):
    """n callers that want to hear of everything, and never read."""
    from frames import Client
    more = f"MaxQueue={queue}\n" if queue else ""
    with harness.Daemon(config=EVERY_FRAME + f"MaxCallers={2 * n}\n" + more) as d, Client(d, budget=10**12) as c:
        before = rss_mib(d)
        probe = Probe(d)
        with probe, contextlib.ExitStack() as stack:
            begun = time.monotonic_ns()
            time.sleep(2)
            deaf = [stack.enter_context(d.varlink()) for _ in range(n)]
            for one in deaf:
                one.send({"method": f"{harness.INTERFACE}.Trace", "more": True, "parameters": {"format": "events"}})
            d.wait(lambda d: d.call("GetStatus")["callers"] >= n, "all listen", timeout=PATIENCE)
            listened = time.monotonic_ns()
            most_rss = most_queued = sent = 0
            while d.call("GetStatus")["callers"] > 1:
                for _ in range(100):
                    c.report(used=sent)
                    sent += 1
                c.sync()
                status = d.call("GetStatus")
                most_queued, most_rss = max(most_queued, status["queued_bytes"]), max(most_rss, rss_mib(d))
            ended = time.monotonic_ns()
            probe.end()
            told = sum(one.last_error() == "TraceOverflow" for one in map(Ended, deaf))
        status = d.call("GetStatus")["refused"]
    return {"subscribers": n, "disconnected": status["slow"] + status["memory"], "slow": status["slow"],
            "for_memory": status["memory"], "told": told, "queued_mib": most_queued / 2**20,
            "rss_mib": most_rss, "rss_before_mib": before, "seconds": (ended - listened) / 1e9,
            "quiet_p99_us": probe.p99_us(begun, begun + 2 * 10**9), "p99_us": probe.p99_us(listened, ended)}


class Ended:
    """What a caller that was disconnected finds when it reads at last."""

    def __init__(self, caller):
        self.caller = caller

    def last_error(self):
        last = None
        try:
            while (reply := self.caller.receive()) is not None:
                last = reply
        except (ValueError, OSError):
            return None
        return last.get("error", "").rpartition(".")[2] if last else None


def telemetry(seconds, rounds=3):
    """One client of another user reports as fast as it can. Quiet and loud spans take turns."""
    with harness.Daemon() as d:
        quiet, loud, taken = [], [], []
        probe = Probe(d)
        sent = coalesced = 0
        with probe:
            for _ in range(rounds):
                begun = time.monotonic_ns()
                time.sleep(seconds)
                quiet.append((begun, time.monotonic_ns()))
                with Storm(d, "flood", uid=ONE if os.geteuid() == 0 else None) as flood:
                    flood.listen()
                    begun, cpu = time.monotonic_ns(), cpu_seconds(d)
                    time.sleep(seconds)
                    loud.append((begun, time.monotonic_ns()))
                    taken.append((cpu_seconds(d) - cpu) / seconds)
                    sent += int(flood.end().split()[1])
            probe.end()
        status = d.call("GetStatus")
        coalesced = status["frames_coalesced"]
    before = statistics.median(probe.p99_us(*span) for span in quiet)
    meanwhile = statistics.median(probe.p99_us(*span) for span in loud)
    return {"sent_per_s": sent / seconds / rounds, "coalesced": coalesced, "sent": sent, "quiet_p99_us": before,
            "p99_us": meanwhile, "ratio": meanwhile / before, "cpu_percent": 100 * statistics.median(taken),
            "refused": sum(status["refused"].values())}
