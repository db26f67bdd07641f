# SPDX-License-Identifier: MIT
"""The configuration file: what is refused and where, and reloading."""

import os
import re
import signal
import subprocess

import pytest

from common import harness
from frames import Client

GOOD = """
# all there is
[Daemon]
MaxConcurrent=3   # at once
MemoryBudget=8G

; another comment
[Service:web]
Policy=stagger
MaxConcurrent=2
Budget=1.5G
Drain=client
Lead=250ms
MaxDefer=1min 30s
MinYield=0.5%
  NeverWith=ledger "a service with spaces: and ünïcode"

[Service:a service with spaces: and ünïcode]
Drain = haproxy:/run/haproxy/admin.sock:be_%s/srv-%h.%%
Budget =
Lead=
[Service:web]
Drain=none
NeverWith=
[Service:lockstep]
Policy=together
NeverWith=one	two "three"  four
[Service:batch]
Policy=idle
[Service:new]
Policy=observe
[Daemon]
MemoryBudget=62.5%
MaxConnections=20000
MaxConnectionsPerUser=auto
MaxUngreeted=10
HelloTimeout=2.5s
FramesPerSecond=100
FramesPerSecondPerUser=1000000
MaxCallers=1
MaxCallersPerUser=1
RequestsPerSecond=1
MaxQueue=4K
QueueMemory=1.5G
MaxConnections=
"""


def check(text, tmp_path, more=None):
    path = os.path.join(tmp_path, "rtgcd.conf")
    with open(path, "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    for name, content in (more or {}).items():
        os.makedirs(path + ".d", exist_ok=True)
        with open(os.path.join(path + ".d", name), "w", encoding="utf-8") as f:
            f.write(content)
    done = subprocess.run([harness.RTGCD, "--check-config", "--config", path],
                          capture_output=True, text=True, timeout=60)
    assert done.stdout == ""
    return done.returncode, done.stderr.replace(path, "CONF").strip()


def test_good(tmp_path):
    assert check(GOOD, tmp_path) == (0, "")


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing", "[Daemon]\n", "\ufeff[Daemon]\nMaxConcurrent=1\n",
                                  "[Daemon]\r\nMaxConcurrent=1\r\n", "[Daemon]\nMaxConcurrent=1"])
def test_also_good(tmp_path, text):
    assert check(text, tmp_path) == (0, "")


LONG = "x" * 64


