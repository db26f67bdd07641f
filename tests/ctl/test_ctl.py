# SPDX-License-Identifier: MIT
"""rtgcctl against the real daemon."""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.environ["RTGC_SRCDIR"], "tests"))
import harness  # noqa: E402
from joined import Heap  # noqa: E402
from screen import CTL, on_terminal, rows, run, width  # noqa: E402

CONFIG = """
[Service:checkout]
MaxConcurrent=1
Lead=0
"""


@pytest.fixture
def daemon():
    with harness.Daemon(config=CONFIG) as d:
        yield d


@pytest.fixture
def busy(daemon):
    """Three heaps in two services; the first one collects in its window."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Heap(daemon.socket, "checkout", "first", budget=10000))
        second = stack.enter_context(Heap(daemon.socket, "checkout", "second", budget=10000))
        third = stack.enter_context(Heap(daemon.socket, "ledger", "third", budget=10000))
        # So much to walk that its window stays in use for as long as a test takes.
        first.report(10000, live=10**7)
        window = first.window()
        first.begin(window)
        first.settle()
        second.report(5000)
        second.settle()
        third.report(100)
        third.settle()
        yield daemon, first, second, third, window


# ---- tables ------------------------------------------------------------------------------


def test_status(busy):
    daemon = busy[0]
    done = run("status", control=daemon.control)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("rtgcd 0.1.0, normal, up ")
    assert lines[0].endswith(f"(pid {daemon.pid})")
    said = {line.split()[0]: line.split(None, 1)[1] for line in lines[1:]}
    assert said["heaps"] == "3 in 2 services"
    assert said["windows"] == "1 open, 1 granted"
    assert said["trouble"] == "0 forced, 0 over limit, 0 overruns, 0 uncoordinated"
    assert said["pauses"].startswith("1 now, 1 at most at once, limit ")
    assert "config" not in said


def test_services(busy):
    done = run("services", control=busy[0].control)
    assert done.returncode == 0, done.stderr
    found = {row["SERVICE"]: row for row in rows(done.stdout)}
    assert set(found) == {"checkout", "ledger"}
    assert found["checkout"]["POLICY"] == "stagger"
    assert found["checkout"]["HEAPS"] == "2"
    assert found["checkout"]["SLOTS"] == "1"
    assert found["checkout"]["PAUSED"] == "1"
    assert found["checkout"]["UID"] == str(os.getuid())
    assert (found["checkout"]["NEEDS"], found["checkout"]["FITS"]) == ("1", "yes")
    assert found["checkout"]["LOAD"] == "0%"  # nothing grows, so there is no advice


def test_services_without_enough_slots(daemon):
    """Those that need more slots come first, and the advice says how many, on any terminal."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(Heap(daemon.socket, "alone", "quiet", budget=10**6))
        for name in ("one", "two", "three"):
            heap = stack.enter_context(Heap(daemon.socket, "checkout", name, budget=10**6))
            heap.grow(0, rate=250000, live=10**7)
        service, _ = sorted(daemon.services(), key=lambda s: s["schedulable"])
        piped = run("services", control=daemon.control).stdout
        shown = {columns: on_terminal(columns, "services", control=daemon.control, NO_COLOR="1")[1]
                 for columns in (40, 80, 120)}
        host = daemon.call("GetStatus")["advice"]
        status = {columns: on_terminal(columns, "status", control=daemon.control, NO_COLOR="1")[1]
                  for columns in (60, 200)}
    assert not service["schedulable"] and service["advice"].endswith(" would do")
    table, advice = piped.split("\n\n")
    assert [(row["SERVICE"], row["NEEDS"], row["FITS"]) for row in rows(table)] == [
        ("checkout", str(service["needs_concurrent"]), "no"), ("alone", "1", "yes")]
    assert advice.startswith("checkout: MaxConcurrent=1 is too little for 3 heaps that pause ")
    for columns, text in shown.items():
        lines = text.split("\n\n")[1].splitlines()
        assert all(width(line) <= columns for line in lines)
        assert " ".join(line.strip() for line in lines) + "\n" == advice
    assert f"    advice  {host}\n" in status[200]
    assert re.sub(r"\n {12}", " ", status[60]).count(f"    advice  {host}\n") == 1


