# SPDX-License-Identifier: MIT
"""Which folder may include what. The rules are the layers of the program (HACKING.md)."""

import posixpath
import re

import pytest
import sources

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)

PURE_LIBC = {
    "assert.h", "errno.h", "limits.h", "stdatomic.h", "stdbool.h", "stddef.h",
    "stdint.h", "string.h",
}
LIBC = PURE_LIBC | {
    "byteswap.h", "complex.h", "ctype.h", "dirent.h", "dlfcn.h", "endian.h", "err.h",
    "execinfo.h", "fcntl.h", "fenv.h", "float.h", "fnmatch.h", "ftw.h", "getopt.h", "glob.h",
    "grp.h", "ifaddrs.h", "inttypes.h", "langinfo.h", "libgen.h", "link.h", "locale.h",
    "malloc.h", "math.h", "netdb.h", "paths.h", "poll.h", "pthread.h", "pwd.h", "regex.h",
    "sched.h", "search.h", "semaphore.h", "setjmp.h", "signal.h", "spawn.h", "stdalign.h",
    "stdarg.h", "stdio.h", "stdlib.h", "stdnoreturn.h", "strings.h", "syslog.h",
    "termios.h", "threads.h", "time.h", "ucontext.h", "unistd.h", "wchar.h", "wctype.h",
}
LIBC_FOLDERS = {"arpa", "asm", "linux", "net", "netinet", "sys"}
# Headers that do not bear their library's name.
LIBRARIES = {"frameobject": "Python", "internal": "Python", "structmember": "Python"}


class Layer:
    """
    own: what of the tree it may include (a folder ends with a slash and stands for the
    headers directly in it); libc: the C library's headers, None for all of them;
    libraries: third-party headers by library; most: so many libraries in one file.
    """

    def __init__(self, own, libc=None, libraries=(), most=None):
        self.own = own
        self.libc = libc
        self.libraries = set(libraries)
        self.most = len(self.libraries) if most is None else most


LAYERS = {
    "client/wire": Layer(own=["client/wire/"], libc=PURE_LIBC),
    "daemon/core": Layer(
        own=["daemon/core/", "client/wire/nsec.h", "client/wire/list.h",
             "client/wire/wire.h", "client/wire/names.h"],
        libc=PURE_LIBC | {"stdlib.h", "math.h"},
    ),
    "daemon": Layer(
        own=["daemon/", "daemon/core/supervisor.h", "daemon/core/reason.h",
             "daemon/core/histogram.h", "daemon/core/memory.h", "daemon/core/quota.h", "client/wire/",
             "config.h"],
        libraries=["event2", "jansson", "ini", "systemd"],
        most=1,
    ),
    "client": Layer(own=["client/", "client/wire/", "config.h"]),
    "client/ctl": Layer(
        own=["client/ctl/", "client/rtgc.h", "rtgc.h", "config.h"],
        libraries=["jansson", "ncurses", "curses"],
    ),
    "client/python": Layer(
        own=["client/python/", "client/rtgc.h", "client/slice.h", "rtgc.h", "config.h"],
        libraries=["Python"],
    ),
}


# Files by how their paths begin, and what they alone may include besides. Nobody else may
# include them.
EXCEPTIONS = {
    # The replay is the daemon's own decision or it is worth nothing.
    "client/ctl/simulate": {
        "daemon/core/supervisor.h", "daemon/core/reason.h", "daemon/core/histogram.h",
        "daemon/eventlog.h", "daemon/config_keys.h", "daemon/config_show.h",
    },
}


def library_of(header):
    """"event2/event.h" and "jansson.h" are of event2 and jansson; None: the C library's."""
    first = header.split("/")[0]
    if header in LIBC or (first in LIBC_FOLDERS and "/" in header):
        return None
    name = first.removesuffix(".h")
    return LIBRARIES.get(name, name)


class Tree:
    def __init__(self, root):
        self.root = root
        self.files = {path.as_posix() for path in sources.c_files(root)}

    def includes(self, path):
        """(header, is one of ours) for each include; ours relative to the root."""
        for bracket, header in INCLUDE.findall(sources.read(self.root, path)):
            beside = posixpath.normpath(posixpath.join(posixpath.dirname(path), header))
            if bracket == '"' and beside in self.files:
                yield beside, True
            else:
                yield header, bracket == '"' or header == "rtgc.h" or header in self.files

    def libraries(self, path, seen=None):
        """Third-party libraries of a file, also those that come in by our headers."""
        seen = set() if seen is None else seen
        found = set()
        for header, ours in self.includes(path):
            if not ours:
                found.add(library_of(header))
            elif header in self.files and header not in seen:
                seen.add(header)
                found |= self.libraries(header, seen)
        return found - {None}


def own_allowed(path, header, own):
    for prefix, more in EXCEPTIONS.items():
        if path.startswith(prefix) and header in more:
            return True
        if header.startswith(prefix) and not path.startswith(prefix):
            return False
    return header in own or posixpath.dirname(header) + "/" in own


