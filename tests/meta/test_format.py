# SPDX-License-Identifier: MIT
"""
Every C file is what clang-format writes. Other versions format a little differently, so
without version 14 this test is skipped as a whole (automake's exit status 77).
"""

import os
import re
import shutil
import subprocess

import pytest
import sources

CLANG_FORMAT = os.environ.get("CLANG_FORMAT", "no")
VERSION = "14"


def clang_format(*arguments, cwd):
    return subprocess.run(
        [CLANG_FORMAT, *map(str, arguments)], cwd=cwd, capture_output=True, text=True
    )


def why_not():
    """Why the check cannot run; None: it can."""
    if not shutil.which(CLANG_FORMAT):
        return "clang-format is not installed"
    words = clang_format("--version", cwd="/").stdout.strip()
    version = re.search(r"version (\d+)\.", words)
    if not version or version.group(1) != VERSION:
        return f"clang-format {VERSION} is needed, this is: {words}"
    return None


@pytest.fixture(scope="module", autouse=True)
def the_right_version():
    reason = why_not()
    if reason:
        pytest.exit(f"skipped: {reason}", returncode=77)


def unformatted(root):
    """Files that clang-format would change, each with the first line it would change."""
    files = sources.c_files(root)
    assert files
    run = clang_format("--dry-run", "--style=file", *files, cwd=root)
    assert run.returncode == 0, run.stderr
    first = {}
    for path, line in re.findall(r"^(.+?):(\d+):\d+: warning:", run.stderr, re.MULTILINE):
        first.setdefault(path, line)
    return [f"{path}:{line}" for path, line in first.items()]


def test_format():
    sources.expect_none(unformatted(sources.ROOT))


def test_the_check_finds(tmp_path):
    shutil.copy(sources.ROOT / ".clang-format", tmp_path)
    sources.write(tmp_path, "a/good.c", "int f(int a)\n{\n\treturn a;\n}\n")
    assert unformatted(tmp_path) == []
    sources.write(tmp_path, "a/bad.c", "int f(int a)\n{\n    return a;\n}\n")
    sources.write(tmp_path, "a/bad.h", "int *a;\nint * b;\n")
    assert unformatted(tmp_path) == ["a/bad.c:2", "a/bad.h:2"]
