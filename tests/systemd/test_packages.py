# SPDX-License-Identifier: MIT
"""The Debian packages: built from a clone, as lintian wants them, and at work on a machine of their own."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from box import Box, harness, missing

SOURCE = pathlib.Path(harness.SRCDIR)
NAMES = ["libruntime-dev", "libruntime0", "python3-rtgc", "rtgcd"]
UNITS = ("rtgcd.service", "rtgcd.socket", "rtgcd-control.socket")
HTTP = "rtgcd-http.socket"  # there, and not enabled
TOOLS = ("dpkg-buildpackage", "dh", "dh_python3", "lintian")
ABSENT = [tool for tool in TOOLS if not shutil.which(tool)]
pytestmark = [
    pytest.mark.skipif(bool(ABSENT), reason=f"{', '.join(ABSENT)} not installed"),
    pytest.mark.skipif(bool(os.environ.get("SANITIZE")), reason="packages are built without sanitizers"),
]
WHY_NO_BOX = missing()
in_box = pytest.mark.skipif(WHY_NO_BOX is not None, reason=str(WHY_NO_BOX))

# A program that knows nothing of rtgc: grows, drops, and waits now and then. It ends when its
# collections have happened, all of them in windows.
PROGRAM = """
import rtgc, select
keep = [[] for _ in range(200_000)]
while (s := rtgc.status())["collections_in_window"] + s["forced"] < 2 or s["collections_in_window"] < 1:
    keep += [[i] for i in range(2_000)]
    if len(keep) > 600_000:
        del keep[200_000:]
    select.select([], [], [], 0.005)
