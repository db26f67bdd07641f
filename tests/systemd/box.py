# SPDX-License-Identifier: MIT
"""
A machine for one test: systemd as PID 1 of a container, on a throw-away overlay of this
machine's own root file system, with the tree that was built installed over it. It boots
within a second, has no network, and leaves nothing behind.

    with Box() as box:
        box.systemctl("start", "rtgcd.socket")
        box.run("systemd-run", "--pipe", "--wait", "-p", "DynamicUser=yes", "rtgcctl", "status")

Or, with Box(bring=FILES), nothing is installed, and the files are in /srv of the box.

Needs root, systemd-nspawn and overlayfs: missing() says what of them is not there.
"""

import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import harness  # noqa: E402

TOOLS = ("systemd-nspawn", "systemd-run", "nsenter", "unshare", "mount")
UNIT_FOLDERS = ("/usr/lib/systemd/system", "/usr/local/lib/systemd/system")

# In a mount namespace of its own: FOLDER STAGE. All of it lies in a tmpfs that nobody else sees.
BOOT = r"""
set -e
folder=$1 stage=$2 root=$1/root
mount -t tmpfs -o mode=0755 box "$folder/store"
mkdir "$folder/store/upper" "$folder/store/work"
cp -a --no-preserve=ownership "$stage/." "$folder/store/upper/"
chmod 0755 "$folder/store/upper"
mount -t overlay box -o "lowerdir=/,upperdir=$folder/store/upper,workdir=$folder/store/work" "$root"
# What this machine has enabled, and what it has logged, stays here.
rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/*.requires "$root/var/log/journal"
rm -f "$root/usr/sbin/policy-rc.d" # images for containers forbid packages to start anything
for unit in timers.target systemd-timesyncd.service systemd-firstboot.service; do
	ln -sfn /dev/null "$root/etc/systemd/system/$unit"
done
tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
cat >"$root/etc/systemd/system/box.target" <<UNIT
[Unit]
Requires=basic.target
After=basic.target
Wants=dbus.socket
UNIT
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec systemd-nspawn --quiet --directory="$root" --machine="$3" \
	--register=no --keep-unit --private-network --link-journal=no --resolv-conf=off --timezone=off \
	--console=pipe --kill-signal=SIGRTMIN+14 --boot systemd.unit=box.target
"""


def missing():
    """Why no box can be had here; None: it can."""
    if os.geteuid() != 0:
        return "only root can boot a container"
    for tool in TOOLS:
        if not shutil.which(tool):
            return f"{tool} is not installed"
    with open("/proc/filesystems", encoding="utf-8") as f:
        if "overlay" not in f.read().split():
            subprocess.run(["modprobe", "overlay"], capture_output=True, check=False)
    with open("/proc/filesystems", encoding="utf-8") as f:
        if "overlay" not in f.read().split():
            return "this kernel has no overlayfs"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        return "no mount namespace can be had here"
    if os.environ.get("SANITIZE"):
        return "sanitizers do not work under the sandbox of the unit"
    return None


