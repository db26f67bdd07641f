# SPDX-License-Identifier: MIT
"""What it takes to be given leave by rtgcd when nobody else wants it, beside what else could give it.

make bench BENCH=grant

raw        a bare ping-pong over a socket of the same kind, messages of the same size: the floor
rtgcd      a report that the budget is reached, until the window comes; then begin, end, and their receipt
redis      SET NX PX over a Unix socket; then DEL
dbus       RequestName of a bus of its own; then ReleaseName
flock      LOCK_EX; then LOCK_UN. No order, no deadline, and nobody who knows of all
flock-4    the same with four at it, each of which holds it for 20 us

Once with both ends on one CPU, where the work counts, and once on two, where the wake-up does. ASK is until
it is had, WHOLE until it is given back. The goals hold what a program of rtgcd waits for, which is the window
(nobody waits for the receipt of an end), against SET and DEL, both of which are waited for, and against one
call over D-Bus.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

import bench  # noqa: E402

WHATS = ("raw", "rtgcd", "redis", "dbus", "flock", "flock-4")
CONTENDERS, HOLD_NS = 4, 20_000
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>
"""
KEYS = ("ask_p50_us", "ask_p99_us", "whole_p50_us", "whole_p99_us")


def pinned(cpu):
    return ["taskset", "-c", str(cpu)]


class Server:
    """Another program at the other end, on one CPU, in a folder of its own. It says a line when it is ready."""

    def __init__(self, cpu, command, ready, where):
        self.proc = subprocess.Popen([*pinned(cpu), *map(str, command)], stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, text=True, cwd=where)
        said = []
        for line in self.proc.stdout:
            said.append(line)
            if ready in line:
                return
        raise bench.Failure(f"{command[0]} does not start:\n{''.join(said)}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.terminate()
        self.proc.communicate()


def quantiles(output):
    """Of the lines "ASK WHOLE"."""
    ask, whole = (sorted(column) for column in
                  zip(*(map(int, line.split()) for line in output.splitlines())))
    return {f"{name}_{q}_us": values[len(values) * share // 100] / 1000
            for name, values in (("ask", ask), ("whole", whole)) for q, share in (("p50", 50), ("p99", 99))}


class Measured:
    def __init__(self, args):
        import harness  # of the build folder that bench.prepare() has named
        self.harness, self.n = harness, args.turns
        self.program = args.build / "tests" / "bench" / "grant" / "grant"

    def turns(self, what, path, cpus, *more):
        commands = [[*pinned(cpu), str(self.program), what, str(path), str(self.n), *map(str, more)] for cpu in cpus]
        procs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                 for command in commands]
        ends = [proc.communicate() for proc in procs]
        for proc, (_, complaint) in zip(procs, ends):
            if proc.returncode:
                raise bench.Failure(f"{what} ended with {proc.returncode}:\n{complaint}")
        return quantiles("".join(out for out, _ in ends))

    def rtgcd(self, server, client):
        class Pinned(self.harness.Daemon):
            def command(self):
                return [*pinned(server), *super().command()]

        every = "[Daemon]\nFramesPerSecond=1000000\nFramesPerSecondPerUser=1000000\n"
        with Pinned(config=every) as daemon:
            return self.turns("rtgcd", daemon.socket, [client])

    def __call__(self, what, cpus):
        server, client = cpus
        if what == "rtgcd":
            return self.rtgcd(server, client)
        with contextlib.ExitStack() as stack:
            where = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="grant-")))
            at = where / "s"
            if what == "raw":
                stack.enter_context(Server(server, [self.program, "echo", at], "ready", where))
            elif what == "redis":
                stack.enter_context(Server(server, ["redis-server", "--port", "0", "--unixsocket", at, "--save", "",
                                                    "--appendonly", "no"], "accept connections at", where))
            elif what == "dbus":
                (where / "bus.conf").write_text(BUS.format(socket=at))
                stack.enter_context(Server(server, ["dbus-daemon", "--nofork", "--print-address",
                                                    f"--config-file={where}/bus.conf"], "unix:path", where))
            elif what == "flock-4":
                return self.turns("flock", at, [cpus[i % 2] for i in range(CONTENDERS)], HOLD_NS)
            return self.turns(what, at, [client])


