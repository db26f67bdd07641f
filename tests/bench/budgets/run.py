# SPDX-License-Identifier: MIT
"""Four real processes of different size on one amount of memory, split in different ways.

make bench BENCH=budgets   interleaved rounds, medians, held against the goals

Beyond what lives, all four together may take a share of it (--room). default: CPython's own
collector, on whatever memory it takes. equal: a quarter of that room each, by a Budget= of each service.
proportional: as what lives in each, by Budget= as well. root: MemoryBudget= alone. Each process does
the same work in all of them, and none waits for another's pause (MaxConcurrent=): what is compared is how memory
is split.

GC time is the CPU time of its full collections, as the process itself sees it, in proportion where the measured
part begins or ends between two of them; walked is how many objects they had to look at: the same work, without
what else goes on on the machine. Room used is the peak of its memory beyond what lives; swing is the largest
budget of one heap in the second half of the run, until the first process is done, divided by its smallest, of the
heap where that is most.
"""

import json
import pathlib
import select
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import bench  # noqa: E402
from bench import Failure  # noqa: E402

RUNS = ("default", "equal", "proportional", "root")
SERVICES = {  # objects that live, objects of garbage a second
    "catalog": (600_000, 60_000),
    "orders": (200_000, 40_000),
    "front": (80_000, 120_000),
    "mail": (10_000, 20_000),
}
DAEMON = f"[Daemon]\nMaxConcurrent={len(SERVICES)}\n"
MB = 1 << 20
PATIENCE = 120  # seconds until something that never comes is called missing
LOOK = 0.1  # seconds between looks at the budgets
HEAD = ("run", "GC time", "pauses", "walked", "collections", "room used", "live", "forced", "over limit", "swing")
UNITS = ("", "s", "s", "million", "", "MB", "MB", "", "", "")
KEYS = ("cpu_s", "wall_s", "walked_millions", "collections", "room_mb", "live_mb", "forced", "over_limit", "swing")


