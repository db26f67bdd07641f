# SPDX-License-Identifier: MIT
"""
A real Prometheus scrapes a real daemon with real clients, and answers each query of the dashboard; its figures are
those of the control socket. The alert rules, by promtool. RTGC_PROMETHEUS_SAMPLES: scrapes to wait for.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest
from common import harness
from http_client import LISTENING
from swarming import Swarm, started_for

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
ETC = os.path.join(os.environ["RTGC_SRCDIR"], "etc")
HERE = os.path.join(os.environ["RTGC_SRCDIR"], "tests", "daemon")
SAMPLES = int(os.environ.get("RTGC_PROMETHEUS_SAMPLES", "5"))
PAUSE_US = 20_000
CONFIG = LISTENING + """
[Service:web]
MaxConcurrent=2
"""
SCRAPES = """
global:
  scrape_interval: 1s
  scrape_timeout: 1s
  evaluation_interval: 1s
rule_files: [{rules}]
scrape_configs:
  - job_name: rtgcd
    static_configs: [{{targets: ['{target}']}}]
  - job_name: heaps
    metrics_path: /metrics/heaps
    params: {{service: [web]}}
    static_configs: [{{targets: ['{target}']}}]
"""

pytestmark = pytest.mark.skipif(not PROMETHEUS or not PROMTOOL, reason="prometheus is not installed")


# ---- rules -----------------------------------------------------------------------------------------


def promtool(*args, **options):
    return subprocess.run([PROMTOOL, *map(str, args)], capture_output=True, text=True, **options)


def test_rules_are_sound():
    done = promtool("check", "rules", os.path.join(ETC, "rtgcd-alerts.yml"))
    assert done.returncode == 0 and "SUCCESS" in done.stdout and done.stderr == "", done


def test_rules_do_what_they_say(tmp_path):
    shutil.copy(os.path.join(ETC, "rtgcd-alerts.yml"), tmp_path)
    shutil.copy(os.path.join(HERE, "alerts.yml"), tmp_path)
    done = promtool("test", "rules", "alerts.yml", cwd=tmp_path)
    assert done.returncode == 0 and "SUCCESS" in done.stdout, done.stdout + done.stderr


def test_every_alert_is_tested():
    with open(os.path.join(ETC, "rtgcd-alerts.yml"), encoding="utf-8") as f:
        alerts = re.findall(r"^ +- alert: (\w+)$", f.read(), re.M)
    with open(os.path.join(HERE, "alerts.yml"), encoding="utf-8") as f:
        text = f.read()
    given = re.findall(r"alertname: (\w+)\n +exp_alerts:", text)
    silent = re.findall(r"\{eval_time: \w+, alertname: (\w+)\}", text)
    assert sorted(set(given)) == sorted(alerts) and len(set(alerts)) == len(alerts) > 8
    assert set(silent) >= set(alerts) - {"RtgcdDown"}


# ---- a real one ------------------------------------------------------------------------------------


class Prometheus:
    """On a port that the kernel chose, with a folder of its own."""

    def __init__(self, folder, target):
        self.log = os.path.join(folder, "log")
        config = os.path.join(folder, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as f:
            f.write(SCRAPES.format(target=target, rules=os.path.join(ETC, "rtgcd-alerts.yml")))
        with open(self.log, "wb") as log:
            self.proc = subprocess.Popen(
                [PROMETHEUS, f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
                 "--web.listen-address=127.0.0.1:0", "--log.level=info"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
        self.base = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.terminate()
        try:
            self.proc.wait(harness.PATIENCE)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()

    def ready(self):
        """It has said where it listens, and answers there."""
        assert self.proc.poll() is None, self.said()
        found = re.search(r'msg="Listening on" address=(\S+)', self.said())
        if not found:
            return False
        self.base = f"http://{found[1]}"
        try:
            return urllib.request.urlopen(f"{self.base}/-/ready", timeout=harness.PATIENCE).status == 200
        except urllib.error.HTTPError:
            return False

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def api(self, path, **parameters):
        url = f"{self.base}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=harness.PATIENCE) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as e:
            raise AssertionError(f"{path} {parameters}: {e.read().decode()}") from None

    def query(self, expression):
        """[(labels, value)]"""
        return [(row["metric"], float(row["value"][1])) for row in self.api("query", query=expression)["result"]]

    def one(self, expression):
        """The only value; None: there is none."""
        found = self.query(expression)
        assert len(found) <= 1, (expression, found)
        return found[0][1] if found else None


def expressions(value):
    """All queries of the dashboard, with its variables as Grafana would fill them in, and titles of their panels."""
    for panel in value["panels"]:
        for target in panel["targets"]:
            yield panel["title"], (target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
                                   .replace("$service", ".*"))


# What has no value as long as nothing of the kind has happened.
MAY_BE_EMPTY = {"Until the first budget is used up"}


def check_dashboard(prometheus):
    with open(os.path.join(ETC, "rtgcd-dashboard.json"), encoding="utf-8") as f:
        dashboard = json.load(f)
    found = {}
    for title, expression in expressions(dashboard):
        rows = prometheus.query(expression)
        assert rows or title in MAY_BE_EMPTY, (title, expression)
        found[title] = found.get(title, []) + rows
    assert len(found) >= 20
    for variable in dashboard["templating"]["list"][1:]:
        metric, label = re.fullmatch(r"label_values\((\w+).*?, (\w+)\)", variable["definition"]).groups()
        values = prometheus.api(f"label/{label}/values", **{"match[]": metric})
        assert values if label == "instance" else values == ["ledger", "web"]
    return found


def as_the_daemon(prometheus, d):
    """Whether all that stands still is as the control socket says."""
    status, services = d.call("GetStatus"), d.services()
    pairs = {
        "rtgcd_heaps": status["heaps"], "rtgcd_services": status["services"], "rtgcd_slots": status["max_concurrent"],
        "rtgcd_windows_total": status["windows_granted"], "rtgcd_forced_total": status["forced"],
        "rtgcd_overruns_total": status["overruns"], "rtgcd_over_limit_total": status["over_limit"],
        "rtgcd_decisions_total": status["decisions"], "rtgcd_paused_max": status["paused_max"],
        "sum(rtgcd_service_windows_total)": sum(s["windows"] for s in services),
        "sum(rtgcd_heap_collections_total)": sum(sum(h["collections"].values()) for h in d.heaps()
                                                 if h["service"] == "web"),
    }
    for s in services:
        me = f'{{service="{s["name"]}"}}'
        pairs |= {f"rtgcd_service_windows_total{me}": s["windows"], f"rtgcd_service_heaps{me}": s["heaps"],
                  f"rtgcd_service_slots{me}": s["max_concurrent"], f"rtgcd_service_forced_total{me}": s["forced"],
                  f"rtgcd_service_paused_max{me}": s["paused_max"],
                  f"rtgcd_service_pause_seconds_count{me}": s["predictions"]}
    return {name: (prometheus.one(name), said) for name, said in pairs.items() if prometheus.one(name) != said}


def test_a_real_prometheus(tmp_path):
    with harness.Daemon(config=CONFIG) as d, Prometheus(str(tmp_path), d.call("GetStatus")["http"]) as prometheus, \
            Swarm(started_for(d), "web", 6, 1000, 4000, PAUSE_US) as web, \
            Swarm(started_for(d), "ledger", 2, 1000, 4000, PAUSE_US) as ledger:
        d.wait(lambda d: prometheus.ready(), "Prometheus is ready")
        # (One that took longer than a second failed, which is the machine's matter.)
        d.wait(lambda d: (prometheus.one('sum_over_time(up{job="rtgcd"}[5m])') or 0) >= SAMPLES, "enough samples",
               timeout=harness.PATIENCE + 5 * SAMPLES)
        d.wait(lambda d: all((prometheus.one(f'increase(rtgcd_service_windows_total{{service="{name}"}}[1m])') or 0) > 3
                             for name in ("web", "ledger")), "some windows in each service")
        try:
            d.wait(lambda d: prometheus.query("up == 0") == [], "all that is scraped is up")
        except AssertionError:
            raise AssertionError(prometheus.api("targets")) from None
        found = check_dashboard(prometheus)
        # Pauses are as long as the clients made them, or as they were kept from the CPU.
        web.ask()
        ledger.ask()
        longest = max(p.end - p.begin for p in web.pauses + ledger.pauses) / 1e9
        for labels, value in found["Pauses: 99th percentile"]:
            assert labels["service"] in ("web", "ledger")
            assert 0.01 < value <= max(0.025, 2.5 * longest), (labels, value, longest)
        # Once all stand still, all figures are the same.
        for swarm in (web, ledger):
            os.kill(swarm.proc.pid, signal.SIGSTOP)
        try:
            differing = {}

            def same(d):
                differing.clear()
                differing.update(as_the_daemon(prometheus, d))
                return not differing

            try:
                d.wait(same, "the figures of Prometheus are those of the daemon")
            except AssertionError:
                raise AssertionError(differing) from None
        finally:
            for swarm in (web, ledger):
                os.kill(swarm.proc.pid, signal.SIGCONT)
        names = {rule["name"] for group in prometheus.api("rules")["groups"] for rule in group["rules"]
                 if rule["health"] == "ok"}
        assert len(names) > 8
