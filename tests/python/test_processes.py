# SPDX-License-Identifier: MIT
"""Forked children, other processes, threads, and the end of the interpreter."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program, environment, harness, read_record


@pytest.fixture(scope="module")
def daemon():
    with harness.Daemon(config="[Service:web]\nMaxConcurrent=1\n") as d:
        yield d


def heap_of(daemon, pid):
    return next((h for h in daemon.heaps() if h["pid"] == pid), None)


START = """
    import rtgc, select
    rtgc.supervise(service="web")
    while not rtgc.status()["supervised"]:
        time.sleep(0.001)
"""
CHILD = """
    def work_in_child(**more):
        inherited = gc.get_threshold()
        keep = []
        while not rtgc.status()["supervised"]:
            grow(100, keep)
        taken = gc.get_threshold()
        fill(keep)
        seen = len(full)
        while len(full) == seen:
            trickle(keep)
            select.select([], [], [], 0.01)
        say(pid=os.getpid(), inherited=inherited, taken=taken, status=rtgc.status(), **more)
"""


def test_fork(daemon):
    """The child begins with CPython's own policy and is supervised under its own name; the
    parent goes on as it was."""
    with Program(START + CHILD + """
    gc.set_threshold(700, 10, 7)
    keep = []
    fill(keep, 0.3)
    child = os.fork()
    if child == 0:
        work_in_child()
        sys.stdin.readline()
        os._exit(0)
    say(child=child, threshold=gc.get_threshold(), status=rtgc.status())
    os.waitpid(child, 0)
    say(status=rtgc.status())
    """, environment(daemon.env()), launcher=()) as p:
        first, second = p.next(), p.next()
        parent, child = (first, second) if "child" in first else (second, first)
        assert child["inherited"] == [700, 10, 7] and child["taken"][2] > 100
        status = child["status"]
        assert status["heap"] == f"app-{child['pid']}" and status["service"] == "web"
        assert status["heap_id"] != parent["status"]["heap_id"]
        assert status["collections_in_window"] >= 1
        assert parent["threshold"][2] > 100 and parent["status"]["supervised"]
        assert heap_of(daemon, child["pid"])["collections"]["major"] >= 1
        p.tell()
        after = p.next()["status"]
        assert after["supervised"] and after["connects"] == 1
        daemon.wait(lambda d: heap_of(d, child["pid"]) is None, "the child's heap is gone")


def test_named_heap_and_grandchild(daemon):
    with Program(START + """
    rtgc.supervise(heap="main")
    def child():
        keep = []
        while not rtgc.status()["supervised"]:
            grow(100, keep)
        say(pid=os.getpid(), name=rtgc.status()["heap"])
    if os.fork() == 0:
        child()
        if os.fork() == 0:
            child()
            os._exit(0)
        os.wait()
        os._exit(0)
    os.wait()
    """, environment(daemon.env()), launcher=()) as p:
        for _ in range(2):
            said = p.next()
            assert said["name"] == f"main-{said['pid']}"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(daemon, tmp_path, method):
    record = str(tmp_path / "record")
    with Program("""
    import multiprocessing, rtgc, select
    def square(n):
        keep = [[i] for i in range(150_000)]
        status = rtgc.status()
        return n * n, os.getpid(), status.get("service"), status.get("heap")
    if __name__ == "__main__":
        with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
            found = pool.map(square, range(8))
        say(squares=[f[0] for f in found], pids=[f[1] for f in found],
            services=[f[2] for f in found], names=[f[3] for f in found])
    """, environment(daemon.env(), RTGC_RECORD=record), arguments=[method],
                 launcher=("-m", "rtgc", "--service", "web")) as p:
        said = p.next()
        assert said["squares"] == [n * n for n in range(8)]
        assert set(said["services"]) == {"web"}
        assert said["names"] == [f"app-{pid}" for pid in said["pids"]]


def test_fork_without_daemon():
    with Program("""
    import rtgc
    keep = []
    child = os.fork()
    grow(300_000, keep)
    say(threshold=gc.get_threshold(), full=len(full) > 0, state=rtgc.status()["state"])
    if child:
        assert os.waitpid(child, 0)[1] == 0
    """, environment(), stderr="rtgc: no daemon at /nonexistent/runtime.sock (No such file or "
                               "directory): the program runs on CPython's own policy\n") as p:
        for _ in range(2):
            assert p.next() == {"threshold": [700, 10, 10], "full": True, "state": "alone"}


def test_fork_while_windows_come_and_go(daemon):
    """Many children, born at any moment of the parent's windows."""
    with Program(START + """
    keep = []
    seen = len(full)
    wrong = 0
    for n in range(40):
        child = os.fork()
        if child == 0:
            junk = [[] for _ in range(20_000)]
            rtgc.checkpoint()
            sys.exit(0)
        if len(full) == seen:
            trickle(keep)
            grow(2000, keep) if rtgc.status()["used"] < 50_000 else None
        wrong += os.waitpid(child, 0)[1]
    while len(full) == seen:
        fill(keep)
        trickle(keep)
        select.select([], [], [], 0.01)
    say(wrong=wrong, status=rtgc.status())
    """, environment(daemon.env()), launcher=()) as p:
        said = p.next()
        assert said["wrong"] == 0 and said["status"]["supervised"]
        assert said["status"]["connects"] == 1


