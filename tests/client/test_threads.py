# SPDX-License-Identifier: MIT
"""Many threads on one heap while the daemon comes and goes, under the thread sanitizer."""

import json
import os
import re
import subprocess

import harness
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENT = os.path.join(harness.SRCDIR, "client")
CC = os.environ.get("CC", "cc").split()
SOCKET_ONLY = 2

# Mapping one page over another is a write to the sanitizer, but not to a reader: it finds
# the old page or the new one, and each word of both is atomic.
SUPPRESSIONS = "race:pages_map\nrace:pages_blank\n"


@pytest.fixture(scope="module")
def hammer(tmp_path_factory):
    """Built from the sources, so that all of the library is instrumented."""
    directory = tmp_path_factory.mktemp("hammer")
    program = str(directory / "hammer")
    probe = directory / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    built = subprocess.run([*CC, "-fsanitize=thread", str(probe), "-o", program], capture_output=True)
    if built.returncode or subprocess.run([program], capture_output=True).returncode:
        pytest.skip("no working thread sanitizer")
    sources = [os.path.join(d, name) for d in (CLIENT, os.path.join(CLIENT, "wire"))
               for name in os.listdir(d) if name.endswith(".c")]
    subprocess.run([*CC, "-fsanitize=thread", "-g", "-O1", "-std=gnu11", "-pthread",
                    "-Wno-tsan",  # fences are not modelled; every word behind them is atomic
                    f"-I{harness.SRCDIR}", "-include", os.path.join(harness.BUILDDIR, "config.h"),
                    os.path.join(HERE, "hammer.c"), *sources, "-o", program], check=True)
    return program


def races(err):
    """
    What the sanitizer says. It may have lost the stack of an access, and with it the function by which
    that is suppressed; of our pages, only the suppressed ones access them in a way it minds.
    """
    reports = re.split(r"^=+\n|^ThreadSanitizer: reported .*\n", err, flags=re.M)
    return [r for r in reports if r and not ("[failed to restore the stack]" in r and "memfd:rtgcd-" in r)]


@pytest.mark.parametrize("flags", [0, SOCKET_ONLY], ids=["pages", "socket"])
def test_hammer(hammer, flags, tmp_path):
    suppressions = tmp_path / "suppressions"
    suppressions.write_text(SUPPRESSIONS)
    with harness.Daemon() as daemon:
        env = daemon.env(TSAN_OPTIONS=f"suppressions={suppressions} print_suppressions=0 history_size=7 exitcode=0")
        proc = subprocess.Popen([hammer, str(flags)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=env)
        for _ in range(4):
            daemon.wait(lambda d: d.call("GetStatus")["windows_granted"] >= 5, "it gets windows")
            daemon.kill()
            daemon.restart()
        out, err = proc.communicate(timeout=harness.PATIENCE)
        assert (proc.returncode, races(err)) == (0, []), out
        did = json.loads(out)
        assert did["windows"] > 0
        assert did["events"] >= 8
