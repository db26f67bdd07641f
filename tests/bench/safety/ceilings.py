# SPDX-License-Identifier: MIT
"""Memory, whatever the daemon does: it is missing, deaf, killed or stopped; the heap fills ten times as fast as
it ever did.

make bench BENCH=ceilings      500 ramps, 20 faults of each sort

The heap is real memory (mill.c), under a limit of address space that is little above its budget: a heap that went
much beyond would end the program.
"""

import json
import os
import pathlib
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import bench  # noqa: E402

MIB = 1 << 20
BUDGET, CHUNK, RATE, RAMP = 32 * MIB, 64 << 10, 60 * MIB, 10
# What the program is without its heap: code, the library's thread with its stack, arenas.
OVERHEAD = 224 * MIB
PATIENCE = 60


class Mill:
    def __init__(self, env):
        # Sanitizers reserve terabytes.
        limited = "sanitize" not in os.environ.get("SANITIZE", "")
        space = BUDGET * 5 // 4 + OVERHEAD
        self.proc = subprocess.Popen(
            [os.path.join(os.environ["RTGC_BUILDDIR"], "tests", "bench", "safety", "mill"), "mill", str(BUDGET),
             str(CHUNK), str(RATE), str(RAMP)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            preexec_fn=lambda: limited and resource.setrlimit(resource.RLIMIT_AS, (space, space)))
        self.lines, self.said = b"", []

    def _line(self):
        end = time.monotonic() + PATIENCE
        while b"\n" not in self.lines:
            ready = select.select([self.proc.stdout], [], [], max(0, end - time.monotonic()))[0]
            data = os.read(self.proc.stdout.fileno(), 65536) if ready else b""
            if not data:
                raise AssertionError(f"the mill says nothing; status {self.proc.poll()}")
            self.lines += data
        line, self.lines = self.lines.split(b"\n", 1)
        return line.decode()

    def wait(self, what):
        """The instant at which it says so, from here on."""
        while True:
            said, at = self.said.pop(0) if self.said else self._line().split()
            if said == what:
                return int(at)

    def forget(self):
        self.counts()
        self.said = []

    def counts(self):
        """Since the last time."""
        self.proc.stdin.write(b"\n")
        self.proc.stdin.flush()
        while True:
            line = self._line()
            if line.startswith("{"):
                return json.loads(line)
            self.said.append(line.split())

    def rounds(self, n):
        """Lets it go on until it has collected so often; all that it has counted."""
        total = self.counts()
        while total["rounds"] < n:
            time.sleep(0.01)
            total = add(total, self.counts())
        return total

    def finish(self):
        self.proc.stdin.close()
        status = self.proc.wait(PATIENCE)
        self.proc.stdout.close()
        return status


def add(a, b):
    def both(key):
        if isinstance(a[key], dict):
            return add(a[key], b[key])
        return max(a[key], b[key]) if "longest" in key or key == "peak" else a[key] + b[key]
    return {key: both(key) for key in a}


def calls(counts):
    """
    Of all calls of the library: how long one has waited at the most, and how long it took by the clock, beside one of the
    kernel that has nothing to wait for. (Who waits for a CPU alone has not been kept waiting by the library.)
    """
    timed = {name: c for name, c in counts.items() if isinstance(c, dict)}
    floor = timed.pop("floor")
    longest = max(timed, key=lambda name: timed[name]["longest_ns"])
    waited = max(timed, key=lambda name: timed[name]["longest_wait_ns"])
    return {"calls": sum(c["calls"] for c in timed.values()), "long_waits": sum(c["long_waits"] for c in timed.values()),
            "longest_wait_ms": timed[waited]["longest_wait_ns"] / 1e6, "longest_wait_of": waited,
            "longest_ms": timed[longest]["longest_ns"] / 1e6, "longest_of": longest,
            "floor_ms": floor["longest_ns"] / 1e6}


def ramps(n, progress):
    """A heap that fills ten times as fast from half of its budget on."""
    import harness

    with harness.Daemon() as d:
        mill = Mill(d.env())
        d.wait(lambda d: d.call("GetStatus")["heaps"] == 1, "it has joined")
        total = mill.rounds(n)
        progress(f"{total['rounds']} ramps")
        status = mill.finish()
        forced = d.wait(lambda d: d.call("GetStatus")["heaps"] == 0 and d.call("GetStatus"), "it has left")["forced"]
    return {**total, **calls(total), "peak_share": total["peak"] / BUDGET, "status": status, "forced_counted": forced}


def missing(n, progress):
    """No socket at all; one that nobody listens at; one where nobody accepts."""
    total, states = None, []
    with tempfile.TemporaryDirectory(prefix="rtgcd-test-", dir="/tmp") as folder:
        for state in ("missing", "left over", "deaf"):
            path = os.path.join(folder, state.replace(" ", "-"))
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            if state != "missing":
                s.bind(path)
            if state == "deaf":
                s.listen(0)
            begun = time.monotonic_ns()
            mill = Mill({**os.environ, "RTGC_SOCKET": path})
            alone = mill.wait("alone")
            counts = mill.rounds(n)
            progress(f"{state}: {counts['rounds']} collections")
            states.append((alone - begun) / 1e9)
            status = mill.finish()
            s.close()
            total = add(total, counts) if total else counts
    return {**total, **calls(total), "peak_share": total["peak"] / BUDGET, "status": status, "alone_max_s": max(states),
            "forced_counted": None}


def gone(number, n, progress):
    """The daemon is killed, or stopped, in the middle of it."""
    import harness

    total, alone, back = None, [], []
    with harness.Daemon() as d:
        mill = Mill(d.env())
        d.wait(lambda d: d.call("GetStatus")["windows_granted"] > 5, "windows are used")
        for i in range(n):
            mill.forget()
            struck = time.monotonic_ns()
            d.kill(number)
            alone.append((mill.wait("alone") - struck) / 1e9)
            counts = mill.rounds(5)
            total = add(total, counts) if total else counts
            helped = time.monotonic_ns()
            d.start() if number == signal.SIGKILL else d.kill(signal.SIGCONT)
            back.append((mill.wait("supervised") - helped) / 1e9)
            total = add(total, mill.rounds(5))
            progress(f"{i} of {n}")
        status = mill.finish()
    return {**total, **calls(total), "peak_share": total["peak"] / BUDGET, "status": status, "alone_max_s": max(alone),
            "back_max_s": max(back), "forced_counted": None}


def measure(name, args, progress):
    if name == "ramps":
        return ramps(args.ramps, progress)
    if name == "missing":
        return missing(args.faults, progress)
    return gone(signal.SIGKILL if name == "killed" else signal.SIGSTOP, args.faults, progress)


NAMES = ("ramps", "missing", "killed", "stopped")


def memory_checks(name, found):
    """What must hold on any machine, however busy."""
    result = [bench.check(f"{name}: most memory / budget", found["peak_share"], "at most", 1 + CHUNK / BUDGET),
              bench.check(f"{name}: status of the program", found["status"], "at most", 0)]
    # (What happens while it is alone cannot be told.)
    if found["forced_counted"] is not None and not found["alone"]:
        result.append(bench.check(f"{name}: forced, beyond what the daemon has counted",
                                  abs(found["forced"] - found["forced_counted"]), "at most", 0))
    return result


def checks(name, found):
    result = memory_checks(name, found)
    result.append(bench.check(f"{name}: calls that waited for more than 1 ms", found["long_waits"], "at most", 0))
    if "alone_max_s" in found:
        result.append(bench.check(f"{name}: its own policy is back, s", found["alone_max_s"], "at most", 1))
    return result


def main():
    parser = bench.arguments("ceilings", __doc__, rounds=None)
    parser.add_argument("--ramps", type=int, default=500)
    parser.add_argument("--faults", type=int, default=20)
    args = bench.prepare(parser.parse_args())
    rounds = bench.interleaved(args, NAMES, lambda name, where, progress: measure(name, args, progress))
    found = {name: measured[0] for name, measured in rounds.items()}
    judged = [check for name in NAMES for check in checks(name, found[name])]
    text = bench.text("\n".join(f"{name}: {found[name]}" for name in NAMES), bench.verdict(judged))
    return bench.finish(args, text, {**found, **bench.judged(judged)})


if __name__ == "__main__":
    bench.run("ceilings", main)
