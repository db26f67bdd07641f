# SPDX-License-Identifier: MIT
"""The child of a snapshot is nobody's business but ours, and its failure costs nothing."""

import os
import sys
import time
from textwrap import dedent

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program, environment

START = """
import rtgc, signal, subprocess
from rtgc import _rtgc
rtgc.supervise(service="web", collector="snapshot")
gc.set_threshold(10**9, 10**9, 10**9)
died = []
class Node:
    def __init__(self): self.me = self
    def __del__(self): died.append(1)

def children():
    "PIDs of this process's children, zombies among them."
    with open(f"/proc/self/task/{threading.get_native_id()}/children") as file:
        return [int(pid) for pid in file.read().split()]

ballast = [[] for _ in range(300_000)]      # a child has something to do

def state(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")")[-1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None

def name(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii") as file:
            return file.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None

def begin(garbage=1000):
    "Begins a snapshot; its child, or None where that is over already."
    for _ in range(garbage):
        Node()
    before = children()
    assert _rtgc.snapshot_begin()
    new = set(children()) - set(before)
    return new.pop() if new else None

def stopped():
    "A snapshot whose child stands still."
    while True:
        child = begin()
        if child is not None:
            while name(child) not in ("rtgc-snapshot", None):
                pass                         # it is not yet bound to our life
            try:
                os.kill(child, signal.SIGSTOP)
            except ProcessLookupError:
                pass
            while state(child) not in ("T", "Z", None):
                time.sleep(0.001)
            if state(child) == "T":
                return child
        finish()                             # it was faster than we are
        died.clear()

def finish():
    while rtgc.status()["snapshots"]["running"]:
        _rtgc.snapshot_step()
    return rtgc.status()["snapshots"]
"""


def run(source, **options):
    with Program(START + dedent(source), environment(), launcher=(), **options) as p:
        return p.next()


def test_nobody_else_sees_the_child():
    said = run("""
    signals = []
    signal.signal(signal.SIGCHLD, lambda *_: signals.append(1))
    def none(call):
        try:
            return call()
        except ChildProcessError:
            return None
    # (One that is stopped would be told of, by whomever stopped it.)
    while True:
        died.clear()
        child = begin()
        waits = [none(lambda: os.wait()), none(lambda: os.waitpid(-1, os.WNOHANG)),
                 none(lambda: os.waitpid(child or 0, os.WNOHANG)),
                 none(lambda: os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)),
                 none(lambda: os.waitpid(0, os.WNOHANG))]
        caught = child and state(child) not in ("Z", None)
        done = finish()
        if caught:
            break
    before = len(signals)
    status = subprocess.run([sys.executable, "-c", "import sys; sys.exit(7)"]).returncode
    pid = os.posix_spawn("/bin/true", ["true"], {})
    say(waits=waits, void=done["void"], died=len(died), signals=before, status=status,
        own=os.wait()[0] == pid, after=len(signals), children=children())
    """)
    assert said["waits"] == [None] * 5 and said["signals"] == 0
    assert said["void"] == 0 and said["died"] == 1000
    assert said["status"] == 7 and said["own"] and said["after"] >= 1 and said["children"] == []


POLICY = """
def policy(pid):
    try:
        return os.sched_getscheduler(pid)
    except ProcessLookupError:
        return None
"""


# A system without time slices for threads: sched_setattr() is not allowed, here and in all children.
FORBIDDEN = """
import ctypes, platform, struct
filter = b"".join(struct.pack("HBBI", *line) for line in (
    (0x20, 0, 0, 0), (0x15, 0, 1, {"x86_64": 314, "aarch64": 274}[platform.machine()]),
    (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7fff0000)))
program = struct.pack("HxxxxxxP", 4, ctypes.cast(filter, ctypes.c_void_p).value)
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0       # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()    # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
"""


def test_child_gives_way():
    """Where threads have time slices, by its own: it need not be idle for that."""
    said = run(POLICY + dedent("""
    import ctypes, platform
    get = {"x86_64": 315, "aarch64": 275}[platform.machine()]    # sched_getattr
    attr = (ctypes.c_uint64 * 6)()
    slices = ctypes.CDLL(None).syscall(get, 0, attr, ctypes.sizeof(attr), 0) == 0 and attr[3] > 0
    seen = set()
    while slices and 10 not in seen:
        child = begin()
        while child and 10 not in seen and state(child) not in ("Z", None):
            seen.add(policy(child))
            seen.add(os.getpriority(os.PRIO_PROCESS, child))
        finish()
    say(slices=slices, idle=os.SCHED_IDLE in seen)
    """))
    if not said["slices"]:
        pytest.skip("this kernel has no time slices for threads of their own (Linux 6.12 has)")
    assert not said["idle"]