def test_heaps_come_by_urgency(busy):
    daemon, first, second, third, _ = busy
    done = run("heaps", control=daemon.control)
    assert done.returncode == 0, done.stderr
    found = rows(done.stdout)
    assert [row["HEAP"] for row in found][-1] == "third"  # does not grow: nothing in sight
    by_name = {row["HEAP"]: row for row in found}
    assert by_name["first"]["STATE"] == "collecting"
    assert by_name["first"]["ID"] == str(first.id)
    assert by_name["first"]["USED"] == by_name["first"]["BUDGET"] == "10k"
    assert by_name["first"]["FULL"] == "100%"
    assert by_name["first"]["FROM"] == "own"
    assert by_name["first"]["UNIT"] == "objects"
    assert by_name["first"]["RSS"] == "64M"
    assert by_name["first"]["RUNTIME"] == "test 1"
    assert by_name["first"]["PID"] == str(os.getpid())
    assert by_name["third"]["STATE"] == "idle"
    assert by_name["third"]["FULL"] == "1%"
    assert by_name["third"]["START"] == "-"


def test_windows(busy):
    daemon, _, _, _, window = busy
    done = run("windows", control=daemon.control)
    assert done.returncode == 0, done.stderr
    row = {row["WINDOW"]: row for row in rows(done.stdout)}[str(window)]
    assert (row["HEAP"], row["SERVICE"], row["KIND"]) == ("first", "checkout", "major")
    assert (row["STATE"], row["MUST"], row["SLOT"]) == ("in_use", "must", "yes")


@pytest.mark.parametrize("by", ["name", "id"])
def test_explain(busy, by):
    daemon, first, *_ = busy
    done = run("explain", "first" if by == "name" else str(first.id), control=daemon.control)
    assert done.returncode == 0, done.stderr
    head, decisions, meanings = done.stdout.split("\n\n")
    assert head.splitlines()[0] == (f"first (heap {first.id} of service checkout, "
                                    f"pid {os.getpid()})")
    assert head.splitlines()[1].startswith("collecting: 10k of 10k used (own), latest start ")
    assert [row["REASON"] for row in rows(decisions)][-1] == "began"
    assert re.search(r"^began +the collection began in its window$", meanings, re.M)


def test_explain_says_who_holds_the_slot(daemon):
    with Heap(daemon.socket, "checkout", "one", budget=10**6) as one, \
            Heap(daemon.socket, "checkout", "two", budget=10**6) as two:
        one.report(10**6, live=10**7)
        one.begin(one.window())
        one.settle()
        # A budget lasts 400 s, so the guard is 10 s: due, and not yet past its last call.
        two.grow(10**6 - 22500, rate=2500)
        daemon.wait(lambda d: any(decision["reason"] == "slot-busy" for decision in
                                  d.call("Explain", heap="two")["decisions"]),
                    "the second one has to wait")
        done = run("explain", "two", control=daemon.control)
    assert done.returncode == 0, done.stderr
    held = [row for row in rows(done.stdout.split("\n\n")[1]) if row["REASON"] == "slot-busy"]
    assert held and held[0]["HOLDER"] == "one" and held[0]["SLOTS"] == "1/1"
    assert "every slot of the service was taken" in done.stdout
    assert done.stdout.split("\n\n")[-1] == (
        "it waits for one: with a second slot in checkout it would start now\n")


def test_explain_says_what_had_to_be_different(daemon):
    with Heap(daemon.socket, "checkout", "one", budget=10**6) as one, \
            Heap(daemon.socket, "checkout", "two", budget=10**6) as two:
        one.report(10**6, live=10**7)
        one.begin(one.window())
        one.settle()
        two.grow(10**6 - 22500, rate=2500)
        daemon.wait(lambda d: d.call("Explain", heap="two")["heap"]["reason"] == "slot-busy", "it waits")
        two.report(10**6, grown=22500)  # much faster: now it cannot wait
        two.window()
        done = run("explain", "two", control=daemon.control)
    assert [row["REASON"] for row in rows(done.stdout.split("\n\n")[1])].count("over-limit") == 1
    assert re.fullmatch(r"\d+[mu]s ago it waited \d+ms for one: with a second slot in checkout, or \S+ objects "
                        r"more budget, it would have started in time\n", done.stdout.split("\n\n")[-1])


