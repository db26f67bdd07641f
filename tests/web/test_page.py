# SPDX-License-Identifier: MIT
"""The live page, as somebody sees it who opens it in a browser: a real one, on a real daemon."""

import os
import random
import socket
import subprocess
import sys
import time

import pytest

sys.path[:0] = [os.path.join(os.environ["RTGC_SRCDIR"], "tests", folder) for folder in ("daemon", "")]

import browser  # noqa: E402
import harness  # noqa: E402
from common import BUDGET, due, window  # noqa: E402
from frames import BYE, FORCED  # noqa: E402
from frames import Client as BareClient  # noqa: E402

pytestmark = pytest.mark.skipif(browser.missing() is not None, reason=str(browser.missing()))

SWARM = os.path.join(harness.BUILDDIR, "tests", "daemon", "swarm")
HOSTILE = "<img src=x onerror=document.title='owned'>"
# Of what the modules of the page know.
MODEL = "(await import('/page.js')).feed.model"


class Client(BareClient):
    """Which says goodbye: it is gone at once, though its process lives."""

    def close(self):
        try:
            self.send(BYE)
        except OSError:
            pass  # the daemon was killed
        super().close()


def own_address():
    """One that no other run of the tests has, so that a daemon that starts again has it again."""
    host = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
    with socket.create_server((host, 0)) as s:
        return f"{host}:{s.getsockname()[1]}"


@pytest.fixture(name="d", scope="module")
def daemon():
    config = f"[Daemon]\nListenHTTP={own_address()}\nMaxConcurrent=4\n[Service:checkout]\nMaxConcurrent=1\n"
    with harness.Daemon(config=config) as d:
        yield d


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser.Browser(tmp_path_factory.mktemp("browser")) as b:
        yield b


@pytest.fixture(name="page")
def opened(d, chromium):
    url = f"http://{d.call('GetStatus')['http']}/"
    page = chromium.open(url)
    page.wait("document.getElementById('link').textContent == 'live'", "the page is live")
    yield page
    assert [one for one in page.asked if not one.startswith(url)] == []
    assert page.complaints == []
    page.close()


def in_model(page, expression, what):
    return page.wait(f"(async () => {{ const model = {MODEL}; return {expression}; }})()", what)


def painted(page, colour):
    """Whether the timeline shows anything in that colour."""
    return page.wait(f"""(async () => {{
        const {{ timeline }} = await import('/page.js');
        const {{ width, height }} = timeline.canvas;
        const copy = document.createElement('canvas');
        Object.assign(copy, {{ width, height: height + 1 }});
        const c = copy.getContext('2d', {{ willReadFrequently: true }});
        c.drawImage(timeline.canvas, 0, 1);
        c.fillStyle = timeline.colours['{colour}'];
        c.fillRect(0, 0, 1, 1);
        const sought = c.getImageData(0, 0, 1, 1).data;
        const seen = c.getImageData(0, 1, width, height).data;
        for (let i = 0; i < seen.length; i += 4)
            if (seen[i] == sought[0] && seen[i + 1] == sought[1] && seen[i + 2] == sought[2]) return true;
        return false; }})()""", f"something {colour} is painted")


def services(page):
    return page.run("[...document.querySelectorAll('#services tr')].map((row) => row.cells[0].textContent)")


def click_heap(page, name):
    """Again where something has moved meanwhile: a service more makes the table higher."""
    opened = f"document.querySelector('#panel h3')?.textContent == {name!r}"
    end = time.monotonic() + browser.PATIENCE
    while not page.run(opened):
        assert time.monotonic() < end, f"never: a click opens {name}"
        x, y = page.run(f"""(async () => {{
            const {{ timeline }} = await import('/page.js');
            timeline.draw();
            const row = timeline.rows.find((one) => one.track?.name == {name!r} && !one.track.gone);
            const box = timeline.canvas.getBoundingClientRect();
            return [box.left + 300, box.top + timeline.top(row) + row.height / 2]; }})()""")
        page.click(round(x), round(y))


def test_services_heaps_and_their_pauses(d, page):
    with Client(d, budget=BUDGET, service="checkout", heap="till-1") as a, \
            Client(d, budget=BUDGET, service="ledger", heap="book"):
        page.wait("document.querySelectorAll('#services tr th').length == 2", "both services are there")
        assert sorted(services(page)) == ["checkout", "ledger"]
        in_model(page, "[...model.tracks.values()].map((one) => one.name).sort().join() == 'book,till-1'", "the heaps")
        due(a, live=30 << 30)  # a window of minutes: another pause would be written off while the page is slow
        w = window(a)
        begun = a.begin(w.window)
        a.sync()
        in_model(page, "[...model.tracks.values()].some((one) => one.pauses.some((p) => p.end == Infinity))",
                 "a pause under way")
        a.end(w.window, begun, freed=1)
        a.sync()
        in_model(page, "[...model.tracks.values()].some((one) => one.pauses.some((p) => p.end < Infinity))", "its end")
        painted(page, "window")
        page.wait("document.getElementById('host').textContent.includes('heaps2 in 2 services')", "the host's figures")


