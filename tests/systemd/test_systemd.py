# SPDX-License-Identifier: MIT
"""The installed daemon under a real systemd: its units, its life, its journal."""

import contextlib
import json
import os
import re
import sys

import pytest

from box import Box, harness, missing

sys.path.insert(0, os.path.join(harness.SRCDIR, "tests", "daemon"))

from swarming import IN_WINDOW, Counter, Swarm, most_over  # noqa: E402

WHY_NOT = missing()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

SOCKETS = ("rtgcd.socket", "rtgcd-control.socket")
EXPOSURE = 0.5  # systemd-analyze security; what is left is needed: see rtgcd.service

# Joins as a heap, collects once, and says what it sees.
CLIENT = """
import gc, json, rtgc, subprocess, sys
rtgc.supervise(service=sys.argv[1], heap="mine")
gc.collect()
print(subprocess.run(["rtgcctl", "-j", "heaps"], capture_output=True, text=True, check=True).stdout)
"""


@pytest.fixture(scope="module", name="machine")
def fixture_machine():
    with Box() as box:
        if not box.units:
            pytest.skip("configured for a prefix in which systemd looks for no units")
        yield box


@pytest.fixture(name="box")
def fixture_box(machine):
    """The machine with nothing of ours running."""
    machine.systemctl("stop", "rtgcd.service", *SOCKETS)
    machine.systemctl("reset-failed")
    machine.write("/etc/rtgcd/rtgcd.conf", "")
    machine.run("rm", "-rf", "/run/systemd/system/rtgcd.service.d", "/etc/rtgcd/rtgcd.conf.d")
    machine.systemctl("daemon-reload")
    return machine


def main_pid(box):
    return int(box.show("rtgcd.service", "MainPID"))


def wrote(box, after):
    """What our processes wrote to the journal since then."""
    return box.journal("_SYSTEMD_UNIT=rtgcd.service", after=after)


def client(box, *properties, program=CLIENT, args=("svc",)):
    options = [word for p in properties for word in ("-p", p)]
    return box.run("systemd-run", "--quiet", "--pipe", "--wait", "--collect", *options,
                   "/usr/bin/python3", "-c", program, *args).stdout


def restarted(box, before):
    """The pid of the daemon that has taken the place of `before`, once it answers."""
    box.wait(lambda: main_pid(box) not in (0, before) and
             box.show("rtgcd.service", "ActiveState") == "active", "the daemon was restarted")
    pid = box.ctl("status")["pid"]
    assert pid == main_pid(box) != before
    return pid


def test_units_are_right(box):
    names = [f"{box.units}/{name}" for name in ("rtgcd.service", *SOCKETS, "rtgcd-http.socket")]
    done = box.run("systemd-analyze", "verify", "--man=no", "--recursive-errors=yes", *names)
    assert done.stdout + done.stderr == ""


def test_exposure(box):
    """Of the unit under which it serves a heap."""
    box.systemctl("start", "rtgcd.service")
    assert [h["name"] for h in json.loads(client(box))["heaps"]] == ["mine"]
    box.run("systemd-analyze", "security", "--offline=true", "--threshold=6", "--no-pager",
            f"{box.units}/rtgcd.service")  # 6: 0.6
    out = box.run("systemd-analyze", "security", "--no-pager", "rtgcd.service").stdout
    exposure = float(re.search(r"Overall exposure level for rtgcd.service: ([\d.]+)", out).group(1))
    assert exposure <= EXPOSURE, out


def test_start_and_stop(box):
    box.systemctl("start", "rtgcd.service")
    status = box.ctl("status")
    assert status["pid"] == main_pid(box)
    box.wait(lambda: box.show("rtgcd.service", "StatusText") == "0 heaps in 0 services", "STATUS=")
    status = box.systemctl("status", "--no-pager", "--lines=0", "rtgcd.service")
    assert "Active: active (running)" in status and 'Status: "0 heaps in 0 services"' in status
    assert box.show("rtgcd.service", "NRestarts") == "0"
    assert box.show("rtgcd.service", "Type") == "notify"
    assert [box.show(s, "Backlog") for s in SOCKETS] == ["4096"] * 2
    assert [box.show(s, "ActiveState") for s in SOCKETS] == ["active"] * 2
    uid = box.run("stat", "-c", "%U %a", "/run/rtgcd/runtime.sock", "/run/rtgcd/control.sock", "/run/rtgcd")
    assert uid.stdout.split() == ["root", "666", "root", "666", "root", "755"]
    assert box.run("ps", "-o", "user=", "-p", str(main_pid(box))).stdout.strip() == "rtgcd"
    box.systemctl("stop", "rtgcd.service")
    assert box.show("rtgcd.service", "Result") == "success"
    box.run("test", "-S", "/run/rtgcd/runtime.sock")


