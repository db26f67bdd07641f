# SPDX-License-Identifier: MIT
"""Puts the files of the page into C, at build time.

embed.py page FOLDER           the files that the daemon serves: struct web_file web_files[]
embed.py trace FOLDER          the file of rtgcctl trace --format=html: what stands before the record,
                               and what stands behind it

One file, without a build step of its own: the modules are put one behind the other, their import
lines and the word export taken off. The policy of that file names its script and style by their hash:
nothing else in it runs, whatever a process calls itself.
"""

import base64
import hashlib
import pathlib
import re
import sys

PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/base.css": ("base.css", "text/css; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/model.js": ("model.js", "text/javascript; charset=utf-8"),
    "/text.js": ("text.js", "text/javascript; charset=utf-8"),
    "/timeline.js": ("timeline.js", "text/javascript; charset=utf-8"),
    "/events.js": ("events.js", "text/javascript; charset=utf-8"),
    "/feed.js": ("feed.js", "text/javascript; charset=utf-8"),
    "/panel.js": ("panel.js", "text/javascript; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
MODULES = ("model.js", "text.js", "timeline.js", "events.js", "trace.js")
STYLES = ("base.css", "trace.css")


def array(name, data):
    lines = [",".join(map(str, data[at:at + 24])) for at in range(0, len(data), 24)]
    return f"static const unsigned char {name}[] = {{\n" + ",\n".join(lines) + "};\n"


def page(folder):
    for number, (name, _) in enumerate(PAGE.values()):
        print(array(f"file_{number}", (folder / name).read_bytes()))
    print("static const struct web_file web_files[] = {")
    for number, (path, (name, kind)) in enumerate(PAGE.items()):
        etag = hashlib.sha256((folder / name).read_bytes()).hexdigest()[:16]
        print(f'\t{{"{path}", "{kind}", "\\"{etag}\\"", file_{number}, sizeof file_{number}}},')
    print("};")


def script(folder):
    text = "".join((folder / name).read_text() for name in MODULES)
    text = re.sub(r"^import [^;]*;\n", "", text, flags=re.M)
    text = re.sub(r"^export \{[^}]*\};\n", "", text, flags=re.M)
    return "\n" + re.sub(r"^export ", "", text, flags=re.M)


def hashed(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def trace(folder):
    style = "\n" + "".join((folder / name).read_text() for name in STYLES)
    code = script(folder)
    if "</script" in code or "</style" in style:
        sys.exit("embed.py: an end tag in a script or style")
    whole = (folder / "trace.html").read_text()
    for mark, text in (("@STYLE@", style), ("@SCRIPT@", code),
                       ("@CSP@", f"default-src 'none'; script-src {hashed(code)}; style-src {hashed(style)}")):
        whole = whole.replace(mark, text)
    before, after = whole.split("@RECORD@")
    print(array("trace_before", before.encode()))
    print(array("trace_after", after.encode()))


if __name__ == "__main__":
    {"page": page, "trace": trace}[sys.argv[1]](pathlib.Path(sys.argv[2]))