def test_a_forced_pause_is_seen_at_once(d, page, record_property):
    with Client(d, budget=BUDGET, service="checkout", heap="till-2") as a:
        in_model(page, "[...model.tracks.values()].some((one) => one.name == 'till-2')", "the heap is there")
        begun = a.begin(0, cause=FORCED)
        a.sync()
        since = time.monotonic()
        in_model(page, "[...model.tracks.values()].some((one) => one.pauses.some((p) => p.cause == 'forced'))",
                 "the forced pause is there")
        painted(page, "forced")
        took = time.monotonic() - since
        a.end(0, begun, cause=FORCED)
        a.sync()
        page.wait("document.querySelector('#services .bad')?.textContent == '1'", "it is counted")
    record_property("forced_seen_s", took)
    print(f"\na forced pause was painted {1000 * took:.0f} ms after it began")


def test_why_by_keys_and_by_click(d, page):
    with Client(d, budget=BUDGET, service="checkout", heap="till-3") as a:
        due(a)
        w = window(a)
        a.end(w.window, a.begin(w.window), freed=1)
        a.sync()
        in_model(page, "[...model.tracks.values()].some((one) => one.name == 'till-3' && one.pauses.length)", "its pause")
        page.key("/")
        for letter in "till-3":
            page.key(letter)
        page.key("Enter")
        assert page.run("document.activeElement.id") == "timeline"
        page.key("ArrowDown")
        assert "till-3 of checkout" in page.run("document.getElementById('said').textContent")
        page.key("Enter")
        page.wait("document.querySelectorAll('#why li p').length > 1", "its decisions are told")
        told = page.run("document.getElementById('panel').textContent")
        assert "till-3" in told and "the collection ended in its window" in told and "latest start" in told
        page.key("Escape")
        assert page.run("document.getElementById('panel').hidden")
        assert page.run("document.activeElement.id") == "timeline"
        page.key("Escape")
        assert page.run("document.getElementById('filter').value") == ""
        click_heap(page, "till-3")
        page.wait("document.querySelectorAll('#why li p').length > 1", "a click opens it, too")


def test_names_are_text(d, page):
    with Client(d, budget=BUDGET, service=HOSTILE, heap=HOSTILE) as a:
        page.wait("document.querySelectorAll('#services tr th').length == 1", "the service is there")
        assert services(page) == [HOSTILE]
        in_model(page, f"[...model.tracks.values()].some((one) => one.service == {HOSTILE!r})", "the heap")
        begun = a.begin(0, cause=FORCED)
        a.end(0, begun, cause=FORCED)
        a.sync()
        click_heap(page, HOSTILE)
        page.wait("document.querySelectorAll('#why li').length", "why is told", also="document.body.outerHTML")
        assert page.run("document.querySelector('#panel h3').textContent") == HOSTILE
        assert page.run("document.querySelectorAll('img').length") == 0
        assert page.run("document.title").startswith("rtgcd")


def test_nothing_may_be_put_in(page):
    """The policy holds, were there a way to put markup into the page."""
    page.run("""(() => {
        const script = document.createElement('script');
        script.textContent = "document.title = 'owned'";
        document.body.append(script);
        const image = document.createElement('img');
        image.setAttribute('onerror', "document.title = 'owned'");
        image.src = 'data:image/png;base64,AA==';
        document.body.append(image); })()""")
    page.wait("[...document.images].every((one) => one.complete)", "the picture was tried")
    assert page.run("document.title").startswith("rtgcd")
    refused = [one for one in page.complaints if "Content Security Policy" in one]
    assert refused
    page.complaints = [one for one in page.complaints if one not in refused]


def test_a_restart_is_survived_and_said(d, page):
    d.kill()
    page.wait("document.getElementById('link').textContent.startsWith('no answer')", "the page says that it is gone")
    d.restart()
    with Client(d, budget=BUDGET, service="after", heap="one"):
        page.wait("document.getElementById('link').textContent.includes('has restarted')", "the page says so")
        page.wait("document.querySelector('#services th')?.textContent == 'after'", "it goes on")
    page.complaints = [one for one in page.complaints if "ERR_CONNECTION" not in one and "ERR_EMPTY" not in one]


def test_five_hundred_heaps(d, page):
    with subprocess.Popen([SWARM, "fleet", "500", "100000", "4000", "5000"], env=d.env(), stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL) as swarm:
        try:
            in_model(page, "[...model.tracks.values()].filter((one) => one.service == 'fleet').length == 500",
                     "all of them are there")
            in_model(page, "model.groups.get('fleet').steps().length > 200", "and their pauses")
            frames = page.run("""(async () => {
                const { timeline } = await import('/page.js');
                const [begun, drawn] = [performance.now(), timeline.frames];
                await new Promise((resolve) => setTimeout(resolve, 3000));
                return (timeline.frames - drawn) / (performance.now() - begun) * 1000; })()""")
            painted(page, "window")
        finally:
            swarm.kill()
    print(f"\n500 heaps: {frames:.0f} frames a second")
    assert frames > 0


def test_dark_and_light(page):
    light = page.run("getComputedStyle(document.body).backgroundColor")
    page.dark(True)
    assert page.run("getComputedStyle(document.body).backgroundColor") != light
    page.wait("(async () => (await import('/page.js')).timeline.colours.ground == '#151c25')()", "the canvas follows")
