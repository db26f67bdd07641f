# SPDX-License-Identifier: MIT
"""Metrics over HTTP and over the control socket: the formats, and each figure against what GetStatus and the lists say."""

import contextlib
import os
import re
import shutil
import socket
import stat
import subprocess
import threading

import pytest
from common import BUDGET, due, harness, now, window
from exposition import key, parse
from frames import FORCED, UNCOORDINATED, Client
from http_client import LISTENING, address, connect, get, read_to_end
from swarming import Swarm, started_for

OPENMETRICS = "application/openmetrics-text"
PROMETHEUS_ASKS = (f"{OPENMETRICS};version=1.0.0,{OPENMETRICS};version=0.0.1;q=0.75,"
                   "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
RTGCCTL = os.path.join(harness.BUILDDIR, "rtgcctl")
MS = 1_000_000
PROMTOOL = shutil.which("promtool")


def metrics(daemon, path="/metrics", **headers):
    status, found, body = get(daemon, path, **headers)
    assert status == 200 and int(found["Content-Length"]) == len(body.encode())
    return parse(body, found["Content-Type"].startswith(OPENMETRICS))


def pause(client, lasted, window=0, **cause):
    """For exactly so long, though it is told later."""
    begun = client.begin(window, **cause)
    while now() < begun + lasted:
        client.sync()
    client.end(window, begun, lasted=lasted, **cause)


@contextlib.contextmanager
def populated(config=""):
    """Two services with a name that needs to be escaped, and collections of each sort with known pauses."""
    with contextlib.ExitStack() as stack:
        d = stack.enter_context(harness.Daemon(config=LISTENING + config))
        odd = stack.enter_context(Client(d, service='we"b\\', heap="ü\\", budget=BUDGET))
        other = stack.enter_context(Client(d, service="ledger", heap="objects", budget=BUDGET, unit=1, kinds=15))
        due(odd)
        opened = window(odd)
        pause(odd, 30 * MS, window=opened.window)
        odd.report(used=1000, allocated=2 * BUDGET)
        other.report(used=BUDGET // 2)
        pause(other, 3 * MS, cause=FORCED)
        pause(other, 100_000, cause=UNCOORDINATED)
        other.report(used=BUDGET // 4)
        for client in (odd, other):
            client.sync()
        yield d


@pytest.fixture(scope="module")
def daemon():
    with populated() as d:
        yield d


# ---- formats ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept, openmetrics", [
    (None, False), ("*/*", False), ("text/plain", False), ("text/html", False), ("", False),
    (PROMETHEUS_ASKS, True), (OPENMETRICS, True), (OPENMETRICS.upper(), True), (f"{OPENMETRICS};q=0", False),
    (f"text/plain;q=0.5, {OPENMETRICS}; version=1.0.0 ; q=0.4", False), (f"text/plain;q=0.3,{OPENMETRICS};q=0.4", True),
    (f"x{OPENMETRICS}", False), (f",,{OPENMETRICS},,", True), (";;=,q=", False), (f"{OPENMETRICS};q=x", False)])
def test_the_request_chooses_the_format(daemon, accept, openmetrics):
    _, headers, body = get(daemon, "/metrics", **({} if accept is None else {"Accept": accept}))
    expected = (f"{OPENMETRICS}; version=1.0.0; charset=utf-8" if openmetrics
                else "text/plain; version=0.0.4; charset=utf-8")
    assert headers["Content-Type"] == expected
    assert body.endswith("# EOF\n") == openmetrics


@pytest.mark.parametrize("path", ["/metrics", "/metrics/heaps"])
def test_both_formats_say_the_same(daemon, path):
    plain, plain_samples = metrics(daemon, path)
    families, samples = metrics(daemon, path, Accept=OPENMETRICS)
    assert set(samples) == set(plain_samples)
    for family, (kind, said) in families.items():
        named = family + {"counter": "_total", "info": "_info"}.get(kind, "")
        assert plain[named] == ("gauge" if kind == "info" else kind, said)
    assert len(families) == len(plain)


@pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed")
@pytest.mark.parametrize("path", ["/metrics", "/metrics/heaps"])
def test_promtool_finds_nothing(daemon, path):
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=get(daemon, path)[2], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_head(daemon):
    status, headers, body = get(daemon, "/metrics", "HEAD")
    assert status == 200 and body == "" and int(headers["Content-Length"]) > 1000


def test_the_page_describes_each(daemon):
    with open(os.path.join(os.environ["RTGC_SRCDIR"], "man", "rtgcd-metrics.7"), encoding="utf-8") as f:
        described = re.findall(r"^\.It Cm (rtgcd_\w+) Pq (\w+)(?:, by (\w+))?\n(.*)$", f.read(), re.M)
    emitted = {}
    for path in ("/metrics", "/metrics/heaps"):
        families, samples = metrics(daemon, path)
        for family, (kind, said) in families.items():
            own = {"service", "uid", "heap", "id", "le"}
            labels = {k for (name, labels), _ in samples.items() if name == family for k, _ in labels} - own
            emitted[family] = (kind, "".join(labels), said)
    expected = {name: (kind, label, said) for name, kind, label, said in described}
    if daemon.call("GetStatus")["pressure_permille"] is None:
        expected.pop("rtgcd_pressure_ratio")
    assert emitted == expected and len(expected) == len(set(expected)) > 60


# ---- figures --------------------------------------------------------------------------------------


def test_figures_of_the_daemon(daemon):
    _, samples = metrics(daemon)
    said = daemon.call("GetStatus")
    pairs = {
        "heaps": "heaps", "services": "services", "slots": "max_concurrent", "slots_needed": "needs_concurrent",
        "schedulable": "schedulable", "windows_open": "windows_open", "windows_total": "windows_granted",
        "paused": "paused_now", "paused_max": "paused_max", "forced_total": "forced",
        "uncoordinated_total": "uncoordinated", "overruns_total": "overruns", "over_limit_total": "over_limit",
        "decisions_total": "decisions", "gates_opened_total": "gates_opened", "ungated_total": "ungated",
        "reload_ok": "reload_ok", "connections": "connections", "ungreeted": "ungreeted",
        "frames_coalesced_total": "frames_coalesced", "requests_delayed_total": "requests_delayed",
    }
    for name, their in pairs.items():
        assert samples[key(f"rtgcd_{name}")] == said[their], name
    assert said["windows_granted"] == said["forced"] == said["uncoordinated"] == 1
    assert 0 < samples[key("rtgcd_uptime_seconds")] <= said["uptime_us"] / 1e6
    assert samples[key("rtgcd_gates_open")] == (said["mode"] == "open")
    assert samples[key("rtgcd_build_info", version=said["version"])] == 1
    assert samples[key("rtgcd_services_omitted")] == 0
    refused = {dict(labels)["reason"]: n for (name, labels), n in samples.items() if name == "rtgcd_refused_total"}
    assert refused == said["refused"]
    decisions = samples[key("rtgcd_decision_seconds_count")]
    assert decisions > 0 and samples[key("rtgcd_decision_seconds_sum")] > 0


def test_figures_of_services(daemon):
    _, samples = metrics(daemon)
    services = daemon.services()
    assert {s["name"] for s in services} == {'we"b\\', "ledger"}
    for s in services:
        me = {"service": s["name"], "uid": s["uid"]}
        for name, their in {
            "heaps": "heaps", "slots": "max_concurrent", "slots_needed": "needs_concurrent", "held": "held",
            "schedulable": "schedulable", "paused": "paused_now", "paused_max": "paused_max", "windows_total": "windows",
            "forced_total": "forced", "over_limit_total": "over_limit", "would_wait_total": "would_wait",
            "dropped_out_total": "dropped_out",
        }.items():
            assert samples[key(f"rtgcd_service_{name}", **me)] == s[their], name
        assert samples[key("rtgcd_service_lost_heaps", **me)] == 0
        heaps = [h for h in daemon.heaps() if h["service"] == s["name"]]
        assert samples[key("rtgcd_service_rss_bytes", **me)] == sum(h["rss_bytes"] for h in heaps)
        fullest = max(h["used"] * 1000 // h["budget"] for h in heaps)
        assert samples[key("rtgcd_service_fullest_ratio", **me)] == fullest / 1000
        coverage = s["prediction_coverage_permille"]
        if coverage is None:
            assert key("rtgcd_service_prediction_coverage_ratio", **me) not in samples
        else:
            assert samples[key("rtgcd_service_prediction_coverage_ratio", **me)] == coverage / 1000


def buckets(samples, name, **me):
    return {float(dict(labels)["le"]): n for (found, labels), n in samples.items()
            if found == f"{name}_bucket" and key("", **me)[1] <= labels}


def test_pauses_are_in_their_buckets(daemon):
    _, samples = metrics(daemon)
    me = {"service": 'we"b\\', "uid": os.geteuid()}
    found = buckets(samples, "rtgcd_service_pause_seconds", **me)
    assert len(found) == 17 + 1 and min(found) == 0.0001 and sorted(found)[-2] == 30
    assert [found[le] for le in (0.01, 0.025, 0.05, 0.1)] == [0, 0, 1, 1]
    assert samples[key("rtgcd_service_pause_seconds_sum", **me)] == pytest.approx(0.03)
    # A bound belongs to what is below it.
    found = buckets(samples, "rtgcd_service_pause_seconds", service="ledger", uid=os.geteuid())
    assert [found[le] for le in (0.0001, 0.0025, 0.005, 30)] == [1, 1, 2, 2]
    waited = buckets(samples, "rtgcd_service_wait_seconds", **me)
    assert waited[float("inf")] == 1


def test_figures_of_heaps(daemon):
    _, samples = metrics(daemon, "/metrics/heaps")
    heaps = daemon.heaps()
    assert len(heaps) == 2
    for h in heaps:
        me = {"heap": h["name"], "id": h["id"], "service": h["service"], "uid": h["uid"]}
        unit, other = (h["unit"], "bytes" if h["unit"] == "objects" else "objects")
        assert samples[key(f"rtgcd_heap_used_{unit}", **me)] == h["used"]
        assert samples[key(f"rtgcd_heap_budget_{unit}", **me)] == h["budget"]
        assert key(f"rtgcd_heap_used_{other}", **me) not in samples
        assert samples[key("rtgcd_heap_full_ratio", **me)] == pytest.approx(h["used"] / h["budget"])
        assert samples[key("rtgcd_heap_last_pause_seconds", **me)] == pytest.approx(h["last_pause_us"] / 1e6, abs=1e-6)
        for name in ("forced", "uncoordinated", "declined", "overruns"):
            assert samples[key(f"rtgcd_heap_{name}_total", **me)] == h[name]
        for kind, n in h["collections"].items():
            assert samples[key("rtgcd_heap_collections_total", kind=kind, **me)] == n
        for kind, span in h["predicted_pause_us"].items():
            found = samples.get(key("rtgcd_heap_predicted_pause_seconds", kind=kind, **me))
            assert found is None if span is None else found == pytest.approx(span / 1e6, abs=1e-6)
    assert samples[key("rtgcd_heaps_omitted")] == 0


@pytest.mark.parametrize("query, heaps", [("", {"objects", "ü\\"}), ("?service=ledger", {"objects"}), ("?service=x", set()),
                                          ("?service=we%22b%5c", {"ü\\"}), ("?other=1&service=ledger", {"objects"})])
def test_heaps_of_one_service(daemon, query, heaps):
    _, samples = metrics(daemon, "/metrics/heaps" + query)
    assert {dict(labels).get("heap") for _, labels in samples} - {None} == heaps


@pytest.mark.parametrize("query", ["?service=", "?service=%01", "?service=" + "x" * 64, "?service=%ff"])
def test_what_is_no_service(daemon, query):
    assert get(daemon, "/metrics/heaps" + query)[0] == 400


# ---- many ------------------------------------------------------------------------------------------


def test_many_services_and_many_who_ask():
    with contextlib.ExitStack() as stack:
        d = stack.enter_context(harness.Daemon(config=LISTENING))
        clients = [stack.enter_context(Client(d, service=f"service-{n:03}")) for n in range(205)]
        assert len(clients) == 205
        before = d.descriptors()
        found = []

        def ask(path, accept):
            for _ in range(3):
                found.append(get(d, path, Accept=accept)[2])

        threads = [threading.Thread(target=ask, args=(path, accept)) for path in ("/metrics", "/metrics/heaps")
                   for accept in (OPENMETRICS, "text/plain") for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 36
        for text in found:
            names = set(re.findall('service="([^"]*)"', text))
            omitted = re.findall("^rtgcd_services_omitted (.*)$", text, re.M)
            assert omitted in (["5"], []) and len(names) == (200 if omitted else 205)
            assert max(names) == ("service-199" if omitted else "service-204")
        paged(d)
        unread(d, before)


def paged(d):
    """The same over the control socket comes in pages of whole lines."""
    with d.varlink() as v:
        page, parts = v.call("Metrics"), []
        while True:
            assert len(page["text"]) == 1 and len(page["text"][0]) <= 32768 and page["text"][0].endswith("\n")
            parts += page["text"]
            if page["next"] is None:
                break
            page = v.call("Metrics", after=page["next"])
        assert len(parts) > 20
        assert "".join(parts).count("\n") == get(d, "/metrics")[2].count("\n")
        with pytest.raises(harness.Error, match="InvalidParameter"):  # nothing is kept any more
            v.call("Metrics", after=32768)
    with d.varlink() as v:
        v.send({"method": f"{harness.INTERFACE}.Metrics", "more": True, "parameters": {"format": "openmetrics"}})
        parts, more = [], True
        while more:
            reply = v.receive()
            parts += reply["parameters"]["text"]
            more = reply.get("continues", False)
        assert "".join(parts).endswith("# EOF\n")
        # Who hangs up in the middle leaves nothing behind.
        assert v.call("Metrics")["next"] is not None


def unread(d, before):
    """Who asks for much and does not read it is forgotten, and others are answered meanwhile."""
    d.write_config(LISTENING + "HelloTimeout=15s\n")
    d.call("Reload")
    silent = [socket.socket() for _ in range(10)]
    for s in silent:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(address(d))
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
    d.wait(lambda d: d.call("GetStatus")["queued_bytes"] > 1_000_000, "their answers wait")
    assert get(d, "/metrics")[0] == 200
    d.wait(lambda d: d.descriptors() == before, "they are disconnected")
    assert d.call("GetStatus")["queued_bytes"] <= 8192
    for s in silent:
        s.close()


def test_many_heaps():
    with harness.Daemon(config=LISTENING) as d, Swarm(started_for(d), "many", 1100, BUDGET, 0, 100) as swarm:
        d.wait(lambda d: d.call("GetStatus")["heaps"] == 1100, "all heaps are there")
        _, samples = metrics(d, "/metrics/heaps")
        assert samples[key("rtgcd_heaps_omitted")] == 100
        assert sum(name == "rtgcd_heap_full_ratio" for name, _ in samples) == 1000
        _, samples = metrics(d)
        assert samples[key("rtgcd_service_heaps", service="many", uid=os.geteuid())] == 1100
        # Half an answer is all that some of them wait for.
        for _ in range(20):
            with connect(address(d)) as s:
                s.sendall(b"GET /metrics/heaps HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert s.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
        for _ in range(20):
            connect(address(d)).close()
        assert swarm.ask() >= 0


def test_stopping_while_it_is_asked():
    with harness.Daemon(config=LISTENING) as d:
        asking = [connect(address(d)) for _ in range(5)]
        with d.varlink() as v:
            for s in asking:
                s.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            v.send({"method": f"{harness.INTERFACE}.Metrics"})
            d.stop()
        for s in asking:
            read_to_end(s)
            s.close()


# ---- rtgcctl ---------------------------------------------------------------------------------------


def rtgcctl(d, *args):
    return subprocess.run([RTGCCTL, "--control", d.control, "metrics", *args], capture_output=True, text=True)


def test_rtgcctl_prints_them(daemon):
    done = rtgcctl(daemon)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(parse(done.stdout)[1]) == set(metrics(daemon)[1])
    done = rtgcctl(daemon, "--heaps")
    assert set(parse(done.stdout)[1]) == set(metrics(daemon, "/metrics/heaps")[1])
    done = rtgcctl(daemon, "--service", "ledger")
    assert set(parse(done.stdout)[1]) == set(metrics(daemon, "/metrics/heaps?service=ledger")[1])


def test_rtgcctl_writes_a_file(daemon, tmp_path):
    path = tmp_path / "rtgcd.prom"
    path.write_text("old\n")
    with open(path) as old:
        done = rtgcctl(daemon, "--output", str(path))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert old.read() == "old\n"  # it is another file
    assert parse(path.read_text())[0]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["rtgcd.prom"]


def test_rtgcctl_cannot_write(daemon, tmp_path):
    path = tmp_path / "folder" / "rtgcd.prom"
    done = rtgcctl(daemon, "--output", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"rtgcctl: {path}: No such file or directory\n"
    folder = tmp_path / "taken"
    folder.mkdir()
    assert rtgcctl(daemon, "--output", str(folder)).returncode == 1
    assert os.listdir(tmp_path) == ["taken"]
    with open("/dev/full", "w") as full:
        done = subprocess.run([RTGCCTL, "--control", daemon.control, "metrics"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "rtgcctl: cannot write the output\n")


def test_metrics_of_others_are_not_for_everybody(daemon):
    if os.geteuid() != 0:
        pytest.skip("only root can be several users")
    ask = ('import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);'
           's.sendall(b\'{"method":"io.rtgcd.Supervisor.Metrics"}\\0\'); print(s.recv(4096))')
    done = subprocess.run(["/usr/bin/python3", "-c", ask, daemon.control], capture_output=True, text=True, user=54321,
                          extra_groups=[])
    assert "org.varlink.service.PermissionDenied" in done.stdout, done


@pytest.mark.parametrize("parameters", [{"format": "json"}, {"format": 1}, {"heaps": "yes"}, {"service": 7},
                                        {"service": "x" * 64}, {"after": -1}, {"after": 1}, {"more": 1}])
def test_wrong_parameters(daemon, parameters):
    with pytest.raises(harness.Error, match="InvalidParameter"):
        daemon.call("Metrics", **parameters)
