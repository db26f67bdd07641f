# SPDX-License-Identifier: MIT
"""
Broken configuration files by the hundred, all to one daemon. Each is taken or refused as the
manual page says (config_model.py says it again); one that is refused changes nothing.
"""

import os
import random
import re
import subprocess

import pytest

import config_model
from common import harness

SEED = 20261122
RANDOM_MUTATIONS = 200

with open(os.path.join(harness.SRCDIR, "etc", "rtgcd.conf"), "rb") as _file:
    DEFAULT = _file.read()
UNCOMMENTED = re.sub(rb"^#(?=[A-Z\[])", b"", DEFAULT, flags=re.M)
RICH = """
[Daemon]
MaxConcurrent=3   # at once
MemoryBudget=62.5%

[Service:web]
Policy=idle
MaxConcurrent=2
Budget=1.5G
Drain=haproxy:/run/haproxy/admin.sock:be_%s/srv-%h
Lead=250ms
MaxDefer=1min 30s
MinYield=0.5%
Users=root 0
Groups=root
NeverWith=ledger "ein Dienst: müde"

[Service:ein Dienst: müde]
Policy=together ; in lockstep
Lead=
""".encode()


def with_line(text, index, line):
    lines = text.split(b"\n")
    lines[index] = line
    return b"\n".join(lines)


def line_by_line():
    """Every line of the shipped file, broken in turn."""
    for i, line in enumerate(DEFAULT.rstrip(b"\n").split(b"\n")):
        yield with_line(DEFAULT, i, line.lstrip(b"# ") or b"nonsense")
        yield with_line(DEFAULT, i, line + b"\0")
    for i, line in enumerate(UNCOMMENTED.rstrip(b"\n").split(b"\n")):
        if line[:1] in (b"#", b""):
            continue
        key, equals, value = line.partition(b"=")
        yield with_line(UNCOMMENTED, i, key)
        yield with_line(UNCOMMENTED, i, key[:-1] + equals + value)
        yield with_line(UNCOMMENTED, i, line + b"~")
        yield with_line(UNCOMMENTED, i, line + b"\xff")
        yield with_line(UNCOMMENTED, i, b"[" + line)


def at_random(rng):
    """A good file with a byte or a line of it changed, once or thrice."""
    text = rng.choice([UNCOMMENTED, RICH, RICH])
    for _ in range(rng.choice([1, 1, 3])):
        at, lines = rng.randrange(len(text)), text.split(b"\n")
        i, k = rng.randrange(len(lines)), rng.randrange(len(lines))
        byte = bytes([rng.choice([rng.randrange(256), *b"0123456789 =:;#[]%\"\t"])])
        text = rng.choice([
            lambda: text[:at] + byte + text[at + 1:],
            lambda: text[:at] + byte + text[at:],
            lambda: text[:at] + text[at + 1:],
            lambda: text[:at],
            lambda: b"\n".join(lines[:i] + lines[i + 1:]),
            lambda: b"\n".join(lines[:i] + [lines[k]] + lines[i:]),
        ])() or b"\n"
    return text


def mutations():
    rng = random.Random(SEED)
    return [*line_by_line(), *(at_random(rng) for _ in range(RANDOM_MUTATIONS))]


def check(path):
    """--check-config: None, or what it says."""
    done = subprocess.run([harness.RTGCD, "--check-config", "--config", path], capture_output=True, timeout=60)
    assert done.returncode in (0, 1) and done.stdout == b"", done
    if done.returncode == 0:
        assert done.stderr == b""
        return None
    assert done.stderr.startswith(b"rtgcd: ") and done.stderr.endswith(b"\n")
    return done.stderr.decode()[len("rtgcd: "):-1]


def reload(daemon):
    """The same of the daemon that runs."""
    try:
        daemon.call("Reload")
    except harness.Error as e:
        assert e.name == f"{harness.INTERFACE}.ReloadFailed"
        return e.parameters["message"]
    return None


def in_force(daemon):
    return {(s["section"], s["key"]): (s["value"], s["line"]) for s in daemon._all("GetConfig", "settings")}


def said(settings, initial):
    """What GetConfig has to show for a file that says these settings."""
    expected = dict(initial)
    for section in {section for section, _ in settings} - {"Daemon"}:
        expected.update({(section, key): initial[None, key] for key in config_model.SERVICE})
    for (section, key), (value, line) in settings.items():
        expected[section, key] = (value or expected[section, key][0], line)
    return expected


def expected_of(text, initial):
    """(settings, None), or (None, the line at which it is refused)."""
    try:
        return said(config_model.parse(text), initial), None
    except config_model.Refused as refused:
        return None, refused.args[0]


def test_every_mutation():
    texts = mutations()
    assert len(texts) >= 300
    taken = 0
    with harness.Daemon() as d:
        initial = before = in_force(d)
        for n, text in enumerate(texts):
            with open(d.config_file, "wb") as f:
                f.write(text)
            expected, line = expected_of(text, initial)
            message = reload(d)
            now = in_force(d)
            if n % 4 == 0:  # the same code; it is the process that takes its time
                assert check(d.config_file) == message
            if expected is None:
                assert message and config_model.is_text(message.encode()) and "\t" not in message, (message, text)
                assert message.startswith(f"{d.config_file}:{line}: "), (line, message, text)
                assert now == before
                continue
            assert message is None, (message, text)
            assert now == expected, text
            before = now
            taken += 1
        assert d.call("GetStatus")["reload_ok"] is (message is None)
    assert 40 < taken < len(texts) - 150


@pytest.mark.parametrize("text", [DEFAULT, UNCOMMENTED, RICH], ids=["default", "uncommented", "rich"])
def test_the_model_takes_what_is_right(text, tmp_path):
    path = tmp_path / "rtgcd.conf"
    path.write_bytes(text)
    assert check(path) is None
    assert bool(config_model.parse(text)) == (text != DEFAULT)
