# SPDX-License-Identifier: MIT
"""
What the objects really call: wire and core nothing but memory, strings, assert and
arithmetic; and what libruntime shows to the world.
"""

import os
import pathlib
import re
import shlex
import subprocess

import pytest
import sources

BUILD = pathlib.Path(os.environ["RTGC_BUILDDIR"])
LIBRUNTIME = BUILD / ".libs/libruntime.so.0"

STRINGS = {
    "memchr", "memcmp", "memcpy", "memmove", "memset", "strchr", "strcmp", "strlen",
    "strncmp", "strnlen", "strrchr",
}
MEMORY = {"calloc", "free", "malloc", "realloc", "reallocarray"}
MATH = {
    "cbrt", "ceil", "exp", "exp2", "expm1", "floor", "fmax", "fmin", "frexp", "ldexp",
    "llround", "log", "log1p", "log2", "lround", "pow", "round", "sqrt",
}
SORTING = {"bsearch", "qsort"}
# What the compiler itself adds: position independence, fortify, stack check, assert.
COMPILER = {
    "_GLOBAL_OFFSET_TABLE_", "__assert_fail", "__errno_location", "__stack_chk_fail",
} | {f"__{name}_chk" for name in ("memcpy", "memmove", "memset")}
INSTRUMENTATION = re.compile(r"__(asan|ubsan|lsan|tsan|sanitizer|gcov|sanitizer_cov)_")

WIRE_MAY_CALL = STRINGS | COMPILER
CORE_MAY_CALL = STRINGS | COMPILER | MEMORY | MATH | SORTING


def nm(*arguments):
    """(type, symbol) for each line; the columns' number differs for undefined symbols."""
    listing = subprocess.run(
        ["nm", *map(str, arguments)], check=True, capture_output=True, text=True
    ).stdout
    columns = (line.split() for line in listing.splitlines())
    return {(c[-2], c[-1]) for c in columns if len(c) >= 2 and len(c[-2]) == 1}


def impure(archive, may_call):
    """What the archive's objects need from outside of it and may not have."""
    symbols = nm(archive)
    assert any(kind == "T" for kind, _ in symbols), f"{archive} defines nothing"
    defined = {name for kind, name in symbols if kind.upper() not in "U"}
    needed = {name for kind, name in symbols if kind.upper() == "U"}
    return sorted(
        name for name in needed - defined - may_call if not INSTRUMENTATION.match(name)
    )


def exported(library):
    """Names that the shared library defines for others; version nodes are not symbols."""
    symbols = nm("-D", "--defined-only", library)
    return {name.split("@")[0] for kind, name in symbols if kind != "A"}


def foreign_exports(library):
    return sorted(name for name in exported(library) if not name.startswith("rtgc_"))


def declared(header):
    """Functions of the public header that are not inline."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    text = re.sub(r"static inline.*?\n}\n", "", text, flags=re.DOTALL)
    return set(re.findall(r"\b(rtgc_\w+)\s*\((?!\*)", text))


def libraries(library):
    """What the dynamic linker is told to load with it."""
    listing = subprocess.run(
        ["readelf", "-d", str(library)], check=True, capture_output=True, text=True
    ).stdout
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", listing))


def test_wire_is_pure():
    sources.expect_none(impure(BUILD / ".libs/libwire.a", WIRE_MAY_CALL))


def test_core_is_pure():
    sources.expect_none(impure(BUILD / ".libs/libcore.a", CORE_MAY_CALL))


def test_libruntime_exports_only_its_own():
    sources.expect_none(foreign_exports(LIBRUNTIME))


def test_libruntime_exports_what_the_header_declares():
    assert exported(LIBRUNTIME) == declared(sources.read(sources.ROOT, "client/rtgc.h"))


def test_libruntime_needs_libc_only():
    needed = {name.split(".so")[0] for name in libraries(LIBRUNTIME)}
    allowed = {"libc", "libpthread", "ld-linux-x86-64", "ld-linux-aarch64"}
    if os.environ.get("SANITIZE"):
        allowed |= {"libasan", "libubsan", "libtsan", "libm"}
    assert needed - allowed == set()


def compile_c(folder, text, *flags):
    """An object (or, by flags, a shared library) made of text by the build's compiler."""
    source = sources.write(folder, "sample.c", text)
    product = folder / "sample.o"
    subprocess.run(
        [*shlex.split(os.environ["CC"]), *flags, "-o", str(product), str(source)], check=True
    )
    return product


def make_archive(folder, text):
    archive = folder / "sample.a"
    subprocess.run(["ar", "rcs", archive, compile_c(folder, text, "-O2", "-c")], check=True)
    return archive


@pytest.mark.parametrize(
    "include, call, symbol",
    [
        ("time.h", "return (long)time(0)", "time"),
        ("time.h", "struct timespec t; return clock_gettime(1, &t)", "clock_gettime"),
        ("sys/socket.h", "return socket(1, 1, 0)", "socket"),
        ("stdlib.h", 'return getenv("X") != 0', "getenv"),
        ("stdio.h", "return fputc(n, stderr)", "stderr"),
        ("stdio.h", 'char b[9]; return snprintf(b, 9, "%ld", n)', "snprintf"),
        ("stdlib.h", "return random()", "random"),
        ("syslog.h", 'syslog(1, "%ld", n); return 0', "syslog"),
        ("fcntl.h", 'return open("x", 0)', "open"),
        ("unistd.h", "return read(0, &n, 1)", "read"),
        ("unistd.h", "return write(1, &n, 1)", "write"),
        ("unistd.h", "return getpid()", "getpid"),
    ],
)
def test_the_check_finds_a_call(tmp_path, include, call, symbol):
    text = f"#include <{include}>\nlong f(long n);\nlong f(long n) {{ {call}; }}\n"
    found = impure(make_archive(tmp_path, text), CORE_MAY_CALL)
    assert any(name in (symbol, f"__{symbol}_chk") for name in found)


def test_wire_may_not_allocate(tmp_path):
    text = "#include <stdlib.h>\nvoid *f(long n);\nvoid *f(long n) { return malloc(n); }\n"
    archive = make_archive(tmp_path, text)
    assert impure(archive, WIRE_MAY_CALL) == ["malloc"]
    assert impure(archive, CORE_MAY_CALL) == []


def test_the_check_finds_an_export(tmp_path):
    text = "int rtgc_x; int helper(void); int helper(void) { return rtgc_x; }\n"
    library = compile_c(tmp_path, text, "-shared", "-fPIC")
    assert foreign_exports(library) == ["helper"]
    assert exported(library) == {"helper", "rtgc_x"}


def test_declarations_are_found():
    assert declared(
        "/* rtgc_not() */\nint rtgc_a(struct rtgc *r,\n\t uint64_t n);\n"
        "static inline bool rtgc_b(void)\n{\n\treturn rtgc_c();\n}\nvoid rtgc_d(void);\n"
    ) == {"rtgc_a", "rtgc_d"}
