# SPDX-License-Identifier: MIT
"""
Attacks on a daemon by storm.c, each of any size: what the daemon was, and what others noticed of it.
Every function returns figures, and fails only where no figure would mean anything. One that is not `timed` does not
say how long windows took: a small attack is over before there were enough of them.
"""

import contextlib
import mmap
import os
import resource
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import types

import harness

STORM = os.path.join(harness.BUILDDIR, "tests", "stress", "storm")
ONE = 54321  # a user who is neither root nor the daemon's own
EVERY_FRAME = "[Daemon]\nFramesPerSecond=1000000\nFramesPerSecondPerUser=1000000\n"
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 300
SAMPLES = 20  # a p99 of fewer says nothing


def clients_most():
    """As many as a daemon takes that is started from here: each takes two descriptors."""
    return (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1200) * 48 // 100


class Turns:
    """turns.c in a daemon: what it counts, phase by phase; a context manager around the daemon."""

    PHASES, BUCKETS, BUCKET_US = 8, 1000, 10

    def __init__(self):
        library = os.path.join(harness.BUILDDIR, "tests", "stress", ".libs", "turns.so")
        self.file = tempfile.NamedTemporaryFile(prefix="rtgcd-test-", dir="/tmp")
        self.file.truncate(8 * (1 + self.PHASES * self.BUCKETS))
        self.map = mmap.mmap(self.file.fileno(), 0)
        # The sanitizers want to be loaded first.
        self.environ = {} if os.environ.get("SANITIZE") else {"LD_PRELOAD": library, "TURNS": self.file.name}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.map.close()
        self.file.close()

    def phase(self, number):
        struct.pack_into("@Q", self.map, 0, number)

    def p99_us(self, phase):
        """The upper end of its bucket. 0: nothing was counted."""
        counts = struct.unpack_from(f"@{self.BUCKETS}Q", self.map, 8 * (1 + phase * self.BUCKETS))
        left = sum(counts) // 100
        for bucket in reversed(range(self.BUCKETS)):
            left -= counts[bucket]
            if left < 0:
                return (bucket + 1) * self.BUCKET_US
        return 0


