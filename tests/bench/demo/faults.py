# SPDX-License-Identifier: MIT
"""What happens to the demo's service when rtgcd dies or hangs in mid-load.

make bench BENCH=faults

Each scenario: load on the service under rtgcd; the daemon is killed (SIGKILL) or stopped
(SIGSTOP), in mid-load or just while a server is drained; nobody helps until every replica has
collected by CPython's own policy; then the daemon is started again (or continued) until windows
are used again. Shown: no request fails, no server stays drained, memory stays bounded, and
coordination is back soon.
"""

import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import bench  # noqa: E402
import check_pauses  # noqa: E402
from bench import Failure  # noqa: E402
from cluster import MAX_CONCURRENT, Cluster, Options, RssSampler  # noqa: E402
from processes import wait_until  # noqa: E402

LOAD_SECONDS = 900  # longer than any scenario: it is told to stop
EVENT_TIMEOUT = 120
POLL = 0.002

SCENARIOS = {
    "kill": (signal.SIGKILL, False),
    "kill, a server drained": (signal.SIGKILL, True),
    "stop": (signal.SIGSTOP, False),
    "stop, a server drained": (signal.SIGSTOP, True),
}

# name, key, limit: what every scenario must keep to.
GOALS = (
    ("failed requests", "failed_requests", 0),
    ("servers left drained", "left_drained", 0),
    ("replicas without a full collection of their own", "uncollected", 0),
    ("most memory after / before the fault", "rss_ratio", 1.3),
    ("until coordination is back, s", "back_s", 5),
    ("full collections at once, once windows are used", "paused_max_after", MAX_CONCURRENT),
)


def since_s(instant_ns):
    return (time.monotonic_ns() - instant_ns) / 1e9


