# SPDX-License-Identifier: MIT
"""What is installed beside the programs: units, the default configuration, manual pages."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

SOURCE = pathlib.Path(os.environ["RTGC_SRCDIR"])
BUILD = pathlib.Path(os.environ["RTGC_BUILDDIR"])
PAGES = sorted((SOURCE / "man").glob("*.[1-8]"))


# ---- units -------------------------------------------------------------------------------


@pytest.fixture
def units(tmp_path):
    """The units as make writes them, but with the daemon where it was built."""
    for name in ("rtgcd.service.in", "rtgcd.socket", "rtgcd-control.socket"):
        text = (SOURCE / "systemd" / name).read_text()
        assert name.endswith(".in") == ("@" in text)
        (tmp_path / name.removesuffix(".in")).write_text(text.replace("@sbindir@", str(BUILD)))
    return [str(path) for path in sorted(tmp_path.iterdir())]


def analyze(*args):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(["systemd-analyze", *args], capture_output=True, text=True)


def test_units_are_right(units):
    done = analyze("verify", "--man=no", *units)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_mistake_in_a_unit_is_found(units):
    with open(units[1], "a") as service:
        service.write("[Service]\nProtectEverything=yes\n")
    assert "ProtectEverything" in analyze("verify", "--man=no", *units).stderr


def test_the_service_is_confined(units):
    if "--offline" not in analyze("--help").stdout:
        pytest.skip("this systemd-analyze cannot judge a file")
    done = analyze("security", "--offline=true", "--threshold=20", "--no-pager", units[1])
    assert done.returncode == 0, done.stdout


def test_the_drain_guard_is_asked_before_it_is_killed(units):
    """However the daemon ends: KillMode=mixed would leave drained servers drained."""
    text = pathlib.Path(units[1]).read_text()
    assert re.search(r"^KillMode=control-group$", text, re.M)
    assert re.search(r"^WatchdogSignal=SIGTERM$", text, re.M)


def test_the_built_unit_names_the_installed_daemon():
    text = (BUILD / "systemd" / "rtgcd.service").read_text()
    assert re.search(r"^ExecStart=/\S*/rtgcd --foreground$", text, re.M)


# ---- configuration -------------------------------------------------------------------------


def check(path):
    return subprocess.run([BUILD / "rtgcd", "--check-config", "--config", path],
                          capture_output=True, text=True)


def uncommented(text):
    """Settings are commented out without a space behind the mark, prose has one."""
    return re.sub(r"^#(?=[A-Z\[])", "", text, flags=re.M)


def test_the_configuration_as_shipped():
    done = check(SOURCE / "etc" / "rtgcd.conf")
    assert done.returncode == 0, done.stderr


def test_the_configuration_with_every_key(tmp_path):
    text = uncommented((SOURCE / "etc" / "rtgcd.conf").read_text())
    keys = re.findall(r"^([A-Z]\w*)=", text, re.M)
    assert sorted(keys) == sorted(["MaxConcurrent", "MemoryBudget", "GateLag",
                                   "GatePressure", "GatePressureFile", "ListenHTTP", "MaxConnections",
                                   "MaxConnectionsPerUser", "MaxUngreeted", "HelloTimeout",
                                   "FramesPerSecond", "FramesPerSecondPerUser", "MaxCallers",
                                   "MaxCallersPerUser", "RequestsPerSecond", "MaxQueue",
                                   "QueueMemory", "Policy", "MaxConcurrent",
                                   "NeverWith", "Budget", "Drain", "Lead", "MaxDefer", "MinYield",
                                   "Users", "Groups"])
    (tmp_path / "rtgcd.conf").write_text(text)
    done = check(tmp_path / "rtgcd.conf")
    assert done.returncode == 0, done.stderr


def test_the_manual_names_the_same_defaults():
    text = uncommented((SOURCE / "etc" / "rtgcd.conf").read_text())
    shipped = re.findall(r"^([A-Z]\w*)=(.*)$", text, re.M)
    page = (SOURCE / "man" / "rtgcd.conf.5").read_text()
    described = re.findall(r"^\.It Cm (\w+) Ns =(?: Ns (?:(?:Cm|Pa) )?(.*))?$", page, re.M)
    assert described == shipped


def test_a_mistake_is_found(tmp_path):
    path = tmp_path / "rtgcd.conf"
    path.write_text(uncommented((SOURCE / "etc" / "rtgcd.conf").read_text()) + "Leed=1s\n")
    done = check(path)
    assert done.returncode != 0
    assert re.search(rf"{re.escape(str(path))}:\d+: .*Leed", done.stderr)


def test_the_catalog_explains_what_goes_wrong():
    """Each event that is logged has an entry under its own id; ordinary ones have none."""
    log = (SOURCE / "daemon" / "log.c").read_text()
    ids = dict(re.findall(r'\{"([a-z-]+)",\s*"([0-9a-f]{32})"\}', log))
    catalog = (SOURCE / "systemd" / "rtgcd.catalog").read_text()
    assert dict(re.findall(r"^# ([a-z-]+)\n-- ([0-9a-f]{32})\nSubject: .+$", catalog, re.M)) == ids
    assert len(set(ids.values())) == len(ids)
    logged = set()
    for path in (SOURCE / "daemon").glob("*.c"):
        logged |= set(re.findall(r'log_(?:info|error|peer|seldom)\((?:[^";]*,)?\s*"([a-z-]+)",', path.read_text()))
    assert logged - {"started", "stopped", "reloaded", "restored", "left-out", "http"} == set(ids)


# ---- manual pages ---------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_page_refers_to_pages_that_exist(page):
    ours = {tuple(path.name.rsplit(".", 1)) for path in PAGES}
    links = re.findall(r"^\t(\w+):\w+", (SOURCE / "man" / "local.mk").read_text(), re.M)
    ours |= {(name, "3") for name in links}
    for name, section in re.findall(r"^\.Xr (\S+) (\d)", page.read_text(), re.M):
        assert (name, section) in ours or not name.startswith(("rtgc", "libruntime")), name


def test_the_library_page_has_the_example():
    example = (SOURCE / "tests" / "client" / "example.c").read_text()
    page = (SOURCE / "man" / "libruntime.3").read_text()
    assert f".Bd -literal\n{example}.Ed\n" in page.replace("\\e", "\\")


def test_the_command_page_has_every_verb():
    done = subprocess.run([BUILD / "rtgcctl", "complete", ""], capture_output=True, text=True)
    verbs = [line.split("\t")[0] for line in done.stdout.splitlines()]
    page = (SOURCE / "man" / "rtgcctl.1").read_text()
    described = re.findall(r"^\.It Cm ([\w-]+)", page, re.M)
    assert verbs and described[:len(verbs)] == verbs
