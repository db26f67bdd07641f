# SPDX-License-Identifier: MIT
"""Freezing, allocation sites, advice, pauses, and what memory there is."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program, environment, harness


@pytest.fixture(scope="module")
def daemon():
    with harness.Daemon(config="[Service:web]\nMaxConcurrent=1\n") as d:
        yield d


def run(source, env=None):
    """What the program says."""
    with Program(source, env or environment(), launcher=()) as p:
        return p.next()


# ---- freeze_after --------------------------------------------------------------------------


@pytest.mark.parametrize("warmup", ["0.01", "lambda: len(keep) >= 50_000"])
def test_freeze_alone(warmup):
    said = run(f"""
keep = []
rtgc.freeze_after({warmup})
before = gc.get_freeze_count()
while not gc.get_freeze_count():
    grow(1000, keep)
    time.sleep(0.001)
say(before=before, frozen=gc.get_freeze_count(), full=len(full), kept=len(keep),
    callbacks=len(gc.callbacks))
""")
    assert said["before"] == 0 and said["frozen"] > 1000 and said["full"] >= 1
    assert said["callbacks"] == 1  # the program's own: ours has gone
    if "keep" in warmup:
        assert said["kept"] >= 50_000


def test_freeze_in_a_window(daemon):
    """Supervised: behind the next collection in a window, which is the only one."""
    said = run("""
import select
rtgc.supervise(service="web")
while not rtgc.status()["supervised"]:
    time.sleep(0.001)
keep = []
rtgc.freeze_after(0)
fill(keep)
while not gc.get_freeze_count():
    trickle(keep)
    select.select([], [], [], 0.01)
say(status=rtgc.status(), full=len(full), frozen=gc.get_freeze_count())
""", environment(daemon.env()))
    assert said["status"]["collections_in_window"] == said["full"] == 1
    assert said["status"]["uncoordinated"] == 0 and said["frozen"] > 50_000


def test_freeze_begins_anew():
    said = run("""
rtgc.freeze_after(3600)
rtgc.freeze_after(lambda: False)
n = len(gc.callbacks)
gc.collect()
try:
    rtgc.freeze_after("soon")
except ValueError:
    say(callbacks=n, frozen=gc.get_freeze_count())
""")
    assert said == {"callbacks": 2, "frozen": 0}


@pytest.mark.parametrize("seconds", ["-1", "1e308", "float('nan')", "'soon'"])
def test_freeze_after_no_time_at_all(seconds):
    said = run(f"""
try:
    rtgc.freeze_after({seconds})
except ValueError as error:
    say(error=str(error), callbacks=len(gc.callbacks))
""")
    assert said["error"] and said["callbacks"] == 1


def test_freeze_asks_outside_of_collections():
    """The function, and what it returns, are the program's own code: called from within a
    collection they would meet locks that the program holds while it allocates."""
    said = run("""
lock = threading.Lock()
keep, inside, collecting = [], [], []
def mark(phase, info):
    collecting.append(threading.get_ident()) if phase == "start" else collecting.clear()
gc.callbacks.append(mark)
class Answer:
    def __bool__(self):
        inside.append(threading.get_ident() in collecting)
        with lock:
            return len(keep) >= 100_000
def is_warm():
    with lock:
        return Answer()
rtgc.freeze_after(is_warm)
while not gc.get_freeze_count():
    with lock:
        grow(5000, keep)
    time.sleep(0.001)
say(kept=len(keep), inside=any(inside))
""")
    assert said["kept"] >= 100_000 and not said["inside"]


def test_freeze_after_a_function_that_fails():
    """Said once, as of any thread; nothing is frozen, and nobody asks again."""
    said = run("""
told = []
threading.excepthook = lambda said: told.append(repr(said.exc_value))
asked = []
def is_warm():
    asked.append(1)
    raise ValueError("no answer")
rtgc.freeze_after(is_warm)
while not told:
    time.sleep(0.001)
