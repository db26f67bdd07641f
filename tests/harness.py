# SPDX-License-Identifier: MIT
"""
What every test of the daemon stands on: a real rtgcd on private sockets.

    with harness.Daemon(config="[Service:web]\\nMaxConcurrent=1\\n") as d:
        subprocess.run([client], env=d.env())
        d.wait(lambda d: d.call("GetStatus")["heaps"] == 1, "the heap is there")

The sockets are bound here and handed over as systemd would, so no client can come too
early, and a restarted daemon finds them as they were. Nothing is waited for by the clock:
wait() asks the daemon again until the thing has happened, and only gives up on it after a
time no working machine needs.
"""

import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

SRCDIR = os.environ.get("RTGC_SRCDIR", os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILDDIR = os.environ.get("RTGC_BUILDDIR", os.getcwd())
RTGCD = os.path.join(BUILDDIR, "rtgcd")
INTERFACE = "io.rtgcd.Supervisor"
PATIENCE = 60  # seconds until something that never comes is called missing


def sanitized(env):
    """What a program needs that loads a library or a module which was built with the sanitizers."""
    if "address" in os.environ.get("SANITIZE", ""):
        # The interpreter is not built with them: they have to come first.
        name = subprocess.run([os.environ["CC"].split()[0], "-print-file-name=libasan.so"],
                              check=True, capture_output=True, text=True).stdout.strip()
        env["LD_PRELOAD"] = name
        # CPython keeps its own until the end: what it leaves is not ours to report.
        env["ASAN_OPTIONS"] = "detect_leaks=0"


class Error(Exception):
    """An error reply of the control socket."""

    def __init__(self, name, parameters):
        super().__init__(f"{name} {json.dumps(parameters)}")
        self.name = name
        self.parameters = parameters


class Varlink:
    """One connection to a control socket."""

    def __init__(self, path, timeout=PATIENCE):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, call):
        """call: the whole call object, or bytes to send as they are."""
        if not isinstance(call, bytes):
            call = json.dumps(call).encode() + b"\0"
        self.socket.sendall(call)

    def receive(self):
        """The next reply object; None when the daemon has closed the connection."""
        while b"\0" not in self.pending:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self.pending += data
        reply, self.pending = self.pending.split(b"\0", 1)
        return json.loads(reply)

    def call(self, method, **parameters):
        method = method if "." in method else f"{INTERFACE}.{method}"
        self.send({"method": method, "parameters": parameters})
        reply = self.receive()
        if reply is None:
            raise ConnectionError(f"{method}: the daemon closed the connection")
        if "error" in reply:
            raise Error(reply["error"], reply.get("parameters", {}))
        return reply["parameters"]


