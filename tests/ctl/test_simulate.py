# SPDX-License-Identifier: MIT
"""rtgcctl simulate: a log with known figures, a log of real programs, logs that are none."""

import json
import os
import random
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(os.environ["RTGC_SRCDIR"], "tests", *more) for more in ([], ["python"])]
import harness  # noqa: E402
import lockstep  # noqa: E402
from program import environment  # noqa: E402
from screen import CTL, run  # noqa: E402

LOG = os.path.join(os.environ["RTGC_SRCDIR"], "tests", "ctl", "lockstep.events")


def simulate(log, *sets):
    args = [word for each in sets for word in ("--set", each)]
    done = run("--json=short", "simulate", log, *args)
    assert (done.returncode, done.stderr) == (0, ""), done
    return json.loads(done.stdout)


def near(a, b, share, more):
    return abs(a - b) <= share * max(a, b) + more


# ---- three heaps in lockstep ---------------------------------------------------------------


def test_the_log_is_what_its_script_says():
    with open(LOG, encoding="utf-8") as file:
        assert [json.loads(line) for line in file] == list(lockstep.lines())


def test_recorded_is_what_happened():
    lines = list(lockstep.lines())
    opens = [line for line in lines if line.get("action") == "open"]
    waits = sorted(line["opens_ns"] + lockstep.SAFE_POINT * lockstep.MS - line["wanted_ns"] for line in opens)
    rank = (len(waits) * 990 + 999) // 1000
    assert simulate(LOG)["recorded"] == {
        "windows": len(opens), "collections": len(opens), "wait_p50_us": waits[(len(waits) + 1) // 2 - 1] // 1000,
        "wait_p99_us": waits[rank - 1] // 1000, "over_limit": 0, "forced": 0, "paused_max": 1,
        "gc_time_us": len(opens) * lockstep.PAUSE * 1000}


def test_replayed_is_near_it():
    """What is no program's, and no machine's. (The core lets them begin earlier than the script does.)"""
    recorded, replayed = (simulate(LOG)[key] for key in ("recorded", "replayed"))
    for key, share, more in (("windows", 1 / 3, 3), ("collections", 1 / 3, 3), ("gc_time_us", 1 / 3, 50_000),
                             ("paused_max", 0, 0), ("forced", 0, 0), ("over_limit", 0, 0),
                             ("wait_p99_us", 1 / 3, 0)):
        assert near(recorded[key], replayed[key], share, more), key


def test_slots():
    """One slot: the others wait for its pause of 100 ms. Three: nobody waits, all pause at once."""
    found = {k: simulate(LOG, f"Service.web.MaxConcurrent={k}") for k in (1, 2, 3)}
    one, two, three = (found[k]["changed"] for k in (1, 2, 3))
    assert one == found[1]["replayed"] == found[3]["replayed"]
    assert (one["paused_max"], two["paused_max"], three["paused_max"]) == (1, 2, 3)
    assert three["wait_p50_us"] == three["wait_p99_us"] == lockstep.SAFE_POINT * 1000
    assert 80_000 < two["wait_p99_us"] < one["wait_p99_us"] < 250_000
    for figures in (one, two, three):
        assert figures["forced"] == figures["over_limit"] == 0
        # A budget lasts a second, and a pause a tenth of it: about 27 in ten seconds.
        assert 24 <= figures["windows"] <= 42 and abs(figures["windows"] - figures["collections"]) <= 3
        # It costs by what it walks: less than in the log where it comes before 90 % are used.
        assert 70_000 < figures["gc_time_us"] / figures["collections"] < 105_000


def test_the_host_and_a_budget_too_small():
    """The whole host has one slot; then the heaps get no time to wait for it."""
    host = simulate(LOG, "Service.web.MaxConcurrent=3", "Daemon.MaxConcurrent=1")["changed"]
    assert host["paused_max"] == 1 and host["wait_p99_us"] > 80_000
    crowded = simulate(LOG, "Service.web.MaxConcurrent=3", "Service.web.MaxDefer=1ms", "Daemon.MaxConcurrent=1")
    assert crowded["changed"]["over_limit"] > 0 and crowded["changed"]["paused_max"] > 1
    assert crowded["set"] == ["Service.web.MaxConcurrent=3", "Service.web.MaxDefer=1ms", "Daemon.MaxConcurrent=1"]


def test_policies():
    """Without a policy all pause at once; the idle policy changes nothing for heaps that are never idle."""
    found = simulate(LOG, "Service.web.Policy=observe")
    assert found["changed"]["paused_max"] == 3 and found["changed"]["wait_p99_us"] == lockstep.SAFE_POINT * 1000
    assert simulate(LOG, "Service.web.Policy=together")["changed"]["paused_max"] == 3
    found = simulate(LOG, "Service.web.Policy=idle")
    assert found["changed"] == found["replayed"]


def test_deterministic():
    assert len({json.dumps(simulate(LOG, "Service.web.MaxConcurrent=2")) for _ in range(5)}) == 1


def test_a_configuration_that_changes(tmp_path):
    """A third slot from the middle on: the replay follows, and --set changes both halves."""
    lines = list(lockstep.lines())
    middle = len(lines) // 2
    services = [{"name": "web", **lockstep.SERVICE, "max_concurrent": 3}]
    config = {"at_ns": lines[middle]["at_ns"], "event": "config", "max_concurrent": 4, "memory_budget_bytes": 0,
              "defaults": {"name": "", **lockstep.SERVICE}, "services": services}
    path = write(tmp_path, lines[:middle] + [config] + lines[middle:])
    found = simulate(path, "Service.web.MaxConcurrent=1")
    assert found["replayed"]["paused_max"] > 1 and found["changed"]["paused_max"] == 1


def test_table():
    done = run("simulate", LOG, "--set", "Service.web.MaxConcurrent=3")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].endswith("lockstep.events: 3 heaps, 10s")
    assert lines[1].split() == ["RECORDED", "REPLAYED", "CHANGED"]
    by = {line[:14].strip(): line[14:].split() for line in lines[2:]}
    assert by["most at once"] == ["1", "1", "3"] and by["forced"] == ["0", "0", "0"]
    without = run("simulate", LOG)
    assert without.stdout.splitlines()[1].split() == ["RECORDED", "REPLAYED"]