gc.collect()
say(told=told, asked=len(asked), frozen=gc.get_freeze_count(), callbacks=len(gc.callbacks))
""")
    assert said == {"told": ["ValueError('no answer')"], "asked": 1, "frozen": 0, "callbacks": 1}


def test_freeze_in_a_forked_child():
    said = run("""
warm = []
rtgc.freeze_after(lambda: warm)
child = os.fork()
if child == 0:
    warm.append(1)
    while not gc.get_freeze_count():
        time.sleep(0.001)
    os._exit(0)
say(status=os.waitpid(child, 0)[1], frozen=gc.get_freeze_count())
""")
    assert said == {"status": 0, "frozen": 0}


# ---- sites and advice ------------------------------------------------------------------------

WORK = """
class Node: pass
class Ring:
    def __init__(self):
        self.me = self
keep = []
def churn():
    for _ in range(30_000):
        Ring()                  # LINE of churn
def hoard():
    for _ in range(10_000):
        keep.append([])         # LINE of hoard
def work():
    for _ in range(4):
        churn()
        hoard()
lines = {}
for number, line in enumerate(open(__file__), 1):
    if "# LINE of " in line:
        lines[line.split()[-1]] = number
"""


def test_sites():
    said = run(WORK + """
sites = rtgc.allocation_sites(during=work)
none = rtgc.allocation_sites(during=lambda: None)
say(sites=[s._asdict() for s in sites], none=none, lines=lines, text=str(sites[0]),
    callbacks=len(gc.callbacks), file=__file__)
""")
    sites = said["sites"]
    assert abs(sum(s["share"] for s in sites) - 1) < 0.01
    assert [s["share"] for s in sites] == sorted((s["share"] for s in sites), reverse=True)
    by_function = {}
    for s in sites:
        assert s["filename"] == said["file"]
        by_function[s["function"]] = by_function.get(s["function"], 0) + s["share"]
    # Three quarters by churn(), where a Ring is made and written to; a quarter by hoard().
    assert 0.6 < by_function.get("churn", 0) + by_function.get("__init__", 0) < 0.9
    assert 0.1 < by_function["hoard"] < 0.4
    [hoard] = [s for s in sites if s["function"] == "hoard" and s["lineno"] == said["lines"]["hoard"]]
    assert hoard["types"]["list"] > 0.9
    rings = [s for s in sites if s["function"] in ("churn", "__init__")]
    assert rings[0]["types"]["__main__.Ring"] > 0.9
    assert said["none"] == [] and said["callbacks"] == 1 and "%" in said["text"]


def test_sites_of_another_thread_and_twice():
    said = run(WORK + """
stop = threading.Event()
def forever():
    while not stop.is_set():
        churn()
thread = threading.Thread(target=forever)
thread.start()
sites = []
while not sites:
    sites = rtgc.allocation_sites(0.01)
def again():
    try:
        rtgc.allocation_sites(0)
    except RuntimeError as e:
        return str(e)
errors = []
rtgc.allocation_sites(during=lambda: errors.append(again()))
def fails():
    raise KeyError("x")
try:
    rtgc.allocation_sites(during=fails)
except KeyError:
    errors.append(again())
stop.set()
thread.join()
say(functions=[s.function for s in sites], errors=errors)
""")
    assert {"churn", "__init__"} & set(said["functions"])
    assert said["errors"] == ["allocation sites are sampled already", None]


def test_advice():
    said = run(WORK + """
gc.enable()
quiet = rtgc.advise(during=lambda: None)
base = [[] for _ in range(300_000)]
gc.collect()
gc.collect()
pool = rtgc.Pool(list, max=0, name="small")
for _ in range(2000):
    pool.release(pool.acquire())