def test_forced_stands_out(daemon):
    with Heap(daemon.socket, "checkout", "poor", budget=1000) as heap:
        heap.begin(cause=1)
        heap.end(cause=1)
        heap.settle()
        heaps = rows(run("heaps", control=daemon.control).stdout)
        status = run("status", control=daemon.control)
        _, shown, _ = on_terminal(120, "status", control=daemon.control)
        _, plain, _ = on_terminal(120, "status", control=daemon.control, NO_COLOR="1")
    assert heaps[0]["FORCED"] == "1" and heaps[0]["DONE"] == "1"
    assert "1 forced, " in status.stdout and "\x1b" not in status.stdout
    assert "\x1b[31m1 forced, \x1b[0m" in shown
    assert "\x1b" not in plain


def test_nothing_has_joined(daemon):
    for verb, said in (("heaps", "no heaps that you may see have joined rtgcd\n"),
                       ("services", "no services that you may see: no heap has joined rtgcd\n"),
                       ("windows", "no windows that you may see are announced, open or in use\n")):
        done = run(verb, control=daemon.control)
        assert (done.returncode, done.stdout) == (0, said)
        key = json.loads(run(verb, "-j", control=daemon.control).stdout)
        assert key == {verb: []}


def test_one_service_only(busy):
    daemon = busy[0]
    found = rows(run("heaps", "--service", "ledger", control=daemon.control).stdout)
    assert [row["HEAP"] for row in found] == ["third"]
    found = json.loads(run("heaps", "-j", "--service=checkout", control=daemon.control).stdout)
    assert {heap["name"] for heap in found["heaps"]} == {"first", "second"}
    found = json.loads(run("windows", "-j", "--service", "ledger", control=daemon.control).stdout)
    assert found == {"windows": []}
    for verb in ("heaps", "windows"):
        none = run(verb, "--service", "nobody", control=daemon.control)
        assert (none.returncode, none.stdout) == (0, f"no {verb} in service nobody\n")


# ---- JSON ---------------------------------------------------------------------------------


