# SPDX-License-Identifier: MIT
"""Forks at any moment of windows and collections, by any thread."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from busy import CHILD, COLLECTORS, CONFIG, START
from program import Program, environment, harness


@pytest.fixture(scope="module")
def daemon():
    with harness.Daemon(config=CONFIG) as d:
        yield d


@pytest.fixture(params=COLLECTORS)
def env(daemon, request):
    return environment(daemon.env(), **COLLECTORS[request.param])


@pytest.mark.parametrize("then", ["_exit", "executes", "goes on"])
def test_fork_inside_a_window(env, then):
    """The child is born in the middle of a collection, in a finalizer."""
    ends = {"_exit": "os._exit(5)", "goes on": "born.append(True)",
            "executes": "os.execv(sys.executable, [sys.executable, '-c', 'raise SystemExit(5)'])"}
    with Program(START + CHILD + f"""
    born, children = [], []
    def fork():
        pid = os.fork()
        if pid == 0:
            {ends[then]}
        else:
            children.append(pid)
    inside(fork)
    keep = []
    while not born and not children:
        work(1, keep)
    if born:
        child_works()
    status = wait_for(children[0])
    work(3)
    say(status=status, now=rtgc.status())
    """, env, launcher=()) as p:
        said = p.next()
    assert said["status"] == 5
    assert said["now"]["supervised"] and said["now"]["connects"] == 1


def test_fork_in_the_helper(daemon):
    """A finalizer that our own thread runs forks: the child, which has nothing but that
    thread, ends."""
    with Program(START + CHILD + """
    parent, children, helpers = os.getpid(), [], []
    def fork():
        ours = threading.get_ident() != main_thread
        pid = os.fork()
        if pid:
            children.append(pid)
            helpers.append(ours)
    keep = []
    while not any(helpers):
        seen = len(children)
        inside(fork)
        while len(children) == seen:
            garbage(200)
            keep.extend([] for _ in range(500))
            if len(keep) > 20000:
                keep.clear()
            rtgc.slack(time.monotonic() + 0.05)
            time.sleep(0.05)          # the main thread is in C: the helper collects
            if os.getpid() != parent:
                os._exit(0)
    say(status=[wait_for(pid) for pid in children], helpers=helpers)
    """, environment(daemon.env(), RTGC_COLLECTOR="window"), launcher=()) as p:
        said = p.next()
    assert said["helpers"][-1] and set(said["status"]) == {0}


def test_thread_that_forks_and_ends(env):
    """In the child it is the only one: the process ends with it, supervised or not."""
    with Program(START + CHILD + """
    children = []
    def fork():
        for n in range(8):
            pid = os.fork()
            if pid == 0:
                if n % 2:
                    while not rtgc.status()["supervised"]:
                        garbage(50)
                    work(2)
                return
            children.append(pid)
    thread = threading.Thread(target=fork)
    thread.start()
    while thread.is_alive():
        garbage(500)
        select.select([], [], [], 0.001)
    say(status=[wait_for(pid) for pid in children], now=rtgc.status())
    """, env, launcher=()) as p:
        said = p.next()
    assert said["status"] == [0] * 8 and said["now"]["connects"] == 1


def test_fork_from_threads(env):
    """At any moment of the others' collections; each child is supervised in its turn."""
    with Program(START + CHILD + """
    wrong, forked = [], []
    def fork():
        for n in range(12):
            pid = os.fork()
            if pid == 0:
                try:
                    if n % 3 == 0:
                        child_works()
                    elif n % 3 == 1:
                        garbage(5000)
                        rtgc.checkpoint()
                        gc.collect()
                    os._exit(5)
                except SystemExit:
                    os._exit(5)
                finally:
                    os._exit(6)
            status = wait_for(pid)
            forked.append(status)
            if status != 5:
                wrong.append(status)
    threads = [threading.Thread(target=fork) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        garbage(500)
        rtgc.slack(time.monotonic() + 0.001)
        select.select([], [], [], 0.001)
    work(3)
    say(wrong=wrong, forked=len(forked), now=rtgc.status())
    """, env, launcher=()) as p:
        said = p.next()
    assert said["wrong"] == [] and said["forked"] == 36
    assert said["now"]["supervised"] and said["now"]["connects"] == 1


@pytest.mark.parametrize("generation", [0, 2])
def test_fork_while_another_thread_collects(env, generation):
    """CPython leaves the child with a collection that never ends, and so with no other; our
    helper would make that happen to programs with one thread."""
    with Program(START + CHILD + f"""
    inside, go_on = threading.Event(), threading.Event()
    Slow(lambda: (inside.set(), go_on.wait()))
    thread = threading.Thread(target=gc.collect, args=({generation},))
    thread.start()
    inside.wait()
    pid = os.fork()
    if pid == 0:
        seen = [one["collections"] for one in gc.get_stats()]
        garbage(50000)
        now = [one["collections"] for one in gc.get_stats()]
        assert now[0] > seen[0] and now[1] > seen[1], (seen, now)
        child_works()
    status = wait_for(pid)
    go_on.set()
    thread.join()
    work(3)
    say(status=status)
    """, env, launcher=()) as p:
        assert p.next()["status"] == 5


def test_fork_while_the_main_thread_rests(env):
    """The child of a thread has the main thread's selector, woken perhaps: the parent's
    stays as it is, and the child's main thread is the one that forked."""
    with Program(START + CHILD + """
    import selectors
    left, right = os.pipe()
    statuses = []
    def fork():
        for _ in range(40):
            pid = os.fork()
            if pid == 0:
                with selectors.EpollSelector() as other:
                    for _ in range(3):
                        other.select(0.001)
                os._exit(5)
            statuses.append(wait_for(pid))
            garbage(500)
        os.write(right, b"x")
    threading.Thread(target=fork).start()
    keep = []
    with selectors.EpollSelector() as selector:
        selector.register(left, selectors.EVENT_READ)
        rounds = 0
        while not selector.select(0.01):
            keep.extend([] for _ in range(2000))
            rounds += 1
            if len(keep) > 20000:
                keep.clear()
    say(statuses=statuses, now=rtgc.status(), descriptors=len(os.listdir("/proc/self/fd")))
    """, env, launcher=()) as p:
        said = p.next()
    assert said["statuses"] == [5] * 40
    assert said["now"]["connects"] == 1
