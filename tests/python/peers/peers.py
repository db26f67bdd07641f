# SPDX-License-Identifier: MIT
"""
CPython's own tests under python3 -m rtgc, with a real daemon that opens windows as often as
it can, held against the same tests without.

    python3 tests/python/peers/peers.py --build . [--results DIR] [TEST …]

A test that passes without rtgc must pass with it, or stand in differences.txt with the
reason. One that fails under it is asked twice more, with and without, for some of them rely
on the clock; a crash is never excused.
"""

import collections
import fnmatch
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(os.path.dirname(HERE)), "bench")]

import bench  # noqa: E402
import program  # noqa: E402

ALL = [
    "test_gc", "test_weakref", "test_weakset", "test_finalization", "test_generators",
    "test_coroutines", "test_asyncgen", "test_dict", "test_dictviews", "test_ordered_dict",
    "test_deque", "test_functools", "test_itertools", "test_descr", "test_frame", "test_exceptions",
    "test_contextlib", "test_context", "test_copy", "test_super", "test_sys_settrace",
    "test_sys_setprofile", "test_atexit", "test_thread", "test_threading",
    "test_threading_local", "test_threadsignals", "test_signal", "test_eintr", "test_fork1",
    "test_wait3", "test_wait4", "test_subprocess", "test_selectors", "test_select", "test_epoll",
    "test_poll", "test_io", "test_queue", "test_sched",
    "test_asyncio", "test_concurrent_futures", "test_capi", "test_embed", "test_sqlite3",
    "test_multiprocessing_fork", "test_multiprocessing_forkserver",
    "test_multiprocessing_spawn", "test_multiprocessing_main_handling",
]  # fmt: skip
CONFIG = """
[Daemon]
MaxConcurrent=64
MemoryBudget=1M
[Service:peers]
Policy=observe
Lead=1ms
"""
THRESHOLD = "70"  # of the young generation: the old one grows in small steps
LIMIT = 1800  # seconds, for a test that hangs
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


def installed(python):
    return subprocess.run([python, "-c", "import test.test_gc"], capture_output=True).returncode == 0


class Run:
    """One test module in a fresh interpreter."""

    def __init__(self, daemon, folder, name, supervised, only=()):
        """only: names of methods, else all of them."""
        python = os.environ.get("PYTHON", "/usr/bin/python3")
        self.folder = tempfile.mkdtemp(prefix=name + "-", dir=folder)
        os.chmod(self.folder, 0o755)
        self.name, self.supervised = name, supervised
        self.log = os.path.join(self.folder, "log")
        self.record = os.path.join(self.folder, "record")
        result = os.path.join(self.folder, "junit.xml")
        launcher = ["-m", "rtgc", "--service", "peers"] if supervised else []
        command = [python, "-B", *launcher, "-m", "test", "--fail-env-changed", "-t", THRESHOLD,
                   "--junit-xml", result, "--tempdir", self.folder]
        for method in only:
            command += ["-m", method]
        env = daemon.env(RTGC_SERVICE="peers", RTGC_RECORD=self.record,
                         RTGC_PEERS="with" if supervised else "without")
        env["PYTHONPATH"] += os.pathsep + HERE
        program.harness.sanitized(env)
        begin = time.monotonic()
        with open(self.log, "wb") as log:
            self.status = subprocess.run([*command, name], env=env, stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log, cwd=self.folder,
                                         timeout=LIMIT).returncode
        self.seconds = time.monotonic() - begin
        self.outcomes = self._read(result)

    def _read(self, path):
        outcomes = {}
        if not os.path.exists(path):
            return outcomes
        for case in xml.etree.ElementTree.parse(path).iter("testcase"):
            kinds = {child.tag for child in case}
            outcome = FAILED if kinds & {"failure", "error"} else \
                SKIPPED if "skipped" in kinds else PASSED
            outcomes[case.get("name")] = outcome
        return outcomes

    @property
    def causes(self):
        """How many full collections there were, by their cause."""
        causes = collections.Counter()
        if os.path.exists(self.record):
            with open(self.record, encoding="utf-8") as file:
                causes.update(json.loads(line)["cause"] for line in file if '"cause"' in line)
        return causes

    def count(self, outcome):
        return sum(found == outcome for found in self.outcomes.values())

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()[-6000:]


class Differences:
    """What is known to differ, and why."""

    def __init__(self):
        self.reasons, self.used = {}, set()
        with open(os.path.join(HERE, "differences.txt"), encoding="utf-8") as file:
            for line in file:
                pattern, _, reason = line.strip().partition(" ")
                if pattern and not pattern.startswith("#"):
                    self.reasons[pattern] = reason.strip()

    def reason(self, name):
        for pattern, reason in self.reasons.items():
            if fnmatch.fnmatchcase(name, pattern):
                self.used.add(pattern)
                return reason
        return None