def same(a, b):
    """Equal, but for spans that have passed between two calls."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(
            key.endswith("_us") and isinstance(a[key], int) or same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("mode", [["-j"], ["--json=short"], ["--json=pretty"]],
                         ids=lambda m: m[0])
def test_json_is_the_reply(busy, mode):
    daemon = busy[0]
    said = {verb: run(verb, *mode, control=daemon.control)
            for verb in ("status", "services", "heaps", "windows")}
    said["explain"] = run("explain", "third", *mode, control=daemon.control)
    for done in said.values():
        assert done.returncode == 0, done.stderr
        assert (done.stdout.count("\n") == 1) == (mode != ["--json=pretty"])
    said = {verb: json.loads(done.stdout) for verb, done in said.items()}
    assert same(said["explain"], daemon.call("Explain", heap="third"))
    assert same(said["services"], {"services": daemon.services()})
    assert [h["id"] for h in said["heaps"]["heaps"]] == [h["id"] for h in daemon.heaps()]
    assert said["heaps"]["heaps"][0].keys() == daemon.heaps()[0].keys()
    assert said["windows"]["windows"][0].keys() == daemon.windows()[0].keys()
    assert said["status"].keys() == daemon.call("GetStatus").keys()


def test_j_is_pretty_on_a_terminal(daemon):
    status, shown, _ = on_terminal(80, "-j", "status", control=daemon.control)
    assert status == 0
    assert shown.startswith("{\n  ")
    assert json.loads(shown)["pid"] == daemon.pid


def test_pages_are_merged(daemon):
    with contextlib.ExitStack() as stack:
        for i in range(150):
            stack.enter_context(Heap(daemon.socket, f"service-{i % 3}", f"heap-{i}"))
        assert daemon.call("ListHeaps").get("next") is not None
        table = rows(run("heaps", control=daemon.control).stdout)
        listed = json.loads(run("-j", "heaps", control=daemon.control).stdout)
        some = json.loads(run("-j", "heaps", "--service", "service-1",
                              control=daemon.control).stdout)
    assert len(table) == 150
    assert {row["HEAP"] for row in table} == {f"heap-{i}" for i in range(150)}
    assert list(listed) == ["heaps"]
    assert len({heap["id"] for heap in listed["heaps"]}) == 150
    assert len(some["heaps"]) == 50


# ---- names ---------------------------------------------------------------------------------


def test_names_that_a_client_may_choose(daemon):
    names = ["\u202eevil", "日本語のヒープ", "a\\nb", "%s%n", "-j", "$(id)", "x" * 63, " "]
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(Heap(daemon.socket, "odd", name))
        table = run("heaps", control=daemon.control)
        listed = json.loads(run("-j", "heaps", control=daemon.control).stdout)
        found = [run("-j", "explain", "--", name, control=daemon.control) for name in names]
    assert [heap["name"] for heap in listed["heaps"]] == names
    assert "\u202e" not in table.stdout and "\\u202eevil" in table.stdout
    assert "a\\\\nb" in table.stdout
    assert [json.loads(done.stdout)["heap"]["name"] for done in found] == names


def test_a_name_that_two_have(daemon):
    with Heap(daemon.socket, "checkout", "twin"), Heap(daemon.socket, "ledger", "twin") as second:
        done = run("explain", "twin", control=daemon.control)
        by_id = run("-j", "explain", str(second.id), control=daemon.control)
    assert done.returncode == 1
    assert done.stderr == ("rtgcctl: several heaps are called twin: give the id that rtgcctl heaps "
                           "shows\n")
    assert json.loads(by_id.stdout)["heap"]["service"] == "ledger"


def test_a_name_that_nobody_has(daemon):
    done = run("explain", "nob\x1body", control=daemon.control)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "rtgcctl: no heap is called nob\\x1body: rtgcctl heaps lists them\n"


# ---- reload ---------------------------------------------------------------------------------


def test_reload(daemon):
    daemon.write_config("[Daemon]\nMaxConcurrent=7\n")
    done = run("reload", control=daemon.control)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert daemon.call("GetStatus")["max_concurrent"] == 7


def test_reload_of_a_bad_file(daemon):
    before = daemon.call("GetStatus")["max_concurrent"]
    daemon.write_config("[Daemon]\nMaxConcurrent=none\n")
    done = run("reload", control=daemon.control)
    assert done.returncode == 1
    assert done.stderr.startswith(f"rtgcctl: {daemon.config_file}:2: ")
    assert done.stderr.endswith("; the old configuration stays in force\n")
    assert done.stderr.count("\n") == 1
    status = run("status", control=daemon.control)
    assert "the last reload was refused" in status.stdout
    assert daemon.call("GetStatus")["max_concurrent"] == before


# ---- usage ----------------------------------------------------------------------------------


@pytest.mark.parametrize("args, words", [
    ([], "which of status, services, heaps, windows, explain, heap-summary, collect, hold, release, config, reload, trace, metrics, simulate?"),
    (["stats"], "there is no stats: use one of status, "),
    (["status", "now"], "use: rtgcctl status"),
    (["explain"], "use: rtgcctl explain HEAP"),
    (["explain", "a", "b"], "use: rtgcctl explain HEAP"),
    (["explain", b"\xff"], "explain: \\xff is not UTF-8"),
    (["heaps", "--service", b"\xff"], "--service: \\xff is not UTF-8"),
    (["windows", "--service", b"\xff"], "--service: \\xff is not UTF-8"),
    (["heap-summary", b"\xff"], "heap-summary: \\xff is not UTF-8"),
    (["status", "--service", "x"], "status takes no --service"),
    (["--json=yes", "status"], "--json=yes: use pretty, short or off"),
    (["--json", "status"], "--json=status: use pretty, short or off"),
    (["--colour", "status"], "unrecognized option"),
    (["status", "--control"], "requires an argument"),
], ids=lambda v: " ".join(map(str, v)) if isinstance(v, list) else "")
def test_used_wrongly(args, words):
    done = run(*args, control="/nonexistent/control.sock")
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_and_version():
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("status", "services", "heaps", "windows", "explain  ", "heap-summary HEAP", "reload", "--json",
                 "--control", "--service"):
        assert word in done.stdout
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, "rtgcctl 0.1.0\n")


def test_output_that_cannot_be_written(daemon):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([CTL, "--control", daemon.control, "status"], stdout=full,
                              stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "rtgcctl: cannot write the output\n"


# ---- where the daemon is ---------------------------------------------------------------------


@pytest.mark.parametrize("args", [["status"], ["-j", "heaps"], ["explain", "x"], ["reload"]],
                         ids=lambda a: a[-1])
def test_no_daemon(args):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = os.path.join(folder, "control.sock")
        done = run(*args, control=path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (f"rtgcctl: rtgcd does not answer at {path}: systemctl start rtgcd, or "
                           "name another socket by --control\n")


def test_a_daemon_that_has_died(daemon):
    daemon.kill()
    with harness.Daemon(activate=False) as other:
        other.kill()
        done = run("status", control=other.control)
    assert done.returncode == 1
    assert "does not answer at" in done.stderr


def test_the_option_goes_before_the_environment(daemon):
    done = run("--control", daemon.control, "status", control="/nonexistent/control.sock")
    assert done.returncode == 0, done.stderr


def test_an_ordinary_users_own_daemon(daemon):
    """$XDG_RUNTIME_DIR/rtgcd/control.sock where it exists, else the system's."""
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    os.chmod(daemon.control, 0o666)
    env = {k: v for k, v in os.environ.items() if k != "RTGC_CONTROL"}
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        os.mkdir(os.path.join(folder, "rtgcd"))
        env["XDG_RUNTIME_DIR"] = folder
        own = os.path.join(folder, "rtgcd", "control.sock")
        ctl = daemon.copy(CTL)
        without = subprocess.run([ctl, "status"], env=env, capture_output=True, text=True, **user)
        os.symlink(daemon.control, own)
        done = subprocess.run([ctl, "-j", "status"], env=env, capture_output=True, text=True,
                              **user)
    assert own not in without.stderr
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pid"] == daemon.pid


