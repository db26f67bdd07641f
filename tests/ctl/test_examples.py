# SPDX-License-Identifier: MIT
"""
Every example of the README and of the manual pages, run: what can be run as it stands, or with
the substitutions that EXAMPLES names. An example that is not in that table fails the test.
"""

import contextlib
import json
import os
import pathlib
import re
import select
import shlex
import shutil
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.environ["RTGC_SRCDIR"], "tests"))
sys.path.insert(0, os.path.join(os.environ["RTGC_SRCDIR"], "tests", "python"))
import harness  # noqa: E402
from program import environment  # noqa: E402

SOURCE = pathlib.Path(os.environ["RTGC_SRCDIR"])
BUILD = pathlib.Path(os.environ["RTGC_BUILDDIR"])
PYTHON = os.environ.get("PYTHON", sys.executable)
CC = os.environ.get("CC", "cc").split()
SANITIZE = os.environ.get("SANITIZE", "").split()
APP = """
import time
async def make(argv):
    from aiohttp import web
    return web.Application()
if __name__ == "__main__":
    kept = []
    while True:
        kept += [[] for _ in range(1000)]  # so that the heap will have to be collected
        time.sleep(0.01)
"""


def blocks():
    """(file, first line, text) of each example."""
    readme = (SOURCE / "README.md").read_text()
    for text in re.findall(r"^```\w*\n(.*?)^```$", readme, re.M | re.S):
        yield "README.md", text.splitlines()[0], text
    for path in sorted((SOURCE / "man").glob("*.[1-8]")):
        for text in re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", path.read_text(), re.M | re.S):
            yield path.name, text.splitlines()[0], text.replace("\\e", "\\").replace("\\&", "")


# ---- how they are run ----------------------------------------------------------------------


class Config:
    """A configuration: right as it stands, wrong with a key misspelt."""

    def __call__(self, text, folder):
        for content, status in ((text, 0), (text.replace("=", "x=", 1), 1)):
            (folder / "x.conf").write_text(content)
            done = subprocess.run([BUILD / "rtgcd", "--check-config", "--config", folder / "x.conf"],
                                  capture_output=True, text=True)
            assert done.returncode == status, done.stderr


class Run:
    """
    change    {what stands there: what is run instead}
    before    lines that go before it
    """

    def __init__(self, change=None, before=""):
        self.change, self.before = change or {}, before

    def text(self, text):
        for old, new in self.change.items():
            assert old in text
            text = text.replace(old, new)
        return self.before + text


class Python(Run):
    def __call__(self, text, folder):
        with harness.Daemon() as daemon:
            subprocess.run([PYTHON, "-c", self.text(text)], cwd=folder, env=environment(daemon.env()), check=True,
                           stdout=subprocess.DEVNULL, timeout=300)


