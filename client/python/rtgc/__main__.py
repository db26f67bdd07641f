# SPDX-License-Identifier: MIT
"""python3 -m rtgc: run an unchanged program with its full collections supervised."""

import sys

# The working folder is the program's, not ours: nothing of ours is imported from it.
_first = None if getattr(sys.flags, "safe_path", sys.flags.isolated) else sys.path.pop(0)

import builtins
import errno
import importlib.machinery
import io
import os
import pkgutil
import runpy
import socket
import stat
import types

import rtgc

if rtgc._refused is None:
    from rtgc import _supervise

if _first is not None:
    sys.path.insert(0, _first)

USAGE = """\
usage: python3 -m rtgc [OPTION …] SCRIPT [ARGUMENT …]
       python3 -m rtgc [OPTION …] -m MODULE [ARGUMENT …]

Runs a Python program as python3 itself does, with its full garbage collections in the windows
of rtgcd. With no daemon it runs as if rtgc were not there.

  --service NAME   the group it belongs to (default: $RTGC_SERVICE, else the program's name)
  --heap NAME      its own name (default: $RTGC_HEAP, else PROGRAM-PID)
  --budget BYTES   what the resident set may reach: 512M, 2G (default: CPython's own rule)
  --freeze         gc.freeze() in gunicorn's master before it forks, for --preload
  --collector WAY  window, snapshot or auto (default: $RTGC_COLLECTOR, else auto)
"""
# How long a program waits for the daemon's answer before it starts: first without asking
# whether anybody listens at all, then when somebody does.
CONNECT_S = 0.02
ANSWER_S = 0.5


def complain(text):
    print("rtgc:", text, file=sys.stderr, flush=True)


def parse(arguments):
    """The options, and what is left: ["-m", MODULE, …] or [SCRIPT, …]."""
    options = {"service": None, "heap": None, "budget": None, "collector": None}
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] not in ("-", "-m"):
        name, equals, value = rest.pop(0).partition("=")
        if name in ("-h", "--help"):
            print(USAGE, end="")
            sys.exit(0)
        if name == "--version":
            print("rtgc", rtgc.__version__)
            sys.exit(0)
        if name == "--freeze" and not equals:
            if rtgc._refused is None:
                _supervise._freeze = True
            continue
        if name[:2] != "--" or name[2:] not in options:
            complain(f"unknown option {name}\n" + USAGE.rstrip())
            sys.exit(2)
        if not equals:
            if not rest:
                complain(f"option {name} wants a value")
                sys.exit(2)
            value = rest.pop(0)
        options[name[2:]] = value
    if not rest or rest == ["-m"]:
        complain("what shall be run?\n" + USAGE.rstrip())
        sys.exit(2)
    return options, rest


# ---- Supervising ---------------------------------------------------------------------------


def socket_path():
    """Where the library looks for the daemon."""
    system = "/run/rtgcd/runtime.sock"
    if os.environ.get("RTGC_SOCKET"):
        return os.environ["RTGC_SOCKET"]
    if os.geteuid() != 0 and os.environ.get("XDG_RUNTIME_DIR"):
        user = os.path.join(os.environ["XDG_RUNTIME_DIR"], "rtgcd/runtime.sock")
        if os.path.exists(user):
            return user
    return system