def test_child_runs_where_a_cpu_idles():
    """Elsewhere at the lowest priority there is: whoever wakes up has its CPU at once."""
    said = run(FORBIDDEN + POLICY + dedent("""
    while True:
        child, seen = begin(), set()
        while child and os.SCHED_IDLE not in seen and state(child) not in ("Z", None):
            seen.add(policy(child))
        now = finish()
        if os.SCHED_IDLE in seen:            # (It may have been faster than we are.)
            break
    say(void=now["void"], own=policy(0) == os.SCHED_OTHER)
    """))
    assert said == {"void": 0, "own": True}


def test_child_that_gets_no_cpu():
    """Where no CPU ever idles it is replaced by one that competes, and the snapshot is as good."""
    said = run(FORBIDDEN + POLICY + dedent("""
    child, seen = stopped(), set()           # it does not run, whoever prevents that
    taken = rtgc.status()["snapshots"]["taken"]
    while rtgc.status()["snapshots"]["running"]:
        seen.update((pid, policy(pid)) for pid in children())
        _rtgc.snapshot_step()
    say(taken=rtgc.status()["snapshots"]["taken"] - taken, gone=state(child) is None, died=len(died),
        void=finish()["void"], competes=any(p == os.SCHED_OTHER for pid, p in seen if pid != child))
    """))
    assert said == {"taken": 0, "gone": True, "died": 1000, "void": 0, "competes": True}


def test_descriptors_are_not_held():
    """A copy of them in the child would keep a connection open that the program has closed."""
    said = run("""
    import socket
    left, right = socket.socketpair()
    child = stopped()
    left.close()
    right.settimeout(60)
    closed = right.recv(1) == b""
    os.kill(child, signal.SIGCONT)
    say(closed=closed, void=finish()["void"], fds=sorted(os.listdir("/proc/self/fd"))[:3])
    """)
    assert said["closed"] and said["void"] == 0


DEATHS = {
    "killed": "os.kill(child, signal.SIGKILL)",
    "crashed": "os.kill(child, signal.SIGCONT); os.kill(child, signal.SIGSEGV); os.kill(child, signal.SIGKILL)",
}


@pytest.mark.parametrize("how", DEATHS)
def test_child_that_dies(how):
    said = run(f"""
    child = stopped()
    {DEATHS[how]}
    first = finish()
    nothing = len(died)
    found = _rtgc.snapshot_now()
    say(void=first["void"], reason=first["void_reason"], nothing=nothing, found=found, died=len(died),
        children=children())
    """)
    assert said["void"] == 1 and "crashed" in said["reason"] and said["nothing"] == 0
    assert said["found"] >= 1000 and said["died"] == 1000 and said["children"] == []


def test_snapshots_that_fail_are_given_up():
    said = run("""
    for _ in range(3):
        os.kill(stopped(), signal.SIGKILL)
        finish()
    say(begun=_rtgc.snapshot_begin(), found=gc.collect(), **rtgc.status()["snapshots"])
    """)
    assert said["void"] == 3 and not said["begun"] and "crashed" in said["refused"]
    assert said["found"] >= 3000


@pytest.mark.parametrize("where", ["child", "reaping"])
def test_program_forks_meanwhile(where):
    """Its child has no part in the snapshot, and the parent goes on."""
    said = run(f"""
    garbage = 1000
    while {where == "child"}:
        child = stopped()
        break
    while {where == "reaping"}:
        garbage = 30_000
        begin(garbage)
        while rtgc.status()["snapshots"]["running"] and not died:
            _rtgc.snapshot_step() or time.sleep(0.001)
        if 0 < len(died) < garbage:
            break
        finish()
        died.clear()
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        now = rtgc.status()["snapshots"]
        marks = sum(type(o).__name__ == "Mark" for o in gc.get_objects())
        found = gc.collect()
        os.write(w, json.dumps([now["running"], now["void_reason"], marks, len(died)]).encode())
        os._exit(0)
    theirs = json.loads(os.read(r, 1000))
    status = os.waitpid(pid, 0)[1]
    if {where == "child"}:
        os.kill(child, signal.SIGCONT)
    say(theirs=theirs, status=status, void=finish()["void"], died=len(died), garbage=garbage)
    """)
    assert said["theirs"] == [False, "the process forked", 0, said["garbage"]]
    assert (said["status"], said["void"], said["died"]) == (0, 0, said["garbage"])