def cgroups():
    """The folders in which a cgroup of the box must be made: one a hierarchy of systemd's."""
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return ["/sys/fs/cgroup"]
    return [d for d in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd") if os.path.isdir(d)]


def install(stage):
    """make install into the folder; the folder of the units."""
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    done = subprocess.run(["make", "-s", "-C", harness.BUILDDIR, "install", f"DESTDIR={stage}"],
                          env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for folder in UNIT_FOLDERS:
        if os.path.exists(f"{stage}{folder}/rtgcd.service"):
            return folder
    return None


class Box:
    def __init__(self, bring=None):
        self.bring = bring
        self.dir = tempfile.mkdtemp(prefix="rtgcd-box-", dir="/tmp")
        self.name = os.path.basename(self.dir).replace("_", "x")  # no machine may be called that
        self.stage = os.path.join(self.dir, "stage")
        self.proc = self.leader = self.units = None
        for name in ("root", "store", "stage"):
            os.mkdir(os.path.join(self.dir, name), 0o755)

    def __enter__(self):
        try:
            if self.bring is None:
                self._install()
            else:
                self._bring()
            if self.units or self.bring is not None:
                self._boot()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def _install(self):
        self.units = install(self.stage)
        os.makedirs(os.path.join(self.stage, "usr", "bin"), exist_ok=True)
        # tests/daemon/swarm.c: a process with heaps.
        shutil.copy(os.path.join(harness.BUILDDIR, "tests", "daemon", "swarm"),
                    os.path.join(self.stage, "usr", "bin"))

    def _bring(self):
        os.mkdir(os.path.join(self.stage, "srv"))
        for path in self.bring:
            shutil.copy(path, os.path.join(self.stage, "srv"))

    # ---- life ------------------------------------------------------------------------

    def _enter_cgroup(self):
        for hierarchy in cgroups():
            os.makedirs(os.path.join(hierarchy, self.name), exist_ok=True)
            with open(os.path.join(hierarchy, self.name, "cgroup.procs"), "w", encoding="ascii") as f:
                f.write(str(os.getpid()))

    def console(self):
        with open(os.path.join(self.dir, "console"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def _find_leader(self):
        """PID 1 of the box, as this machine counts."""
        try:
            with open(f"/proc/{self.proc.pid}/task/{self.proc.pid}/children", encoding="ascii") as f:
                children = f.read().split()
            for child in children:
                with open(f"/proc/{child}/comm", encoding="utf-8") as f:
                    if f.read().strip() == "systemd":
                        return int(child)
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended: wait() says so, with what it has said itself
        return None

    def _boot(self):
        with open(os.path.join(self.dir, "console"), "wb") as console:
            self.proc = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", BOOT, "sh",
                 self.dir, self.stage, self.name],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
                preexec_fn=self._enter_cgroup)
        self.wait(self._find_leader, "PID 1 of the box is there")
        self.leader = self._find_leader()
        self.wait(lambda: self.run("systemctl", "is-system-running", "--wait", check=False).stdout.strip()
                  in ("running", "degraded"), "the box has booted")
        if self.units:
            self.run("ldconfig")
            self.run("systemd-sysusers")
            self.run("systemctl", "daemon-reload")

    def stop(self):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)  # powers the box off in good order
            try:
                self.proc.wait(harness.PATIENCE)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        for hierarchy in cgroups():
            folders = glob.glob(os.path.join(hierarchy, self.name, "**/"), recursive=True)
            for folder in sorted(folders, key=len, reverse=True):
                os.rmdir(folder)
        shutil.rmtree(self.dir)

    # ---- use -------------------------------------------------------------------------

    def _command(self, command):
        return ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C",
                f"--wd=/proc/{self.leader}/root", "--", "env", "-i", "LANG=C.UTF-8", "HOME=/root",
                "PYTHONDONTWRITEBYTECODE=1",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *command]

    def run(self, *command, check=True, text=None):
        """Runs it in the box as root, and returns what subprocess.run() returns."""
        done = subprocess.run(self._command(command), input=text if text is not None else "",
                              capture_output=True, text=True, timeout=5 * harness.PATIENCE, check=False)
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}\n{self.journal_text()}"
        return done

    def spawn(self, *command, **kwargs):
        """Starts it in the box, as root, with pipes."""
        return subprocess.Popen(self._command(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                text=True, **kwargs)

    def systemctl(self, *args, check=True):
        return self.run("systemctl", *args, check=check).stdout.strip()

    def show(self, unit, name):
        return self.systemctl("show", "--value", "-p", name, unit)

    def ctl(self, *args):
        """rtgcctl -j ARGS, as Python objects."""
        return json.loads(self.run("rtgcctl", "-j", *args).stdout)

    def write(self, path, text):
        full = f"/proc/{self.leader}/root{path}"
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)

    def created(self):
        """Every file of the box that this machine does not have, but for those in /run and /tmp."""
        upper = f"/proc/{self.proc.pid}/root{self.dir}/store/upper"
        found = (os.path.join(top, name)[len(upper):] for top, folders, files in os.walk(upper)
                 for name in folders + files)
        return {path for path in found if not os.path.lexists(path)}

    def journal(self, *matches, after=0):
        """Entries of the journal, as dictionaries; only those written after that journal_mark()."""
        # What has been sent to the journal before is in it afterwards.
        self.run("journalctl", "--sync")
        # (With matches, --after-cursor passes over one too many.)
        out = self.run("journalctl", "-q", "-o", "json", "--no-pager", *matches).stdout
        entries = [json.loads(line) for line in out.splitlines()]
        return [e for e in entries if int(e["__MONOTONIC_TIMESTAMP"]) > after]

    def journal_mark(self):
        return max(int(e["__MONOTONIC_TIMESTAMP"]) for e in self.journal())

    def journal_text(self):
        return self.run("journalctl", "-q", "--no-pager", "-n", "60", check=False).stdout

    def wait(self, predicate, what):
        """Asks until it is true, and returns what it returned; fails if it never becomes true."""
        end = time.monotonic() + harness.PATIENCE
        while True:
            result = predicate()
            if result:
                return result
            if self.proc.poll() is not None:
                raise AssertionError(f"the box ended before: {what}\n{self.console()}")
            if time.monotonic() > end:
                raise AssertionError(f"never: {what}\n{self.console()}{self.leader and self.journal_text()}")
            # Asking without a break would take the CPU from those that are waited for.
            try:
                self.proc.wait(0.02)
            except subprocess.TimeoutExpired:
                pass
