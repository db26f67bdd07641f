# SPDX-License-Identifier: MIT
"""
A real browser, Debian's Chromium, driven by playwright-core (driver.mjs, whose verbs these are):

    with browser.Browser(folder) as chromium:
        page = chromium.open("http://127.0.0.1:9190/")
        page.wait("document.querySelectorAll('tbody tr').length == 3", "the services are there")

What a page logs, throws and asks of whom is kept, for as long as it is open.
"""

import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import time

PATIENCE = 90  # seconds until something that never comes is called missing
CHROMIUM, NODE = shutil.which("chromium"), shutil.which("node")
DRIVER = pathlib.Path(__file__).resolve().parent / "driver.mjs"
OPTIONS = ["--disable-gpu", "--force-color-profile=srgb", "--disable-dev-shm-usage"]


def missing():
    """Why there is no browser here; None: there is one."""
    web = pathlib.Path(os.environ["RTGC_BUILDDIR"]) / "tests" / "web"
    if CHROMIUM is None or NODE is None:
        return f"{'chromium' if CHROMIUM is None else 'node'} is not installed"
    if not (web / "node_modules" / "playwright-core").is_dir():
        log = web / "npm.log"
        return "npm did not bring playwright-core: " + " ".join(log.read_text().split())[:300] if log.exists() else "no npm"
    return None


class BrowserError(Exception):
    pass


class Browser:
    """The browser; a context manager. folder: an empty one, for its profile and its log."""

    def __init__(self, folder, *args):
        self.folder = str(folder)
        self.serial = 0
        self.pages = {}
        self.replies = {}
        self.pending = b""
        env = {key: value for key, value in os.environ.items() if key != "DBUS_SESSION_BUS_ADDRESS"}
        with open(f"{self.folder}/chromium.log", "ab") as log:
            self.process = subprocess.Popen(
                [NODE, DRIVER, CHROMIUM, *OPTIONS, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env={**env, "HOME": self.folder, "TMPDIR": self.folder}, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)  # (The browser ends with the pipe that it is driven by.)
            self.process.wait()
        self.process.stdout.close()

    def call(self, verb, **more):
        """What the driver answers, once it does."""
        self.serial += 1
        serial = self.serial
        self.process.stdin.write(json.dumps({"id": serial, "verb": verb, **more}).encode() + b"\n")
        self.process.stdin.flush()
        end = time.monotonic() + PATIENCE
        while serial not in self.replies:
            self.read(end, verb)
        reply = self.replies.pop(serial)
        if "error" in reply:
            raise BrowserError(f"{verb} {json.dumps(more)}: {reply['error']}")
        return reply["value"]

    def read(self, end, what):
        """Takes in one more piece of what the driver says."""
        if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
            raise BrowserError(f"no answer of the browser: {what}")
        piece = os.read(self.process.stdout.fileno(), 1 << 20)
        if not piece:
            with open(f"{self.folder}/chromium.log", errors="replace") as log:
                raise BrowserError(f"the browser has ended\n{log.read()[-4000:]}")
        *lines, self.pending = (self.pending + piece).split(b"\n")
        for line in map(json.loads, lines):
            if "id" in line:
                self.replies[line["id"]] = line
            elif line["page"] in self.pages:
                self.pages[line["page"]].heard(line)

    def open(self, url, width=1400, height=900, dark=False):
        page = self.pages[self.serial + 1] = Page(self, self.serial + 1)
        self.call("open", url=url, width=width, height=height, dark=dark)
        return page


class Page:
    def __init__(self, browser, number):
        self.browser, self.number = browser, number
        self.complaints = []  # errors and warnings, of scripts and of the browser
        self.asked = []  # addresses of all requests

    def heard(self, line):
        if "complaint" in line:
            self.complaints.append(line["complaint"])
        else:
            self.asked.append(line["asked"])

    def call(self, verb, **more):
        return self.browser.call(verb, page=self.number, **more)

    def close(self):
        self.call("close")
        del self.browser.pages[self.number]

    def run(self, expression):
        """The value of an expression of JavaScript; a promise is waited for."""
        return self.call("run", expression=expression)

    def wait(self, condition, what, also=None):
        """Until the condition holds; what it then is. also: an expression that is told on failure."""
        end = time.monotonic() + PATIENCE
        while True:
            value = self.run(condition)
            if value:
                return value
            if time.monotonic() > end:
                told = f"\n{self.run(also)}" if also else ""
                raise AssertionError(f"never: {what}\n{condition}{told}\n{self.complaints}")
            select.select([], [], [], 0.02)

    def dark(self, wanted):
        self.call("dark", wanted=wanted)

    def key(self, key):
        self.call("key", key=key)

    def move(self, x, y):
        self.call("move", x=x, y=y)

    def click(self, x, y):
        self.call("click", x=x, y=y)

    def wheel(self, x, y, by):
        self.move(x, y)
        self.call("wheel", x=0, y=by)

    def screenshot(self, path):
        self.call("screenshot", path=str(path))
