# SPDX-License-Identifier: MIT
"""kill -9 of random clients, those inside their windows first: is the slot there for the next one?

make bench BENCH=kills      10,000 of them
"""

import os
import pathlib
import random
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import bench  # noqa: E402

LIMIT, CLIENTS = 2, 8
CONFIG = f"[Daemon]\nMaxConcurrent={LIMIT}\n[Service:kill]\nMaxConcurrent={LIMIT}\n"
# One heap that is full after 30 ms, and pauses until its window closes.
SWARM = ("kill", "1", "1000000", "30000000", "1000")


def client(daemon):
    proc = subprocess.Popen([os.path.join(os.environ["RTGC_BUILDDIR"], "tests", "daemon", "swarm"), *SWARM],
                            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=daemon.env())
    proc.stdin.write(b"hold\n")
    proc.stdin.flush()
    return proc


class Killing:
    def __init__(self, daemon, seed):
        self.daemon = daemon
        self.random = random.Random(seed)
        self.control = daemon.varlink()
        self.clients = {}
        self.slot_ms, self.in_window, self.most_windows, self.broken = [], 0, 0, []

    def start(self):
        proc = client(self.daemon)
        self.clients[proc.pid] = proc

    def windows(self):
        """The windows in force by the pid that has them; checks I-2 on the way."""
        windows = self.control.call("ListWindows")["windows"]
        pids = {heap["id"]: heap["pid"] for heap in self.control.call("ListHeaps")["heaps"]}
        held = [w for w in windows if w["slot"] and not w["over_limit"]]
        self.most_windows = max(self.most_windows, len(held))
        if len(held) > LIMIT:
            self.broken.append(f"I-2: {held}")
        return {pids[w["heap"]]: w for w in windows if w["heap"] in pids}

    def kill_one(self):
        windows = {pid: w for pid, w in self.windows().items() if pid in self.clients}
        inside = [pid for pid, w in windows.items() if w["state"] != "announced"]
        pid = self.random.choice(inside or list(self.clients))
        proc = self.clients.pop(pid)
        proc.kill()
        proc.wait()
        killed = time.monotonic_ns()
        window = windows.get(pid)
        self.in_window += window is not None
        while window and any(w["id"] == window["id"] for w in self.windows().values()):
            pass
        if window:
            self.slot_ms.append((time.monotonic_ns() - killed) / 1e6)
        proc.stdin.close()
        self.start()

    def finish(self):
        for proc in self.clients.values():
            proc.kill()
            proc.wait()
            proc.stdin.close()
        self.clients = {}
        self.daemon.wait(lambda d: d.call("GetStatus")["heaps"] == 0, "all are gone")
        self.control.close()


def rss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Rss"))


def measure(kills, seed, progress):
    import harness

    with harness.Daemon(config=CONFIG) as d:
        d.call("GetStatus")
        descriptors = d.descriptors()
        killing = Killing(d, seed)
        for _ in range(CLIENTS):
            killing.start()
        rss = None
        for i in range(kills):
            killing.kill_one()
            if i == kills // 10:
                rss = rss_kib(d.pid)
            if i % 100 == 0:
                progress(f"{i} of {kills}")
        grown = rss_kib(d.pid) - rss
        killing.finish()
        status = d.call("GetStatus")
        took = sorted(killing.slot_ms)
        return {"kills": kills, "in_window": killing.in_window, "slot_p50_ms": took[len(took) // 2],
                "slot_p99_ms": took[len(took) * 99 // 100], "slot_max_ms": took[-1],
                "windows_most": killing.most_windows, "limit": LIMIT, "broken": killing.broken,
                "over_limit": status["over_limit"], "granted": status["windows_granted"],
                "windows_left": status["windows_open"], "paused_left": status["paused_now"],
                "descriptors_left": d.descriptors() - descriptors, "rss_grown_kib": grown}


def checks(found):
    return [bench.check("slot free again after a death in its window, p99 ms", found["slot_p99_ms"], "at most", 100),
            bench.check("windows at once, those over the limit by decision aside", found["windows_most"],
                        "at most", LIMIT),
            *(bench.check(name.replace("_", " "), found[name], "at most", 0)
              for name in ("windows_left", "paused_left", "descriptors_left")),
            bench.check("growth of the daemon over nine tenths of them, KiB", found["rss_grown_kib"], "at most", 1024)]


def main():
    parser = bench.arguments("kills", __doc__, rounds=None)
    parser.add_argument("--kills", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    args = bench.prepare(parser.parse_args())
    found = bench.interleaved(args, ["kills"], lambda name, where, progress:
                              measure(args.kills, args.seed, progress))["kills"][0]
    judged = checks(found)
    return bench.finish(args, bench.text(str(found), bench.verdict(judged)), {**found, **bench.judged(judged)})


if __name__ == "__main__":
    bench.run("kills", main)
