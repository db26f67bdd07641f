# SPDX-License-Identifier: MIT
"""Whatever a program does, and at whatever moment, with windows opening all the time."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from busy import COLLECTORS, CONFIG, START
from program import PYTHON, Program, environment, harness

@pytest.fixture(scope="module")
def daemon():
    with harness.Daemon(config=CONFIG) as d:
        yield d


@pytest.fixture(params=COLLECTORS)
def env(daemon, request):
    return environment(daemon.env(), **COLLECTORS[request.param])


def heap_of(daemon, pid):
    return next((h for h in daemon.heaps() if h["pid"] == pid), None)


# ---- The end of the interpreter ------------------------------------------------------------

ENDS = {
    "exit in a finalizer": ("inside(lambda: sys.exit(4)); work(3); say(done=True)", 0),
    "_exit in a finalizer": ("inside(lambda: os._exit(4)); work(3)", 4),
    "exec in a finalizer":
        ("inside(lambda: os.execv(sys.executable, [sys.executable, '-c', 'raise SystemExit(4)']));"
         "work(3)", 4),
    "close in a finalizer": ("inside(rtgc._rtgc.close); work(1, keep) if 0 else garbage(200000);"
                             "say(state=rtgc.status()['state'])", 0),
    "supervised anew in a finalizer":
        ("done = inside(lambda: rtgc.supervise(service='web', heap='other'))\nwork(3)\n"
         "say(heap=rtgc.status()['heap'], supervised=rtgc.status()['supervised'])", 0),
    "exit in a thread":
        ("t = threading.Thread(target=lambda: (work(3), sys.exit(4)))\nt.start(); t.join()", 0),
    "_exit in a thread":
        ("threading.Thread(target=lambda: (work(3), os._exit(4))).start()\nwork(10**9)", 4),
    "exception at exit": ("sys.unraisablehook = sys.__unraisablehook__\n"
                          "atexit.register(lambda: 1 / 0); work(3)", 0),
    "work at exit": ("atexit.register(work, 1); work(3)", 0),
    "no atexit": ("work(3); atexit._clear()", 0),
    "killed by a signal": ("work(3); os.kill(os.getpid(), signal.SIGTERM)", -15),
    "in slack": ("work(3); rtgc.slack(time.monotonic() + 100)", 0),
    "sleeping thread in slack":
        ("def rest():\n"
         "    while True:\n"
         "        rtgc.slack(time.monotonic() + 0.002); time.sleep(0.002)\n"
         "threading.Thread(target=rest, daemon=True).start(); work(5)", 0),
    "while the helper collects":
        ("done = inside(lambda: time.sleep(0.2))\n"
         "while not done:\n"
         "    garbage(500); keep.append([[] for _ in range(500)])\n"
         "    rtgc.slack(time.monotonic() + 0.01); time.sleep(0.01)", 0),
}


@pytest.mark.parametrize("end", ENDS)
def test_end(daemon, env, end):
    """In the middle of a window or between two, with threads that never stop."""
    call, status = ENDS[end]
    with Program(START + """
    keep = []
    sys.unraisablehook = lambda info: None
    def churn():
        while True:
            garbage(100)
            rtgc.checkpoint()
            rtgc.status()
            time.sleep(0.001)
    for _ in range(2):
        threading.Thread(target=churn, daemon=True).start()
    say(pid=os.getpid())