class App:
    """One service's process; it ends when its stdin does."""

    def __init__(self, service, args, where, env, launcher):
        self.service = service
        self.log = where / f"{service}.log"
        with open(self.log, "w") as log:
            self.popen = subprocess.Popen(
                [sys.executable, *launcher, str(HERE / "app.py"), *map(str, SERVICES[service]),
                 str(args.warm_up), str(args.work)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=env)

    def told(self, look=lambda: None):
        """The next object it says; look() is called ten times a second meanwhile."""
        end = time.monotonic() + PATIENCE
        while not select.select([self.popen.stdout], [], [], LOOK)[0]:
            look()
            if time.monotonic() > end:
                raise Failure(f"{self.service} says nothing")
        line = self.popen.stdout.readline()
        if not line:
            raise Failure(f"{self.service} has ended:\n{self.log.read_text()}")
        return json.loads(line)

    def has_spoken(self):
        return bool(select.select([self.popen.stdout], [], [], 0)[0])

    def go(self):
        self.popen.stdin.write(b"\n")
        self.popen.stdin.flush()

    def stop(self):
        self.popen.kill()
        self.popen.wait()
        self.popen.stdin.close()
        self.popen.stdout.close()


def config_of(run, live, room):
    """live: bytes that live in each service; room: bytes beyond that for all."""
    total = sum(live.values())
    if run == "root":
        return f"{DAEMON}MemoryBudget={int(total + room)}\n"
    share = {name: room / len(live) if run == "equal" else room * size / total for name, size in live.items()}
    return DAEMON + "".join(f"[Service:{name}]\nBudget={int(live[name] + share[name])}\n" for name in live)


class Budgets:
    """What the daemon says of the budgets in the second half of a run: do they stay what they are?"""

    def __init__(self, daemon, expected):
        self.daemon, self.expected = daemon, expected
        self.seen = {name: [] for name in SERVICES}
        self.began = time.monotonic()

    def look(self):
        for heap in self.daemon.heaps():
            self.seen[heap["service"]].append((time.monotonic(), heap["budget"], heap["budget_from"]))

    def figures(self):
        middle = (self.began + max(seen[-1][0] for seen in self.seen.values())) / 2
        spans = {}
        for name, seen in self.seen.items():
            late = [budget for at, budget, _ in seen if at >= middle]
            if not late or seen[-1][2] != self.expected:
                raise Failure(f"the budget of {name} is not the one that was to be measured: {seen[-1:]}")
            spans[name] = max(late) / min(late)
        heaps, status = self.daemon.heaps(), self.daemon.call("GetStatus")
        return {"swing": max(spans.values()), "swings": spans, "forced": status["forced"],
                "over_limit": status["over_limit"],
                "budgets": {heap["service"]: heap["budget"] for heap in heaps}}


def run_apps(args, where, env, launcher, budgets=None):
    apps = []
    try:
        for service in SERVICES:
            service_launcher = [*launcher, "--service", service] if launcher else []
            apps.append(App(service, args, where, env, service_launcher))
        live = {app.service: app.told()["live_bytes"] for app in apps}
        for app in apps:
            app.go()
        look = (lambda: any(app.has_spoken() for app in apps) or budgets.look()) if budgets else lambda: None
        ended = {app.service: app.told(look) for app in apps}
        more = budgets.figures() if budgets else dict.fromkeys(("forced", "over_limit", "swing"))
    finally:
        for app in apps:
            app.stop()
    return {
        **{key: sum(one[key] for one in ended.values()) for key in ("cpu_s", "wall_s", "collections")},
        "walked_millions": sum(one["walked"] for one in ended.values()) / 1e6,
        "room_mb": sum(ended[name]["peak_bytes"] - live[name] for name in live) / MB,
        "live_mb": sum(live.values()) / MB,
        **more, "services": ended, "live_bytes": live,
    }


def measure(run, args, where, live):
    env = bench.environment(args, RTGC_COLLECTOR="window")
    if run == "default":
        return run_apps(args, where, env, ())
    import harness  # of the build folder that bench.prepare() has named

    config = config_of(run, live, args.room * sum(live.values()))
    with harness.Daemon(config=config) as daemon:
        env["RTGC_SOCKET"] = daemon.env()["RTGC_SOCKET"]
        budgets = Budgets(daemon, "shared" if run == "root" else "service")
        return {**run_apps(args, where, env, ("-m", "rtgc"), budgets), "config": config}


# ---- What is made of it ----------------------------------------------------------------------


def table(runs):
    digits = {"cpu_s": 2, "wall_s": 2, "walked_millions": 1, "swing": 2}
    return bench.table(HEAD, UNITS, [
        [name, *(bench.number(figures[key], digits.get(key, 0)) for key in KEYS)] for name, figures in runs.items()])


def checks(runs, rounds):
    def ratio(other, key):
        return statistics.median(a[key] / b[key] for a, b in zip(rounds["root"], rounds[other]))

    equal, proportional = ratio("equal", "cpu_s"), ratio("proportional", "cpu_s")
    total = ((runs["root"]["room_mb"] + runs["root"]["live_mb"]) /
             (runs["equal"]["room_mb"] + runs["equal"]["live_mb"]))
    return [
        bench.check("total GC time, square root / equal", equal, "at most", 0.90),
        bench.check("objects walked, square root / equal", ratio("equal", "walked_millions"), "at most", 0.90),
        bench.check("total GC time, square root / proportional", proportional, "at most", 1.0),
        bench.check("total memory, square root / equal", total, "at most", 1.03),
    ]


def arguments():
    parser = bench.arguments("budgets", __doc__, strict=True)
    parser.add_argument("--room", type=float, default=0.25, help="of what lives")
    parser.add_argument("--warm-up", type=float, default=10, help="seconds")
    parser.add_argument("--work", type=float, default=10, help="seconds")
    return parser.parse_args()


def main():
    args = bench.prepare(arguments())
    live = {}

    def one(run, where, progress):
        measured = measure(run, args, where, live)
        live.update(live or measured["live_bytes"])  # the first run is without a daemon
        return measured

    rounds = bench.interleaved(args, RUNS, one)
    runs = {run: bench.medians(measured, KEYS) for run, measured in rounds.items()}
    found = checks(runs, rounds)
    return bench.finish(args, bench.text(table(runs), bench.verdict(found)), {
        "runs": runs, **bench.judged(found),
        "rounds": [{run: rounds[run][i] for run in RUNS} for i in range(args.rounds)],
        "parameters": {"room": args.room, "warm_up_s": args.warm_up, "work_s": args.work, "services": SERVICES},
        "machine": bench.machine(),
    })


if __name__ == "__main__":
    bench.run("budgets", main)