def test_an_ordinary_user_sees_his_own_and_changes_nothing(daemon):
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    os.chmod(daemon.control, 0o666)
    somebody = {"user": 65534, "group": 65534, "extra_groups": [], "text": True,
                "capture_output": True}
    with Heap(daemon.socket, "checkout", "roots-own"):
        ctl = daemon.copy(CTL)
        heaps = subprocess.run([ctl, "--control", daemon.control, "heaps"], **somebody)
        reload = subprocess.run([ctl, "--control", daemon.control, "reload"], **somebody)
        orders = [subprocess.run([ctl, "--control", daemon.control, *words], **somebody)
                  for words in (("hold", "checkout"), ("release", "checkout"), ("collect", "roots-own"))]
    assert (heaps.returncode, heaps.stdout) == (0, "no heaps that you may see have joined rtgcd\n")
    assert (reload.returncode, reload.stderr) == (
        1, "rtgcctl: Reload is not allowed to this user: try as root\n")
    for done, method in zip(orders, ("Hold", "Release", "Collect")):
        assert (done.returncode, done.stderr) == (
            1, f"rtgcctl: {method} is not allowed to this user: try as root\n")


# ---- orders ---------------------------------------------------------------------------------


def state(daemon, name):
    heap, = [h for h in daemon.heaps() if h["name"] == name]
    return heap["state"]


def test_hold_and_release(daemon):
    with Heap(daemon.socket, "checkout", "first", budget=10000) as heap:
        done = run("hold", "checkout", control=daemon.control)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert daemon.services()[0]["held"] is True
        heap.grow(9100, rate=100)
        heap.settle()
        shown = rows(run("services", control=daemon.control).stdout)
        assert shown[0]["POLICY"] == "stagger, held"
        reasons = [d["reason"] for d in daemon.call("Explain", heap="first")["decisions"]]
        assert "held" in reasons and "due" not in reasons  # (its last call may have come by now)
        assert run("release", "checkout", control=daemon.control).returncode == 0
        heap.begin(heap.window())
        heap.settle()
        assert state(daemon, "first") == "collecting"
        assert daemon.services()[0]["held"] is False


def test_collect(daemon):
    with Heap(daemon.socket, "checkout", "first", budget=10000) as heap:
        heap.report(3)
        heap.settle()
        done = run("collect", "first", control=daemon.control)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        heap.begin(heap.window())
        heap.settle()
        assert state(daemon, "first") == "collecting"
        by_id = run("-j", "collect", str(heap.id), control=daemon.control)
        assert json.loads(by_id.stdout) == {"heap": heap.id}


@pytest.mark.parametrize("verb", ["hold", "release"])
def test_a_service_that_nobody_is_in(daemon, verb):
    done = run(verb, "nob\x1body", control=daemon.control)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "rtgcctl: no service is called nob\\x1body: rtgcctl services lists them\n"