def test_standard_input():
    with open(LOG, encoding="utf-8") as file:
        done = subprocess.run([CTL, "-j", "simulate", "-"], stdin=file, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and json.loads(done.stdout) == simulate(LOG)


# ---- freezes and snapshots ------------------------------------------------------------------

SETTLED = 1_000_000  # objects; nothing of them is garbage
FREEZE_NS, STOP_NS = 20_000, 2 * lockstep.MS


def frozen_lines():
    """Their first two collections are empty; from then on they freeze."""
    ended = {1: 0, 2: 0, 3: 0}
    for line in lockstep.lines():
        heap = line.get("heap")
        if line.get("event") == "join":
            line["kinds"] = ["major", "freeze"]
        elif line.get("event") == "report":
            line["live"] = line["used"] + (SETTLED if ended[heap] <= 2 else 0)
        elif "kind" in line and ended[heap] >= 2:
            line["kind"] = "freeze"
        if line.get("event") == "end":
            line.update(freed=0, live=SETTLED if ended[heap] < 2 else 0)
            if ended[heap] >= 2:
                line["end_ns"] = line["begin_ns"] + FREEZE_NS
            ended[heap] += 1
        yield line


def test_freezes(tmp_path):
    """They take what they took, find nothing, and set aside what majors walk."""
    found = simulate(write(tmp_path, frozen_lines()))
    recorded, replayed = found["recorded"], found["replayed"]
    majors = 3 * 2  # and no more: MinYield is 1 %
    for figures in (recorded, replayed):
        assert figures["collections"] >= majors + 12
        assert figures["gc_time_us"] == majors * lockstep.PAUSE * 1000 + (
            figures["collections"] - majors) * FREEZE_NS // 1000
    assert near(recorded["collections"], replayed["collections"], 1 / 4, 3)
    # Where nothing is declined there are no freezes, and majors cost what they did.
    found = simulate(write(tmp_path, frozen_lines()), "Service.web.MinYield=0%")
    assert found["changed"]["gc_time_us"] >= found["changed"]["collections"] * lockstep.PAUSE * 900


def snapshot_lines():
    for line in lockstep.lines():
        if line.get("event") == "join":
            line["kinds"] = ["major", "snapshot"]
        elif "kind" in line:
            line["kind"] = "snapshot"
        if line.get("event") == "end":
            line["stop_ns"] = STOP_NS
        yield line


def test_snapshots(tmp_path):
    """They stop their program shortly, and hold one of the snapshots' own slots for as long as they run."""
    path = write(tmp_path, snapshot_lines())
    found = simulate(path, "Daemon.MaxConcurrent=2")  # one slot for them
    for figures in (found["recorded"], found["replayed"], found["changed"]):
        assert figures["collections"] >= 20
        assert STOP_NS // 2000 <= figures["gc_time_us"] / figures["collections"] <= STOP_NS // 800
    assert near(found["recorded"]["collections"], found["replayed"]["collections"], 1 / 4, 3)
    assert found["replayed"]["wait_p99_us"] < 20_000  # three slots
    assert found["changed"]["wait_p99_us"] > 60_000
    # Of a group that pauses together they are majors: their cost is guessed.
    together = simulate(path, "Service.web.Policy=together")["changed"]
    assert together["gc_time_us"] / together["collections"] > 3 * STOP_NS / 1000
    assert together["paused_max"] == 3


# ---- --set ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text, words", [
    ("MaxConcurrent=2", "use Daemon.KEY=VALUE"),
    ("Service.web=2", "use Daemon.KEY=VALUE"),
    ("Daemon.a.MaxConcurrent=2", "use Daemon.KEY=VALUE"),
    ("Daemon.MaxConcurrent", "use Daemon.KEY=VALUE"),
    ("Host.MaxConcurrent=1", "use Daemon.KEY=VALUE"),
    ("Daemon.MaxConcurent=2", 'unknown key "MaxConcurent" in [Daemon]'),
    ("Service.web.Leed=2", 'unknown key "Leed" in [Service:web]'),
    ("Service.web.MaxConcurrent=0", "MaxConcurrent=0: not a whole number from 1 to"),
    ("Service.web.Lead=soon", "Lead=soon: not a time"),
    ("Service.wep.MaxConcurrent=2", "no heap in the log is of that service"),
    ("Service..MaxConcurrent=2", "not a name of 1 to 63 bytes"),
])
def test_wrong_settings(text, words):
    done = run("simulate", LOG, "--set", "Daemon.MaxConcurrent=3", "--set", text)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"rtgcctl: --set {text}: ") and words in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_option_is_of_simulate_only():
    done = run("status", "--set", "Daemon.MaxConcurrent=3")
    assert done.returncode == 2 and "takes no --set" in done.stderr


