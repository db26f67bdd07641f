# SPDX-License-Identifier: MIT
"""
A real browser, driven by its own DevTools protocol over two pipes:

    with browser.Browser(folder) as chromium:
        page = chromium.open("http://127.0.0.1:9190/")
        page.wait("document.querySelectorAll('tbody tr').length == 3", "the services are there")

What a page logs, throws and asks of whom is kept, for as long as it is open.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import time

PATIENCE = 90  # seconds until something that never comes is called missing
CHROMIUM = shutil.which("chromium")


class BrowserError(Exception):
    pass


def high_pipe():
    """A pipe with numbers that leave 3 and 4 free in a child."""
    low = os.pipe()
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 300) for fd in low]
    for fd in low:
        os.close(fd)
    return high


class Browser:
    """The browser; a context manager. folder: an empty one, for its profile and its log."""

    def __init__(self, folder, *args):
        self.folder = str(folder)
        self.serial = 0
        self.pages = {}
        self.replies = {}
        self.pending = b""
        ours_in, theirs_out = high_pipe()
        theirs_in, ours_out = high_pipe()
        self.input, self.output = ours_in, ours_out
        command = [
            CHROMIUM, "--headless=new", "--remote-debugging-pipe", "--disable-gpu", "--hide-scrollbars",
            "--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-sync",
            "--disable-component-update", "--disable-default-apps", "--disable-dev-shm-usage",
            "--force-color-profile=srgb", "--window-size=1400,900",
            f"--user-data-dir={self.folder}/profile", *args,
        ]
        if os.getuid() == 0:
            command.append("--no-sandbox")
        # Chromium reads from its descriptor 3 and writes to 4.
        move = f'exec 3<&{theirs_in} 4>&{theirs_out} {theirs_in}<&- {theirs_out}>&-; exec "$@"'
        env = {key: value for key, value in os.environ.items() if key != "DBUS_SESSION_BUS_ADDRESS"}
        with open(f"{self.folder}/chromium.log", "ab") as log:
            self.process = subprocess.Popen(
                ["/bin/bash", "-c", move, "bash", *command], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, pass_fds=(theirs_in, theirs_out), env={**env, "HOME": self.folder},
                start_new_session=True)
        os.close(theirs_in)
        os.close(theirs_out)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for fd in (self.output, self.input):
            os.close(fd)
        # Its helpers are of its process group; without its pipe it ends by itself.
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    # ---- the protocol

    def call(self, method, session=None, **params):
        self.serial += 1
        message = {"id": self.serial, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.output, data):]
        serial = self.serial
        end = time.monotonic() + PATIENCE
        while serial not in self.replies:
            self.read(end, method)
        reply = self.replies.pop(serial)
        if "error" in reply:
            raise BrowserError(f"{method}: {reply['error']}")
        return reply["result"]

    def read(self, end, what):
        """Takes in one more piece of what the browser says."""
        if not select.select([self.input], [], [], max(0, end - time.monotonic()))[0]:
            raise BrowserError(f"no answer of the browser: {what}")
        piece = os.read(self.input, 1 << 20)
        if not piece:
            with open(f"{self.folder}/chromium.log", errors="replace") as log:
                raise BrowserError(f"the browser has ended\n{log.read()[-4000:]}")
        *messages, self.pending = (self.pending + piece).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self.replies[message["id"]] = message
            elif message.get("sessionId") in self.pages:
                self.pages[message["sessionId"]].heard(message["method"], message["params"])

    def open(self, url, width=1400, height=900, dark=False):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, target, session)
        self.pages[session] = page
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.size(width, height)
        page.dark(dark)
        page.call("Page.navigate", url=url)
        page.wait("document.readyState == 'complete' && location.href != 'about:blank'", f"{url} is loaded")
        return page


class Page:
    def __init__(self, browser, target, session):
        self.browser, self.target, self.session = browser, target, session
        self.complaints = []  # errors and warnings, of scripts and of the browser
        self.asked = []  # addresses of all requests

    def heard(self, method, params):
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"])[:2000])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(params["args"])[:2000])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
        self.browser.pages.pop(self.session, None)

    def run(self, expression):
        """The value of an expression of JavaScript; a promise is waited for."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise BrowserError(f"{expression}\n{json.dumps(result['exceptionDetails'])[:2000]}")
        return result["result"].get("value")

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

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def dark(self, wanted):
        scheme = "dark" if wanted else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def key(self, key, code=None, text=None, shift=False):
        for kind in ("keyDown", "keyUp"):
            more = {"text": text or key} if kind == "keyDown" and len(key) == 1 else {}
            if key == "Enter" and kind == "keyDown":
                more = {"text": "\r"}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=code or key, modifiers=8 if shift else 0, **more)

    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x, y):
        self.mouse("mouseMoved", x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