class Scenario:
    """One fault, from start to end; self.result grows as it goes."""

    def __init__(self, name, cluster, progress):
        self.number, self.while_drained = SCENARIOS[name]
        self.cluster = cluster
        self.progress = progress
        self.result = {}

    def wait(self, predicate, what, timeout=EVENT_TIMEOUT, interval=0.02):
        def ask():
            self.cluster.check()
            self.load.check()
            return predicate()

        return wait_until(ask, what, timeout, interval=interval)

    def windows_used(self):
        """Collections in windows by heap, by the daemon's own count; None while not every
        replica is under a daemon that answers."""
        try:
            heaps = self.cluster.heaps()
        except OSError:
            return None
        if len(heaps) < len(self.cluster.replicas):
            return None
        if any(heap["state"] == "lost" for heap in heaps):
            return None
        return {heap["name"]: heap["collections"]["major"] - heap["forced"] - heap["uncoordinated"]
                for heap in heaps}

    def wait_windows(self, what, each=1):
        """Until every replica has used so many windows more."""
        self.wait(lambda: self.windows_used() is not None, "the heaps to be supervised")
        before = self.windows_used() or {}

        def used():
            now = self.windows_used()
            return now and all(now[name] >= before.get(name, 0) + each for name in now)

        self.wait(used, what)

    def pauses_since(self, instant_ns):
        return [pause for pause in
                check_pauses.full(check_pauses.read_records(self.cluster.records))
                if pause.begin_ns >= instant_ns]

    def normal_service(self):
        """Under load until windows are used as they should be."""
        self.progress("load, waiting for windows")
        self.wait_windows("windows to be used")

    def strike(self):
        self.progress("waiting for the moment")
        if self.while_drained:
            self.wait(self.cluster.drained, "a server to be drained", interval=POLL)
        else:
            self.wait(lambda: not self.cluster.drained(), "no server to be drained", interval=POLL)
        self.cluster.daemon.signal(self.number)
        self.fault_ns = time.monotonic_ns()
        if self.number == signal.SIGKILL:
            self.cluster.daemon.wait(EVENT_TIMEOUT)

    def alone(self):
        """Nobody helps: the servers must come back, and CPython's own policy with them."""
        self.progress("no daemon, waiting for the servers")
        self.wait(lambda: not self.cluster.drained(), "no server to be drained", interval=POLL)
        self.result["undrained_s"] = since_s(self.fault_ns)
        self.progress("no daemon, waiting for collections")
        everybody = {replica.pid for replica in self.cluster.replicas.values()}

        def collected():
            return {pause.pid for pause in self.pauses_since(self.fault_ns)} == everybody

        try:
            self.wait(collected, "full collections by CPython's own policy", interval=0.2)
        except Failure:
            self.cluster.check()  # nothing has died: they just do not collect
        pids = {pause.pid for pause in self.pauses_since(self.fault_ns)}
        self.result["uncollected"] = len(everybody - pids)
        self.result["own_collections"] = len(self.pauses_since(self.fault_ns))

    def help(self):
        """The daemon is there again: how long until every heap is supervised?"""
        self.progress("the daemon is back")
        if self.number == signal.SIGKILL:
            self.cluster.restart_daemon()
        else:
            self.cluster.daemon.signal(signal.SIGCONT)
        self.help_ns = time.monotonic_ns()
        self.wait(lambda: self.windows_used() is not None, "the heaps to be supervised")
        self.result["supervised_s"] = since_s(self.help_ns)
        self.progress("waiting for windows")
        self.wait_windows("windows to be used again")
        settled_ns = time.monotonic_ns()
        self.over_limit = self.cluster.call("GetStatus")["over_limit"]
        self.result["windows_again_s"] = since_s(self.help_ns)
        self.wait_windows("windows to be used once more")
        return settled_ns

    def back_s(self):
        """From the daemon's return until every heap was supervised, and for the last time more
        paused at once than may."""
        pauses = self.pauses_since(self.help_ns)
        crowded = check_pauses.crowded_until(pauses, MAX_CONCURRENT) or self.help_ns
        return max(self.result["supervised_s"], (crowded - self.help_ns) / 1e9)

    def left_drained(self):
        """With the daemon ended, so that no server is drained for a window of now."""
        self.cluster.daemon.stop()
        try:
            wait_until(lambda: not self.cluster.drained(), "no server to be drained", EVENT_TIMEOUT)
        except Failure:
            return len(self.cluster.drained())
        return 0

    def run(self):
        cluster, result = self.cluster, self.result
        self.load = cluster.start_load(LOAD_SECONDS, cluster.logs / "requests.csv")
        with RssSampler(list(cluster.replicas.values())) as rss:
            begin_ns = time.monotonic_ns()
            self.normal_service()
            self.strike()
            self.alone()
            settled_ns = self.help()
            self.progress("stopping")
            self.load.signal(signal.SIGTERM)
            load = cluster.finish_load(self.load)
            end_ns = time.monotonic_ns()
        result["over_limit_after"] = cluster.call("GetStatus")["over_limit"] - self.over_limit
        result["left_drained"] = self.left_drained()
        cluster.stop_replicas()
        result["failed_requests"] = load["errors"]
        result["requests"] = load["sent"]
        result["max_ms"] = load["max_ms"]
        result["send_lag_max_ms"] = load["send_lag_max_ms"]
        result["rss_ratio"] = rss.most(self.fault_ns, end_ns) / rss.most(begin_ns, self.fault_ns)
        result["paused_max_after"] = check_pauses.most_at_once(self.pauses_since(settled_ns))
        result["back_s"] = self.back_s()
        return result


def scenario(name, options, directory, progress):
    with Cluster("rtgcd", options, directory, progress) as cluster:
        return Scenario(name, cluster, progress).run()


def checks(result):
    return [bench.check(what, result[key], "at most", limit) for what, key, limit in GOALS]


def described(name, result):
    return (f"{name}  ({result['requests']} requests, slowest {result['max_ms']:.0f} ms, "
            f"servers open again after {result['undrained_s']:.2f} s, "
            f"{result['own_collections']} collections by CPython's own policy)\n"
            + bench.verdict(checks(result)))


def main():
    parser = bench.arguments("faults", __doc__, rounds=None)
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    args = bench.prepare(parser.parse_args())
    options = Options(args.build)
    rounds = bench.interleaved(
        args, args.scenarios, lambda name, where, progress: scenario(name, options, where, progress))
    results = {name: measured[0] for name, measured in rounds.items()}
    found = [check for result in results.values() for check in checks(result)]
    text = bench.text(*(described(name, result) for name, result in results.items()))
    return bench.finish(args, text, {**results, "passed": bench.judged(found)["passed"]})


if __name__ == "__main__":
    bench.run("faults", main)