class C(Run):
    """The body of a function of a supervised heap."""

    HEAD = ("#include <poll.h>\n#include <rtgc.h>\n#include <stdio.h>\n#include <sys/wait.h>\n#include <unistd.h>\n"
            "static int example(struct rtgc *r)\n{\n")
    TAIL = ("\treturn 0;\n}\nint main(void)\n{\n\tstruct rtgc *r;\n\n\tif (rtgc_open(NULL, &r) < 0)\n\t\treturn 1;\n"
            "\tif (example(r) != 0)\n\t\treturn 1;\n\trtgc_close(r);\n\treturn 0;\n}\n")

    def __init__(self, after="", **more):
        super().__init__(**more)
        self.after = after

    def __call__(self, text, folder):
        (folder / "x.c").write_text(self.HEAD + self.text(text) + self.after + self.TAIL)
        subprocess.run([*CC, *SANITIZE, "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
                        "-Wno-misleading-indentation", "-I", SOURCE / "client", folder / "x.c", "-o", folder / "x", "-L", BUILD / ".libs", "-lruntime"],
                       check=True, timeout=300)
        with harness.Daemon() as daemon:
            subprocess.run([folder / "x"], env=daemon.env(), check=True, timeout=300, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def running(command, folder, env):
    process = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def paths(folder, env):
    """python3 is the one that the module is built for, and our programs come first."""
    (folder / "bin").mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (folder / "bin" / "python3").symlink_to(PYTHON)
    return {**env, "PATH": f"{folder / 'bin'}:{BUILD}:{env['PATH']}"}


class Programs(Run):
    """Lines of which each starts a supervised program: its heap joins the daemon as it says."""

    def __call__(self, text, folder):
        (folder / "app.py").write_text(APP)
        for line in self.text(text).splitlines():
            words = shlex.split(line)
            with harness.Daemon() as daemon, running(words, folder, paths(folder, environment(daemon.env()))):
                daemon.wait(lambda d: d.heaps(), "it has joined: " + line)
                heap, = daemon.heaps()
            for option, key in (("--service", "service"), ("--heap", "name")):
                if option in words:
                    assert heap[key] == words[words.index(option) + 1]
            assert heap["runtime"].startswith("cpython 3.")


class Shell(Run):
    """A script; heaps of the service checkout, called as these are, have joined the daemon."""

    def __init__(self, heaps=(), **more):
        super().__init__(**more)
        self.heaps = heaps

    def __call__(self, text, folder):
        if "jq" in text and not shutil.which("jq"):
            pytest.skip("jq is not installed")
        with harness.Daemon() as daemon, contextlib.ExitStack() as stack:
            env = paths(folder, environment(daemon.env()))
            (folder / "app.py").write_text(APP)
            for name in self.heaps:
                stack.enter_context(running(
                    ["python3", "-m", "rtgc", "--service", "checkout", "--heap", name, "app.py"], folder, env))
            daemon.wait(lambda d: len(d.heaps()) == len(self.heaps), "they have joined")
            self.run(text, folder, env, daemon)

    def run(self, text, folder, env, daemon):
        self.script(self.text(text), folder, env)

    def script(self, text, folder, env):
        done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", text], cwd=folder, env=env, capture_output=True,
                              text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout


class Transcript(Shell):
    """Commands behind a dollar. Titles that are shown are those that are printed."""

    def run(self, text, folder, env, daemon):
        daemon.wait(lambda d: d.call("Explain", heap=self.heaps[0])["decisions"], "something is decided")
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.M):
            printed = self.script(command, folder, env).splitlines()
            titles = [set(line.split()) for line in printed if line.upper() == line]
            for line in shown.splitlines():
                if re.fullmatch(r"[A-Z ]+", line):
                    assert any(set(line.split()) <= found for found in titles), (line, printed)


class OwnDaemon(Shell):
    """A script that starts a daemon of its own, which is asked and ended."""

    def run(self, text, folder, env, daemon):
        (folder / "app.py").write_text("")
        (folder / "observe.conf").write_text("[Service:checkout]\nPolicy=observe\n")
        printed = self.script(self.text(text.replace("/tmp/my", str(folder / "my"))) + "\nrtgcctl -j status", folder, env)
        pid = json.loads(printed.splitlines()[-1])["pid"]
        gone = os.pidfd_open(pid)
        os.kill(pid, 15)
        assert select.select([gone], [], [], harness.PATIENCE)[0]
        os.close(gone)


class Events:
    """Lines of an event log, each broken in two for the page: keys and values are as the page has them."""

    def __call__(self, text, folder):
        page = (SOURCE / "man" / "rtgcd-events.5").read_text()
        lines = text.replace("\n ", " ").splitlines()
        assert len(lines) == 2
        for line in lines:
            assert all(re.search(rf"\b{key}\b", page) for key in json.loads(line))


class NotRun:
    def __init__(self, why):
        self.why = why

    def __call__(self, text, folder):
        """Somebody else does it; or it is no example, but what another one has printed."""


STRUCTURE = NotRun("a structure: tests/meta/test_manual.py compares it with rtgc.h")
FRAMES = NotRun("the layout of frames and pages: tests/meta/test_protocol.py, tests/unit/test_page")
PROGRAM = NotRun("the whole program: tests/client/test_example.py builds it as installed, and runs it")
BENCH = NotRun("what a benchmark has printed, which takes minutes")
README_TEST = NotRun("what a command above has printed: tests/ctl/test_readme.py compares labels and keys")

