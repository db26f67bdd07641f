# SPDX-License-Identifier: MIT
"""Options, exit status, sockets in the file system, background, activation."""

import os
import select
import signal
import socket
import stat
import subprocess
import time

import pytest

from common import harness
from frames import BYE, ERROR, SHUTDOWN, Client

RTGCD = harness.RTGCD


def run(*args, **env):
    environ = {**os.environ, **env}
    return subprocess.run([RTGCD, *args], capture_output=True, text=True, env=environ, timeout=60)


def test_version():
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.split()[0] == "rtgcd" and done.stdout.split()[1][0].isdigit()


def test_help_names_every_option():
    done = run("--help")
    assert done.returncode == 0
    for option in ("config", "check-config", "socket", "control", "foreground", "version", "help"):
        assert f"--{option}" in done.stdout


@pytest.mark.parametrize("args", [("--nonsense",), ("extra",), ("--config",), ("--version=1",)])
def test_wrong_usage(args):
    done = run(*args)
    assert done.returncode == 2
    assert "--help" in done.stderr and done.stdout == ""


def test_two_lines_a_run():
    """Well-behaved clients are no news."""
    with harness.Daemon() as d:
        for _ in range(3):
            with Client(d, budget=10) as c:
                c.report(1)
                c.sync()
        d.stop()
        lines = d.log.splitlines()
    assert len(lines) == 2, lines
    assert "started" in lines[0] and "stopped" in lines[1]


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_stops_by_signal_and_says_goodbye(sig):
    with harness.Daemon() as d, Client(d, budget=10) as c:
        d.kill(sig)
        frame = c.expect(ERROR)
        assert frame.code == SHUTDOWN
        c.expect_closed()
        assert d.proc.wait(60) == 0


def test_makes_and_removes_its_sockets():
    with harness.Daemon(activate=False) as d:
        for path in (d.socket, d.control):
            mode = os.lstat(path).st_mode
            assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o666
        d.stop()
        assert not os.path.exists(d.socket) and not os.path.exists(d.control)


def test_makes_the_folder(tmp_path):
    with harness.Daemon() as d:
        folder = os.path.join(d.dir, "sub")
        args = ["--foreground", "--config", d.config_file,
                "--socket", folder + "/r", "--control", folder + "/c"]
        second = subprocess.Popen([RTGCD, *args], stderr=subprocess.PIPE, text=True)
        assert "started" in second.stderr.readline()
        assert sorted(os.listdir(folder)) == ["c", "r"]
        second.terminate()
        assert second.wait(60) == 0
        second.stderr.close()
        assert os.listdir(folder) == []


def test_sockets_handed_over_stay():
    with harness.Daemon() as d:
        d.stop()
        assert os.path.exists(d.socket) and os.path.exists(d.control)


def test_takes_a_dead_daemons_place():
    with harness.Daemon(activate=False) as d:
        d.kill()
        assert os.path.exists(d.socket)
        d.restart()
        assert d.call("GetStatus")["pid"] == d.pid


def test_leaves_a_living_daemons_place():
    with harness.Daemon(activate=False) as d:
        done = run("--foreground", "--config", d.config_file, "--socket", d.socket, "--control", d.control)
        assert done.returncode == 1
        assert d.socket in done.stderr and "running" in done.stderr
        assert d.call("GetStatus")["pid"] == d.pid


def test_stopped_daemon_lives():
    """A daemon that does not answer is not dead: its socket is not taken away."""
    with harness.Daemon(activate=False) as d:
        d.kill(signal.SIGSTOP)
        done = run("--foreground", "--config", d.config_file, "--socket", d.socket, "--control", d.control)
        assert done.returncode == 1
        d.kill(signal.SIGCONT)
        assert d.call("GetStatus")["pid"] == d.pid


def test_leaves_files_that_are_no_sockets():
    with harness.Daemon() as d:
        path = os.path.join(d.dir, "precious")
        with open(path, "w", encoding="utf-8") as f:
            f.write("data")
        done = run("--foreground", "--config", d.config_file, "--socket", path,
                   "--control", d.dir + "/c")
        assert done.returncode == 1 and path in done.stderr
        with open(path, encoding="utf-8") as f:
            assert f.read() == "data"


def test_path_too_long():
    with harness.Daemon() as d:
        done = run("--foreground", "--config", d.config_file, "--socket", d.dir + "/" + "x" * 120,
                   "--control", d.dir + "/c")
        assert done.returncode == 1 and "too long" in done.stderr