""" + "".join(f"    {line}\n" for line in call.splitlines()),
                 env, launcher=(), status=status, stderr=None) as p:
        pid = p.next()["pid"]
        daemon.wait(lambda d: heap_of(d, pid) is None, "the daemon has seen it leave")
        err = p.proc.stderr.read().decode()
    assert "Fatal" not in err, err
    assert ("ZeroDivisionError" in err) == (end == "exception at exit"), err


# ---- Finalizers and callbacks ----------------------------------------------------------------

def test_exceptions_and_collections_inside(env):
    """Raised, and collections begun, in finalizers, weakref callbacks and gc.callbacks."""
    with Program(START + """
    unraisable, counts = [], dict(finalizer=0, weakref=0, callback=0)
    sys.unraisablehook = lambda info: unraisable.append(type(info.exc_value).__name__)
    def here(what, error):
        counts[what] += 1
        gc.collect(counts[what] % 3)
        rtgc.checkpoint()
        garbage(10)
        raise error()
    class Bad(Node):
        def __del__(self):
            here("finalizer", ValueError)
    keep, refs = [], {}
    def dead(ref):
        del refs[id(ref)]
        here("weakref", KeyError)
    def callback(phase, info):
        if info["generation"] == 2:
            counts["callback"] += 1
            gc.collect()
            rtgc.checkpoint()
            rtgc.status()
            if counts["callback"] % 7 == 0:
                raise OSError("in a callback")
    gc.callbacks.append(callback)
    gc.callbacks.insert(0, callback)
    seen = collected()
    while collected() < seen + 20 or not all(counts.values()):
        for _ in range(20):
            node = Bad()
            ref = weakref.ref(node, dead)
            refs[id(ref)] = ref
        del node, ref
        work(1, keep)
    gc.callbacks.remove(callback); gc.callbacks.remove(callback)
    say(kinds=sorted(set(unraisable)), counts=counts, now=rtgc.status())
    sys.unraisablehook = lambda info: None
    """, env, launcher=()) as p:
        said = p.next()
    assert said["kinds"] == ["KeyError", "OSError", "ValueError"]
    assert said["now"]["supervised"] and min(said["counts"].values()) > 0


# ---- What others do to the collector -------------------------------------------------------

def test_others_at_any_moment(env):
    """Threads, finalizers and signal handlers that switch, set and freeze: whatever the
    last word was, it is the program's again in the end."""
    with Program(START + """
    stop = False
    def meddle(seed):
        rng = random.Random(seed)
        while not stop:
            rng.choice(meddles)(rng)
            time.sleep(rng.random() * 0.002)
    meddles = [
        lambda rng: gc.enable(), lambda rng: gc.enable(), lambda rng: gc.disable(),
        lambda rng: gc.set_threshold(rng.randrange(50, 900), rng.randrange(1, 12), rng.randrange(12)),
        lambda rng: gc.collect(rng.randrange(3)), lambda rng: gc.freeze(),
        lambda rng: gc.unfreeze(), lambda rng: gc.get_objects(1), lambda rng: gc.get_stats(),
        lambda rng: rtgc.supervise(), lambda rng: rtgc.status(), lambda rng: rtgc.checkpoint(),
        lambda rng: Slow(lambda: gc.set_threshold(300, 3, 3)), lambda rng: Slow(gc.enable),
    ]
    rng = random.Random(7)
    signal.signal(signal.SIGALRM, lambda *_: rng.choice(meddles)(rng))
    signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
    threads = [threading.Thread(target=meddle, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    keep, seen = [], collected()
    while collected() < seen + 30:
        garbage(200)
        keep.extend([] for _ in range(200))
        if len(keep) > 20000:
            keep.clear()
        select.select([], [], [], 0.001)
    stop = True
    for thread in threads:
        thread.join()
    signal.setitimer(signal.ITIMER_REAL, 0)
    gc.collect()                      # what Slow still holds
    gc.enable()
    gc.set_threshold(700, 10, 9)
    gc.collect(1)                     # noticed and put right
    taken = gc.get_threshold()
    work(3)
    now = rtgc.status()
    rtgc._rtgc.close()
    say(taken=taken, after=gc.get_threshold(), now=now)
    """, env, launcher=()) as p:
        said = p.next()
    assert said["now"]["supervised"] and said["now"]["uncoordinated"] > 0
    assert said["taken"][2] != 9
    assert said["now"]["threshold"] == 9 and said["after"] == [700, 10, 9]


# ---- Signals, tracing, limits ----------------------------------------------------------------

def test_keyboard_interrupt(env):
    """At any moment, also inside a collection of ours: raised once, in the program."""
    with Program(START + """
    sys.unraisablehook = lambda info: lost.append(1)
    lost, caught = [], []
    stop = False
    def interrupt():
        rng = random.Random(1)
        while not stop:
            time.sleep(rng.random() * 0.004)
            if sent[0] == len(caught) + len(lost):
                sent[0] += 1
                os.kill(os.getpid(), signal.SIGINT)
    sent = [0]
    thread = threading.Thread(target=interrupt)
    keep, seen = [], collected()
    thread.start()
    while len(caught) < 50 or collected() < seen + 5:
        try:
            while True:
                garbage(300)
                keep.extend([] for _ in range(300))
                if len(keep) > 20000:
                    keep.clear()
                rtgc.slack(time.monotonic() + 0.001)
                rtgc.checkpoint()
        except KeyboardInterrupt:
            caught.append(1)
    while True:
        try:
            stop = True
            thread.join()
            break
        except KeyboardInterrupt:
            caught.append(1)
    say(sent=sent[0], seen=len(caught) + len(lost), lost=len(lost), now=rtgc.status())
    """, env, launcher=()) as p:
        said = p.next()
    assert said["seen"] == said["sent"]
    assert said["now"]["supervised"]


