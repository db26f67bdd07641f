# SPDX-License-Identifier: MIT
"""rtgcctl against a control socket that misbehaves: it says so, and nothing gets out."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from answering import Answering  # noqa: E402
from screen import CTL, SGR, on_terminal, run, width  # noqa: E402

EVIL = ("\x1b[2J\x1b]0;owned\x07 \r\n\t\x00"[:-1] + "\x7f\x85\x9b31m"
        "\u202e\u2066\u200b\ufeff\U000e0041 %s%n \\ \"x\" ' $(id)")
WIDE = "日本語のとても長いヒープの名前です"


def heap(name, **more):
    found = {"id": 7, "name": name, "service": name, "runtime": name, "pid": 12, "uid": 3,
             "state": "wanting", "unit": "objects", "used": 150, "budget": 1000,
             "alloc_rate_per_s": 10, "rss_bytes": 5 << 20, "exhaustion_us": 5000000,
             "latest_start_us": 4800000, "predicted_pause_us": {"major": 131000},
             "collections": {"major": 3}, "forced": 1, "pause_p99_us": 130000,
             "pause_max_us": 140000, "reason": name}
    found.update(more)
    return found


def everything(name):
    """A reply to each method, with the name in each text it has."""
    replies = {
        "GetStatus": {"version": name, "mode": name, "heaps": 1, "services": 1},
        "ListServices": {"services": [{"name": name, "policy": name, "advice": name}]},
        "ListHeaps": {"heaps": [heap(name)]},
        "ListWindows": {"windows": [{"id": 1, "heap_name": name, "service": name, "kind": name,
                                     "state": name, "reason": name}]},
        "Explain": {"heap": heap(name), "decisions": [
            {"ago_us": 5, "reason": name, "text": name, "holder": name, "used": 3,
             "budget": 10}]},
    }
    return lambda method, _: {"parameters": replies[method.rpartition(".")[2]]}


VERBS = [("status",), ("services",), ("heaps",), ("windows",), ("explain", "7")]


def assert_harmless(text):
    for c in SGR.sub("", text):
        assert c == "\n" or c == "…" or c.isprintable(), f"U+{ord(c):04X} came out: {text!r}"


@pytest.mark.parametrize("verb", VERBS, ids=lambda v: v[0])
def test_names_do_not_reach_the_terminal_raw(verb):
    with Answering(everything(EVIL)) as a:
        piped = run(*verb, control=a.path)
        status, shown, _ = on_terminal(200, *verb, control=a.path)
    assert (piped.returncode, status) == (0, 0)
    assert_harmless(piped.stdout)
    assert_harmless(shown)
    assert "\\x1b[2J" in piped.stdout and "\\u202e" in piped.stdout
    assert len(piped.stdout.splitlines()) == len(shown.splitlines())


@pytest.mark.parametrize("mode", ["short", "pretty"])
@pytest.mark.parametrize("verb", VERBS, ids=lambda v: v[0])
def test_json_is_the_same_and_harmless(verb, mode):
    answer = everything(EVIL)
    with Answering(answer) as a:
        done = run(*verb, f"--json={mode}", control=a.path)
        method = a.calls[0]["method"]
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == answer(method, {})["parameters"]
    assert_harmless(done.stdout)
    assert mode == "pretty" or done.stdout.count("\n") == 1


@pytest.mark.parametrize("error", [
    {"error": "io.rtgcd.Supervisor.NoSuchHeap", "parameters": {"heap": EVIL}},
    {"error": "io.rtgcd.Supervisor." + EVIL, "parameters": {"detail": EVIL}},
    {"error": EVIL},
], ids=["known", "unknown", "bare"])
def test_errors_are_harmless(error):
    with Answering(lambda *_: error) as a:
        done = run("explain", "x", control=a.path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert_harmless(done.stderr)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("columns", [20, 33, 40, 80, 120, 300])
@pytest.mark.parametrize("verb", VERBS[1:], ids=lambda v: v[0])
@pytest.mark.parametrize("name", [WIDE, EVIL, "e\u0301" * 60, "x" * 63, ""],
                         ids=["wide", "evil", "combining", "long", "empty"])
def test_no_line_is_longer_than_the_terminal(verb, columns, name):
    with Answering(everything(name)) as a:
        status, shown, complaint = on_terminal(columns, *verb, control=a.path)
    assert (status, complaint) == (0, "")
    for line in shown.splitlines():
        assert width(line) <= columns, line


def test_columns_stay_aligned_under_wide_names():
    with Answering(lambda *_: {"parameters": {"heaps": [heap(WIDE), heap("plain", id=8)]}}) as a:
        done = run("heaps", control=a.path)
    lines = done.stdout.splitlines()
    at = {width(line[:line.index("wanting")]) for line in lines[1:]}
    assert at == {width(lines[0][:lines[0].index("STATE")])}


@pytest.mark.parametrize("reply, words", [
    (b"HTTP/1.1 400 Bad Request\r\n\r\n\0", "does not speak"),
    (b"\0", "does not speak"),
    (b"[1]\0", "does not speak"),
    (b'{"parameters":{"heaps":[]}' + b"\0", "does not speak"),
    (b'{"parameters":[]}\0', "does not speak"),
    (b'{"error":5}\0', "does not speak"),
    (b'{"parameters":{}}\0', "does not speak"),
    (b'{"parameters":{"heaps":[],"next":"x"}}\0', "does not speak"),
    (b'{"parameters":{"heaps":["\xff"]}}\0', "does not speak"),
    (b" " * (17 << 20), "does not speak"),
    (None, "hung up"),
], ids=["http", "nothing", "array", "torn", "parameters", "error", "no-list", "next", "utf-8",
        "endless", "hang-up"])
def test_what_is_not_a_reply(reply, words):
    with Answering(lambda *_: reply) as a:
        done = run("heaps", control=a.path)
    assert done.returncode == 1
    assert words in done.stderr and a.path in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("item", [5, "x", None, [], {}, {"id": "x", "used": -5, "name": 7},
                                  {"used": 2**63 - 1, "budget": 1, "latest_start_us": -2**63,
                                   "collections": {"a": 2**63 - 1, "b": 1}}],
                         ids=["int", "text", "null", "list", "empty", "types", "extreme"])
@pytest.mark.parametrize("verb, key", [("services", "services"), ("heaps", "heaps"),
                                       ("windows", "windows")])
def test_items_of_another_shape(verb, key, item):
    with Answering(lambda *_: {"parameters": {key: [item]}}) as a:
        done = run(verb, control=a.path)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2


def test_pages_that_do_not_get_on():
    page = {"parameters": {"heaps": [heap("x")], "next": 5}}
    with Answering(lambda *_: page) as a:
        done = run("heaps", control=a.path)
    assert done.returncode == 1
    assert "does not speak" in done.stderr
    assert len(a.calls) == 2


def test_a_method_it_does_not_know():
    error = {"error": "org.varlink.service.MethodNotFound", "parameters": {"method": "Reload"}}
    with Answering(lambda *_: error) as a:
        done = run("reload", control=a.path)
    assert done.returncode == 1
    assert "another version" in done.stderr


@pytest.mark.parametrize("accepts", [True, False], ids=["accepted", "full-backlog"])
def test_a_daemon_that_never_answers(accepts):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = os.path.join(folder, "control.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.bind(path)
            s.listen(16 if accepts else 0)
            waiting = []
            while not accepts:
                c = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                c.setblocking(False)
                waiting.append(c)
                try:
                    c.connect(path)
                except BlockingIOError:
                    break
            done = run("status", control=path)
            for c in waiting:
                c.close()
    assert done.returncode == 1
    assert done.stderr == (f"rtgcctl: rtgcd at {path} has not answered for 5 s: it is stopped or "
                           "hangs; systemctl restart rtgcd\n")


def test_another_kind_of_socket():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = os.path.join(folder, "runtime.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.bind(path)
            s.listen(1)
            done = run("status", control=path)
    assert done.returncode == 1
    assert "not a control socket" in done.stderr


def test_a_socket_that_this_user_may_not_open():
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = os.path.join(folder, "control.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.bind(path)
            s.listen(1)
            os.chmod(path, 0)
            os.chmod(folder, 0o755)
            done = subprocess.run([shutil.copy(CTL, folder), "--control", path, "status"], text=True,
                                  timeout=120, capture_output=True, **user)
    assert done.returncode == 1
    assert done.stderr == (f"rtgcctl: {path} may not be opened by this user: try as root, or name "
                           "another socket by --control\n")
