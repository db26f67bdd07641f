# SPDX-License-Identifier: MIT
"""
Instructions of the paths that are gone all the time, of the library and of the daemon, by callgrind: they
repeat exactly. None may cost more than 5 % beyond what instructions.json says, which holds for one
compiler and its usual flags. Whoever makes one cheaper, or dearer for a reason, writes the new figure there.
"""

import json
import os
import platform
import re
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.join(os.environ["RTGC_SRCDIR"], "tests", "daemon"))
from common import harness  # noqa: E402
from frames import REPORT, Client, now  # noqa: E402

BUILD = os.environ["RTGC_BUILDDIR"]
VALGRIND = os.environ.get("VALGRIND", "no")
BOOK = json.load(open(os.path.join(os.environ["RTGC_SRCDIR"], "tests/cost/instructions.json")))
ROUNDS = 1000
MORE = 1.05

pytestmark = [
    pytest.mark.skipif(VALGRIND == "no", reason="valgrind is not installed"),
    pytest.mark.skipif(bool(os.environ.get("SANITIZE")), reason="valgrind cannot run sanitized code"),
]


def built_with():
    """The compiler and its flags, as the book names them."""
    makefile = open(os.path.join(BUILD, "Makefile")).read()
    flags = re.search(r"^CFLAGS = (.*)$", makefile, re.M).group(1).split()
    compiler = re.search(r"^CC = (.*)$", makefile, re.M).group(1).split()
    version = subprocess.run([*compiler, "-dumpfullversion"], capture_output=True, text=True).stdout.strip()
    optimised = [flag for flag in flags if not re.fullmatch(r"-g\d?", flag)]
    return f"{platform.machine()} {os.path.basename(compiler[0])} {version.split('.')[0]} {' '.join(optimised)}"


def callgrind(function, out):
    return [VALGRIND, "--tool=callgrind", f"--toggle-collect={function}", f"--callgrind-out-file={out}.%p"]


def counted(out, pid):
    text = open(f"{out}.{pid}").read()
    return int(re.search(r"^(?:summary|totals): (\d+)", text, re.M).group(1)) / ROUNDS


def calls(out, pid, function):
    """How often it was called since the start, and what of that was counted, what it calls included."""
    text = open(f"{out}.{pid}").read()
    number = re.search(rf"\((\d+)\) {function}$", text, re.M).group(1)
    found = re.findall(rf"^cfn=\({number}\).*\ncalls=(\d+) .*\n\S+ (\d+)$", text, re.M)
    return sum(int(times) for times, _ in found), sum(int(cost) for _, cost in found)


def judge(name, cost):
    print(f"{name}: {cost:.1f} instructions")
    book = BOOK.get(built_with())
    if book is None:
        pytest.skip(f"{name}: {cost:.1f} instructions; instructions.json knows nothing of {built_with()}")
    assert cost <= book[name] * MORE, f"{name}: {cost:.1f} instructions, {book[name]} are in the book"


def paths(daemon, *args, wrapper=()):
    """The program, run to its end; returns it."""
    command = [os.path.join(BUILD, "libtool"), "--mode=execute", *wrapper, os.path.join(BUILD, "tests/cost/paths"),
               daemon.socket, *args]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as p:
        for said, used in (("joined", 0), ("told", 1)):
            assert p.stdout.readline().strip() == said, p.stderr.read()
            daemon.wait(lambda d: [h for h in d.heaps() if (h["pid"], h["used"]) == (p.pid, used)], f"it has {said}")
            p.stdin.write("\n")
            p.stdin.flush()
        _, complaint = p.communicate(timeout=harness.PATIENCE)
    assert p.returncode == 0, complaint
    return p


@pytest.fixture(scope="module")
def daemon():
    with harness.Daemon() as d:
        yield d


# What a program asks at each of its safe points costs so little whoever compiled it.
MOST = {"pending_many": 10, "rtgc_publish": 37}


@pytest.mark.parametrize("function", ["pending_many", "check_many", "mark_many"])
def test_library(daemon, tmp_path, function):
    out = tmp_path / "out"
    cost = counted(out, paths(daemon, wrapper=callgrind(function, out)).pid)
    assert 1 <= cost <= MOST.get(function, 1000)
    judge(function, cost)


def test_publication(daemon, tmp_path):
    """
    The quick way, and by itself the slow one: once in a while a publication looks at the clock, and writes all
    there is. Of how many that is so is a matter of time, hence of the machine.
    """
    out = tmp_path / "out"
    pid = paths(daemon, wrapper=callgrind("publish_many", out)).pid
    _, both = calls(out, pid, "rtgc_publish")
    times, slow = calls(out, pid, "publish")
    times -= 1  # the one that told the first figures: it was not counted, and sent something
    assert 1 <= times <= ROUNDS // 2
    # (Those that become slow leave the quick way early, so they do not make it dearer.)
    quick = (both - slow) / ROUNDS
    assert 1 <= quick <= MOST["rtgc_publish"]
    judge("rtgc_publish", quick)
    judge("publish", slow / times)


def test_no_system_call(daemon):
    """Where the kernel kills who makes one. (Reading the clock is none where the kernel maps it.)"""
    source = open("/sys/devices/system/clocksource/clocksource0/current_clocksource").read().strip()
    if source not in ("tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"):
        pytest.skip(f"reading the clock is a system call on this machine: {source}")
    paths(daemon, "sealed")


class Counted(harness.Daemon):
    """A daemon whose instructions in a function are counted."""

    def __init__(self, function, out):
        self.wrapper = callgrind(function, out)
        super().__init__()

    def command(self):
        return [*self.wrapper, *super().command()]


def test_report(tmp_path):
    """From the frame on, the core's share included."""
    out = tmp_path / "out"
    with Counted("hot_frame", out) as daemon:
        with Client(daemon, budget=10**9) as client:
            begun = now()
            for i in range(ROUNDS):
                client.send(REPORT, used=1000 + i, allocated=1000 + i, live=1000, at=begun + i)
                if i % 100 == 0:
                    client.sync()
            client.sync()
        pid = daemon.pid
    judge("hot_frame", counted(out, pid))


@pytest.mark.parametrize("function", ["report_many", "collect_many"])
def test_decision(tmp_path, function):
    """Of the core with 1,000 heaps: a report that decides nothing; from due to the end of a collection."""
    out = tmp_path / "out"
    with subprocess.Popen([os.path.join(BUILD, "libtool"), "--mode=execute", *callgrind(function, out),
                           os.path.join(BUILD, "tests/sim/scale"), "1000"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as p:
        _, complaint = p.communicate(timeout=900)
    assert p.returncode == 0, complaint
    judge(function, counted(out, p.pid))