def test_signals_all_the_time(env):
    """EINTR in whatever call is under way."""
    with Program(START + """
    import selectors
    handled = []
    signal.signal(signal.SIGALRM, lambda *_: handled.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    keep, rounds, seen = [], 0, collected()
    with selectors.DefaultSelector() as selector:
        while collected() < seen + 20:
            garbage(300)
            keep.extend([] for _ in range(300))
            if len(keep) > 20000:
                keep.clear()
            selector.select(0.002)
            rtgc.slack(time.monotonic() + 0.002)
    signal.setitimer(signal.ITIMER_REAL, 0)
    say(handled=len(handled), now=rtgc.status())
    """, env, launcher=()) as p:
        said = p.next()
    assert said["handled"] > 0 and said["now"]["connects"] == 1


def test_traced_and_profiled(env):
    """Finalizers are traced as always, and the tracer sees nothing of ours."""
    with Program(START + """
    names = set()
    def tracer(frame, event, argument):
        names.add(frame.f_code.co_filename)
    class Traced(Node):
        def __del__(self):
            finalized.append(sys.gettrace() is tracer)
    finalized = []
    for install in (sys.settrace, sys.setprofile):
        install(tracer)
        threading.settrace(tracer)
        for _ in range(50):
            Traced()
        work(3)
        install(None)
        threading.settrace(None)
    say(names=sorted(os.path.basename(name) for name in names), finalized=len(finalized))
    """, env, launcher=()) as p:
        said = p.next()
    assert set(said["names"]) <= {"app.py", "threading.py"} and said["finalized"] >= 50


def test_near_the_recursion_limit(env):
    """A collection right below the limit: finalizers may fail as they always do there."""
    with Program(START + """
    sys.unraisablehook = lambda info: kinds.add(type(info.exc_value).__name__)
    kinds = set()
    class Deep(Node):
        def __del__(self):
            def down(n):
                return n and down(n - 1)
            down(20)
    def dive(n):
        for _ in range(3):
            Deep()
        rtgc.checkpoint()
        garbage(20)
        return dive(n + 1)
    hits, seen, keep = 0, collected(), []
    while collected() < seen + 20:
        keep.extend([] for _ in range(2000))
        if len(keep) > 20000:
            keep.clear()
        try:
            dive(0)
        except RecursionError:
            hits += 1
    sys.unraisablehook = sys.__unraisablehook__
    say(hits=hits, kinds=sorted(kinds), now=rtgc.status())
    """, env, launcher=()) as p:
        said = p.next()
    assert said["hits"] > 0 and set(said["kinds"]) <= {"RecursionError"}
    assert said["now"]["supervised"]


def test_out_of_memory(env):
    """Each allocation in turn fails: inside collections of ours, beginning and ending to
    supervise. Nothing is lost but what asked for the memory."""
    with Program(START + """
    try:
        from _testcapi import set_nomemory, remove_mem_hooks
    except ImportError:
        say(skip="_testcapi is missing (Debian: libpython3.11-testsuite)")
        sys.exit()
    sys.unraisablehook = lambda info: None
    gc.callbacks.remove(mark), gc.callbacks.remove(watch)
    errors_of = (MemoryError, SystemError, ValueError, ImportError)
    def starve(call):
        "Fails the n-th allocation and all that follow, until the call gets through."
        errors = 0
        for n in range(1, 3000):
            set_nomemory(n)
            try:
                call()
                remove_mem_hooks()
                return errors
            except errors_of:
                remove_mem_hooks()
                errors += 1
            finally:
                remove_mem_hooks()
        return -1
    class Fragile(Node):
        def __del__(self):
            [] + [1]
    def collect():
        gc.collect(2); gc.collect(1)
    for _ in range(200):
        set_nomemory(_ % 40, _ % 40 + 2)
        try:
            Fragile(); collect(); rtgc.checkpoint()
        except MemoryError:
            pass
        finally:
            remove_mem_hooks()
    errors = dict(collect=starve(collect), checkpoint=starve(rtgc.checkpoint),
                  slack=starve(lambda: rtgc.slack(0)), status=starve(rtgc.status))
    work(3)
    before = gc.get_threshold()
    errors["other"] = starve(lambda: rtgc.supervise(service="web", heap="other"))
    while not rtgc.status()["supervised"]:
        time.sleep(0.001)
    work(3)
    now = rtgc.status()
    errors["close"] = starve(rtgc._rtgc.close)
    say(errors=errors, before=before, now=now, after=gc.get_threshold(),
        callbacks=len(gc.callbacks))
    """, env, launcher=()) as p:
        said = p.next()
    if "skip" in said:
        pytest.skip(said["skip"])
    assert min(said["errors"].values()) >= 0, said["errors"]
    assert said["errors"]["other"] > 0 and said["errors"]["status"] > 0
    assert said["now"]["heap"] == "other" and said["now"]["supervised"]
    assert said["after"] == [700, 10, 10] and said["callbacks"] == 0