busy = rtgc.advise(during=lambda: [churn() for _ in range(10)])
gc.disable()
off = rtgc.advise(during=lambda: None)
say(quiet=quiet, busy=busy, off=off)
""")
    assert said["quiet"] == []
    busy = "\n".join(said["busy"])
    assert "tracked objects live here, and a full collection finds" in busy
    assert "rtgc.freeze_after(30)" in busy and "rtgc.Pool() reuses such objects" in busy
    assert "is __main__.Ring, and it did not stay: most of it by" in busy
    assert "Pool 'small' has dropped 2,000 of 2,000 objects" in busy
    assert any("switched off (gc.disable())" in line for line in said["off"])


# ---- pauses and others' settings ----------------------------------------------------------------


def test_pauses_of_all_generations(daemon):
    """Each is there, whoever ran it, and none is longer than the program itself saw."""
    said = run("""
import select
rtgc.supervise(service="web")
while not rtgc.status()["supervised"]:
    time.sleep(0.001)
seen = [[0, 0, 0] for _ in range(3)]
begun = [0]
def clock(phase, info):
    if phase == "start":
        begun[0] = time.monotonic_ns()
    else:
        took = (time.monotonic_ns() - begun[0]) // 1000
        mine = seen[info["generation"]]
        mine[0] += 1
        mine[1] += took
        mine[2] = max(mine[2], took)
before = [g["collections"] for g in rtgc.status()["generations"]]
gc.callbacks.append(clock)
keep = []
begin = time.monotonic()
grow(200_000, keep)
gc.collect(0), gc.collect(1), gc.collect()
gc.callbacks.remove(clock)
status = rtgc.status()
while not rtgc.status()["net_allocations_per_s"]:
    grow(1000, keep)
say(before=before, seen=seen, status=status, elapsed_us=(time.monotonic() - begin) * 1e6)
""", environment(daemon.env()))
    status = said["status"]
    for before, seen, mine in zip(said["before"], said["seen"], status["generations"]):
        assert mine["collections"] - before == seen[0] >= 1
        assert mine["pause_total_us"] >= mine["pause_max_us"] >= mine["pause_p99_us"] >= 0
    # The full one took a while; ours ends before the program's clock does.
    assert 0 < status["generations"][2]["pause_max_us"] < said["elapsed_us"]
    assert status["generations"][0]["collections"] > 50
    assert status["uncoordinated"] == 1 and status["enabled"] and status["rss_bytes"] > 1 << 20
    assert len(status["candidates"]) == 3


@pytest.mark.parametrize("thresholds, step", [((700, 10), 701 * 12), ((50, 3), 51 * 5), ((50, 0), 51 * 2)])
def test_how_often_figures_are_published(daemon, thresholds, step):
    """No more than that is allocated while they are not, which the daemon is told."""
    with Program(f"""
gc.set_threshold(*{thresholds})
rtgc.supervise(service="web")
while not rtgc.status()["supervised"]:
    time.sleep(0.001)
grow(10_000, keep := [])
say(supervised=True)
sys.stdin.readline()
""", environment(daemon.env()), launcher=()) as p, harness.Varlink(daemon.control) as trace:
        p.next()
        trace.send({"method": f"{harness.INTERFACE}.Trace", "parameters": {"format": "events"}, "more": True})
        lines = []
        while not any(line.get("event") == "report" for line in lines):
            lines += trace.receive()["parameters"]["events"]
        assert [line["step"] for line in lines if line.get("event") == "report"] == [step]


def test_what_others_change_is_counted(daemon):
    said = run("""
import select
rtgc.supervise(service="web")
while not rtgc.status()["supervised"]:
    time.sleep(0.001)
taken = gc.get_threshold()[2]
keep = []
for third in (3, 10, 5):
    gc.set_threshold(500, 8, third)
    gc.collect(1)
right = gc.get_threshold()
gc.disable()
off = rtgc.status()["enabled"]
gc.enable()
say(right=right, taken=taken, status=rtgc.status(), off=off,
    advice=[a for a in rtgc.advise(during=lambda: None) if "set_threshold() 3 times" in a])
