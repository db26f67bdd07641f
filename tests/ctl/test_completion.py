# SPDX-License-Identifier: MIT
"""Completion of rtgcctl, as bash and zsh do it when somebody presses a key on a terminal."""

import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.environ["RTGC_SRCDIR"], "tests"))
import harness  # noqa: E402
from joined import Heap  # noqa: E402
from screen import CTL, environment, run  # noqa: E402

SOURCE = pathlib.Path(os.environ["RTGC_SRCDIR"])
ALL, TELL, TAB, CLEAR = "\x1b*", "\x18p", "\t", "\x15"
BASH = r"""
bind 'set enable-bracketed-paste off'
bind -x '"\C-xp": printf "%s\0" "$READLINE_LINE" >&9'
source {file}
printf 'ready\0' >&9
"""
ZSH = r"""
unsetopt beep
fpath=({folder} $fpath)
autoload -Uz compinit && compinit -u -D
tell() {{ printf '%s\0' "$BUFFER" >&9 }}
zle -N tell
bindkey '^Xp' tell
bindkey '^I' complete-word
bindkey '^U' kill-whole-line
printf 'ready\0' >&9
"""


class Shell:
    """An interactive shell on a terminal, with its completion; what stands on its line is told by a pipe."""

    def __init__(self, command, rc, control, folder):
        told, tell = os.pipe()
        self.leader, follower = pty.openpty()
        env = environment(control, PATH=f"{os.path.dirname(CTL)}:{os.environ['PATH']}", TERM="dumb", HOME=folder,
                          LC_ALL="C.UTF-8", HISTFILE="/dev/null", ZDOTDIR=folder, PS1="$ ")
        move = 'exec 9>&"$0"; exec "$@"'
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", move, str(tell), *command], stdin=follower, stdout=follower, stderr=follower, env=env,
            cwd=folder, pass_fds=[tell], start_new_session=True)
        os.close(tell)
        os.close(follower)
        self.told, self.pending, self.shown = told, b"", b""
        self.send(rc)
        assert self.next() == "ready"

    def send(self, keys):
        os.write(self.leader, keys.encode())

    def next(self):
        """What the shell tells next. What it shows meanwhile has to be taken off it."""
        while b"\0" not in self.pending:
            ready = select.select([self.told, self.leader], [], [], harness.PATIENCE)[0]
            assert ready, self.shown.decode(errors="replace")
            for fd in ready:
                data = os.read(fd, 65536)
                assert data, "the shell has gone"
                if fd == self.told:
                    self.pending += data
                else:
                    self.shown += data
        text, self.pending = self.pending.split(b"\0", 1)
        return text.decode()

    def line(self, keys):
        """What stands on the line after these keys."""
        self.send(CLEAR + keys + TELL)
        return self.next()

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.leader)
        os.close(self.told)


@pytest.fixture(scope="module")
def daemon():
    with harness.Daemon(config="[Service:checkout]\nPolicy=idle\n") as d, Heap(d.socket, "checkout", "first-1"), \
            Heap(d.socket, "checkout", "ein Heap: ü"), Heap(d.socket, "ledger", "twin"), \
            Heap(d.socket, "ledger", "\u202eevil"), Heap(d.socket, "other", "twin"):
        yield d


@pytest.fixture(scope="module")
def bash(daemon, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("bash"))
    (pathlib.Path(folder) / "a log.events").write_text("")
    rc = os.path.join(folder, "rc")
    pathlib.Path(rc).write_text(BASH.format(file=SOURCE / "etc" / "rtgcctl.bash"))
    shell = Shell(["/bin/bash", "--norc", "--noprofile", "-i"], f"source {rc}\n", daemon.control, folder)
    yield shell
    shell.close()


@pytest.fixture(scope="module")
def zsh(daemon, tmp_path_factory):
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    folder = str(tmp_path_factory.mktemp("zsh"))
    (pathlib.Path(folder) / "a log.events").write_text("")
    rc = os.path.join(folder, "rc")
    pathlib.Path(rc).write_text(ZSH.format(folder=SOURCE / "etc"))
    shell = Shell(["zsh", "-f", "-i"], f"source {rc}\n", daemon.control, folder)
    yield shell
    shell.close()


def ids(daemon):
    return {heap["name"]: str(heap["id"]) for heap in daemon.heaps()}


def verbs():
    return re.findall(r"^  ([a-z][\w-]*) ", run("--help").stdout, re.M)


def options():
    return re.findall(r"^  --([a-z]+)", run("--help").stdout, re.M)


# ---- what the program says ---------------------------------------------------------------


def complete(*words, control=None):
    done = run("complete", *words, control=control)
    assert done.returncode == 0
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


def test_verbs_and_options_are_those_of_the_help():
    assert verbs() == complete("") and len(verbs()) >= 10
    found = {word.partition("=")[0].lstrip("-") for word in complete("--")}
    assert found == set(options())


def test_each_verb_takes_the_options_it_is_offered():
    """The table of the completion is the one that the program goes by."""
    values = {"service": "x", "output": "/nonexistent/x", "control": "/nonexistent", "seconds": "1", "state": "idle", "lines": "1", "set": "Daemon.MaxConcurrent=1"}
    for verb in verbs():
        offered = {word.partition("=")[0] for word in complete(verb, "-")} - {"--help", "--version", "-j"}
        for option in set(options()) - {"help", "version"}:
            value = {"json": "off", "format": "events"}.get(option, values.get(option))
            word = f"--{option}" if value is None else f"--{option}={value}"
            done = run(verb, word, *["x"] * (verb in (
                           "collect", "explain", "heap-summary", "hold", "release", "simulate")),
                       control="/nonexistent")
            assert ("takes no" not in done.stderr) == (f"--{option}" in offered), (verb, option, done.stderr)


