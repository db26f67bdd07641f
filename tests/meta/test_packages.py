# SPDX-License-Identifier: MIT
"""What the Debian packages say of the program, against the program."""

import re
import subprocess

import pytest
import sources


def read(name):
    return (sources.ROOT / name).read_text(encoding="utf-8")


def test_version():
    version, = re.findall(r"^AC_INIT\(\[rtgcd\], \[(.*?)\]", read("configure.ac"), re.M)
    assert re.match(r"rtgcd \((.*?)\)", read("debian/changelog")).group(1) == version
    assert re.search(r"^## (.*)", read("NEWS.md"), re.M).group(1) == version


def test_symbols():
    """Those of the header; pending is inline."""
    declared = set(re.findall(r"^[a-z].*?\**\b(rtgc_\w+)\(", read("client/rtgc.h"), re.M)) - {"rtgc_pending"}
    listed = re.findall(r"^ (rtgc_\w+)@LIBRUNTIME_0.1 ", read("debian/libruntime0.symbols"), re.M)
    assert len(declared) > 10
    assert set(listed) == declared


def test_every_file_is_packed():
    if not (sources.ROOT / ".git").exists():
        pytest.skip("only git knows which files are no products of a build")
    files = subprocess.run(["git", "-C", sources.ROOT, "ls-files", "debian"], capture_output=True, text=True, check=True)
    packed = re.findall(r"^\t(debian/\S+)", read("Makefile.am"), re.M)
    assert sorted(packed) == sorted(files.stdout.split())
