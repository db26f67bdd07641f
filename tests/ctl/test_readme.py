# SPDX-License-Identifier: MIT
"""What the README shows is so: its commands run, its files are the tree's, its output is real."""

import json
import os
import pathlib
import re
import select
import shlex
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.environ["RTGC_SRCDIR"], "tests"))
sys.path.insert(0, os.path.join(os.environ["RTGC_SRCDIR"], "tests", "python"))
import harness  # noqa: E402
from program import environment  # noqa: E402
from screen import run  # noqa: E402

SOURCE = pathlib.Path(os.environ["RTGC_SRCDIR"])
BUILD = pathlib.Path(os.environ["RTGC_BUILDDIR"])
PYTHON = os.environ.get("PYTHON", sys.executable)
README = (SOURCE / "README.md").read_text()
APP = "import time\nwhile True:\n    time.sleep(0.01)\n"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def commands():
    return [line for block in blocks("sh") for line in block.splitlines()]


def test_the_program_is_the_one_that_is_tested():
    assert blocks("c") == [(SOURCE / "tests" / "client" / "example.c").read_text()]


def test_the_table_has_a_place():
    assert len(re.findall(r"<!-- demo-table -->\n.+?\n<!-- /demo-table -->", README, re.S)) == 1


def test_files_that_it_names_exist():
    for name in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (SOURCE / name).exists(), name
    for name, section in re.findall(r"`([a-z.-]+)\((\d)\)`", README):
        assert (SOURCE / "man" / f"{name}.{section}").exists(), name


def test_configuration(tmp_path):
    shown = blocks("ini")
    assert shown
    for text in shown:
        (tmp_path / "rtgcd.conf").write_text(text)
        done = subprocess.run([BUILD / "rtgcd", "--check-config", "--config",
                               tmp_path / "rtgcd.conf"], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        (tmp_path / "rtgcd.conf").write_text(text.replace("=", "x=", 1))
        done = subprocess.run([BUILD / "rtgcd", "--check-config", "--config",
                               tmp_path / "rtgcd.conf"], capture_output=True, text=True)
        assert done.returncode == 1


def test_commands_of_rtgcctl():
    ours = [shlex.split(line) for line in commands() if line.startswith("rtgcctl ")]
    ours += [shlex.split(line) for line in re.findall(r"^\$ (rtgcctl .*)$", README, re.M)]
    assert len(ours) >= 4
    with harness.Daemon() as daemon:
        app = subprocess.Popen([PYTHON, "-m", "rtgc", "--heap", "checkout-1", "-"], text=True,
                               stdin=subprocess.PIPE, env=environment(daemon.env()))
        app.stdin.write(APP)
        app.stdin.close()
        try:
            daemon.wait(lambda d: d.heaps(), "the program has joined")
            for command in ours:
                done = run(*command[1:], control=daemon.control)
                assert done.returncode == 0, done.stderr
        finally:
            app.kill()
            app.wait()


def test_output_is_of_this_version():
    """Titles, labels and keys, if not the figures."""
    shown, = blocks("json")
    with harness.Daemon() as daemon:
        assert list(json.loads(shown)) == list(daemon.call("GetStatus"))
        status = run("status", control=daemon.control).stdout
    for line in status.splitlines():
        label = line.split()[0]
        assert re.search(rf"^ *{label} ", README, re.M), line
    verbs = re.search(r"## Ask it\n\n`rtgcctl (.*?) HEAP`", README).group(1)
    assert re.findall(r"\w+", verbs) == ["status", "services", "heaps", "windows", "explain"]


def test_a_daemon_of_ones_own():
    """rtgcd in the background, as in the README; the paths are the test's."""
    line, = (line for line in commands() if line.startswith("rtgcd "))
    exports, = (line for line in commands() if line.startswith("export RTGC_SOCKET"))
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        script = "\n".join([line, exports, "rtgcctl -j status"]).replace("/tmp/my/", folder + "/my/")
        env = {**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}"}
        done = subprocess.run(["sh", "-e", "-c", script], env=env, stdout=subprocess.PIPE, text=True)
        assert done.returncode == 0
        pid = json.loads(done.stdout)["pid"]
        gone = os.pidfd_open(pid)
        os.kill(pid, 15)
        assert select.select([gone], [], [], 60)[0]
        os.close(gone)


@pytest.mark.parametrize("how", ["command", "lines"])
def test_a_supervised_program(tmp_path, how):
    (tmp_path / "app.py").write_text(APP)
    if how == "command":
        line, = (line for line in commands() if line.endswith(" app.py"))
        command = [PYTHON, *shlex.split(line)[1:]]
        assert line.startswith("python3 ")
    else:
        shown = blocks("python")[0]
        (tmp_path / "app.py").write_text(shown + APP)
        command = [PYTHON, "app.py"]
    with harness.Daemon() as daemon:
        app = subprocess.Popen(command, cwd=tmp_path, env=environment(daemon.env()))
        try:
            daemon.wait(lambda d: d.heaps(), "the program has joined")
            heap, = daemon.heaps()
            service, = daemon.services()
        finally:
            app.kill()
            app.wait()
    assert heap["service"] == service["name"] == "checkout"
    assert heap["runtime"].startswith("cpython 3.")