class Storm:
    """One that runs until the end of the block. `said` is what it says at first."""

    def __init__(self, d, *args, uid=None, control=False):
        program = STORM
        if uid is not None:
            program = os.path.join(d.dir, "storm")
            if not os.path.exists(program):
                d.copy(STORM)
        self.proc = subprocess.Popen([program, d.control if control else d.socket, *map(str, args)], stdin=subprocess.PIPE,
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

    def p99_us(self, *spans):
        """Of the windows asked for in any of these spans, all together."""
        took = sorted(took for at, took in self.samples if any(since <= at < until for since, until in spans))
        assert len(took) >= SAMPLES, f"{len(took)} samples"
        return took[len(took) * 99 // 100] / 1000

    def p99s_us(self, spans):
        """The median of the spans of each name."""
        return {name: statistics.median(self.p99_us(span) for span in found) for name, found in spans.items()}


def span(d, seconds, windows=2 * SAMPLES):
    """So long, and until the probe had so many windows, however slow this machine is. Returns from when to when."""
    begun, granted = time.monotonic_ns(), d.call("GetStatus")["windows_granted"]
    time.sleep(seconds)
    d.wait(lambda d: d.call("GetStatus")["windows_granted"] >= granted + windows, "the probe has its windows",
           timeout=PATIENCE)
    return begun, time.monotonic_ns()


def another():
    """The user of a storm, where it can be another one."""
    return ONE if os.geteuid() == 0 else None


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


def crowd(n, parts=4, quiet_s=5, timed=True):
    """n clients connect at once, from several processes, while others are served."""
    import kills
    with Turns() as turns, harness.Daemon(environ=turns.environ) as d:
        probe = Probe(d)
        with probe, contextlib.ExitStack() as stack:
            begun, before = time.monotonic_ns(), rss_mib(d)
            time.sleep(quiet_s)
            # What the probe's windows add to the history is not the clients', and is the more the longer they take.
            own = rss_mib(d)
            with d.varlink() as v:
                own -= kills.history_kib(v) / 1024
            turns.phase(1)
            stormed = time.monotonic_ns()
            crowds = [stack.enter_context(Storm(d, "crowd", n // parts, f"p{i}")) for i in range(parts)]
            for one in crowds:
                one.listen()
            served = time.monotonic_ns()
            turns.phase(2)
            with d.varlink() as v:
                status, history = v.call("GetStatus"), kills.history_kib(v) / 1024
            rss = rss_mib(d)
            figures = {"clients": n, "served": status["heaps"] - 1, "rss_before_mib": before, "rss_mib": rss,
                       "bytes_a_client": round((rss - history - own) * 2**20 / n),
                       "seconds": (served - stormed) / 1e9, "turn_p99_us": turns.p99_us(1), "refused": sum(status["refused"].values())}
            probe.end()
        all_gone(d)
    if not timed:
        return figures
    quiet, meanwhile = probe.p99_us((begun, stormed)), probe.p99_us((stormed, served))
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


class Reports:
    """
    What subscribers hear of, while in the block: a client that reports as fast as it is answered. Where it can, it takes a CPU
    only when nobody else wants it: how long others wait for the daemon is measured, not how long for that client's CPU.
    """

    def __init__(self, d):
        # (A copy of this process would have the probe's pipe.)
        self.args = [sys.executable, os.path.abspath(__file__), d.socket]

    def __enter__(self):
        self.proc = subprocess.Popen(self.args, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        assert self.proc.stdout.read(1), "it has ended"

    def __exit__(self, *_):
        self.proc.kill()
        self.proc.communicate()

    @staticmethod
    def main(path):
        from frames import Client
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        with Client(types.SimpleNamespace(socket=path), budget=10**12) as c:
            os.write(1, b"1")
            while True:
                for used in range(100):
                    c.report(used=used)
                c.sync()


def subscribers(n, queue=None, rounds=12, timed=True):
    """
    n callers that want to hear of everything, and never read; so many times. They are disconnected within a fraction of
    a second, so that all rounds together make one p99; nothing else happens meanwhile than in the spans it is held against.
    What is queued for them is looked at in a round of its own.
    """
    more = f"MaxQueue={queue}\n" if queue else ""
    spans = {"quiet": [], "reports": [], "listened": []}
    most_rss = most_queued = told = 0
    with Turns() as turns, harness.Daemon(config=EVERY_FRAME + f"MaxCallers={2 * n}\n" + more,
                                          environ=turns.environ) as d:
        before = rss_mib(d)
        probe = Probe(d)

        def all_were_cut(d):
            nonlocal most_queued, most_rss
            time.sleep(0.02)  # for the CPU of others
            status = d.call("GetStatus")
            most_queued, most_rss = max(most_queued, status["queued_bytes"]), max(most_rss, rss_mib(d))
            return status["callers"] <= 1

        def listen(wait):
            nonlocal told
            with contextlib.ExitStack() as stack:
                deaf = [stack.enter_context(d.varlink()) for _ in range(n)]
                for one in deaf:
                    one.send({"method": f"{harness.INTERFACE}.Trace", "more": True, "parameters": {"format": "events"}})
                d.wait(lambda d: d.call("GetStatus")["callers"] >= n, "all listen", timeout=PATIENCE)
                with Reports(d):
                    begun = time.monotonic_ns()
                    turns.phase(1)
                    d.wait(wait(deaf), "all are disconnected", timeout=PATIENCE)
                    turns.phase(0)
                    span = begun, time.monotonic_ns()
                told += sum(one.last_error() == "TraceOverflow" for one in map(Ended, deaf))
                return span

        with probe:
            listen(lambda deaf: all_were_cut)
            for _ in range(rounds if timed else 0):
                spans["quiet"].append(span(d, 0.5))
                with Reports(d):
                    spans["reports"].append(span(d, 0.5))
                spans["listened"].append(listen(are_cut))
            probe.end()
        status, turn = d.call("GetStatus")["refused"], turns.p99_us(1)
    figures = {"at_once": n, "subscribers": n * (1 + len(spans["listened"])), "disconnected": status["slow"] + status["memory"],
               "slow": status["slow"], "for_memory": status["memory"], "told": told, "queued_mib": most_queued / 2**20,
               "rss_mib": most_rss, "rss_before_mib": before, "turn_p99_us": turn}
    if not timed:
        return figures
    return {**figures, "seconds": statistics.median(end - begin for begin, end in spans["listened"]) / 1e9,
            **{f"{name}_p99_us": probe.p99_us(*found) for name, found in spans.items()}}


def are_cut(callers):
    """Whether the daemon has hung up on them all, as their sockets tell: it is not asked, and hardly any CPU taken."""
    left = list(callers)

    def hung_up(one):
        poll = select.poll()
        poll.register(one.socket, 0)
        return poll.poll(0)

    def wait(_):
        time.sleep(0.02)
        while left and hung_up(left[-1]):
            left.pop()
        return not left
    return wait


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
    """
    One client of another user reports as fast as it can; or only wants a CPU, and has nothing to do with the daemon.
    Quiet spans lie in between.
    """
    spans, taken, sent, flooded = {"quiet": [], "burn": [], "flood": []}, [], 0, 0
    with Turns() as turns, harness.Daemon(environ=turns.environ) as d:
        probe = Probe(d)
        with probe:
            for _ in range(rounds):
                for phase, (name, found) in enumerate(spans.items()):
                    with contextlib.ExitStack() as stack:
                        storm = name != "quiet" and stack.enter_context(Storm(d, name, uid=another()))
                        if storm:
                            storm.listen()
                        turns.phase(phase)
                        cpu = cpu_seconds(d)
                        found.append(span(d, seconds))
                        if name == "flood":
                            lasted = (found[-1][1] - found[-1][0]) / 1e9
                            taken.append((cpu_seconds(d) - cpu) / lasted)
                            sent += int(storm.end().split()[1])
                            flooded += lasted
            probe.end()
        turn = {name: turns.p99_us(phase) for phase, name in enumerate(spans)}
        status = d.call("GetStatus")
    p99 = probe.p99s_us(spans)
    return {"sent_per_s": sent / flooded, "coalesced": status["frames_coalesced"], "sent": sent,
            "quiet_p99_us": p99["quiet"], "p99_us": p99["flood"], "ratio": p99["flood"] / p99["quiet"],
            "burn_ratio": p99["burn"] / p99["quiet"], "quiet_turn_p99_us": turn["quiet"], "turn_p99_us": turn["flood"],
            "cpu_percent": 100 * statistics.median(taken),
            "refused": sum(status["refused"].values())}


LIMITS = {  # of one user, at which it stays all the time
    "frames": ("flood",),
    "connections": ("knock", 64),
    "requests": ("ask",),
}


def at_limits(seconds, rounds=3):
    """
    Another user at a limit of its own, at one after the other; and one that only wants a CPU, and has nothing to do
    with the daemon. Quiet spans lie in between.
    """
    spans = {name: [] for name in ("quiet", "burn", *LIMITS)}
    with Turns() as turns, harness.Daemon(environ=turns.environ) as d:
        probe = Probe(d)
        with probe:
            for _ in range(rounds):
                for phase, (name, found) in enumerate(spans.items()):
                    what = LIMITS.get(name, (name,))
                    with contextlib.ExitStack() as stack:
                        if name != "quiet":
                            stack.enter_context(Storm(d, *what, uid=another(), control=name == "requests")).listen()
                        turns.phase(phase)
                        found.append(span(d, seconds))
            probe.end()
        turn = {name: turns.p99_us(phase) for phase, name in enumerate(spans)}
        status = d.call("GetStatus")
    p99 = probe.p99s_us(spans)
    return {"quiet_p99_us": p99["quiet"], **{f"{name}_p99_us": took for name, took in p99.items() if name != "quiet"},
            **{f"{name}_ratio": took / p99["quiet"] for name, took in p99.items() if name != "quiet"},
            **{f"{name}_turn_p99_us": turn[name] for name in ("quiet", *LIMITS)},
            "coalesced": status["frames_coalesced"], "ungreeted": status["refused"]["ungreeted"],
            "delayed": status["requests_delayed"]}


def messages(rounds):
    """What is no frame: with descriptors, empty, too long, cut at each byte; before HELLO and after it."""
    from frames import BYE, HEARTBEAT, OF_CLIENTS, Client, encode
    frames = {kind: encode(kind, 5, **more) for kind, more in OF_CLIENTS.items()}
    with harness.Daemon() as d, open("/dev/null", "rb") as null:
        before, sent, undefined, kinds = d.descriptors(), 0, [], 0
        many = [null.fileno()] * 253
        for _ in range(rounds):
            for greeted in (False, True):
                said = [(b"", ()), *((encode(HEARTBEAT, 3).ljust(size, b"\0"), ()) for size in (257, 4096, 100_000)),
                        *((frame, many) for frame in frames.values()), (b"\2" * 8, many),
                        *((frame[:size], ()) for frame in frames.values() for size in range(1, len(frame)))]
                kinds = max(kinds, len(said))
                for data, fds in said:
                    # (One heap, that comes back: none is left behind but the last.)
                    with Client(d, **({"budget": 1} if greeted else {})) as c:
                        c.send_raw(data, fds)
                        sent += 1
                        if not answered_and_closed(c):
                            undefined.append((greeted, data[:8], len(data), len(fds)))
        with Client(d, budget=1) as c:
            welcomed = c.welcome is not None
            c.send(BYE)
            c.expect_closed()
        d.wait(lambda d: d.call("GetStatus")["heaps"] == d.call("GetStatus")["connections"] == 0, "all have gone")
        left = d.descriptors() - before
    return {"messages": sent, "of_sorts": kinds, "undefined": len(undefined), "first_undefined": str(undefined[:1]),
            "descriptors_more": left, "welcomed": welcomed}


def answered_and_closed(client):
    from frames import DIRECTIVE, ERROR
    while (frame := client.receive()) is not None and frame.type == DIRECTIVE:
        pass
    return frame is not None and frame.type == ERROR and frame.detail and client.receive() is None


def clock_jumps(n):
    """The wall clock of the daemon and of its clients goes a day forth and back."""
    import wall_clock
    from swarming import Swarm
    heaps = 8
    with tempfile.TemporaryDirectory(prefix="rtgcd-test-", dir="/tmp") as folder:
        environment, shift = wall_clock.shifted(folder)
        with harness.Daemon(config="[Service:clock]\nMaxConcurrent=2\n", environ=environment) as d:
            def start(command, **pipes):
                return subprocess.Popen(command, env=d.env(**environment), **pipes)

            with Swarm(start, "clock", heaps, 1_000_000, 3_000_000, 2_000) as swarm:
                d.wait(lambda d: swarm.ask() == heaps and d.call("GetStatus")["windows_granted"] > heaps, "it works")
                before, alone = d.call("GetStatus"), 0
                for i in range(n):
                    shift((1, -1, 0)[i % 3] * wall_clock.DAY)
                    granted = d.call("GetStatus")["windows_granted"]
                    d.wait(lambda d: d.call("GetStatus")["windows_granted"] > granted + heaps, "windows open")
                    alone += heaps - swarm.ask()
                status = d.call("GetStatus")
            lines = len([line for line in d.log.splitlines() if "nobody waits" not in line and "calm again" not in line])
    return {"jumps": n, "windows": status["windows_granted"] - before["windows_granted"], "not_supervised": alone,
            "overruns": status["overruns"] - before["overruns"], "forced": status["forced"] - before["forced"],
            "uptime_s": (status["uptime_us"] - before["uptime_us"]) / 1e6, "log_lines": lines}


if __name__ == "__main__":
    Reports.main(*sys.argv[1:])
