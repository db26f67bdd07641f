# SPDX-License-Identifier: MIT
"""
The example, built as its reader would: against an installed tree, by pkg-config. Then the
same under valgrind and the sanitizers.
"""

import os
import re
import shutil
import subprocess

import harness
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, "example.c")
CLIENT = os.path.join(harness.SRCDIR, "client")
CC = os.environ.get("CC", "cc").split()
VALGRIND = os.environ.get("VALGRIND", "no")
SANITIZE = os.environ.get("SANITIZE", "").split()


def run(command, **kwargs):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **kwargs)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What `make install` puts in place, of the library."""
    root = str(tmp_path_factory.mktemp("installed"))
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    run(["make", "-C", harness.BUILDDIR, "-s", f"DESTDIR={root}", "install-libLTLIBRARIES",
         "install-includeHEADERS", "install-pkgconfigDATA"], env=env)
    found = [d for d, _, files in os.walk(root) if "libruntime.pc" in files]
    assert len(found) == 1
    env.update(PKG_CONFIG_PATH=found[0], PKG_CONFIG_SYSROOT_DIR=root)
    flags = run(["pkg-config", "--cflags", "--libs", "libruntime"], env=env).stdout.split()
    return root, os.path.dirname(found[0]), flags


@pytest.fixture(scope="module")
def example(installed, tmp_path_factory):
    _, libdir, flags = installed
    program = str(tmp_path_factory.mktemp("example") / "example")
    run([*CC, *SANITIZE, "-O2", "-g", "-Wall", "-Wextra", "-Werror", SOURCE, "-o", program, *flags])
    return program, libdir


def once(command, libdir, **more):
    """Returns how many of its collections were in windows, too."""
    with harness.Daemon() as d:
        done = run(command, env=d.env(LD_LIBRARY_PATH=libdir, **more))
        windows, forced = map(int, re.match(r"(\d+) collections in windows, (\d+) forced",
                                            done.stdout).groups())
        assert windows + forced == 10
        status = d.call("GetStatus")
        assert status["windows_granted"] >= windows
        # Those before it is connected are nobody's but its own.
        assert status["forced"] <= forced
        return done, windows


def gets_windows(command, libdir, **more):
    """(A daemon that gets no CPU for all of its run gives it none: then once more.)"""
    for _ in range(3):
        done, windows = once(command, libdir, **more)
        if windows > 0:
            return done
    raise AssertionError("all collections were forced, three times")


def test_example(example):
    program, libdir = example
    done = gets_windows([program], libdir)
    assert done.stderr == ""


def test_example_without_a_daemon(example, tmp_path):
    program, libdir = example
    done = run([program], env={**os.environ, "LD_LIBRARY_PATH": libdir,
                               "RTGC_SOCKET": str(tmp_path / "none")})
    assert done.stdout.startswith("0 collections in windows, 10 forced")


def test_pkg_config(installed):
    root, libdir, flags = installed
    assert f"-L{libdir}" in flags and "-lruntime" in flags
    assert sorted(os.listdir(libdir)) == [
        "libruntime.la", "libruntime.so", "libruntime.so.0", "libruntime.so.0.0.0", "pkgconfig"]


def test_exports_and_needs(installed):
    """Only what the header declares; needs nothing but the C library."""
    root, libdir, _ = installed
    library = os.path.join(libdir, "libruntime.so.0")
    lines = run(["nm", "-D", "--defined-only", library]).stdout.splitlines()
    names = {line.split()[-1].split("@")[0] for line in lines if " A " not in line}
    with open(os.path.join(CLIENT, "rtgc.h"), encoding="utf-8") as f:
        header = f.read()
    declared = set(re.findall(r"^[a-z].*?\**\b(rtgc_\w+)\(", header, re.M))
    assert names == declared - {"rtgc_pending"}
    if not SANITIZE:
        dynamic = run(["readelf", "-d", library]).stdout
        assert set(re.findall(r"NEEDED.*\[(.*)\]", dynamic)) <= {"libc.so.6", "libpthread.so.0"}
        assert re.findall(r"SONAME.*\[(.*)\]", dynamic) == ["libruntime.so.0"]


def test_header_alone_in_c_and_cxx(installed, tmp_path):
    _, _, flags = installed
    for name, compiler, std in (("a.c", [*CC], "-std=c99"), ("a.cc", ["g++"], "-std=c++11")):
        if not shutil.which(compiler[0]):
            pytest.skip(f"no {compiler[0]}")
        source = tmp_path / name
        source.write_text("#include <rtgc.h>\nint f(struct rtgc *r);\n"
                          "int f(struct rtgc *r) { return rtgc_pending(r); }\n")
        run([*compiler, std, "-pedantic", "-Wall", "-Wextra", "-Werror", "-c", str(source),
             "-o", str(tmp_path / "a.o"), *(f for f in flags if f.startswith("-I"))])


@pytest.mark.skipif(VALGRIND == "no", reason="no valgrind")
@pytest.mark.skipif(bool(SANITIZE), reason="valgrind cannot run what the sanitizers built")
def test_example_under_valgrind(example):
    program, libdir = example
    done = gets_windows([VALGRIND, "--error-exitcode=1", "--leak-check=full", "-q", program], libdir)
    assert done.stderr == ""


def test_example_with_sanitizers(tmp_path):
    """The library's own sources and the example, all of it instrumented."""
    program = str(tmp_path / "example")
    instrument = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    run([*CC, *instrument, "-g", "-O1", "-std=gnu11", f"-I{harness.SRCDIR}", f"-I{CLIENT}",
         "-include", os.path.join(harness.BUILDDIR, "config.h"), SOURCE, *library_sources(),
         "-pthread", "-o", program])
    done = gets_windows([program], "", ASAN_OPTIONS="detect_leaks=1")
    assert done.stderr == ""


def library_sources():
    found = [os.path.join(CLIENT, name) for name in os.listdir(CLIENT) if name.endswith(".c")]
    wire = os.path.join(CLIENT, "wire")
    return found + [os.path.join(wire, name) for name in os.listdir(wire) if name.endswith(".c")]