def worse(plain, ours):
    """The test cases that passed without rtgc and do not pass with it."""
    return sorted(name for name, outcome in plain.outcomes.items()
                  if outcome == PASSED and ours.outcomes.get(name) != PASSED)


class Comparison:
    """One test module without and with rtgc."""

    def __init__(self, daemon, folder, name, differences):
        self.name = name
        self.plain = Run(daemon, folder, name, False)
        self.ours = Run(daemon, folder, name, True)
        self.listed, self.unsteady, self.faults = {}, [], []
        if self.ours.status < 0 <= self.plain.status or (self.plain.outcomes and not self.ours.outcomes):
            self.faults.append(f"{name}: ended with {self.ours.status}\n{self.ours.tail()}")
            return
        for case in worse(self.plain, self.ours):
            reason = differences.reason(case)
            if reason is not None:
                self.listed[case] = reason
            elif self._is_steady(daemon, folder, case):
                self.faults.append(f"{case}: passes without rtgc and not with it\n{self.ours.tail()}")
            else:
                self.unsteady.append(case)
        if self.ours.status != self.plain.status and not (self.listed or self.unsteady or self.faults):
            self._compare_status(daemon, folder)

    def _again(self, daemon, folder, supervised, case=None):
        only = [case.rpartition(".")[2].partition(" ")[0]] if case else []
        return Run(daemon, folder, self.name, supervised, only)

    def _is_steady(self, daemon, folder, case):
        """Fails under rtgc whenever it is asked, and never without."""
        for _ in range(2):
            if self._again(daemon, folder, True, case).outcomes.get(case) == PASSED:
                return False
            if self._again(daemon, folder, False, case).outcomes.get(case) != PASSED:
                return False
        return True

    def _compare_status(self, daemon, folder):
        """Every case as without, and the whole not: it left something changed."""
        for _ in range(2):
            if self._again(daemon, folder, True).status == self.plain.status:
                self.unsteady.append(self.name)
                return
        self.faults.append(f"{self.name}: status {self.ours.status}, without rtgc "
                           f"{self.plain.status}\n{self.ours.tail()}")

    def row(self):
        causes = self.ours.causes
        return {
            "test": self.name,
            "cases": len(self.plain.outcomes),
            "passed_without": self.plain.count(PASSED),
            "passed_with": self.ours.count(PASSED),
            "seconds_without": round(self.plain.seconds, 1),
            "seconds_with": round(self.ours.seconds, 1),
            "window": causes["window"],
            "forced": causes["forced"],
            "uncoordinated": causes["uncoordinated"],
            "listed": sorted(self.listed),
            "unsteady": self.unsteady,
            "faults": len(self.faults),
        }


HEADER = f"{'test':36}{'cases':>6}{'without':>8}{'with':>6}{'s':>7}{'s with':>7}" \
         f"{'window':>8}{'forced':>8}{'other':>7}"


def line(row):
    text = f"{row['test']:36}{row['cases']:6}{row['passed_without']:8}{row['passed_with']:6}" \
           f"{row['seconds_without']:7.1f}{row['seconds_with']:7.1f}{row['window']:8}" \
           f"{row['forced']:8}{row['uncoordinated']:7}"
    for kind in ("listed", "unsteady"):
        if row[kind]:
            text += f"  {len(row[kind])} {kind}"
    return text + ("  DIFFERS" if row["faults"] else "")


def compare(names, folder, show):
    """Returns the rows of the table and the faults. show(text) is told what is done."""
    import harness

    differences, rows, faults = Differences(), [], []
    with harness.Daemon(config=CONFIG) as daemon:
        show(HEADER)
        for name in names:
            comparison = Comparison(daemon, folder, name, differences)
            rows.append(comparison.row())
            faults += comparison.faults
            show(line(rows[-1]))
    return rows, faults


def main():
    parser = bench.arguments("peers", __doc__, rounds=None)
    parser.set_defaults(results=pathlib.Path("peers-results"))
    parser.add_argument("tests", nargs="*", help="default: all of them")
    args = bench.prepare(parser.parse_args())
    if not installed(os.environ.get("PYTHON", "/usr/bin/python3")):
        raise bench.Failure("CPython's own tests are missing: Debian has them as libpython3.11-testsuite")
    folder = args.results / "runs"
    folder.mkdir()
    said = []

    def show(text):
        print(text, file=sys.stderr, flush=True)
        said.append(text)

    rows, faults = compare(args.tests or ALL, folder, show)
    cases = sum(row["cases"] for row in rows)
    summary = (f"{len(rows)} tests, {cases} cases, {sum(row['window'] for row in rows)} collections in "
               f"windows, {len(faults)} differences, {sum(len(row['listed']) for row in rows)} listed, "
               f"{sum(len(row['unsteady']) for row in rows)} unsteady")
    status = bench.finish(args, bench.text("\n".join(said), *faults, summary), rows)
    return 1 if faults else status


if __name__ == "__main__":
    bench.run("peers", main)
