# SPDX-License-Identifier: MIT
"""Full collections happen in windows and nowhere else, wherever the main thread is."""

import os
import sys
from textwrap import dedent

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program, environment, harness, read_record

# Each way a program may wait for its next work, or not wait at all. `until(done)` returns when
# done() is true.
WAYS = {
    "select": """
        import select
        def until(done):
            while not done():
                select.select([], [], [], 0.02)
    """,
    "epoll": """
        import selectors
        selector = selectors.EpollSelector()
        def until(done):
            while not done():
                selector.select(0.02)
    """,
    "poll": """
        import selectors
        selector = selectors.PollSelector()
        def until(done):
            while not done():
                selector.select(timeout=0.02)
    """,
    "selector of fds": """
        import selectors
        selector = selectors.SelectSelector()
        def until(done):
            while not done():
                selector.select(0.02)
    """,
    "asyncio": """
        import asyncio
        async def wait(done):
            while not done():
                await asyncio.sleep(0.02)
        def until(done):
            asyncio.run(wait(done))
    """,
    "checkpoint": """
        import rtgc
        def until(done):
            while not done():
                rtgc.checkpoint()
    """,
    "slack": """
        import rtgc
        def until(done):
            while not done():
                rtgc.slack(time.monotonic() + 10)
    """,
    "busy": """
        def until(done):
            while not done():
                pass
    """,
    "short waits": """
        def until(done):
            while not done():
                time.sleep(0.001)
    """,
}
# Where the main thread comes by, or can be woken. In another wait the helper may be the first to collect.
IN_MAIN = {"epoll", "asyncio", "checkpoint", "busy"}
SOON_IN_MAIN = {"short waits"}  # the helper does not wait long for one that wakes up late
ROUNDS = 3
APP = """
    import rtgc
    gc.set_threshold(701, 10)    # the program's own: young generations as they are
    keep = []
    for _ in range({rounds}):
        fill(keep)
        seen = len(full)
        until(lambda: trickle(keep) or len(full) > seen and full[-1][1])
    # One by another thread may have ended for our own eyes only.
    until(lambda: rtgc.status()["collections_in_window"] + rtgc.status()["forced"] >= len(full))
    say(full=full, young=young, status=rtgc.status(), threshold=gc.get_threshold())
    sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def daemon():
    with harness.Daemon(config="[Service:web]\nMaxConcurrent=1\nMinYield=0%\n") as d:
        yield d


def heap_of(daemon, program):
    return next((h for h in daemon.heaps() if h["pid"] == program.pid), None)


@pytest.mark.parametrize("way", WAYS)
def test_only_in_windows(daemon, tmp_path, way):
    record = str(tmp_path / "record")
    env = environment(daemon.env(), RTGC_RECORD=record)
    source = dedent(WAYS[way]) + dedent(APP.format(rounds=ROUNDS))
    with Program(source, env, launcher=("-m", "rtgc", "--service", "web")) as p:
        said = p.next()
        status = said["status"]
        assert status["supervised"] and status["service"] == "web"
        assert (status["forced"], status["uncoordinated"]) == (0, 0)
        assert status["collections_in_window"] == len(said["full"]) >= ROUNDS
        assert said["threshold"][:2] == [701, 10] and said["threshold"][2] > 10
        # The young generations went on as ever: one of the middle for eleven of the youngest.
        assert said["young"][0] > 5 * said["young"][1] > 0
        assert way not in IN_MAIN or all(in_main for _, _, in_main in said["full"])
        assert way not in SOON_IN_MAIN or any(in_main for _, _, in_main in said["full"])
        heap = daemon.wait(
            lambda d: (h := heap_of(d, p)) and h["collections"]["major"] >= len(said["full"]) and h,
            "the daemon knows of them all")
        assert (heap["forced"], heap["uncoordinated"], heap["unit"]) == (0, 0, "objects")
        assert heap["runtime"].startswith("cpython 3.")
        p.tell()
    lines = read_record(record)
    assert [line["cause"] for line in lines] == ["window"] * len(said["full"])
    for line, (begin, end, _) in zip(lines, said["full"]):
        assert line["begin_ns"] <= begin < end <= line["end_ns"]
        assert line["pid"] == p.pid and line["heap"] == f"app-{p.pid}"


def test_an_operator_asks_for_a_collection(daemon):
    """Of a heap that has hardly anything to collect, and while its service is held back."""
    source = dedent(WAYS["asyncio"]) + dedent("""
        import rtgc
        say(begin=True)
        n = int(sys.stdin.readline())
        until(lambda: len(full) >= n)
        say(status=rtgc.status())
        sys.stdin.readline()
    """)
    with Program(source, environment(daemon.env()), launcher=("-m", "rtgc", "--service", "asked")) as p:
        p.next()
        heap = daemon.wait(lambda d: heap_of(d, p), "it has joined")
        before = heap["collections"]["major"]
        daemon.call("Hold", service="asked")
        daemon.call("Collect", heap=str(heap["id"]))
        assert heap_of(daemon, p)["state"] == "held"
        p.tell(str(before + 1))
        daemon.call("Release", service="asked")
        status = p.next()["status"]
        assert (status["collections_in_window"], status["forced"], status["uncoordinated"]) == (1, 0, 0)
        daemon.wait(lambda d: heap_of(d, p)["collections"]["major"] > before, "the daemon knows of it")
        p.tell()


BLOCKED = {
    # The main thread is blocked in C with the GIL given up; another one fills the heap.
    "in a lock": "done.wait()",
    "in sleep": "time.sleep(3600)",
}


@pytest.mark.parametrize("where", BLOCKED)
def test_blocked_main_thread(daemon, where):
    with Program(f"""
        import rtgc, signal
        rtgc.supervise(service="web")
        done = threading.Event()
        def work():
            keep = []
            for _ in range(2):
                fill(keep)
                seen = rtgc.status()["collections_in_window"]
                while rtgc.status()["collections_in_window"] == seen:
                    trickle(keep)
                    time.sleep(0.001)
            say(full=full, status=rtgc.status())
            sys.stdin.readline()
            done.set()
            os.kill(os.getpid(), signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        threading.Thread(target=work, daemon=True).start()
        {BLOCKED[where]}
        time.sleep(3600)
    """, environment(daemon.env()), launcher=()) as p:
        said = p.next()
        assert said["status"]["forced"] == said["status"]["uncoordinated"] == 0
        assert said["status"]["collections_in_window"] == len(said["full"]) >= 2
        assert not any(in_main for _, _, in_main in said["full"])
        p.tell()


def test_sleeping_selector_is_woken(daemon):
    """A server that sleeps in epoll for good collects there, in its own thread, and select()
    neither returns early nor forgets what it waited for."""
    with Program("""
        import rtgc, selectors
        rtgc.supervise(service="web")
        keep = []
        selector = selectors.DefaultSelector()
        selector.register(sys.stdin, selectors.EVENT_READ)
        def work():
            while len(full) == before:
                trickle(keep)
                time.sleep(0.001)
        fill(keep)
        before = len(full)
        threading.Thread(target=work).start()
        say(before=before)
        while True:
            events = selector.select()
            line = sys.stdin.readline().strip()
            say(events=len(events), keys=[key.fd for key, _ in events], full=full[before:], all=len(full),
                descriptors=len(os.listdir("/proc/self/fd")), status=rtgc.status())
            if line == "end":
                break
    """, environment(daemon.env()), launcher=()) as p:
        before = p.next()["before"]
        daemon.wait(lambda d: (h := heap_of(d, p)) and h["collections"]["major"] > before,
                    "it collected while it slept")
        said = p.ask("more")
        assert said["status"]["collections_in_window"] == said["all"], said
        assert said["events"] == 1 and said["keys"] == [0]
        assert len(said["full"]) >= 1 and all(in_main for _, _, in_main in said["full"])
        # Nothing of ours stays in the selector, and no descriptor stays open.
        again = p.ask("end")
        assert again["events"] == 1 and again["descriptors"] == said["descriptors"]


def test_busy_selector_is_left_alone(daemon):
    """With events ready at each look the program is busy: they come first, and the window is
    used only in its last moment."""
    with Program("""
        import rtgc, selectors, socket
        rtgc.supervise(service="web")
        keep = []
        left, right = socket.socketpair()
        left.send(b"x")                      # always readable: nobody reads it
        selector = selectors.DefaultSelector()
        selector.register(right, selectors.EVENT_READ)
        selector.select()
        empty, taken = False, []
        for _ in range(3):
            fill(keep)
            seen, opened = len(full), None
            while len(full) == seen:
                trickle(keep)
                now = time.monotonic_ns()
                window = rtgc.status()["window"]
                if window and window["opens_in_us"] <= 0:
                    opened = now, window
                empty = empty or not selector.select(1)
            taken += [(full[-1][0], *opened, full[-1][2])] if opened else []
        say(empty=empty, taken=taken, status=rtgc.status())
    """, environment(daemon.env()), launcher=()) as p:
        said = p.next()
        assert not said["empty"]
        assert said["status"]["forced"] == 0 and said["status"]["collections_in_window"] >= 1
        # Seen open before, and not taken until little more than the pause was left of it. (The helper may have
        # been the one where this machine kept the main thread from its CPU.)
        assert said["taken"] and any(in_main for *_, in_main in said["taken"])
        for begin, seen, window, _ in said["taken"]:
            left_us = window["closes_in_us"] - (begin - seen) / 1000
            assert left_us < 4 * window["predicted_pause_us"] + 50_000


def test_checkpoints_are_better_places_than_the_middle_of_the_work(daemon):
    """A program that never rests, and says checkpoint() between its steps, is collected there."""
    with Program("""
        import rtgc
        rtgc.supervise(service="web")
        keep, working, places = [], False, []
        gc.callbacks.append(lambda phase, info: phase == "start" and info["generation"] == 2
                            and places.append(working))
        fill(keep)
        while len(places) < 6:
            working = True
            trickle(keep)
            end = time.monotonic() + 0.01
            while time.monotonic() < end:
                pass
            working = False
            rtgc.checkpoint()
        say(places=places, status=rtgc.status())
    """, environment(daemon.env()), launcher=()) as p:
        said = p.next()
        assert said["status"]["forced"] == 0
        # (One step may take so long that its window is almost over.)
        assert said["places"].count(False) >= 3, said["places"]


def test_timeout_is_kept(daemon):
    """A select() that a window interrupts still lasts as long as it was asked to."""
    with Program("""
        import rtgc, selectors
        rtgc.supervise(service="web")
        keep = []
        fill(keep)
        selector = selectors.DefaultSelector()
        seen = len(full)
        short = 0
        while len(full) == seen:
            trickle(keep)
            begin = time.monotonic()
            assert selector.select(0.25) == []
            if time.monotonic() - begin < 0.249:
                short += 1
        say(short=short)
    """, environment(daemon.env()), launcher=()) as p:
        assert p.next()["short"] == 0


def test_critical(daemon):
    """No collection inside, whatever opens meanwhile; at once afterwards."""
    with Program("""
        import rtgc, select
        rtgc.supervise(service="web")
        keep = []
        with rtgc.critical(), rtgc.critical():
            fill(keep)
            inside = len(full)
            while rtgc.status()["windows_opened"] < 1:
                trickle(keep)
                select.select([], [], [], 0.01)
                rtgc.checkpoint()
            inside = len(full) - inside
        seen = len(full)
        while len(full) == seen:
            trickle(keep)
            select.select([], [], [], 0.01)
        say(inside=inside, status=rtgc.status())
    """, environment(daemon.env()), launcher=()) as p:
        said = p.next()
        assert said["inside"] == 0
        assert said["status"]["collections_in_window"] >= 1 and said["status"]["forced"] == 0


def test_slack(daemon):
    """rtgc.slack() collects what fits and is back in time; a slack that is too short for the
    pause is left alone."""
    with Program("""
        import rtgc
        rtgc.supervise(service="web")
        keep = []
        fill(keep)
        late = collected = 0
        while collected < 1:
            until = time.monotonic() + 2
            collected += rtgc.slack(until)
            late += time.monotonic() > until
        say(late=late, full=full, status=rtgc.status())
        fill(keep)
        more = 0
        for _ in range(1000):
            window = rtgc.status()["window"]
            pressing = window and window["must"]    # in its last moments it is used all the same
            more += rtgc.slack(time.monotonic() + 0.0001) and not pressing
        say(more=more)
        try:
            rtgc.slack(float("nan"))
        except ValueError as error:
            say(error=str(error))
    """, environment(daemon.env()), launcher=()) as p:
        said = p.next()
        assert said["late"] == 0 and said["status"]["forced"] == 0
        assert p.next()["more"] == 0
        assert "instant" in p.next()["error"]