@pytest.mark.parametrize("words, expected", [
    (["ex"], ["explain"]),
    (["no-such-verb", ""], []),
    (["status", ""], []),
    (["explain", "a", ""], []),
    (["explain", "--", "--json"], []),
    (["trace", "--fo"], ["--format=events"]),
    (["trace", "--format", ""], ["events"]),
    (["--json=s"], ["--json=short"]),
    (["--json", ""], ["pretty", "short", "off"]),
    (["trace", "--seconds", ""], []),
    (["simulate", ""], [""]),  # files
    (["--control", ""], [""]),
    (["simulate", "--set", "Daemon.GateP"], ["Daemon.GatePressure=", "Daemon.GatePressureFile="]),
    (["simulate", "--set=Daemon.MaxConc"], ["--set=Daemon.MaxConcurrent="]),
    (["simulate", "--set", "S"], ["Service."]),
    (["simulate", "log", "--set", "Service.a.b.Max"], ["Service.a.b.MaxConcurrent=", "Service.a.b.MaxDefer="]),
    (["simulate", "--set", "Daemon.MaxConcurrent=1"], []),
    (["simulate", "--set", "Daemon.x."], []),
    (["status", "--set", "Daemon.Hello"], ["Daemon.HelloTimeout="]),
    ([], None),
])
def test_words(words, expected):
    found = complete(*words, control="/nonexistent")
    assert found == (verbs() if expected is None else expected)


def test_heaps_by_name_or_by_id(daemon):
    """An id where a name does not tell, or would upset the terminal."""
    number = ids(daemon)
    found = complete("explain", "", control=daemon.control)
    twins = [str(heap["id"]) for heap in daemon.heaps() if heap["name"] == "twin"]
    assert sorted(found) == sorted(["first-1", "ein Heap: ü", number["\u202eevil"], *twins])
    assert len(twins) == 2
    assert complete("--control", daemon.control, "heap-summary", "fi") == ["first-1"]
    assert complete("--control=" + daemon.control, "windows", "--service=l") == ["--service=ledger"]
    assert complete("hold", "l", control=daemon.control) == complete("release", "l", control=daemon.control) == ["ledger"]


def test_the_keys_are_those_of_the_configuration(daemon):
    """All that the daemon shows, and nothing else."""
    shown = {(s["section"], s["key"]) for s in daemon._all("GetConfig", "settings")}
    found = complete("simulate", "--set", "Daemon.") + complete("simulate", "--set", "Service.x.")
    assert found and len(found) == len(set(found))
    expected = {f"Daemon.{key}=" for section, key in shown if section == "Daemon"}
    assert set(found) == expected | {f"Service.x.{key}=" for section, key in shown if section != "Daemon"}
    assert complete("simulate", "--set", "Service.", control=daemon.control) == [
        "Service.checkout.", "Service.ledger.", "Service.other."]


def test_without_a_daemon(tmp_path):
    assert complete("explain", "", control=str(tmp_path / "none")) == []


# ---- what the shells make of it ----------------------------------------------------------


@pytest.fixture(params=["bash", "zsh"])
def shell(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("keys, line", [
    ("rtgcctl exp", "rtgcctl explain "),
    ("rtgcctl heap-", "rtgcctl heap-summary "),
    ("rtgcctl explain fi", "rtgcctl explain first-1 "),
    ("rtgcctl -j explain ei", r"rtgcctl -j explain ein\ Heap:\ ü "),
    ("rtgcctl heaps --service le", "rtgcctl heaps --service ledger "),
    ("rtgcctl heaps --ser", "rtgcctl heaps --service "),
    ("rtgcctl --json=pr", "rtgcctl --json=pretty "),
    ("rtgcctl --json=sh", "rtgcctl --json=short "),
    ("rtgcctl trace --f", "rtgcctl trace --format=events "),
    ("rtgcctl heaps --service=che", "rtgcctl heaps --service=checkout "),
    ("rtgcctl simulate a", r"rtgcctl simulate a\ log.events "),
    ("rtgcctl simulate --set Dae", "rtgcctl simulate --set Daemon."),
    ("rtgcctl simulate --set Daemon.Mem", "rtgcctl simulate --set Daemon.MemoryBudget="),
    ("rtgcctl simulate --set=Daemon.Mem", "rtgcctl simulate --set=Daemon.MemoryBudget="),
    ("rtgcctl simulate --set Service.che", "rtgcctl simulate --set Service.checkout."),
    ("rtgcctl simulate x --set Service.checkout.Po", "rtgcctl simulate x --set Service.checkout.Policy="),
    ("rtgcctl status --ser", "rtgcctl status --ser"),
    ("rtgcctl explain nobo", "rtgcctl explain nobo"),
])
def test_a_key(shell, keys, line):
    found = shell.line(keys + TAB)
    # Whether a colon has to be quoted the shells see differently.
    assert found.replace("\\:", ":").rstrip() == line.rstrip()
    if line.endswith((".", "=")):  # there is more to come
        assert found == line


def test_bash_shows_them_all(bash):
    assert bash.line("rtgcctl " + ALL).split() == ["rtgcctl", *sorted(verbs())]
    assert bash.line("rtgcctl windows --service " + ALL).split()[3:] == ["checkout", "ledger", "other"]


def test_what_is_completed_can_be_run(bash, daemon):
    """A name with a space and a colon in it comes out quoted."""
    bash.send(CLEAR + "rtgcctl -j explain ein" + TAB + " >&9; printf '\\0' >&9\n")
    assert '"name":"ein Heap: ü"' in bash.next()
