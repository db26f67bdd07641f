# SPDX-License-Identifier: MIT
"""python3 -m rtgc with no daemon: the program runs as python3 itself runs it, and one line on
stderr says so."""

import os
import re
import signal
import subprocess
import sys
import zipfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import PATIENCE, PYTHON, environment, read_record

ENV = environment()
LINE = ("rtgc: no daemon at /nonexistent/runtime.sock (No such file or directory): "
        "the program runs on CPython's own policy\n")

FILES = {
    "show.py": """
import sys
known = {k: v for k, v in globals().items() if k not in ("__builtins__", "__loader__", "__spec__")}
print(known, type(__builtins__), type(__loader__))
print(__spec__ and (__spec__.name, __spec__.origin, __spec__.parent))
print(sys.argv, sys.path, sys.flags)
print(sys.modules["__main__"].__dict__ is globals())
""",
    "fails.py": """
def inner():
    raise ValueError("no")

def outer():
    try:
        inner()
    except ValueError as error:
        raise KeyError("yes") from error

outer()
""",
    "syntax.py": "def f(:\n    pass\n",
    "encoded.py": "# -*- coding: latin-1 -*-\nprint('\xe4'.encode('utf-8'))\n".encode("latin-1"),
    "exits.py": "import sys\nsys.exit(int(sys.argv[1]))\n",
    "exits_text.py": "raise SystemExit('that is all')\n",
    "exits_none.py": "import atexit\natexit.register(print, 'bye')\nraise SystemExit\n",
    "interrupted.py": "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n",
    "hook.py": """
import sys, traceback
def hook(kind, value, tb):
    print("hook", kind, value, [f.name for f in traceback.extract_tb(tb)])
sys.excepthook = hook
def f():
    1 / 0
f()
""",
    "reads.py": "import sys\nprint(sys.stdin.read().upper(), end='')\n",
    "collects.py": """
import gc
print(gc.get_threshold())
keep, seen = [], []
gc.callbacks.append(lambda phase, info: seen.append(info["generation"]))
for i in range(400_000):
    keep.append([])
print(gc.get_threshold(), gc.isenabled(), seen.count(2) > 0)
""",
    "threads.py": """
import threading, time, atexit
done = []
def work():
    time.sleep(0.05)
    print("worked")
threading.Thread(target=work).start()
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
atexit.register(print, "at exit")
print("main is over")
""",
    "globals_live.py": """
class Late:
    def __del__(self):
        print("deleted", __name__)
late = Late()
late.self = late
""",
    "pickles.py": """
import multiprocessing
def square(n):
    return n * n
if __name__ == "__main__":
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(method, pool.map(square, range(5)))
""",
    "package/__init__.py": "print('package', __name__)\n",
    "package/__main__.py": """
import sys
from . import part
print(__name__, __package__, __file__, sys.argv, part.x)
""",
    "package/part.py": "x = 5\n",
    "folder/__main__.py": """
import sys, beside
print(__name__, __package__, __file__, sys.argv, sys.path[0], beside.y)
""",
    "folder/beside.py": "y = 6\n",
    # Names that the launcher uses itself: the program's own are not to be taken for them.
    "shadows/selectors.py": "print('selectors of the program')\n",
    "shadows/socket.py": "print('socket of the program')\n",
    "shadows/app.py": "print('app')\n",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with zipfile.ZipFile(folder / "app.zip", "w") as archive:
        archive.write(folder / "folder/__main__.py", "__main__.py")
        archive.write(folder / "folder/beside.py", "beside.py")
    (folder / "link.py").symlink_to(folder / "folder" / "__main__.py")
    return folder


def run(folder, arguments, rtgc, flags=(), stdin="text\n"):
    command = [PYTHON, *flags, *(["-m", "rtgc"] if rtgc else []), *arguments]
    return subprocess.run(command, cwd=folder, env=ENV, input=stdin, capture_output=True,
                          text=True, timeout=PATIENCE)


SAME = [
    ["show.py"],
    ["./show.py", "a", "-m", "--service", "x y"],
    ["folder/../show.py", "1"],
    ["-m", "show", "a", "-b"],
    ["fails.py"],
    ["-m", "fails"],
    ["syntax.py"],
    ["-m", "syntax"],
    ["encoded.py"],
    ["exits.py", "0"],
    ["exits.py", "3"],
    ["exits.py", "255"],
    ["exits_text.py"],
    ["exits_none.py"],
    ["-m", "exits", "7"],
    ["interrupted.py"],
    ["-m", "interrupted"],
    ["hook.py"],
    ["reads.py"],
    ["collects.py"],
    ["threads.py"],
    ["globals_live.py"],
    ["pickles.py"],
    ["-m", "pickles"],
    ["-m", "package", "x"],
    ["-m", "package.part"],
    ["-m", "nothing_like_it"],
    ["folder", "x"],
    ["app.zip", "y"],
    ["link.py"],
    ["missing.py"],
    ["-", "z"],
]
READ = "import sys\nprint(sys.argv, __name__, sys.path[0])\n"


@pytest.mark.parametrize("arguments", SAME, ids=" ".join)
def test_same_as_python(files, arguments):
    stdin = READ if arguments[0] == "-" else "text\n"
    plain = run(files, arguments, False, stdin=stdin)
    ours = run(files, arguments, True, stdin=stdin)
    assert ours.stdout == plain.stdout
    assert ours.returncode == plain.returncode
    assert ours.stderr == LINE + plain.stderr


@pytest.mark.parametrize("flags", [["-P"], ["-O"], ["-B", "-u"], ["-X", "utf8"], ["-Werror"]],
                         ids=" ".join)
def test_interpreter_options(files, flags):
    plain = run(files, ["show.py"], False, flags)
    if plain.stderr.startswith("Unknown option"):
        pytest.skip(f"this Python has no {flags[0]}")
    ours = run(files, ["show.py"], True, flags)
    assert (ours.stdout, ours.returncode) == (plain.stdout, plain.returncode)
    assert ours.stderr == LINE + plain.stderr


def test_working_folder_is_not_searched_for_ours(files):
    for arguments in (["app.py"], ["-m", "app"]):
        ours = run(files / "shadows", arguments, True)
        assert (ours.stdout, ours.stderr) == ("app\n", LINE)


def test_interrupt_ends_as_a_signal(files):
    assert run(files, ["interrupted.py"], True).returncode == -signal.SIGINT


def test_usage(files):
    for arguments in ([], ["-m"], ["--service"], ["--unknown", "x", "show.py"],
                      ["--budget", "2X", "show.py"]):
        ours = run(files, arguments, True)
        assert ours.returncode == 2, arguments
        assert ours.stdout == ""
        assert ours.stderr.startswith("rtgc: "), ours.stderr
    ours = run(files, ["--help"], True)
    assert ours.returncode == 0 and ours.stdout.startswith("usage: python3 -m rtgc")
    ours = run(files, ["--version"], True)
    assert ours.returncode == 0 and re.fullmatch(r"rtgc \d+\.\d+.*\n", ours.stdout)


def test_options_do_not_reach_the_program(files):
    plain = run(files, ["show.py", "x"], False)
    ours = run(files, ["--service=s", "--heap", "h", "--budget", "2G", "show.py", "x"], True)
    assert (ours.stdout, ours.stderr) == (plain.stdout, LINE + plain.stderr)


def test_other_interpreter_runs_the_program_itself(files, tmp_path):
    """An interpreter whose collector is not the one the module was built for."""
    package = tmp_path / "rtgc"
    package.mkdir()
    stage = os.path.join(ENV["PYTHONPATH"], "rtgc")
    for name in os.listdir(stage):
        if name.endswith(".py"):
            (package / name).symlink_to(os.path.join(stage, name))
    (package / "_rtgc.py").write_text("raise ImportError('another collector')\n")
    env = dict(ENV, PYTHONPATH=str(tmp_path))

    def python(*arguments):
        return subprocess.run([PYTHON, "-O", *arguments], cwd=files, env=env, input="",
                              capture_output=True, text=True, timeout=PATIENCE)

    for arguments in (["show.py", "a"], ["-m", "show", "b"], ["exits.py", "9"], ["fails.py"]):
        plain = python(*arguments)
        ours = python("-m", "rtgc", "--service", "s", *arguments)
        assert (ours.stdout, ours.returncode) == (plain.stdout, plain.returncode)
        assert ours.stderr == ("rtgc: another collector: the program runs on CPython's own policy\n"
                               + plain.stderr)
    ours = python("-c", "import rtgc; rtgc.supervise()")
    assert ours.returncode == 1 and "ImportError: another collector" in ours.stderr


def test_record_without_a_daemon(files, tmp_path):
    record = tmp_path / "record"
    env = dict(ENV, RTGC_RECORD=str(record), RTGC_HEAP='a "heap"')
    subprocess.run([PYTHON, "-m", "rtgc", "collects.py"], cwd=files, env=env, check=True,
                   capture_output=True, timeout=PATIENCE)
    lines = read_record(record)
    assert lines
    for line in lines:
        assert (line["kind"], line["cause"], line["heap"]) == ("major", "default", 'a "heap"')
        assert line["begin_ns"] < line["end_ns"]
