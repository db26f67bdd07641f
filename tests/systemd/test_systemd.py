# SPDX-License-Identifier: MIT
"""The installed daemon under a real systemd: its units, its life, its journal."""

import json
import re

import pytest

from box import Box, missing

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
    names = [f"{box.units}/{name}" for name in ("rtgcd.service", *SOCKETS)]
    done = box.run("systemd-analyze", "verify", "--man=no", "--recursive-errors=yes", *names)
    assert done.stdout + done.stderr == ""


def test_exposure(box):
    out = box.run("systemd-analyze", "security", "--no-pager", "rtgcd.service").stdout
    exposure = float(re.search(r"Overall exposure level for rtgcd.service: ([\d.]+)", out).group(1))
    assert exposure <= EXPOSURE, out


def test_start_and_stop(box):
    box.systemctl("start", "rtgcd.service")
    status = box.ctl("status")
    assert status["pid"] == main_pid(box)
    box.wait(lambda: box.show("rtgcd.service", "StatusText") == "0 heaps in 0 services", "STATUS=")
    assert box.show("rtgcd.service", "NRestarts") == "0"
    assert [box.show(s, "ActiveState") for s in SOCKETS] == ["active"] * 2
    uid = box.run("stat", "-c", "%U %a", "/run/rtgcd/runtime.sock", "/run/rtgcd/control.sock", "/run/rtgcd")
    assert uid.stdout.split() == ["root", "666", "root", "666", "root", "755"]
    assert box.run("ps", "-o", "user=", "-p", str(main_pid(box))).stdout.strip() == "rtgcd"
    box.systemctl("stop", "rtgcd.service")
    assert box.show("rtgcd.service", "Result") == "success"
    box.run("test", "-S", "/run/rtgcd/runtime.sock")


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


class Keeper:
    """A process with heaps that have collected once, through whatever happens to the daemon."""

    def __init__(self, box, heaps):
        self.box = box
        self.heaps = heaps

    def __enter__(self):
        self.proc = self.box.spawn("swarm", "svc", str(self.heaps), "1000000", "0", "5000")
        self.box.wait(lambda: self.ask("status") == self.heaps, "its heaps are supervised")
        self.ask("record")
        self.box.wait(self.collected, "its collections were counted")
        return self

    def ask(self, what):
        """How many of its heaps are supervised."""
        self.proc.stdin.write(what + "\n")
        self.proc.stdin.flush()
        return int(self.proc.stdout.readline().split()[1])

    def collected(self):
        """The ids of its heaps, once all are there and known to have collected."""
        heaps = self.box.ctl("heaps")["heaps"]
        ids = [h["id"] for h in heaps if h["collections"]["major"] == 1 and h["state"] != "lost"]
        return ids if len(ids) == len(heaps) == self.heaps else None

    def __exit__(self, *_):
        self.proc.communicate()


def ends_and_comes_back(box, end, heaps=1):
    """The heaps, what was counted and what was learned are there again."""
    with Keeper(box, heaps) as keeper:
        pid, before, status = main_pid(box), keeper.collected(), box.ctl("status")
        end()
        restarted(box, pid)
        assert box.ctl("status")["uncoordinated"] == status["uncoordinated"] == heaps
        ids = box.wait(keeper.collected, "the heaps are back")
        assert min(ids) > max(before)
        assert box.ctl("status")["epoch"] > status["epoch"]


def test_restart(box):
    box.systemctl("start", "rtgcd.service")
    ends_and_comes_back(box, lambda: box.systemctl("restart", "rtgcd.service"), heaps=1000)
    # A stop is another matter: nothing is kept.
    box.systemctl("stop", "rtgcd.service")
    box.systemctl("start", "rtgcd.service")
    assert box.ctl("status")["uncoordinated"] == 0


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