def judge(cpus, figures):
    """The goals, of those that could be measured."""
    ours, raw, found = figures["rtgcd"], figures["raw"], []
    found.append(bench.ratio(f"{cpus}: rtgcd / raw, p50", ours["ask_p50_us"], raw["ask_p50_us"], 1.25))
    found.append(bench.ratio(f"{cpus}: rtgcd / raw, p99", ours["ask_p99_us"], raw["ask_p99_us"], 1.5))
    for other in ("redis", "dbus"):
        if cpus == "one CPU" and other in figures:
            part = {"redis": "whole", "dbus": "ask"}[other]
            for q in ("p50", "p99"):
                found.append(bench.check(f"{cpus}: {other}, {part} / rtgcd, ask, {q}",
                                         figures[other][f"{part}_{q}_us"] / ours[f"ask_{q}_us"], "at least", 2))
    return found


def plot(runs, file):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(runs), figsize=(6 * len(runs), 4), squeeze=False, sharey=True)
    for axis, (cpus, figures) in zip(axes[0], runs.items()):
        for shift, q in ((-0.2, "p50"), (0.2, "p99")):
            axis.bar([i + shift for i in range(len(figures))], [f[f"ask_{q}_us"] for f in figures.values()],
                     width=0.4, label=q)
        axis.set_xticks(range(len(figures)), figures)
        axis.set_yscale("log")
        axis.set_title(f"until leave is given: {cpus}")
        axis.set_ylabel("µs")
        axis.legend()
    figure.tight_layout()
    figure.savefig(file)


def main():
    parser = bench.arguments("grant", __doc__, rounds=5)
    parser.add_argument("--turns", type=int, default=10_000)
    args = bench.prepare(parser.parse_args(), "grant.svg")
    present = sorted(os.sched_getaffinity(0))
    places = {"one CPU": (present[0], present[0])}
    if len(present) > 1:
        places["two CPUs"] = (present[0], present[1])
    missing = {"redis": "redis-server", "dbus": "dbus-daemon"}
    whats = [what for what in WHATS if what not in missing or shutil.which(missing[what])]
    for what in sorted(set(WHATS) - set(whats)):
        print(f"{what}: not measured: {missing[what]} is not installed")
    measured = Measured(args)
    names = {f"{what}, {cpus}": (what, cpus) for cpus in places for what in whats}
    rounds = bench.interleaved(args, names, lambda name, where, progress:
                               measured(names[name][0], places[names[name][1]]))
    runs = {cpus: {what: bench.medians(rounds[f"{what}, {cpus}"], KEYS) for what in whats} for cpus in places}
    spread = {name: {key: (min(f[key] for f in all_of), max(f[key] for f in all_of)) for key in KEYS}
              for name, all_of in rounds.items()}
    rows = [(f"{what}, {cpus}", *(bench.number(figures[key], 1) for key in KEYS),
             bench.number(figures["ask_p50_us"] / of["raw"]["ask_p50_us"], 2))
            for cpus, of in runs.items() for what, figures in of.items()]
    found = [one for cpus, figures in runs.items() for one in judge(cpus, figures)]
    plot(runs, args.results / "grant.svg")
    text = bench.text(bench.table(("", "ask p50", "p99", "whole p50", "p99", "ask / raw"),
                                  ("", "us", "us", "us", "us", ""), rows), bench.verdict(found))
    return bench.finish(args, text, {"runs": runs, "spread": spread, "rounds": args.rounds, "turns": args.turns,
                                     "machine": bench.machine(), **bench.judged(found)}, "grant.svg")


bench.run("grant", main)