def test_subprocess(daemon):
    """Other programs get nothing of ours: no descriptor, no supervision; preexec_fn works."""
    with Program(START + """
    import subprocess
    show = [sys.executable, "-c", "import os, gc; print(sorted(os.listdir('/proc/self/fd')), "
            "gc.get_threshold())"]
    plain = subprocess.run(show, capture_output=True, text=True, check=True).stdout
    before = subprocess.run(show, capture_output=True, text=True, check=True, close_fds=False,
                            preexec_fn=lambda: [[] for _ in range(50_000)]).stdout
    say(plain=plain, before=before, status=rtgc.status(), default=str(default))
    """, environment(daemon.env()), launcher=()) as p:
        said = p.next()
        assert said["plain"] == said["before"] and said["default"] in said["plain"]
        assert said["status"]["supervised"]


def test_closed_descriptors(daemon):
    """A program that closes what it does not know (daemons do) is alone for a moment at most,
    and nothing of its own is touched."""
    with Program(START + """
    os.closerange(3, 256)
    mine = [os.open("/dev/null", os.O_RDWR) for _ in range(16)]
    for fd in mine:
        os.close(fd)
    keep = []
    fill(keep)
    seen = len(full)
    while len(full) == seen:
        grow(1000, keep)
        select.select([], [], [], 0.005)
    say(full=len(full))
    """, environment(daemon.env()), launcher=()) as p:
        assert p.next()["full"] >= 1


ENDS = {
    "returns": "pass",
    "exits": "sys.exit(0)",
    "in a thread": "threading.Thread(target=lambda: (time.sleep(0.05), grow(50_000, keep))).start()",
    "at exit": "import atexit; atexit.register(grow, 50_000, keep)",
    "os._exit": "sys.stdout.flush(); os._exit(0)",
    "supervised at exit": "import atexit; atexit.register(rtgc.supervise)",
    "executes": "os.execv(sys.executable, [sys.executable, '-c', 'pass'])",
}


@pytest.mark.parametrize("end", ENDS)
def test_end(daemon, end):
    """With daemon threads that fill the heap and finalizers that run at the very end."""
    with Program(START + f"""
    keep = []
    class Late:
        def __del__(self):
            rtgc.checkpoint()
            rtgc.status()
    def churn():
        while True:
            grow(1000, [])
            rtgc.checkpoint()
            rtgc.status()
    for _ in range(3):
        threading.Thread(target=churn, daemon=True).start()
    late = Late()
    late.self = late
    fill(keep)
    say(pid=os.getpid())
    {ENDS[end]}
    """, environment(daemon.env()), launcher=()) as p:
        pid = p.next()["pid"]
        if end != "executes":
            daemon.wait(lambda d: heap_of(d, pid) is None, "the daemon has seen it leave")


def test_killed_in_a_window(daemon):
    """SIGKILL while it collects: the slot is free again."""
    with Program(START + """
    class Slow:
        def __del__(self):
            say(inside=True)
            time.sleep(3600)
    keep = []
    slow = Slow(); slow.self = slow
    gc.collect(1)
    fill(keep)
    del slow
    while True:
        trickle(keep)
        select.select([], [], [], 0.01)
    """, environment(daemon.env()), launcher=(), status=-9) as p:
        assert p.next() == {"inside": True}
        daemon.wait(lambda d: d.call("GetStatus")["paused_now"] == 1, "it is paused")
        p.proc.kill()
        daemon.wait(lambda d: d.call("GetStatus")["paused_now"] == 0
                    and d.call("GetStatus")["windows_open"] == 0, "its slot is free")


def test_subinterpreter_is_refused(daemon):
    with Program(START + """
    try:
        import _xxsubinterpreters as interpreters
    except ImportError:
        import _interpreters as interpreters
    other = interpreters.create()
    interpreters.run_string(other, '''if True:
        import rtgc
        try:
            rtgc.supervise
        except ImportError as error:
            print('{"refused": "%s"}' % str(error)[-60:].replace('"', ""), flush=True)
    ''')
    interpreters.destroy(other)
    say(status=rtgc.status())
    """, environment(daemon.env()), launcher=()) as p:
        assert "subinterpreter" in p.next()["refused"]
        assert p.next()["status"]["supervised"]