def test_metrics_over_http(box):
    """The service has no network: the socket is opened for it, by a unit that nobody starts unless it is wanted."""
    assert box.show("rtgcd-http.socket", "ActiveState") == "inactive"
    box.systemctl("start", "rtgcd.service")
    assert box.ctl("status")["http"] is None
    box.systemctl("stop", "rtgcd.service")
    box.systemctl("start", "rtgcd-http.socket")
    box.systemctl("start", "rtgcd.service")
    where = box.ctl("status")["http"]
    assert where == "127.0.0.1:9190"
    ask = f"import urllib.request; print(urllib.request.urlopen('http://{where}/metrics').read().decode())"
    try:
        assert "\nrtgcd_heaps 0\n" in box.run("/usr/bin/python3", "-c", ask).stdout
    finally:
        box.systemctl("stop", "rtgcd.service", "rtgcd-http.socket")


def may(box, capability):
    """Whether PID 1 of the box has it: it has none that this machine's root has not."""
    effective = re.search(r"^CapEff:\s*(\w+)", box.run("cat", "/proc/1/status").stdout, re.M).group(1)
    return bool(int(effective, 16) >> capability & 1)


def open_files(box, pid):
    """(soft, hard)"""
    return tuple(map(int, re.search(r"^Max open files\s+(\d+)\s+(\d+)", box.run("cat", f"/proc/{pid}/limits").stdout,
                                    re.M).groups()))


CAP_SYS_RESOURCE = 24


def test_what_the_kernel_grants_it(box):
    """OOMScoreAdjust= and LimitNOFILE=, as they are of the running daemon, and of its next run."""
    allowed = may(box, CAP_SYS_RESOURCE)
    most = 65536 if allowed else min(65536, open_files(box, 1)[1])
    score = "-900" if allowed else box.run("cat", "/proc/1/oom_score_adj").stdout.strip()
    box.systemctl("start", "rtgcd.service")
    for again in (False, True):
        if again:
            before = main_pid(box)
            box.systemctl("kill", "--kill-whom=main", "-s", "KILL", "rtgcd.service")
            restarted(box, before)
        assert box.show("rtgcd.service", "OOMScoreAdjust") == "-900"
        assert box.show("rtgcd.service", "LimitNOFILE") == "65536"
        assert open_files(box, main_pid(box)) == (most, most)
        assert box.run("cat", f"/proc/{main_pid(box)}/oom_score_adj").stdout.strip() == score


def test_more_descriptors_are_more_clients(box):
    """MaxConnections=auto goes by what LimitNOFILE= has come to."""
    box.write("/run/systemd/system/rtgcd.service.d/few.conf", "[Service]\nLimitNOFILE=300\nOOMScoreAdjust=700\n")
    box.systemctl("daemon-reload")
    box.systemctl("start", "rtgcd.service")
    assert open_files(box, main_pid(box)) == (300, 300)
    assert box.run("cat", f"/proc/{main_pid(box)}/oom_score_adj").stdout.strip() == "700"
    with swarm(box, "svc", 140, 1_000_000, 0, 5_000):
        box.wait(lambda: box.ctl("status")["refused"]["connections"] > 0, "it has no room for all of them")
        assert 0 < box.ctl("status")["heaps"] < 140


@pytest.mark.parametrize("caller", ["control", "runtime"])
def test_socket_activation(box, caller):
    box.systemctl("start", *SOCKETS)
    assert main_pid(box) == 0
    if caller == "control":
        assert box.ctl("status")["pid"] == main_pid(box) > 0
    else:
        heaps = json.loads(client(box))["heaps"]
        assert [h["name"] for h in heaps] == ["mine"]
        assert main_pid(box) > 0
    # It may stop and be woken again.
    box.systemctl("stop", "rtgcd.service")
    assert box.ctl("status")["pid"] == main_pid(box) > 0