""", environment(daemon.env()))
    assert said["right"] == [500, 8, said["taken"]]
    assert said["status"]["put_right"] == 3 and said["status"]["threshold"] == 5
    assert (said["off"], said["status"]["enabled"]) == (False, True) and len(said["advice"]) == 1


# ---- memory ---------------------------------------------------------------------------------------


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


LIMITS = {
    "none": ("0::/a/b\n", {"a/b/memory.max": "max\n"}, None),
    "its own": ("0::/a/b\n", {"a/b/memory.max": "1000\n", "a/memory.max": "max"}, 1000),
    "high is less": ("0::/a\n", {"a/memory.max": "1000\n", "a/memory.high": "900\n"}, 900),
    "its parent's": ("0::/a/b\n", {"a/b/memory.max": "1000\n", "a/memory.max": "500\n"}, 500),
    "in a namespace": ("0::/\n", {"memory.max": "700\n"}, 700),
    "from outside": ("0::/../other\n", {"memory.max": "700\n"}, 700),
    "version 1": ("5:cpu,memory:/x\n3:pids:/x\n", {"memory/x/memory.limit_in_bytes": "4096\n"}, 4096),
    "version 1, none": ("5:memory:/x\n", {"memory/x/memory.limit_in_bytes": f"{2**63 - 4096}\n"}, None),
    "both": ("5:memory:/x\n0::/y\n", {"memory/x/memory.limit_in_bytes": "4096\n",
                                       "y/memory.max": "2048\n"}, 2048),
    "nonsense": ("what\n\n0::/a\n", {"a/memory.max": "lots\n"}, None),
    "nothing": ("", {}, None),
}


@pytest.mark.parametrize("case", LIMITS)
def test_cgroup_limit(case, tmp_path):
    membership, files, limit = LIMITS[case]
    write(str(tmp_path / "self"), membership)
    for name, text in files.items():
        write(str(tmp_path / "root" / name), text)
    said = run(f"""
from rtgc import _memory
say(limit=_memory.cgroup_limit({str(tmp_path / "self")!r}, {str(tmp_path / "root")!r}))
""")
    assert said["limit"] == limit


def test_budget_in_per_cent(daemon):
    said = run("""
from rtgc import _memory, _supervise
limit, source = _memory.limit()
errors = []
for wrong in ("0%", "101%", "%", "1.5%", "-5%"):
    try:
        rtgc.supervise(budget=wrong)
    except ValueError as e:
        errors.append(str(e))
rtgc.supervise(service="web", budget="80 %")
say(limit=limit, source=source, status=rtgc.status(), errors=errors)
""", environment(daemon.env()))
    assert said["source"] in ("cgroup", "machine")
    assert said["status"]["unit"] == "bytes" and said["status"]["budget"] == said["limit"] * 80 // 100
    assert len(said["errors"]) == 5


# ---- help -----------------------------------------------------------------------------------------


def test_help_and_stubs():
    """Everything public is documented, and has the signature that its stub has."""
    said = run("""
import inspect
docs = {name: inspect.getdoc(getattr(rtgc, name)) or "" for name in rtgc.__all__}
signatures = {}
for name in rtgc.__all__:
    signatures[name] = list(inspect.signature(getattr(rtgc, name)).parameters)
say(docs=docs, signatures=signatures, dir=dir(rtgc))
""")
    for name, doc in said["docs"].items():
        assert len(doc.split()) >= 4, name
        assert name in said["dir"]
    with open(os.path.join(harness.SRCDIR, "client/python/rtgc/__init__.pyi"), encoding="utf-8") as file:
        stub = file.read()
    import ast
    known = {node.name: node for node in ast.parse(stub).body
             if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for name, parameters in said["signatures"].items():
        node = known[name]
        if isinstance(node, ast.ClassDef):
            made = [f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"]
            arguments = [a.arg for a in made[0].args.args[1:]] if made else []
        else:
            arguments = [a.arg for a in node.args.args + [node.args.vararg] if a]
        assert arguments == parameters, name