print(s["service"], s["collections_in_window"], s["forced"])
"""


def clone(to):
    """The sources as git has them; or, without git, as they were unpacked."""
    if (SOURCE / ".git").exists():
        files = subprocess.run(["git", "-C", SOURCE, "ls-files", "-z"], capture_output=True, check=True)
        for name in filter(None, files.stdout.decode().split("\0")):
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(SOURCE / name, to / name, follow_symlinks=False)
    else:
        shutil.copytree(SOURCE, to, dirs_exist_ok=True, ignore=build_folders)
        subprocess.run(["chmod", "-R", "u+w", to], check=True)


def build_folders(top, names):
    """make distcheck builds below the sources."""
    return [name for name in names if os.path.exists(os.path.join(top, name, "config.status"))
            or top == str(SOURCE) and name.startswith("_")]


def environment():
    """A shell's, not that of a build that is going on."""
    ours = ("MAKE", "MFLAGS", "RTGC", "DEB_", "CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "PYTHON")
    return {**{k: v for k, v in os.environ.items() if not k.startswith(ours)},
            "DEB_BUILD_OPTIONS": "nocheck noautodbgsym parallel=2"}


@pytest.fixture(scope="module", name="built")
def fixture_built(tmp_path_factory):
    """The folder with the packages."""
    folder = tmp_path_factory.mktemp("packages")
    clone(folder / "rtgcd")
    done = subprocess.run(["dpkg-buildpackage", "-us", "-uc", "-b"], cwd=folder / "rtgcd", env=environment(),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout[-20000:]
    shutil.rmtree(folder / "rtgcd")
    return folder


def packages(built):
    return sorted(str(path) for path in built.glob("*.deb"))


def test_packages_are_built(built):
    assert [os.path.basename(path).split("_")[0] for path in packages(built)] == NAMES


def test_lintian_finds_nothing(built):
    changes, = built.glob("*.changes")
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", changes], env=environment(),
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


# ---- at work --------------------------------------------------------------------------------------


@pytest.fixture(scope="module", name="box")
def fixture_box(built):
    with Box(bring=[*packages(built), str(SOURCE / "tests" / "client" / "example.c")]) as box:
        box.run("rm", "-f", "/var/lib/man-db/auto-update")  # the index of all manual pages
        yield box


def install(box):
    # What they depend on is installed: rtgcd was built here.
    box.run("/bin/sh", "-c", "dpkg --force-unsafe-io --install /srv/*.deb")


def left_behind(box, before):
    """Files that the packages have brought or made; the user stays, as Debian's policy has it."""
    files = box.created() - before | set(box.run("find", "/run", "-name", "*rtgc*").stdout.split())
    others = ("/var/log/", "/var/cache/man/", "/var/lib/dpkg/", "/var/lib/systemd/catalog/")
    return {f for f in files if not f.startswith(others) and f not in ("/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-")}


def python_gets_a_window(box):
    """A program as it is, and the first to come: it wakes the daemon."""
    box.write("/srv/program.py", PROGRAM)
    box.run("chmod", "644", "/srv/program.py")
    out = box.run("systemd-run", "--quiet", "--pipe", "--wait", "--collect", "-p", "DynamicUser=yes",
                  "/usr/bin/python3", "-m", "rtgc", "--service", "web", "/srv/program.py").stdout
    service, in_window, forced = out.split()
    assert service == "web" and int(in_window) + int(forced) >= 2 and int(in_window) >= 1
    assert windows(box) >= int(in_window)


def c_gets_a_window(box):
    """Built against libruntime-dev."""
    before = windows(box)
    build = "gcc -Wall -Werror -o example example.c $(pkg-config --cflags --libs libruntime)"
    box.run("/bin/sh", "-c", f"cd /srv && {build}")
    out = box.run("systemd-run", "--quiet", "--pipe", "--wait", "--collect", "-p", "DynamicUser=yes",
                  "/srv/example").stdout
    in_window, forced = map(int, re.match(r"(\d+) collections in windows, (\d+) forced", out).groups())
    assert in_window + forced == 10 and in_window >= 1
    assert windows(box) >= before + in_window


def upgrade_keeps_what_was_counted(box):
    """The daemon of the new package goes on where that of the old one was."""
    status = box.ctl("status")
    assert status["windows_granted"] > 0
    sockets = [box.show(u, "ActiveEnterTimestampMonotonic") for u in UNITS[1:]]
    install(box)
    after = box.ctl("status")
    assert after["pid"] != status["pid"] and after["epoch"] > status["epoch"]
    assert after["windows_granted"] == status["windows_granted"]
    assert [box.show(u, "ActiveEnterTimestampMonotonic") for u in UNITS[1:]] == sockets


def windows(box):
    return box.ctl("status")["windows_granted"]


@in_box
def test_install_use_and_purge(box):
    before = box.created()
    install(box)
    assert [box.show(u, "ActiveState") for u in UNITS] == ["active"] * 3
    assert [box.show(u, "UnitFileState") for u in UNITS] == ["enabled"] * 3
    assert (box.show(HTTP, "ActiveState"), box.show(HTTP, "UnitFileState")) == ("inactive", "disabled")
    names = [f"/lib/systemd/system/{u}" for u in (*UNITS, HTTP)]
    verified = box.run("systemd-analyze", "verify", "--man=yes", "--recursive-errors=yes", *names)
    assert verified.stdout + verified.stderr == ""

    box.systemctl("stop", *UNITS)
    box.systemctl("start", "rtgcd.service")
    assert box.ctl("status")["pid"] == int(box.show("rtgcd.service", "MainPID"))
    assert box.run("ps", "-o", "user=", "-C", "rtgcd").stdout.split()[0] == "rtgcd"
    box.systemctl("stop", "rtgcd.service")  # its sockets stay, and whoever comes first wakes it
    python_gets_a_window(box)
    c_gets_a_window(box)
    upgrade_keeps_what_was_counted(box)

    box.write("/etc/rtgcd/rtgcd.conf", "[Daemon]\nMaxConcurrent=7\n")
    box.run("dpkg", "--remove", *NAMES)
    assert [box.show(u, "ActiveState") for u in UNITS] == ["inactive"] * 3
    assert box.run("pgrep", "-x", "rtgcd", check=False).stdout == ""
    install(box)
    assert box.ctl("status")["max_concurrent"] == 7  # what somebody wrote was still there

    box.run("dpkg", "--force-unsafe-io", "--purge", *NAMES)
    box.run("/bin/sh", "-c", "rm /srv/example /srv/program.py")
    assert left_behind(box, before) == set()
    assert [box.show(u, "LoadState") for u in (*UNITS, HTTP)] == ["not-found"] * 4
