# SPDX-License-Identifier: MIT
"""rtgcctl, with each of its calls failing once: it prints all that there is to print, or says what is wrong and exits with 1."""

import json
import os
import re
import subprocess

import pytest

from fault import Client, explained, failures, fixture_shim, harness  # noqa: F401

CTL = os.path.join(harness.BUILDDIR, "rtgcctl")
CONFIG = "[Daemon]\nMaxConcurrent=3\n[Service:web]\nMaxConcurrent=2\n"
VERBS = {
    "status": ["status"],
    "services": ["services"],
    "heaps": ["heaps"],
    "explain": ["explain", "h1"],
    "config": ["config"],
    "reload": ["reload"],
    "json": ["--json=pretty", "heaps"],
    "complete": ["complete", "explain", "h"],
    "keys": ["complete", "simulate", "--set", "Daemon."],
    "simulate": ["simulate", "log.events", "--set", "Daemon.MaxConcurrent=1"],
}


def plain(text):
    """Without what differs from one moment to the next."""
    return re.sub(r"[\d.]+ ?(ns|us|µs|ms|s|min|h)?|\s+", " ", text)


def record(d, folder):
    """A log with what is there when it begins."""
    with d.varlink() as v:
        v.send({"method": f"{harness.INTERFACE}.Trace", "parameters": {"format": "events"}, "more": True})
        lines = v.receive()["parameters"]["events"]
    with open(os.path.join(folder, "log.events"), "w", encoding="utf-8") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)


@pytest.mark.parametrize("verb", VERBS)
def test_verb(verb, shim, tmp_path):
    with harness.Daemon(config=CONFIG) as d, Client(d, heap="h1", budget=1000) as c, Client(d, heap="h2", budget=1000):
        c.report(used=10)
        c.sync()
        record(d, tmp_path)
        env = {**os.environ, **d.env(), **shim.environ()}

        def run():
            return subprocess.run([CTL, *VERBS[verb]], cwd=tmp_path, env=env, capture_output=True, text=True,
                                  timeout=harness.PATIENCE)

        expected = run()
        assert (expected.returncode, expected.stderr) == (0, ""), expected.stderr
        injected = 0
        for function, error, n in failures(shim.counts()):
            shim.reset()
            shim.arm(function, n, error)
            done = run()
            injected += shim.disarm()
            if "complete" in VERBS[verb] and done.returncode == 0:
                good = set(done.stdout.splitlines()) <= set(expected.stdout.splitlines())
            elif done.returncode == 0 and not done.stderr:
                good = plain(done.stdout) == plain(expected.stdout)
            else:
                good = done.returncode in (0, 1) and done.stderr.startswith("rtgcctl: ")
            assert good, (explained(function, error, n), done.returncode, done.stdout, done.stderr)
        print(f"{verb}: {injected} faults")
        assert injected > 0
        assert d.call("GetStatus")["heaps"] == 2