def why_absent(path):
    """Why there is no daemon behind this socket; None: there may be one."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            probe.setblocking(False)
            probe.connect(path)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EINPROGRESS, errno.EINTR):
            return None
        return os.strerror(error.errno) if error.errno else str(error)
    return None


def supervise(options, program):
    _supervise._program = os.path.basename(program.rstrip("/"))
    try:
        _supervise.supervise(**options)
    except (ValueError, TypeError) as error:
        complain(error)
        sys.exit(2)
    except OSError as error:
        complain(f"{error}: the program runs on CPython's own policy")
        return
    path = socket_path()
    if os.path.exists(path) and rtgc._rtgc.wait_connected(CONNECT_S):
        return
    why = why_absent(path)
    if why is not None:
        complain(f"no daemon at {path} ({why}): the program runs on CPython's own policy")
        return
    if rtgc._rtgc.wait_connected(ANSWER_S):
        return
    status = rtgc.status()
    if status["refused"]:
        why = "refused: " + status["refused"]
    elif not status["supervised"]:
        why = "no answer yet"
    if why is not None:
        complain(f"daemon at {path}: {why}: the program runs on CPython's own policy")


# ---- Running the program as python3 itself does ---------------------------------------------


def fresh_main():
    """A __main__ for the program. Ours goes on under its own name."""
    main = types.ModuleType("__main__")
    ours = sys.modules["__main__"].__dict__
    if "__annotations__" in ours:
        main.__annotations__ = {}
    main.__builtins__ = builtins
    sys.modules["rtgc.__main__"] = sys.modules["__main__"]
    sys.modules["__main__"] = main
    return main


def script_folder(script):
    return os.path.dirname(os.path.realpath(script))


def replace_first(path):
    if _first is None:
        return
    sys.path[0] = path


def open_failed(script, error):
    python = getattr(sys, "orig_argv", [sys.executable])[0]
    print(
        f"{python}: can't open file {os.path.join(os.getcwd(), script)!r}: "
        f"[Errno {error.errno}] {error.strerror}",
        file=sys.stderr,
    )
    sys.exit(2)


def read_script(script):
    try:
        with io.open_code(os.path.abspath(script)) as file:
            if stat.S_ISDIR(os.fstat(file.fileno()).st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            return file.read()
    except OSError as error:
        open_failed(script, error)


def run_code(main, code):
    rtgc._rtgc.run(exec, code, main.__dict__)


def run_stdin(main):
    main.__loader__ = importlib.machinery.BuiltinImporter
    replace_first("")
    source = sys.stdin.buffer.read()
    run_code(main, rtgc._rtgc.run(compile, source, "<stdin>", "exec", 0, True))


def run_script(script):
    importer = None if script == "-" else pkgutil.get_importer(script)
    if importer is not None:
        # A folder or an archive with a __main__ in it.
        path = os.path.join(os.getcwd(), script)
        if _first is None:
            sys.path.insert(0, path)
        else:
            sys.path[0] = path
        fresh_main()
        rtgc._rtgc.run(runpy._run_module_as_main, "__main__", False)
        return
    if script == "-":
        run_stdin(fresh_main())
        return
    path = os.path.join(os.getcwd(), script)
    source = read_script(script)
    main = fresh_main()
    replace_first(script_folder(script))
    main.__file__ = path
    main.__cached__ = None
    if script.endswith(".pyc"):
        loader = importlib.machinery.SourcelessFileLoader("__main__", path)
        main.__loader__ = loader
        run_code(main, rtgc._rtgc.run(loader.get_code, "__main__"))
        return
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
    run_code(main, rtgc._rtgc.run(compile, source, path, "exec", 0, True))


def run_module(name):
    fresh_main()
    rtgc._rtgc.run(runpy._run_module_as_main, name)


def exec_python(rest):
    """This interpreter's collector is not one we know: python3 itself runs the program."""
    complain(f"{rtgc._refused}: the program runs on CPython's own policy")
    if hasattr(sys, "orig_argv"):
        ours = len(sys.orig_argv) - len(sys.argv) - 1
        flags = sys.orig_argv[1:ours]
    else:
        import subprocess

        flags = subprocess._args_from_interpreter_flags()
    os.execv(sys.executable, [sys.executable, *flags, *rest])


def main():
    options, rest = parse(sys.argv[1:])
    if rtgc._refused is not None:
        exec_python(rest)
    if rest[0] == "-m":
        sys.argv[:] = ["-m", *rest[2:]]
    else:
        sys.argv[:] = rest
    supervise(options, rest[1] if rest[0] == "-m" else rest[0])
    try:
        if rest[0] == "-m":
            run_module(rest[1])
        else:
            run_script(rest[0])
    except KeyboardInterrupt:
        # It has been reported; the interpreter has still to die of it.
        sys.excepthook = lambda *exception: None
        raise


main()
