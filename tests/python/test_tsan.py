# SPDX-License-Identifier: MIT
"""The module and the library in it under the thread sanitizer, in the interpreter as it is: threads of a program,
the module's helper and the library's own thread, while the daemon goes and comes."""

import os
import subprocess

import pytest

from program import environment, harness

CC = os.environ.get("CC", "cc").split()
PYTHON = os.environ.get("PYTHON", "/usr/bin/python3")
FOLDERS = ("client", "client/wire", "client/python")
# As in tests/client/test_threads.py: the pages are mapped anew under readers that do not mind.
SUPPRESSIONS = "race:pages_map\nrace:pages_blank\n"

APP = """
import sys, threading, time
import rtgc

rtgc.supervise(service="threads", budget=30000, collector="window")
over = threading.Event()

def work():
    kept = []
    while not over.is_set():
        for _ in range(300):
            kept.append([])
            kept[-1].append(kept[-1])
        if len(kept) > 20000:
            kept.clear()
        rtgc.checkpoint()
        rtgc.status()
        rtgc.slack(time.monotonic() + 0.001)
        with rtgc.critical():
            pass

threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads:
    t.start()
sys.stdin.read()
over.set()
for t in threads:
    t.join()
"""


def output(command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(name="package")
def build(tmp_path):
    """The package with the module built anew, so that all of it is instrumented."""
    probe = tmp_path / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    built = subprocess.run([*CC, "-fsanitize=thread", probe, "-o", tmp_path / "probe"], capture_output=True)
    if built.returncode or subprocess.run([tmp_path / "probe"], capture_output=True).returncode:
        pytest.skip("no working thread sanitizer")
    include = output([PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('include'))"])
    package = tmp_path / "rtgc"
    package.mkdir()
    source = os.path.join(harness.SRCDIR, "client", "python", "rtgc")
    for name in os.listdir(source):
        if name.endswith(".py"):
            os.symlink(os.path.join(source, name), package / name)
    files = [os.path.join(harness.SRCDIR, folder, name) for folder in FOLDERS
             for name in sorted(os.listdir(os.path.join(harness.SRCDIR, folder))) if name.endswith(".c")]
    subprocess.run([*CC, "-fsanitize=thread", "-Wno-tsan", "-g", "-O1", "-std=gnu11", "-D_GNU_SOURCE", "-fPIC",
                    "-shared", "-pthread", f"-I{harness.SRCDIR}", f"-I{harness.BUILDDIR}", f"-I{include}", "-include",
                    os.path.join(harness.BUILDDIR, "config.h"), *files, "-o", package / "_rtgc.so"], check=True)
    return tmp_path


def test_threads(package):
    suppressions = package / "suppressions"
    suppressions.write_text(SUPPRESSIONS)
    with harness.Daemon() as d:
        env = environment(d.env(), PYTHONPATH=str(package), ASAN_OPTIONS="",
                          LD_PRELOAD=output([*CC, "-print-file-name=libtsan.so"]),
                          TSAN_OPTIONS=f"suppressions={suppressions} print_suppressions=0 history_size=7 exitcode=66")
        program = subprocess.Popen([PYTHON, "-c", APP], env=env, text=True, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3):
            d.wait(lambda d: d.call("GetStatus")["windows_granted"] >= 3, "it gets windows")
            d.kill()
            d.restart()
        out, err = program.communicate(timeout=harness.PATIENCE)
    assert (program.returncode, err) == (0, "")