def test_reload(box):
    box.write("/etc/rtgcd/rtgcd.conf", "[Daemon]\nMaxConcurrent=3\n")
    box.systemctl("start", "rtgcd.service")
    pid = main_pid(box)
    assert box.ctl("status")["max_concurrent"] == 3
    box.write("/etc/rtgcd/rtgcd.conf.d/50-more.conf", "[Daemon]\nMaxConcurrent=5\n")
    box.systemctl("reload", "rtgcd.service")
    box.wait(lambda: box.ctl("status")["max_concurrent"] == 5, "the new limit is in force")
    after = box.journal_mark()
    box.write("/etc/rtgcd/rtgcd.conf.d/50-more.conf", "[Daemon]\n\nMaxConcurrent=many\n")
    box.systemctl("reload", "rtgcd.service")
    box.wait(lambda: not box.ctl("status")["reload_ok"], "the wrong file was refused")
    assert box.ctl("status")["max_concurrent"] == 5
    line, = wrote(box, after)
    assert line["MESSAGE"].startswith("/etc/rtgcd/rtgcd.conf.d/50-more.conf:3: MaxConcurrent=many: ")
    assert line["RTGCD_EVENT"] == "reload-failed" and line["PRIORITY"] == "3"
    box.run("journalctl", "--update-catalog")
    explained = box.run("journalctl", "-x", "-q", f"MESSAGE_ID={line['MESSAGE_ID']}").stdout
    assert "A changed configuration was refused" in explained
    box.run("rm", "-r", "/etc/rtgcd/rtgcd.conf.d")
    box.run("rtgcctl", "reload")
    assert box.ctl("status")["max_concurrent"] == 3 and box.ctl("status")["reload_ok"]
    assert main_pid(box) == pid


def swarm(box, *args):
    """Through whatever happens to the daemon."""
    return Swarm(lambda command, **_: box.spawn("swarm", *command[1:]), *args)


def collected(box, service, n):
    """The ids of the service's heaps, once all are there and known to have collected."""
    heaps = [h for h in box.ctl("heaps")["heaps"] if h["service"] == service]
    ids = [h["id"] for h in heaps if h["collections"]["major"] == 1 and h["state"] != "lost"]
    return ids if len(ids) == len(heaps) == n else None


def ends_and_comes_back(box, end, n=1, others=0):
    """The heaps, what was counted and what was learned are there again. (Others have a collection each, too.)"""
    with swarm(box, "svc", n, 1_000_000, 0, 5_000) as heaps:
        box.wait(lambda: heaps.ask() == n, "its heaps are supervised")
        heaps.ask("record")
        before = box.wait(lambda: collected(box, "svc", n), "its collections were counted")
        pid, status = main_pid(box), box.ctl("status")
        end()
        restarted(box, pid)
        assert box.ctl("status")["uncoordinated"] == status["uncoordinated"] == n + others
        ids = box.wait(lambda: collected(box, "svc", n), "the heaps are back")
        assert min(ids) > max(before)
        assert box.ctl("status")["epoch"] > status["epoch"]


LIMIT = 2
LIMITED = f"[Daemon]\nMaxConcurrent={LIMIT}\n[Service:busy]\nMaxConcurrent={LIMIT}\n"


def test_restart(box):
    """Of a thousand heaps; others are in pauses of a minute meanwhile, as they had before."""
    box.write("/etc/rtgcd/rtgcd.conf", LIMITED)
    box.systemctl("start", "rtgcd.service")
    with swarm(box, "busy", LIMIT, 1_000_000, 300_000, 60_000_000) as busy:
        # Pauses of whom nothing is known would be written off before all of it has happened.
        busy.ask("rest")
        box.wait(lambda: busy.ask() == LIMIT, "they are supervised")
        busy.ask("record")
        box.wait(lambda: collected(box, "busy", LIMIT), "their pauses are known")
        busy.ask("work")

        def restart():
            before = box.wait(lambda: (lambda s: s["paused_now"] == LIMIT and s)(box.ctl("status")), "they pause")
            box.systemctl("restart", "rtgcd.service")
            after = box.ctl("status")
            assert (after["paused_now"], after["windows_open"]) == (LIMIT, LIMIT)
            assert after["windows_granted"] == before["windows_granted"]

        ends_and_comes_back(box, restart, 1000, others=LIMIT)
    # A stop is another matter: nothing is kept.
    box.systemctl("stop", "rtgcd.service")
    box.systemctl("start", "rtgcd.service")
    assert box.ctl("status")["uncoordinated"] == 0