class Manager:
    """What a service manager does for a daemon that restarts: keeps descriptors for it."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.kept = {}
        self.lock = threading.Lock()
        # Unread, a dozen messages would hold the daemon up.
        self.ended, self.end = os.pipe()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        while self.ended not in select.select([self.socket, self.ended], [], [])[0]:
            self.drain()

    def drain(self):
        """Takes what the daemon has sent until now."""
        with self.lock:
            self._drain()

    def _drain(self):
        while True:
            try:
                text, fds, _, _ = socket.recv_fds(self.socket, 4096, 8)
            except BlockingIOError:
                return
            said = dict(line.split("=", 1) for line in text.decode().splitlines())
            if "FDSTORE" in said:
                # A high number, so that 3 and what follows are free in the child.
                for fd in fds:
                    self.replace(said["FDNAME"], fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 300))
            for fd in fds:
                os.close(fd)

    def fd(self, name):
        self.drain()
        return self.kept[name]

    def replace(self, name, fd):
        if name in self.kept:
            os.close(self.kept[name])
        self.kept[name] = fd

    def close(self):
        os.close(self.end)
        self.reader.join()
        os.close(self.ended)
        self.drain()
        self.socket.close()
        for fd in self.kept.values():
            os.close(fd)


class Daemon:
    """
    A real rtgcd in a temporary directory of its own; a context manager. At the end of the
    block it is stopped and must have exited with 0, unless the test killed it.

    config    text of its configuration file
    args      more arguments
    activate  True: the sockets are bound here and passed as LISTEN_FDS; False: the daemon
              binds them (start() then waits until it answers)
    environ   more environment variables
    manager   True: the test keeps descriptors for it over a restart
    handed    {name: a listening socket}: more of them to hand over
    """

    def __init__(self, config="", args=(), activate=True, environ=None, manager=False, handed=None):
        self.dir = tempfile.mkdtemp(prefix="rtgcd-test-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.socket = os.path.join(self.dir, "runtime.sock")
        self.control = os.path.join(self.dir, "control.sock")
        self.config_file = os.path.join(self.dir, "rtgcd.conf")
        self.log_file = os.path.join(self.dir, "log")
        self.args = list(args)
        self.environ = dict(environ or {})
        self.activate = activate
        self.handed = dict(handed or {})
        self.killed = False
        self.proc = None
        self.write_config(config)
        self._bound = []
        self.manager = Manager(self.dir) if manager else None
        if activate:
            self._bind()
        try:
            self.start()
        except BaseException:
            self._clean()
            raise

    def copy(self, program):
        """A copy of the program that another user may run, wherever the build folder lies."""
        return shutil.copy(program, self.dir)

    # ---- life ------------------------------------------------------------------------

    def _bind(self):
        for path, kind in ((self.socket, socket.SOCK_SEQPACKET), (self.control, socket.SOCK_STREAM)):
            s = socket.socket(socket.AF_UNIX, kind)
            s.bind(path)
            os.chmod(path, 0o666)
            s.listen(4096)
            # High numbers, so that 3 and 4 are free in the child whatever is open here.
            high = fcntl.fcntl(s.fileno(), fcntl.F_DUPFD_CLOEXEC, 200)
            s.close()
            self._bound.append(high)

    @property
    def pid(self):
        return self.proc.pid

    def command(self):
        return [RTGCD, "--foreground", "--config", self.config_file,
                "--socket", self.socket, "--control", self.control, *self.args]

    def start(self):
        """Starts the daemon and returns when it answers."""
        env = {k: v for k, v in os.environ.items() if k not in ("NOTIFY_SOCKET", "JOURNAL_STREAM")}
        env.update(self.environ)
        command = self.command()
        handed = {name: fcntl.fcntl(s, fcntl.F_DUPFD_CLOEXEC, 200) for name, s in self.handed.items()}
        passed = []
        if self.activate:
            fds = dict(zip(("runtime", "control"), self._bound))
            fds.update(handed)
            if self.manager:
                self.manager.drain()
                fds.update(self.manager.kept)
                env["NOTIFY_SOCKET"] = self.manager.path
            passed = list(fds.values())
            env.update(LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=":".join(fds))
            opened = " ".join(f"{i}<&{fd}" for i, fd in enumerate(passed, 3))
            closed = " ".join(f"{fd}<&-" for fd in passed)
            move = f'exec {opened} {closed}; LISTEN_PID=$$ exec "$@"'
            command = ["/bin/bash", "-c", move, "bash", *command]
        with open(self.log_file, "ab") as log:
            self.proc = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         env=env, pass_fds=passed)
        for fd in handed.values():
            os.close(fd)
        self.killed = False
        if self.activate:
            self.call("GetStatus")
        else:
            self._until(self._answers, "the daemon answers", PATIENCE)

    def _answers(self):
        try:
            return self.call("GetStatus")
        except (FileNotFoundError, ConnectionError):
            return None

    def stop(self):
        """SIGTERM; returns the exit status. It must be 0 unless kill() was used before."""
        if self.proc.poll() is None:
            os.kill(self.pid, signal.SIGCONT)
            self.proc.terminate()
        try:
            status = self.proc.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            raise AssertionError("rtgcd does not stop on SIGTERM\n" + self.log) from None
        if not self.killed and status != 0:
            raise AssertionError(f"rtgcd ended with status {status}\n" + self.log)
        return status

    def kill(self, sig=signal.SIGKILL):
        """Sends the signal. Returns after SIGKILL when it is dead, after SIGSTOP when it stands."""
        os.kill(self.pid, sig)
        if sig == signal.SIGSTOP:
            os.waitid(os.P_PID, self.pid, os.WSTOPPED)
        if sig == signal.SIGKILL:
            self.killed = True
            self.proc.wait(PATIENCE)

    def restart(self):
        """Stops it if it still runs, then starts it on the same sockets."""
        if self.proc.poll() is None:
            self.stop()
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            self.stop()
        except AssertionError:
            if kind is None:
                raise
        finally:
            self._clean()

    def _clean(self):
        if self.proc is not None and self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        for fd in self._bound:
            os.close(fd)
        self._bound = []
        if self.manager:
            self.manager.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    # ---- looking ---------------------------------------------------------------------

    @property
    def log(self):
        with open(self.log_file, encoding="utf-8", errors="replace") as f:
            return f.read()

    def env(self, **more):
        """The environment of a client of this daemon, for the tree that was built."""
        env = dict(os.environ)
        env["RTGC_SOCKET"] = self.socket
        env["RTGC_CONTROL"] = self.control
        env["PYTHONPATH"] = os.path.join(BUILDDIR, "client", "python", "stage")
        env["LD_LIBRARY_PATH"] = os.path.join(BUILDDIR, ".libs")
        env.update(more)
        return env

    def varlink(self):
        return Varlink(self.control)

    def call(self, method, **parameters):
        """One Varlink call; "GetStatus" stands for io.rtgcd.Supervisor.GetStatus."""
        with self.varlink() as v:
            return v.call(method, **parameters)

    def _all(self, method, key):
        found, after = [], {}
        with self.varlink() as v:
            while True:
                page = v.call(method, **after)
                found += page[key]
                if page.get("next") is None:
                    return found
                after = {"after": page["next"]}

    def heaps(self):
        return self._all("ListHeaps", "heaps")

    def services(self):
        return self._all("ListServices", "services")

    def windows(self):
        return self._all("ListWindows", "windows")

    def descriptors(self):
        """How many descriptors the daemon has open when nobody calls."""
        with self.varlink() as v:
            v.call("GetStatus")
            v.call("GetStatus")  # a turn later, callers that have hung up are forgotten
            return len(os.listdir(f"/proc/{self.pid}/fd")) - 1

    def write_config(self, text):
        with open(self.config_file, "w", encoding="utf-8") as f:
            f.write(text)

    # ---- waiting ---------------------------------------------------------------------

    def wait(self, predicate, what, timeout=PATIENCE):
        """
        Asks again until predicate(self) is true, and returns what it returned. Fails with
        `what` and the daemon's last state when it never becomes true, at once when the
        daemon ends.
        """
        return self._until(lambda: predicate(self), what, timeout)

    def _until(self, predicate, what, timeout):
        end = time.monotonic() + timeout
        dead = os.pidfd_open(self.pid)
        try:
            while True:
                result = predicate()
                if result:
                    return result
                if time.monotonic() > end:
                    raise AssertionError(f"never: {what}\n{self._state()}")
                # Asking without a break would take the CPU from those that are waited for.
                if select.select([dead], [], [], 0.003)[0] and not self.killed:
                    raise AssertionError(f"rtgcd ended before: {what}\n{self.log}")
        finally:
            os.close(dead)

    def _state(self):
        try:
            state = {"status": self.call("GetStatus"), "services": self.services(),
                     "heaps": self.heaps(), "windows": self.windows()}
        except (OSError, Error) as e:
            state = {"unreachable": str(e)}
        return json.dumps(state, indent=1) + "\nlog:\n" + self.log