def test_no_descriptors(env):
    """Beginning to supervise without a descriptor left: an error or a lone heap, and it
    works once there are some."""
    with Program("""
    import resource, rtgc
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for spare in range(8):
        used = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[-1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + spare, hard))
        try:
            rtgc.supervise(service="web", heap=f"n{spare}")
            error = None
        except OSError as caught:
            error = caught.errno
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        say(error=error)
    rtgc.supervise(service="web", heap="enough")
    while not rtgc.status()["supervised"]:
        time.sleep(0.001)
    say(now=rtgc.status())
    """, env, launcher=()) as p:
        errors = {p.next()["error"] for _ in range(8)}
        assert errors <= {None, 24}
        assert p.next()["now"]["heap"] == "enough"


# ---- More than one of us ---------------------------------------------------------------------

RELOAD = {
    "reloaded": "importlib.reload(rtgc._supervise); importlib.reload(rtgc)",
    "imported anew": "[sys.modules.pop(n) for n in list(sys.modules) "
                     "if n.split('.')[0] == 'rtgc']",
}


@pytest.mark.parametrize("how", RELOAD)
def test_reload(daemon, env, how):
    """There is one heap in a process, however often the module is loaded."""
    with Program(START + f"""
    import importlib
    gc.set_threshold(600, 9, 8)
    for _ in range(3):
        {RELOAD[how]}
        import rtgc
        rtgc.supervise(service="web")
        while not rtgc.status()["supervised"]:
            time.sleep(0.001)
        work(2)
    say(pid=os.getpid(), callbacks=sum(c.__name__ == "on_gc" for c in gc.callbacks), now=rtgc.status())
    sys.stdin.readline()
    rtgc._rtgc.close()
    def threads():
        return len(os.listdir("/proc/self/task"))
    limit = time.monotonic() + 60
    while threads() > 1 and time.monotonic() < limit:
        time.sleep(0.01)   # one that was waited for may be listed for a moment longer
    say(after=gc.get_threshold(), threads=threads())
    """, env, launcher=()) as p:
        said = p.next()
        assert said["callbacks"] == 1
        daemon.wait(lambda d: sum(h["pid"] == said["pid"] for h in d.heaps()) == 1, "one heap")
        p.tell()
        assert p.next() == {"after": [600, 9, 8], "threads": 1}


def test_two_copies(env, tmp_path):
    """A second copy of the module would take the first one's threshold for the program's:
    refused, and the first goes on."""
    with Program(START + """
    import shutil
    first = rtgc
    shutil.copytree(os.path.dirname(rtgc.__file__), sys.argv[1] + "/rtgc")
    for name in [n for n in sys.modules if n.split(".")[0] == "rtgc"]:
        del sys.modules[name]
    sys.path.insert(0, sys.argv[1])
    import rtgc
    assert rtgc._rtgc.__file__ != first._rtgc.__file__
    try:
        rtgc.supervise(service="web")
        error = None
    except RuntimeError as caught:
        error = str(caught)
    state = rtgc.status()["state"]
    rtgc = first
    work(3)
    first._rtgc.close()
    say(error=error, state=state, after=gc.get_threshold())
    """, env, arguments=[str(tmp_path)], launcher=()) as p:
        said = p.next()
    assert "another copy" in said["error"] and said["state"] == "unsupervised"
    assert said["after"] == [700, 10, 10]


# ---- Other builds of CPython -------------------------------------------------------------------

def test_debug_build(env):
    """python3-dbg: the same layout, so it works, with the interpreter's own checks on."""
    debug = PYTHON if PYTHON.endswith("-dbg") else os.path.realpath(PYTHON) + "-dbg"
    if not os.path.exists(debug):
        pytest.skip(f"{debug} is missing (Debian: python3-dbg)")
    with Program(START + """
    keep = []
    for _ in range(10):
        Slow(lambda: rtgc.checkpoint())
        weakref.ref(Node(), lambda ref: None)
        work(1, keep)
    pid = os.fork()
    if pid == 0:
        garbage(5000)
        rtgc.checkpoint()
        gc.collect()
        os._exit(5)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    say(debug=hasattr(sys, "gettotalrefcount"), status=status, now=rtgc.status())
    """, env, launcher=(), python=debug) as p:
        said = p.next()
    assert said["debug"] and said["status"] == 5 and said["now"]["supervised"]