@pytest.mark.parametrize("text, line, words", [
    ("[Daemon]\nMaxConcurent=1\n", 2, ["MaxConcurent", "[Daemon]"]),
    ("\n\n[Service:web]\nnonsense=1\n", 4, ["nonsense", "[Service:web]"]),
    ("[Deamon]\n", 1, ["Deamon"]),
    ("[Service]\nBudget=1\n", 1, ["[Service]"]),
    ("[Service:]\n", 1, ["[Service:]", "63"]),
    (f"[Service:{LONG}]\n", 1, [LONG, "63"]),
    ("[Service:a\tb]\n", 1, ["name"]),
    ("Budget=1\n", 1, ["before any section"]),
    ("[Daemon]\nMaxConcurrent\n", 2, ["KEY=VALUE"]),
    ("[Daemon\nMaxConcurrent=1\n", 1, ["[Section]"]),
    ("[Daemon]\nMaxConcurrent=0\n", 2, ["MaxConcurrent=0", "auto"]),
    ("[Daemon]\nMaxConcurrent=-1\n", 2, ["MaxConcurrent"]),
    ("[Daemon]\nMaxConcurrent=1.5\n", 2, ["MaxConcurrent"]),
    ("[Daemon]\nMaxConcurrent=99999999999999999999\n", 2, ["MaxConcurrent"]),
    ("[Daemon]\nMemoryBudget=8X\n", 2, ["MemoryBudget=8X", "8G", "50%"]),
    ("[Daemon]\nMemoryBudget=-1\n", 2, ["MemoryBudget=-1"]),
    ("[Daemon]\nMemoryBudget=101%\n", 2, ["MemoryBudget=101%"]),
    ("[Daemon]\nMemoryBudget=auto\n", 2, ["MemoryBudget=auto"]),
    ("[Daemon]\nMaxConnections=0\n", 2, ["MaxConnections=0", "auto", "1000000"]),
    ("[Daemon]\nMaxConnectionsPerUser=1e3\n", 2, ["MaxConnectionsPerUser=1e3", "auto"]),
    ("[Daemon]\nMaxUngreeted=auto\n", 2, ["MaxUngreeted=auto", "1000000"]),
    ("[Daemon]\nHelloTimeout=2h\n", 2, ["HelloTimeout=2h", "1h"]),
    ("[Daemon]\nHelloTimeout=0\n", 2, ["HelloTimeout=0", "30s"]),
    ("[Daemon]\nFramesPerSecond=0\n", 2, ["FramesPerSecond=0"]),
    ("[Daemon]\nMaxCallers=1000001\n", 2, ["MaxCallers=1000001", "1000000"]),
    ("[Daemon]\nMaxQueue=4095\n", 2, ["MaxQueue=4095", "4K"]),
    ("[Daemon]\nQueueMemory=1023K\n", 2, ["QueueMemory=1023K", "1M"]),
    ("[Service:w]\nMaxConcurrent=auto\n", 2, ["MaxConcurrent"]),
    ("[Service:w]\nBudget=2X\n", 2, ["Budget=2X"]),
    ("[Service:w]\nBudget=-2G\n", 2, ["Budget"]),
    ("[Service:w]\nBudget=99999999999T\n", 2, ["Budget"]),
    ("[Service:w]\nBudget=2 G\n", 2, ["Budget"]),
    ("[Service:w]\nLead=20 lightyears\n", 2, ["Lead"]),
    ("[Service:w]\nLead=61s\n", 2, ["Lead", "60s"]),
    ("[Service:w]\nLead=99999999999999999h\n", 2, ["Lead"]),
    ("[Service:w]\nMaxDefer=soon\n", 2, ["MaxDefer"]),
    ("[Service:w]\nMinYield=1\n", 2, ["MinYield"]),
    ("[Service:w]\nMinYield=101%\n", 2, ["MinYield"]),
    ("[Service:w]\nPolicy=random\n", 2, ["Policy=random"]),
    ("[Service:w]\nPolicy=Together\n", 2, ["Policy=Together", "stagger, together, idle, observe"]),
    ("[Service:w]\nPolicy=stagger together\n", 2, ["Policy=stagger together"]),
    ("[Service:w]\nNeverWith=w\n", 2, ["NeverWith=w", "itself"]),
    ("[Service:a b]\n\nNeverWith=x \"a b\"\n", 3, ["NeverWith=x", "itself"]),
    ("[Service:w]\nNeverWith=a b c d e\n", 2, ["NeverWith=a b c d e", "more than 4"]),
    (f"[Service:w]\nNeverWith={LONG}\n", 2, [LONG, "63"]),
    ("[Service:w]\nNeverWith=\"a\n", 2, ["NeverWith", "63"]),
    ("[Service:w]\nNeverWith=\"a\"b\n", 2, ["NeverWith", "63"]),
    ("[Service:w]\nNeverWith=\"\"\n", 2, ["NeverWith", "63"]),
    ("[Service:w]\nDrain=yes\n", 2, ["Drain=yes"]),
    ("[Service:w]\nDrain=haproxy\n", 2, ["Drain"]),
    ("[Service:w]\nDrain=haproxy:/s\n", 2, ["Drain"]),
    ("[Service:w]\nDrain=haproxy:/s:be\n", 2, ["Drain"]),
    ("[Service:w]\nDrain=haproxy:/s:/srv\n", 2, ["Drain"]),
    ("[Service:w]\nDrain=haproxy:/s:be/\n", 2, ["Drain"]),
    ("[Service:w]\nDrain=haproxy:relative:be/srv\n", 2, ["Drain"]),
    ("[Service:w]\nDrain=haproxy:/s:be/srv;x\n", 2, ["Drain"]),
    ("[Service:w]\nDrain=haproxy:/s:be/%x\n", 2, ["Drain"]),
    ("[Service:w]\nDrain=haproxy:/s:be/srv%\n", 2, ["Drain"]),
    (f"[Service:w]\nDrain=haproxy:/{'s' * 110}:be/srv\n", 2, ["Drain"]),
    ("[Service:w]\nUsers=root no-such-user\n", 2, ["Users=root no-such-user", '"no-such-user"']),
    ("[Service:w]\nGroups=99999999999\n", 2, ["Groups=99999999999"]),
    ("[Daemon]\n#" + "x" * 2000 + "\n", 2, ["longer"]),
    (b"[Daemon]\nMaxConcurrent=1\0\n", 2, ["NUL"]),
    (b"[Daemon]\nMaxConcurrent=\xff\x1b[0m\n", 2, [r"MaxConcurrent=\xff\x1b[0m: ", "UTF-8"]),
    (b"[Daemon]\n\xc3=\xc2\x9b\n", 2, [r"\xc3=\xc2\x9b: "]),
    (b"[Service:w]\nDrain=haproxy:/r\xff:be/srv\n", 2, [r"Drain=haproxy:/r\xff:be/srv: ", "UTF-8"]),
    (b"[Service:\xe9]\n", 1, [r"[Service:\xe9]: "]),
    ("[Daemon]\nfirst=1\nsecond=2\n", 2, ["first"]),
    ("[Daemon]\nbroken\nsecond=2\n", 2, ["KEY=VALUE"]),
])
def test_bad(tmp_path, text, line, words):
    status, message = check(text, tmp_path)
    assert status == 1
    assert message.startswith(f"rtgcd: CONF:{line}: ") and len(message.splitlines()) == 1, message
    for word in words:
        assert word in message


