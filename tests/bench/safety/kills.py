# SPDX-License-Identifier: MIT
"""kill -9 of random clients, those inside their windows first: is the slot there for the next one?

make bench BENCH=kills      10,000 of them

When the slot was free is what the daemon itself says of it. Beside it stands when a process that does nothing else
(deaths.c) learned of the same death: what the kernel takes to end a process, and to let another one run.
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
# The history of pauses has its room from the start, and takes it a page at a time until all of it has been used once.
HISTORY_RECORD = 344  # bytes: struct slot of daemon/history.c
CONFIG = f"[Daemon]\nMaxConcurrent={LIMIT}\n[Service:kill]\nMaxConcurrent={LIMIT}\n"
# One heap that is full after 30 ms, and pauses until its window closes.
SWARM = ("kill", "1", "1000000", "30000000", "1000")


def client(daemon):
    proc = subprocess.Popen([os.path.join(os.environ["RTGC_BUILDDIR"], "tests", "daemon", "swarm"), *SWARM],
                            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=daemon.env())
    proc.stdin.write(b"hold\n")
    proc.stdin.flush()
    return proc


def history_kib(control):
    """What the history has used of its room."""
    records, after = 0, 0
    while after is not None:
        reply = control.call("ListPauses", after=after)
        records, after = records + len(reply["pauses"]), reply["next"]
    return records * HISTORY_RECORD / 1024


class Deaths:
    """deaths.c: when a process died, as another one learns of it. A context manager."""

    def __enter__(self):
        program = os.path.join(os.environ["RTGC_BUILDDIR"], "tests", "bench", "safety", "deaths")
        self.proc = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.said = set()
        return self

    def __exit__(self, *_):
        self.proc.communicate()

    def watch(self, pid):
        self.proc.stdin.write(b"%d\n" % pid)
        self.proc.stdin.flush()
        self._said(lambda who, at: who == pid and not at)  # (One that was killed before would be unknown to it.)

    def instant_ns(self, pid):
        """Of that death."""
        return self._said(lambda who, at: who == pid and at)[1]

    def _said(self, wanted):
        """Takes what is wanted out of what was said, in whatever order."""
        while not (found := [one for one in self.said if wanted(*one)]):
            self.said.add(tuple(map(int, self.proc.stdout.readline().split())))
        self.said.remove(found[0])
        return found[0]


class Killing:
    def __init__(self, daemon, seed, deaths):
        self.daemon, self.deaths = daemon, deaths
        self.random = random.Random(seed)
        self.control = daemon.varlink()
        self.clients = {}
        self.changes = 0
        self.slot_ms, self.bare_ms = [], []  # of the same deaths
        self.in_window, self.most_windows, self.broken = 0, 0, []

    def start(self):
        proc = client(self.daemon)
        self.clients[proc.pid] = proc
        self.deaths.watch(proc.pid)

    def windows(self):
        """The windows in force by the pid that has them; checks I-2 on the way."""
        windows = self.control.call("ListWindows")["windows"]
        pids = {heap["id"]: heap["pid"] for heap in self.control.call("ListHeaps")["heaps"]}
        held = [w for w in windows if w["slot"] and not w["over_limit"]]
        self.most_windows = max(self.most_windows, len(held))
        if len(held) > LIMIT:
            self.broken.append(f"I-2: {held}")
        return {pids[w["heap"]]: w for w in windows if w["heap"] in pids}

    def over_ns(self, pid, window):
        """When the daemon had done with the window of one that was killed."""
        after = 0
        while True:
            reply = self.control.call("ListPauses", changed_after=self.changes, after=after)
            after = reply["next"] or 0
            for pause in reply["pauses"]:
                if (pause["pid"], pause["window"]) == (pid, window) and pause["over_us"] is not None:
                    self.changes = reply["changes"]
                    return 1000 * (reply["now_us"] + pause["over_us"])

    def look(self):
        """The windows of our clients by their pids, and who of them is inside his."""
        windows = {pid: w for pid, w in self.windows().items() if pid in self.clients}
        return windows, [pid for pid, w in windows.items() if w["state"] != "announced"]

    def look_inside(self, _):
        windows, inside = self.look()
        return inside and (windows, inside)

    def kill_one(self):
        """Three of four inside their windows, however fast this machine is; the fourth whoever it hits."""
        if self.random.random() < 0.75:
            windows, inside = self.daemon.wait(self.look_inside, "somebody is inside a window")
        else:
            windows, inside = self.look()
        pid = self.random.choice(inside or list(self.clients))
        proc = self.clients.pop(pid)
        killed = time.monotonic_ns()
        proc.kill()
        proc.wait()
        died = self.deaths.instant_ns(pid)
        if pid in windows:
            self.in_window += 1
            over = self.over_ns(pid, windows[pid]["id"])
            # (It may have ended by itself in the instant before.)
            if over >= killed:
                self.slot_ms.append((over - killed) / 1e6)
                self.bare_ms.append((died - killed) / 1e6)
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


def spread(name, took):
    took = sorted(took)
    return {f"{name}_p50_ms": took[len(took) // 2], f"{name}_p99_ms": took[len(took) * 99 // 100],
            f"{name}_max_ms": took[-1]}


def measure(kills, seed, progress):
    import harness

    with harness.Daemon(config=CONFIG) as d, Deaths() as deaths:
        d.call("GetStatus")
        descriptors = d.descriptors()
        killing = Killing(d, seed, deaths)
        for _ in range(CLIENTS):
            killing.start()
        rss, history = None, None
        for i in range(kills):
            killing.kill_one()
            if i == kills // 10:
                history = history_kib(killing.control)
                rss = rss_kib(d.pid)
            if i % 100 == 0:
                progress(f"{i} of {kills}")
        grown = rss_kib(d.pid) - rss
        history = history_kib(killing.control) - history
        killing.finish()
        status = d.call("GetStatus")
        beyond = max(slot - bare for slot, bare in zip(killing.slot_ms, killing.bare_ms))
        return {"kills": kills, "in_window": killing.in_window, **spread("slot", killing.slot_ms),
                **spread("bare", killing.bare_ms), "beyond_bare_max_ms": beyond,
                "windows_most": killing.most_windows, "limit": LIMIT, "broken": killing.broken,
                "over_limit": status["over_limit"], "granted": status["windows_granted"],
                "windows_left": status["windows_open"], "paused_left": status["paused_now"],
                "descriptors_left": d.descriptors() - descriptors, "rss_grown_kib": grown - history,
                "history_grown_kib": history}


def checks(found):
    return [bench.check("slot free again after a death in its window, p99 ms", found["slot_p99_ms"], "at most", 100),
            bench.check("the longest, ms", found["slot_max_ms"], "at most", 100),
            bench.check("the longest beyond a process that only waits for the same death, ms",
                        found["beyond_bare_max_ms"], "at most", 100),
            bench.check("windows at once, those over the limit by decision aside", found["windows_most"],
                        "at most", LIMIT),
            *(bench.check(name.replace("_", " "), found[name], "at most", 0)
              for name in ("windows_left", "paused_left", "descriptors_left")),
            bench.check("growth of the daemon over nine tenths of them, but for its history, KiB", found["rss_grown_kib"], "at most", 1024)]


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
