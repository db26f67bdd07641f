# SPDX-License-Identifier: MIT
"""What the checks of the source tree share: which files are the project's own sources."""

import os
import pathlib

ROOT = pathlib.Path(os.environ["RTGC_SRCDIR"]).resolve()

# Made by autoreconf, configure or make; the source tree may also be the build tree.
GENERATED_FOLDERS = {
    "autom4te.cache", "build-aux", "m4", "__pycache__", "stage",
    "demo-results", "bench-results", "fuzz-results", "stress-results", "node_modules",
}
GENERATED_FILES = {
    "configure", "config.status", "config.h", "config.h.in", "aclocal.m4", "libtool",
    "Makefile", "Makefile.in", "interface.h", "web_files.h", "trace_page.h",
}


def _is_foreign(folder):
    """Hidden folders but .ci, what was generated, and other build trees below."""
    return (
        (folder.name.startswith(".") and folder.name != ".ci")
        or folder.name in GENERATED_FOLDERS
        or folder.name.startswith("_")
        or (folder / "config.status").exists()
    )


def walk(root=ROOT):
    """All files of the tree that were written by hand, as paths relative to root."""
    for top, folders, files in os.walk(root):
        top = pathlib.Path(top)
        folders[:] = sorted(f for f in folders if not _is_foreign(top / f))
        for name in sorted(files):
            if name not in GENERATED_FILES and not name.endswith(("~", ".orig", ".rej")):
                yield (top / name).relative_to(root)


def c_files(root=ROOT, suffixes=(".c", ".h")):
    return [path for path in walk(root) if path.suffix in suffixes]


def read(root, path):
    return (root / path).read_text(encoding="utf-8")


def expect_none(found):
    """Fails with one line for each entry."""
    assert not found, "".join(f"\n  {entry}" for entry in found)


def write(root, path, text):
    """For the checks' own tests: puts a file into a temporary tree."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file