def test_names_with_dots(tmp_path):
    lines = list(lockstep.lines())
    for line in lines[1:4]:
        line["service"] = "v1.web.example"
    path = write(tmp_path, lines)
    found = simulate(path, "Service.v1.web.example.MaxConcurrent=3")
    assert (found["replayed"]["paused_max"], found["changed"]["paused_max"]) == (1, 3)


# ---- logs that are none -------------------------------------------------------------------------


def write(folder, lines):
    path = os.path.join(folder, "log")
    with open(path, "w", encoding="utf-8") as file:
        for line in lines:
            file.write((line if isinstance(line, str) else json.dumps(line)) + "\n")
    return path


def changed(number, **keys):
    lines = list(lockstep.lines())
    lines[number - 1] = {k: v for k, v in {**lines[number - 1], **keys}.items() if v != "gone"}
    return lines


@pytest.mark.parametrize("lines, words", [
    ([], "is empty"),
    (["hello"], "line 1: not JSON"),
    ([""], "line 1: not JSON"),
    (["[1]"], "line 1: not an object"),
    (changed(1, format="other"), 'line 1: "format" is not "rtgcd-events"'),
    (changed(1, version=3), 'line 1: "version" is 3, and this program reads up to 2: it takes a newer one'),
    (changed(1, at_ns="gone"), 'line 1: "at_ns" is missing'),
    (changed(2, pid="x"), 'line 2: "pid" is not a number of 32 bits'),
    (changed(2, service=""), 'line 2: "service" is not a name'),
    (changed(2, unit="furlongs"), 'line 2: "unit" is not one of its names'),
    (changed(3, heap=1), 'line 3: "heap" is not above that of the last join'),
    (changed(3, heap=0), 'line 3: "heap" is not a heap\'s number'),
    (changed(5, heap=9), 'line 5: "heap" has never joined'),
    (changed(5, used="gone"), 'line 5: "used" is missing'),
    (changed(5, used=-1), 'line 5: "used" is not an amount'),
    (changed(5, at_ns=0), 'line 5: "at_ns" is before that of an earlier line'),
    (changed(5, event="jump"), 'line 5: "event" is none that is known'),
    (changed(5, event="gone"), 'line 5: "event" is none that is known'),
])
def test_bad_logs(tmp_path, lines, words):
    path = write(tmp_path, lines)
    done = run("simulate", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"rtgcctl: {path}: {words}") and done.stderr.count("\n") == 1