def test_finalizer_that_forks():
    said = run("""
    pids = []
    class Forks:
        def __init__(self): self.me = self
        def __del__(self):
            pid = os.fork()
            if pid == 0:
                gc.collect()
                os._exit(rtgc.status()["snapshots"]["running"])
            pids.append(pid)
    for _ in range(3):
        Forks()
    for _ in range(1000):
        Node()
    found = _rtgc.snapshot_now()
    say(found=found, died=len(died), statuses=[os.waitpid(pid, 0)[1] for pid in pids])
    """)
    assert said["found"] >= 1003 and said["died"] == 1000
    # In the middle of its step a snapshot still runs there; it ends with it.
    assert all(status in (0, 256) for status in said["statuses"]) and len(said["statuses"]) == 3


def state(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")")[-1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


ENDS = {
    "exit": "sys.exit(0)",
    "os._exit": "os._exit(0)",
    "end of supervision": "_rtgc.close(); say(children=children())",
    "exec": "os.execv('/bin/true', ['true'])",
}


@pytest.mark.parametrize("how", ENDS)
def test_program_ends_meanwhile(how):
    with Program(START + dedent(f"""
    child = stopped()
    say(child=child)
    sys.stdin.readline()
    {ENDS[how]}
    """), environment(), launcher=()) as p:
        child = p.next()["child"]
        p.tell()
        if how == "end of supervision":
            assert p.next()["children"] == []
        elif how == "exec":
            os.kill(child, 9)  # stopped for good by this test; nobody else would have
        p.proc.wait(60)
    end = time.monotonic() + 60
    while state(child) not in (None, "Z"):  # a zombie is init's, who may take its time
        assert time.monotonic() < end, state(child)
        time.sleep(0.01)


def test_full_collection_overtakes_it():
    said = run("""
    child = stopped()
    found = gc.collect()
    now = rtgc.status()["snapshots"]
    say(found=found, void=now["void"], running=now["running"], reason=now["void_reason"], died=len(died),
        children=children(), next=_rtgc.snapshot_now())
    """)
    assert said["found"] >= 1000 and said["died"] == 1000
    assert (said["void"], said["running"], said["children"]) == (1, False, [])
    assert "full collection" in said["reason"] and said["next"] == 0


@pytest.mark.parametrize("what", ["freeze", "unfreeze"])
def test_generations_rearranged(what):
    said = run(f"""
    gc.freeze()
    child = stopped()
    gc.{what}()
    os.kill(child, signal.SIGCONT)
    now = finish()
    gc.unfreeze()
    say(void=now["void"], reason=now["void_reason"], died=len(died), found=gc.collect(), after=len(died))
    """)
    assert said["void"] == 1 and "rearranged" in said["reason"] and said["died"] == 0
    assert said["found"] >= 1000 and said["after"] == 1000


def test_disabled_collector():
    """gc.disable() is the program's word: nothing begins, nothing goes on."""
    said = run("""
    child = stopped()
    gc.disable()
    os.kill(child, signal.SIGCONT)
    for _ in range(100):
        assert not _rtgc.snapshot_step()
        time.sleep(0.005)
    inside, running = len(died), rtgc.status()["snapshots"]["running"]
    gc.enable()
    void = finish()["void"]
    gc.disable()
    say(inside=inside, running=running, void=void, died=len(died), begun=_rtgc.snapshot_begin())
    """)
    assert (said["inside"], said["running"], said["void"]) == (0, True, 0)
    assert said["died"] == 1000 and not said["begun"]


def test_threads():
    """Others allocate, collect young generations and end, while snapshots are taken in any of them."""
    said = run("""
    gc.set_threshold(700, 10, 10**9)
    stop = time.monotonic() + 2
    errors = []
    def work(number):
        try:
            while time.monotonic() < stop or number == 0 and taken < 3:
                nodes = [Node() for _ in range(100)]
                if number == 0:
                    take()
        except Exception as error:
            errors.append(repr(error))
    taken = 0
    def take():
        global taken
        if _rtgc.snapshot_now() is not None:
            taken += 1
    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
    say(errors=errors, taken=taken)
    """)
    assert said["errors"] == [] and said["taken"] >= 3