def test_missing_file(tmp_path):
    path = os.path.join(tmp_path, "nothing")
    for args in (["--check-config"], ["--foreground"]):
        done = subprocess.run([harness.RTGCD, *args, "--config", path], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and path in done.stderr and "No such file" in done.stderr


def test_bad_file_stops_the_start(tmp_path):
    path = os.path.join(tmp_path, "conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write("[Daemon]\nx=1\n")
    done = subprocess.run([harness.RTGCD, "--foreground", "--config", path, "--socket", f"{tmp_path}/r",
                           "--control", f"{tmp_path}/c"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and f"{path}:2:" in done.stderr
    assert os.listdir(tmp_path) == ["conf"]


def test_drop_ins_are_read(tmp_path):
    status, message = check("[Daemon]\n", tmp_path, {"50-x.conf": "[Daemon]\nx=1\n"})
    assert status == 1 and message.startswith("rtgcd: CONF.d/50-x.conf:2: ")
    assert check("[Daemon]\n", tmp_path, {"50-x.conf": "", "readme": "not read"}) == (0, "")
    assert check("[Daemon]\n", tmp_path, {".hidden.conf": "not read"}) == (0, "")


def test_names_of_files_are_shown_in_one_line():
    """In messages and by GetConfig, whatever the file is called."""
    with harness.Daemon() as d:
        os.mkdir(d.config_file + ".d")
        with open(os.fsencode(d.config_file) + b".d/a\n\xff.conf", "w", encoding="utf-8") as f:
            f.write("[Daemon]\nMaxConcurrent=3\n")
        shown = d.config_file + r".d/a\x0a\xff.conf"
        d.call("Reload")
        assert settings(d)["Daemon", "MaxConcurrent"] == ("3", shown, 2)
        with open(d.config_file, "w", encoding="utf-8") as f:
            f.write("[Daemon]\nMaxConcurrent=2\n")
        with open(os.fsencode(d.config_file) + b".d/a\n\xff.conf", "w", encoding="utf-8") as f:
            f.write("nonsense")
        with pytest.raises(harness.Error) as e:
            d.call("Reload")
        assert e.value.parameters["message"].startswith(f"{shown}:1: ")


def slots(d):
    return d.call("GetStatus")["max_concurrent"]


def test_drop_ins_in_order():
    with harness.Daemon(config="[Daemon]\nMaxConcurrent=1\n") as d:
        assert slots(d) == 1
        os.mkdir(d.config_file + ".d")
        for name, n in (("20.conf", 5), ("10.conf", 7)):
            with open(os.path.join(d.config_file + ".d", name), "w", encoding="utf-8") as f:
                f.write(f"[Daemon]\nMaxConcurrent={n}\n")
        d.call("Reload")
        assert slots(d) == 5  # the last by name
        os.unlink(d.config_file + ".d/20.conf")
        os.symlink("/dev/null", d.config_file + ".d/20.conf")
        d.call("Reload")
        assert slots(d) == 7


def test_auto_is_the_cpus():
    with harness.Daemon(config="[Daemon]\nMaxConcurrent=auto\n") as d:
        assert slots(d) == len(os.sched_getaffinity(0))


def test_reload_by_signal():
    with harness.Daemon(config="[Daemon]\nMaxConcurrent=1\n") as d:
        d.write_config("[Daemon]\nMaxConcurrent=4\n")
        d.kill(signal.SIGHUP)
        d.wait(lambda d: slots(d) == 4, "the new limit is in force")
        assert d.call("GetStatus")["reload_ok"] is True
        d.write_config("[Daemon]\nMaxConcurrent=many\n")
        d.kill(signal.SIGHUP)
        d.wait(lambda d: not d.call("GetStatus")["reload_ok"], "it was refused")
        assert slots(d) == 4
        assert f"{d.config_file}:2: MaxConcurrent=many" in d.log
        d.write_config("[Daemon]\nMaxConcurrent=2\n")
        d.kill(signal.SIGHUP)
        d.wait(lambda d: d.call("GetStatus")["reload_ok"], "it was taken")
        assert slots(d) == 2


def test_reload_by_call():
    with harness.Daemon(config="[Daemon]\nMaxConcurrent=1\n") as d:
        d.write_config("[Daemon]\nMaxConcurrent=4\n")
        assert d.call("Reload") == {}
        assert slots(d) == 4
        d.write_config("[Daemon]\nnonsense=1\n")
        with pytest.raises(harness.Error) as e:
            d.call("Reload")
        assert e.value.name == f"{harness.INTERFACE}.ReloadFailed"
        assert e.value.parameters["message"].startswith(f"{d.config_file}:2: ")
        assert slots(d) == 4 and d.call("GetStatus")["reload_ok"] is False


def test_reload_with_heaps():
    with harness.Daemon(config="[Service:web]\nBudget=1M\n") as d, Client(d) as c:
        c.greet(service="web", heap="h")
        c.report(1)
        c.sync()
        assert d.heaps()[0]["budget"] == 1 << 20
        d.write_config("[Service:web]\nBudget=2M\nMaxConcurrent=3\n")
        d.call("Reload")
        assert d.heaps()[0]["budget"] == 2 << 20
        assert d.services()[0]["max_concurrent"] == 3


def test_a_file_that_comes_and_goes():
    with harness.Daemon(config="[Daemon]\nMaxConcurrent=6\n") as d:
        os.unlink(d.config_file)
        with pytest.raises(harness.Error):
            d.call("Reload")
        assert slots(d) == 6


def settings(d):
    return {(s["section"], s["key"]): (s["value"], s["file"], s["line"]) for s in d._all("GetConfig", "settings")}


def test_where_each_value_comes_from():
    text = "[Service:web]\nLead=20ms\n\n[Daemon]\nMaxConcurrent=3\n[Service:web]\nMaxDefer=7s\nMaxDefer=\n"
    with harness.Daemon(config=text) as d:
        os.mkdir(d.config_file + ".d")
        drop_in = os.path.join(d.config_file + ".d", "10-x.conf")
        with open(drop_in, "w", encoding="utf-8") as f:
            f.write("# more\n[Service:web]\nLead=30ms\n[Service:b]\nUsers=root 7\n")
        first = settings(d)
        assert first["Service:web", "Lead"] == ("20ms", d.config_file, 2)
        d.call("Reload")
        now = settings(d)
        assert now["Service:web", "Lead"] == ("30ms", drop_in, 3)
        assert now["Daemon", "MaxConcurrent"] == ("3", d.config_file, 5)
        assert now["Service:web", "MaxDefer"] == ("30s", d.config_file, 8)  # put back
        assert now["Service:b", "Users"] == ("root 7", drop_in, 5)
        assert now["Service:b", "Lead"] == now[None, "Lead"] == ("200ms", None, None)
        with open(drop_in, "w", encoding="utf-8") as f:
            f.write("[Service:web]\nLead=no\n")
        with pytest.raises(harness.Error):
            d.call("Reload")
        assert settings(d) == now


def test_the_defaults_are_what_is_done():
    """GetConfig's defaults, the shipped file's, and what the core is told without any are the same."""
    shipped = open(os.path.join(harness.SRCDIR, "etc", "rtgcd.conf"), encoding="utf-8").read()
    said = re.findall(r"^#([A-Z]\w*)=(.*)$", shipped, re.M)
    with harness.Daemon() as d:
        shown = d._all("GetConfig", "settings")
        assert sorted((s["key"], s["value"]) for s in shown) == sorted(said)
        before = config_line(d)
        text = {"Daemon": "[Daemon]\n", None: "[Service:x]\n"}
        for s in shown:
            text[s["section"]] += f"{s['key']}={s['value']}\n"
        d.write_config(text["Daemon"] + text[None])
        d.call("Reload")
        after = config_line(d)
        service, = after.pop("services")
        assert service.pop("name") == "x" and before["defaults"].pop("name") == ""
        assert service == before["defaults"]
        for key in ("max_concurrent", "memory_budget_bytes"):
            assert after[key] == before[key]


def config_line(d):
    """What the core works by, as the header of the event log has it."""
    with d.varlink() as v:
        v.send({"method": f"{harness.INTERFACE}.Trace", "parameters": {"format": "events"}, "more": True})
        return v.receive()["parameters"]["events"][0]