def test_no_log(tmp_path):
    done = run("simulate", os.path.join(tmp_path, "nothing"))
    assert done.returncode == 1 and "No such file" in done.stderr
    assert run("simulate").returncode == 2


def test_nothing_happened(tmp_path):
    path = write(tmp_path, list(lockstep.lines())[:1])
    found = simulate(path)
    assert found["heaps"] == found["replayed"]["windows"] == 0
    path = write(tmp_path, list(lockstep.lines())[:4])
    assert simulate(path)["heaps"] == 3


def test_unknown_keys_are_passed_over(tmp_path):
    lines = [{**line, "colour": {"of": ["the", "day"]}} for line in lockstep.lines()]
    assert simulate(write(tmp_path, lines)) == simulate(LOG)


def mutate(chance, text):
    """Figures that are larger, smaller, none; lines that are missing or there twice."""
    lines = text.split("\n")
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(lines))
        how = chance.randrange(4)
        if how == 0:
            lines.insert(at, chance.choice(lines))
        elif how == 1:
            del lines[at]
        else:
            digits = [i for i, c in enumerate(lines[at]) if c.isdigit()]
            if digits:
                i = chance.choice(digits)
                new = chance.choice(["", "0", "9", "99999", "-1", "null", '"'])
                lines[at] = lines[at][:i] + new + lines[at][i + (how == 2):]
    return "\n".join(lines)


def test_mutated_logs(tmp_path):
    """It ends, and says either what would have happened or what is wrong."""
    with open(LOG, encoding="utf-8") as file:
        text = "".join(file.readlines()[:200]).rstrip()
    chance = random.Random(1)
    ends = {0: 0, 1: 0}
    for number in range(120):
        path = write(tmp_path, [mutate(chance, text)])
        done = run("-j", "simulate", path, "--set", "Service.web.MaxConcurrent=2")
        assert done.returncode in (0, 1), (number, done)
        assert done.stderr.count("\n") == done.returncode, (number, done)
        ends[done.returncode] += 1
    assert min(ends.values()) > 5, ends


# ---- a log of real programs -----------------------------------------------------------------------