EXAMPLES = {
    "README.md": {
        "./bootstrap && make demo": NotRun("takes minutes: tests/bench/test_demo.py runs its parts"),
        "run        p50": BENCH,
        "run      p50    p99": BENCH,
        "run      p50   p99": BENCH,
        "./bootstrap && make check": NotRun("is what runs this test"),
        "./bootstrap --prefix=/usr": NotRun("installs: tests/systemd does it, into a system of its own"),
        "rtgcd 0.1.0, normal": README_TEST,
        "rtgcd --socket": OwnDaemon(),
        "python3 -m rtgc --service checkout app.py": Programs(change={"-m aiohttp.web": "-m aiohttp.web -P 0"}),
        "import rtgc\nrtgc.supervise": Python(),
        "rtgc.freeze_after(30)": Python(change={"seconds=5": "seconds=0.1"}, before="import rtgc\nclass Buffer:\n"
                                        "    def reset(self): pass\n"),
        "$ rtgcctl heap-summary": Transcript(heaps=["checkout-1"]),
        "$ rtgcctl heaps": Transcript(heaps=["checkout-1", "checkout-2", "checkout-3"]),
        "checkout: MaxConcurrent=1 is": NotRun("a sentence of rtgcctl services: tests/daemon/test_advice.c"),
        "rtgcctl -j status": Shell(),
        "printf": NotRun("a port that may be taken: tests/daemon/test_metrics.py asks the same at one that is free"),
        "{": README_TEST,
        "[Daemon]\nMaxConcurrent=2 ": Config(),
        "import rtgc\nfor batch": Python(before="batches, step = range(3), lambda batch: 0\n"),
        "[Daemon]\nMemoryBudget=8G ": Config(),
        "[Service:checkout]\nBudget": Config(),
        "run           GC time": BENCH,
        "[Service:checkout]\nDrain": Config(),
        "/* SPDX": PROGRAM,
        "cc example.c": PROGRAM,
    },
    "libruntime.3": {"/* SPDX": PROGRAM},
    "rtgc-control.7": {"import json": Python(), "import itertools": Python(change={"itertools.count()": "range(1)"})},
    "rtgc-guide.7": {
        "[Service:checkout]": Config(),
        "rtgcd --config": OwnDaemon(),
        "rtgcctl heaps": Shell(heaps=["app1"]),
        "import gc": Python(before="def load_everything(): pass\n"),
        "import rtgc": Python(change={"seconds=10": "seconds=0.1"}),
    },
    "rtgc-protocol.7": {"type frame": FRAMES, " 0 u32 magic": FRAMES, " 0 u32 seq, 4": FRAMES, " 0 u32 seq, 8": FRAMES},
    "rtgc.1": {"import rtgc": Python(), "python3 -m rtgc": Programs(change={"http.server 8000": "http.server 0"})},
    "rtgc_asked.3": {"struct rtgc_question {": STRUCTURE, "struct rtgc_answer {": STRUCTURE, "struct rtgc_row row": C()},
    "rtgc_begin.3": {"struct rtgc_result {": STRUCTURE, "struct rtgc_result result": C()},
    "rtgc_check.3": {"struct rtgc_window {": STRUCTURE, "struct rtgc_window w": C()},
    "rtgc_dispatch.3": {"struct pollfd": C()},
    "rtgc_open.3": {"struct rtgc_options {": STRUCTURE, "struct rtgc_options options": C(before="(void)r;\n{\n", after="}\n")},
    "rtgc_publish.3": {"struct rtgc_figures {": STRUCTURE, "struct rtgc_figures figures": C()},
    "rtgc_reopen.3": {"pid_t pid": C(after="if (pid == 0)\n\t_exit(0);\nreturn waitpid(pid, NULL, 0) != pid;\n")},
    "rtgc_status.3": {"struct rtgc_status {": STRUCTURE, "struct rtgc_status s": C()},
    "rtgcctl.1": {"rtgcctl status": Shell(heaps=["checkout-4711"], 
                                       change={"--seconds 60": "--seconds 1",
                                               "begin,end,revoke": "begin,end,revoke --seconds 1"})},
    "rtgcd-events.5": {
        '{"at_ns"': Events(),
        "grep": Shell(before="echo '{\"heap\":3,\"cause\":\"forced\"}' >checkout.log\n"),
    },
    "rtgcd-metrics.7": {"scrape_configs:": NotRun("tests/daemon/test_prometheus.py has a real Prometheus read one like it")},
    "rtgcd.8": {"[Service]": NotRun("a drop-in of systemd's, and HAProxy's group is needed for it")},
    "rtgcd.conf.5": {"[Daemon]": Config()},
}
FOUND = list(blocks())


def entry(file, text):
    """The way to run it."""
    return [how for start, how in EXAMPLES.get(file, {}).items() if text.startswith(start)]


def test_each_is_in_the_table_once():
    assert [(file, first) for file, first, text in FOUND if len(entry(file, text)) != 1] == []
    for file, starts in EXAMPLES.items():
        assert len(starts) == sum(1 for found, _, _ in FOUND if found == file), file


@pytest.mark.parametrize("file, text", [(file, text) for file, _, text in FOUND if not isinstance(entry(file, text)[0], NotRun)],
                         ids=[f"{file}: {first[:30]}" for file, first, text in FOUND if not isinstance(entry(file, text)[0], NotRun)])
def test_example(file, text):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        entry(file, text)[0](text, pathlib.Path(folder))