def violations(root):
    tree = Tree(root)
    found = []
    for path in sorted(tree.files):
        layer = LAYERS.get(posixpath.dirname(path))
        if layer is None:
            continue
        for header, ours in tree.includes(path):
            library = None if ours else library_of(header)
            if ours and not own_allowed(path, header, layer.own):
                found.append(f"{path}: may not include {header}")
            elif library and library not in layer.libraries:
                found.append(f"{path}: may not use the library {library} ({header})")
            elif not ours and not library and layer.libc and header not in layer.libc:
                found.append(f"{path}: may not include <{header}>")
        libraries = sorted(tree.libraries(path)) if path.endswith(".c") else []
        if len(libraries) > layer.most > 0:
            found.append(f"{path}: more than {layer.most} library: {', '.join(libraries)}")
    return found


def test_layers():
    sources.expect_none(violations(sources.ROOT))


def test_every_source_folder_has_a_rule():
    folders = {
        path.parent.as_posix()
        for path in sources.c_files()
        if path.parts[0] in ("client", "daemon")
    }
    assert folders - set(LAYERS) == set()
    assert {"client/wire", "daemon/core"} <= folders


BASELINE = {
    "client/wire/wire.h": "#include <stdint.h>\n",
    "client/wire/page.h": "#include <stdatomic.h>\n",
    "client/wire/wire.c": '#include "client/wire/wire.h"\n#include <string.h>\n',
    "client/rtgc.h": "#include <stdint.h>\n",
    "client/private.h": "",
    "client/client.c": '#include "client/wire/page.h"\n#include <sys/socket.h>\n',
    "client/ctl/simulate.h": '#include "daemon/core/supervisor.h"\n',
    "client/ctl/simulate_run.c": '#include "client/ctl/simulate.h"\n#include "daemon/eventlog.h"\n',
    "daemon/eventlog.h": "#include <jansson.h>\n",
    "client/ctl/main.c": "#include <jansson.h>\n#include <rtgc.h>\n#include <stdio.h>\n",
    "client/python/module.c": '#include <Python.h>\n#include "client/rtgc.h"\n',
    "daemon/core/supervisor.h": '#include "client/wire/wire.h"\n',
    "daemon/core/supervisor.c": '#include "supervisor.h"\n#include <stdlib.h>\n',
    "daemon/core/state.h": "",
    "daemon/loop.h": "#include <stdint.h>\n",
    "daemon/loop.c": '#include <event2/event.h>\n#include "daemon/loop.h"\n',
    "daemon/leak.h": "#include <jansson.h>\n",
    "daemon/notify.c": "#include <systemd/sd-daemon.h>\n#include <time.h>\n",
    "tests/unit/test.c": '#include <cmocka.h>\n#include "client/private.h"\n',
}


def baseline(root):
    for path, text in BASELINE.items():
        sources.write(root, path, text)


def test_the_check_accepts_what_is_allowed(tmp_path):
    baseline(tmp_path)
    assert violations(tmp_path) == []


@pytest.mark.parametrize(
    "path, line",
    [
        ("client/wire/wire.c", "#include <stdio.h>"),
        ("client/wire/wire.c", "#include <time.h>"),
        ("client/wire/wire.c", '#include "client/rtgc.h"'),
        ("client/wire/wire.h", "  #  include <sys/socket.h>"),
        ("daemon/core/supervisor.c", "#include <time.h>"),
        ("daemon/core/supervisor.c", "#include <stdio.h>"),
        ("daemon/core/supervisor.c", '#include "daemon/loop.h"'),
        ("daemon/core/supervisor.c", '#include "../loop.h"'),
        ("daemon/core/supervisor.c", '#include "client/wire/page.h"'),
        ("daemon/core/supervisor.h", "#include <event2/event.h>"),
        ("daemon/loop.c", "#include <jansson.h>"),
        ("daemon/loop.c", '#include "daemon/leak.h"'),
        ("daemon/loop.c", "#include <zlib.h>"),
        ("daemon/loop.c", '#include "client/private.h"'),
        ("daemon/loop.c", '#include "daemon/core/state.h"'),
        ("daemon/loop.c", '#include "client/rtgc.h"'),
        ("client/client.c", "#include <jansson.h>"),
        ("client/client.c", '#include "daemon/core/supervisor.h"'),
        ("client/ctl/main.c", '#include "client/wire/wire.h"'),
        ("client/ctl/main.c", '#include "client/private.h"'),
        ("client/ctl/main.c", '#include "../private.h"'),
        ("client/ctl/main.c", '#include "daemon/loop.h"'),
        ("client/ctl/main.c", '#include "daemon/core/supervisor.h"'),
        ("client/ctl/main.c", '#include "client/ctl/simulate.h"'),
        ("client/ctl/simulate_run.c", '#include "daemon/loop.h"'),
        ("client/ctl/simulate_run.c", '#include "daemon/core/state.h"'),
        ("client/ctl/simulate_run.c", "#include <event2/event.h>"),
        ("client/python/module.c", '#include "client/private.h"'),
        ("client/python/module.c", "#include <event2/event.h>"),
    ],
)
def test_the_check_finds(tmp_path, path, line):
    baseline(tmp_path)
    sources.write(tmp_path, path, f"{BASELINE[path]}{line}\n")
    found = violations(tmp_path)
    assert found and all(entry.startswith(path + ":") for entry in found)