def test_the_limit_holds_over_restarts(box):
    """As tests/daemon/test_restart.py has it, with systemd in the place of the harness."""
    box.write("/etc/rtgcd/rtgcd.conf", LIMITED)
    box.systemctl("start", "rtgcd.service")
    counter, n, restarts = Counter(), 12, 8
    with contextlib.ExitStack() as stack:
        swarms = [stack.enter_context(swarm(box, "busy", n, 1_000_000, 60_000, 15_000)) for _ in range(3)]

        def tell(what):
            return sum(swarm.ask(what) for swarm in swarms)

        def status():
            return counter.ask(lambda: box.ctl("status"))

        for i in range(restarts):
            box.wait(lambda: tell("status") == 3 * n, "all are supervised")
            tell("hold")
            before = box.wait(lambda: (lambda s: s["paused_now"] >= LIMIT and s)(status()), "all slots are in use")
            tell("rest")
            pid = main_pid(box)
            box.systemctl("reset-failed")  # systemd gives up on what has failed five times in ten seconds
            if i % 2:
                box.systemctl("kill", "--kill-whom=main", "-s", "KILL", "rtgcd.service")
            else:
                box.systemctl("restart", "rtgcd.service")
            restarted(box, pid)
            assert status()["windows_granted"] >= before["windows_granted"]
            tell("release")
            box.wait(lambda: status()["windows_open"] == 0 and tell("status") == 3 * n, "who was due has had a window")
            tell("work")
        pauses = [pause for swarm in swarms for pause in swarm.finish()]
        over_limit = status()["over_limit"]
    in_window = [p for p in pauses if p.cause == IN_WINDOW]
    assert most_over(pauses, LIMIT, counter) == 0
    assert len(in_window) >= LIMIT * restarts
    assert over_limit <= len(in_window) // 4


def test_crash(box):
    box.systemctl("start", "rtgcd.service")
    ends_and_comes_back(box, lambda: box.systemctl("kill", "--kill-whom=main", "-s", "SEGV", "rtgcd.service"))
    assert box.show("rtgcd.service", "NRestarts") == "1"
    assert box.show("rtgcd.service", "Result") == "success"


def test_watchdog(box):
    box.write("/run/systemd/system/rtgcd.service.d/fast.conf",
              "[Service]\nWatchdogSec=2s\nTimeoutAbortSec=1s\n")
    box.systemctl("daemon-reload")
    box.systemctl("start", "rtgcd.service")
    after = box.journal_mark()
    ends_and_comes_back(box, lambda: box.systemctl("kill", "--kill-whom=main", "-s", "STOP", "rtgcd.service"))
    assert any("Watchdog timeout" in e["MESSAGE"] for e in box.journal("UNIT=rtgcd.service", after=after))


def test_quiet(box):
    after = box.journal_mark()
    box.systemctl("start", "rtgcd.service")
    for user in ("a", "b"):
        heaps = json.loads(client(box, "DynamicUser=yes", f"User=client-{user}", args=[user]))["heaps"]
        # Nobody sees what belongs to another user.
        assert [(h["service"], h["name"]) for h in heaps] == [(user, "mine")]
        assert heaps[0]["uid"] not in (0, 65534)
    box.systemctl("stop", "rtgcd.service")
    lines = wrote(box, after)
    assert [line["RTGCD_EVENT"] for line in lines] == ["started", "stopped"]
    assert all(line["PRIORITY"] == "6" and line["SYSLOG_IDENTIFIER"] == "rtgcd" for line in lines)
    assert all("CODE_FILE" not in line for line in lines)  # where it was built is nobody's business


def test_who_may_what(box):
    box.systemctl("start", "rtgcd.service")
    reader = ["SupplementaryGroups=rtgcd", "DynamicUser=yes"]
    program = 'import subprocess; print(subprocess.run(["rtgcctl", "reload"], capture_output=True, text=True))'
    for properties in (["DynamicUser=yes"], reader):
        out = client(box, *properties, program=program)
        assert "returncode=1" in out and "not allowed" in out
    keeper = box.spawn("/usr/bin/python3", "-c", "import rtgc; rtgc.supervise(service='root'); print(); input()")
    keeper.stdout.readline()
    box.wait(lambda: box.ctl("status")["heaps"] == 1, "the heap is there")
    listing = 'import os; os.execvp("rtgcctl", ["rtgcctl", "-j", "heaps"])'
    assert json.loads(client(box, "DynamicUser=yes", program=listing))["heaps"] == []
    assert len(json.loads(client(box, *reader, program=listing))["heaps"]) == 1
    keeper.communicate("\n")
