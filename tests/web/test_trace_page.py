# SPDX-License-Identifier: MIT
"""rtgcctl trace --format=html: one file, opened by a real browser, that needs nothing else."""

import json
import os
import subprocess
import sys

import pytest

sys.path[:0] = [os.path.join(os.environ["RTGC_SRCDIR"], "tests", folder) for folder in ("daemon", "")]

import browser  # noqa: E402
import harness  # noqa: E402
from common import BUDGET, due, window  # noqa: E402
from frames import BYE, FORCED, Client  # noqa: E402

RTGCCTL = os.path.join(harness.BUILDDIR, "rtgcctl")
RECORDED = os.path.join(harness.SRCDIR, "tests", "ctl", "lockstep.events")
HOSTILE = "</script><img src=x onerror=alert(1)>"
in_browser = pytest.mark.skipif(browser.missing() is not None, reason=str(browser.missing()))

HEADER = {"format": "rtgcd-events", "version": 2, "rtgcd": "0", "epoch": 1, "cpus": 2, "clock": "monotonic", "at_ns": 0,
          "max_concurrent": 2, "memory_budget_bytes": 0, "services": [],
          "defaults": {"name": "", "policy": "stagger", "max_concurrent": 1}}


def trace(*args, env=None):
    return subprocess.run([RTGCCTL, "trace", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)


def record(html):
    """What the timeline is drawn from."""
    text = html.decode().split('<script type="application/json" id="record">')[1].split("</script>")[0]
    return json.loads(text)


def write_log(path, service, pauses):
    """pauses: (heap, begin, end, cause) in ms."""
    lines = [HEADER]
    for heap in sorted({pause[0] for pause in pauses}):
        lines.append({"at_ns": 0, "event": "join", "heap": heap, "name": f"s{heap}", "service": service, "pid": heap,
                      "unit": "objects", "budget": 1000})
    for heap, begin, end, cause in pauses:
        both = {"heap": heap, "window": 0, "begin_ns": begin * 10**6, "kind": "major", "cause": cause}
        lines.append({"at_ns": begin * 10**6, "event": "begin", **both})
        lines.append({"at_ns": end * 10**6, "event": "end", **both, "end_ns": end * 10**6, "stop_ns": 0, "freed": 1,
                      "used": 10, "live": 10, "failed": 0})
    lines[1:] = sorted(lines[1:], key=lambda line: line["at_ns"])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser.Browser(tmp_path_factory.mktemp("browser")) as b:
        yield b


def show(chromium, html, path):
    path.write_bytes(html)
    page = chromium.open(path.as_uri())
    page.wait("document.querySelectorAll('.run canvas').length > 0", "the timeline is there")
    return page


def check(page, path):
    assert page.complaints == []
    assert page.asked == [path.as_uri()]
    page.close()


def headings(page):
    return page.run("[...document.querySelectorAll('.run h2')].map((one) => one.textContent)")


def test_of_the_daemon(tmp_path):
    with harness.Daemon(config="[Service:web]\nMaxConcurrent=1\n") as d:
        with Client(d, budget=BUDGET, heap="a") as a, Client(d, budget=BUDGET, service="other", heap="b") as b:
            due(a)
            w = window(a)
            a.collect(w.window)
            b.end(0, b.begin(0, cause=FORCED), cause=FORCED)
            a.sync()
            b.sync()
            done = trace("--format=html", env=d.env())
            assert done.stderr == b"" and done.returncode == 0
            run, = record(done.stdout)["runs"]
            told = [(p["heap_name"], p["cause"]) for page in run["pages"] for p in page["pauses"]]
            assert sorted(told) == [("a", "window"), ("b", "forced")]
            assert run["pages"][0]["pauses"] == [
                {**p, **{key: value for key, value in q.items() if key.endswith("_us")}}
                for p, q in zip(d.call("ListPauses")["pauses"], run["pages"][0]["pauses"])]
            assert {service["name"] for service in run["services"]} == {"web", "other"}
            for client in a, b:
                client.send(BYE)
                client.expect_closed()


def test_what_is_no_log(tmp_path):
    bad = tmp_path / "bad.events"
    for text, what in (("", b"it is empty"), ("{}\n", b":1: not an event log that is known"),
                       (json.dumps({**HEADER, "version": 99}) + "\n", b":1: not an event log that is known"),
                       (json.dumps(HEADER) + "\nx\n", b":2: not an event")):
        bad.write_text(text)
        done = trace("--format=html", bad)
        assert done.returncode == 1 and what in done.stderr and done.stdout == b""
    assert b"No such file" in trace("--html", tmp_path / "none").stderr
    assert trace(RECORDED).returncode == 2
    assert trace("--html", RECORDED, RECORDED, RECORDED).returncode == 2


@in_browser
def test_one_log(chromium, tmp_path):
    path = tmp_path / "one.html"
    page = show(chromium, trace("--html", RECORDED).stdout, path)
    heading, = headings(page)
    assert heading.startswith("lockstep.events") and " pauses" in heading
    assert "lockstep.events: pauses of " in page.run("document.querySelector('canvas').getAttribute('aria-label')")
    check(page, path)


@in_browser
def test_before_and_after_by_one_scale_and_by_keys(chromium, tmp_path):
    before = write_log(tmp_path / "before", "shop", [(1, 100, 400, "uncoordinated"), (2, 150, 450, "uncoordinated"),
                                                     (3, 200, 500, "forced")])
    after = write_log(tmp_path / "after", "shop", [(1, 100, 200, "uncoordinated"), (2, 1000, 1100, "uncoordinated")])
    path = tmp_path / "two.html"
    page = show(chromium, trace("--html", before, after).stdout, path)
    first, second = headings(page)
    assert "3 pauses" in first and "300 ms the longest" in first and "3 at most at once" in first and "1 forced" in first
    assert "2 pauses" in second and "100 ms the longest" in second and "1 at most at once" in second
    where = "document.querySelectorAll('canvas')[{}].getBoundingClientRect().{}"
    x = page.run(where.format(0, "left")) + 400
    # Pointed at, a pause tells of itself: s1 in the first row below the service.
    page.move(round(page.run(where.format(0, "left")) + 150 + 0.21 * (page.run(where.format(0, "width")) - 150)),
              round(page.run(where.format(0, "top")) + 24 + 34 + 20))
    page.wait("!document.getElementById('tip').hidden", "it is told of what is pointed at")
    tip = page.run("document.getElementById('tip').textContent")
    assert tip.startswith("s1") and "300 ms" in tip and "uncoordinated" in tip
    # The wheel zooms both, and the next pause is found by a key.
    page.click(round(x), round(page.run(where.format(0, "top")) + 24 + 34 + 20))
    assert page.run("document.activeElement.className").startswith("timeline")
    ticks = page.run("document.querySelectorAll('canvas')[1].toDataURL()")
    page.wheel(x, page.run(where.format(0, "top")) + 80, by=-600)
    page.wait(f"document.querySelectorAll('canvas')[1].toDataURL() != {ticks!r}", "the other one moves along")
    page.key("n")
    page.wait("document.getElementById('said').textContent.startsWith('s1 of shop: ')", "the pause is told")
    page.key("0")
    page.wait(f"document.querySelectorAll('canvas')[1].toDataURL() == {ticks!r}", "the whole again")
    check(page, path)


@in_browser
def test_names_are_text(chromium, tmp_path):
    log = write_log(tmp_path / "x<b>y", HOSTILE, [(1, 0, 10, "forced")])
    path = tmp_path / "hostile.html"
    html = trace("--html", log).stdout
    assert html.count(b"</script>") == 2 and b"<img" not in html
    page = show(chromium, html, path)
    assert headings(page)[0].startswith("x<b>y")
    assert page.run("document.images.length") == 0
    check(page, path)