PROGRAM = """
import collections, sys, time
class Node: pass
ring = collections.deque(maxlen=int(sys.argv[1]))
due = time.monotonic()
for _ in range(5000):
    for _ in range(100):
        node = Node()
        node.me = node
        ring.append(node)
    due = max(due + 0.001, time.monotonic() - 0.05)
    time.sleep(max(0, due - time.monotonic()))
"""


def read(path):
    """Of a log: how long its pauses took, and the longest that a heap took to begin in an open window, in µs."""
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    pauses = [line["end_ns"] - line["begin_ns"] for line in lines if line.get("event") == "end"]
    opens = {line["window"]: line["opens_ns"] for line in lines if line.get("action") == "open"}
    begins = [line["begin_ns"] - opens[line["window"]] for line in lines
              if line.get("event") == "begin" and line["window"] in opens]
    return [ns / 1000 for ns in pauses], max(begins) / 1000


def test_real_programs(tmp_path):
    """
    The replay with the log's own configuration agrees with what was recorded: windows and collections
    within a third (and 3 windows), a pause takes as long, the limit is kept as it was, and waits are of the same
    order (within half, and 150 ms: a handful of them make the quantile). What the machine did to the programs
    while they were recorded is added: it is in the log, and not in the replay.
    """
    script = os.path.join(tmp_path, "program.py")
    path = os.path.join(tmp_path, "events.log")
    config = "[Service:web]\nMaxConcurrent=1\n"
    with open(script, "w", encoding="utf-8") as file:
        file.write(PROGRAM)
    with harness.Daemon(config=config) as d, open(path, "w", encoding="utf-8") as log:
        trace = subprocess.Popen([CTL, "--control", d.control, "trace"], stdout=log)
        d.wait(lambda _: os.path.getsize(path) > 0, "somebody records")
        programs = [subprocess.Popen([os.environ["PYTHON"], "-m", "rtgc", "--service", "web", script, str(size)],
                                     env=environment(d.env())) for size in (30_000, 40_000, 60_000)]
        assert [p.wait(120) for p in programs] == [0, 0, 0]
        d.wait(lambda d: d.call("GetStatus")["heaps"] == 0, "all have left")
        status = d.call("GetStatus")
        trace.terminate()
        assert trace.wait(60) == 0
    found = simulate(path, "Service.web.MaxConcurrent=3", "Daemon.MaxConcurrent=3")
    print(json.dumps(found, indent=1))
    recorded, replayed = found["recorded"], found["replayed"]
    pauses, latest = read(path)
    # What was recorded is what the daemon itself had counted, and what the programs have told.
    assert recorded["windows"] == status["windows_granted"] >= 6
    assert recorded["forced"] == status["forced"] and recorded["over_limit"] == status["over_limit"]
    assert recorded["collections"] == len(pauses) and near(recorded["gc_time_us"], sum(pauses), 0, len(pauses))
    hurried = recorded["forced"] + recorded["over_limit"]
    assert near(recorded["windows"], replayed["windows"], 1 / 3, 3 + hurried)
    assert near(recorded["collections"], replayed["collections"], 1 / 3, 3 + hurried)
    assert min(pauses) * 2 / 3 <= replayed["gc_time_us"] / replayed["collections"] <= max(pauses) * 3 / 2
    assert near(recorded["paused_max"], replayed["paused_max"], 0, 1 + hurried)
    assert near(recorded["forced"], replayed["forced"], 1 / 3, 2 + hurried)
    assert near(recorded["over_limit"], replayed["over_limit"], 1 / 3, 3 + hurried)
    slow = latest + max(pauses)
    assert near(recorded["wait_p50_us"], replayed["wait_p50_us"], 1 / 2, 150_000 + slow)
    assert near(recorded["wait_p99_us"], replayed["wait_p99_us"], 1 / 2, 150_000 + slow)
    # More slots, and nobody waits longer for it.
    assert found["changed"]["wait_p99_us"] <= replayed["wait_p99_us"] + 20_000 + slow