def test_ordinary_user_without_runtime_dir():
    """Nowhere to put the sockets: the message says what to do."""
    env = {k: v for k, v in os.environ.items() if k != "XDG_RUNTIME_DIR"}
    user = 65534 if os.geteuid() == 0 else None
    with harness.Daemon() as d:
        done = subprocess.run([d.copy(RTGCD), "--foreground", "--config", d.config_file], env=env,
                              capture_output=True, text=True, timeout=60, user=user)
    assert done.returncode == 1
    assert "XDG_RUNTIME_DIR" in done.stderr and "--socket" in done.stderr


def test_ordinary_users_default_paths():
    user = 65534 if os.geteuid() == 0 else None
    with harness.Daemon() as d:
        base = os.path.join(d.dir, "run")
        os.mkdir(base, 0o700)
        if user:
            os.chown(base, user, user)
        os.chmod(d.config_file, 0o644)
        env = {**os.environ, "XDG_RUNTIME_DIR": base}
        second = subprocess.Popen([d.copy(RTGCD), "--foreground", "--config", d.config_file], env=env,
                                  stderr=subprocess.PIPE, text=True, user=user)
        assert "started" in second.stderr.readline()
        with harness.Varlink(base + "/rtgcd/control.sock") as v:
            assert v.call("GetStatus")["pid"] == second.pid
        assert stat.S_ISSOCK(os.lstat(base + "/rtgcd/runtime.sock").st_mode)
        second.terminate()
        assert second.wait(60) == 0
        second.stderr.close()


def test_background():
    """Without --foreground the command returns when the daemon is ready."""
    with harness.Daemon() as d:
        paths = ["--socket", d.dir + "/r", "--control", d.dir + "/c"]
        done = run("--config", d.config_file, *paths)
        assert done.returncode == 0
        with harness.Varlink(d.dir + "/c") as v:
            pid = v.call("GetStatus")["pid"]
        with open(f"/proc/{pid}/comm", encoding="utf-8") as f:
            assert f.read() == "rtgcd\n"
        gone = os.pidfd_open(pid)
        again = run("--config", d.config_file, *paths)
        assert again.returncode == 1 and "running" in again.stderr
        os.kill(pid, signal.SIGTERM)
        assert select.select([gone], [], [], 60)[0]
        os.close(gone)
        assert not os.path.exists(d.dir + "/r")


def test_epoch_is_new_and_never_falls():
    epochs = []
    with harness.Daemon() as d:
        for _ in range(3):
            epochs.append(d.call("GetStatus")["epoch"])
            d.restart()
    assert epochs == sorted(set(epochs)) and 0 < epochs[0] and epochs[-1] < 2**63


def test_notify_and_watchdog():
    with harness.Daemon() as outer:
        path = os.path.join(outer.dir, "notify")
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.settimeout(60)
        manager.bind(path)
        env = {**os.environ, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"}
        # Started without --foreground: under a manager it does not fork.
        d = subprocess.Popen([RTGCD, "--config", outer.config_file, "--socket", outer.dir + "/r",
                              "--control", outer.dir + "/c"], env=env, stderr=subprocess.DEVNULL)
        seen = []

        def until(word, times=1):
            while sum(word in s for s in seen) < times:
                seen.append(manager.recv(4096).decode())

        until("READY=1")
        until("WATCHDOG=1", 3)
        d.send_signal(signal.SIGHUP)
        until("RELOADING=1")
        assert "MONOTONIC_USEC=" in [s for s in seen if "RELOADING=1" in s][0]
        until("READY=1", 2)

        class Where:
            socket = outer.dir + "/r"

        with Client(Where, budget=10):
            until("STATUS=1 heaps in 1 services")
        d.terminate()
        until("STOPPING=1")
        assert d.wait(60) == 0
        manager.close()


def test_idle_daemon_sleeps():
    """No clients, no timers: nothing is done between two looks."""
    with harness.Daemon() as d:
        with Client(d, budget=10, caps=1) as c:
            c.sync()
            c.send(BYE)
            c.expect_closed()
        d.wait(lambda d: d.call("GetStatus")["heaps"] == 0, "the heap has left")

        def switches():
            with open(f"/proc/{d.pid}/status", encoding="utf-8") as f:
                return int([line for line in f if line.startswith("voluntary")][0].split()[1])

        # The last heartbeat's timer may still be armed; after it there is none.
        end = time.monotonic() + 60
        quiet = False
        while not quiet and time.monotonic() < end:
            before = switches()
            gone = os.pidfd_open(d.pid)
            select.select([gone], [], [], 0.5)
            os.close(gone)
            quiet = switches() == before
        assert quiet


def test_told_to_end_again_and_again():
    """It ends as it would have, whatever it is doing when it hears so once more."""
    for _ in range(10):
        with harness.Daemon() as d:
            for _ in range(10_000):
                d.proc.send_signal(signal.SIGTERM)  # (to nobody, once it is known to have ended)
            assert d.stop() == 0
