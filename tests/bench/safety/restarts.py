# SPDX-License-Identifier: MIT
"""kill -9 of the daemon under load, started again each time as a manager would: are its clients well?

make bench BENCH=restarts      200 times
"""

import contextlib
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "daemon")]

import bench  # noqa: E402

LIMIT, PROCESSES, HEAPS = 2, 4, 12
CONFIG = f"[Daemon]\nMaxConcurrent={LIMIT}\n[Service:load]\nMaxConcurrent={LIMIT}\n"
RESTART_S = 0.1  # RestartSec= of the unit
BACK_S = 2


def measure(restarts, progress):
    import harness
    from swarming import Counter, Swarm, most_over, started_for

    counter, back, late = Counter(), [], 0
    with harness.Daemon(config=CONFIG, manager=True) as d, contextlib.ExitStack() as stack:
        swarms = [stack.enter_context(Swarm(started_for(d), "load", HEAPS, 1_000_000, 300_000, 15_000))
                  for _ in range(PROCESSES)]

        def supervised():
            return sum(swarm.ask() for swarm in swarms)

        def status():
            return counter.ask(lambda: d.call("GetStatus"))

        d.wait(lambda d: supervised() == PROCESSES * HEAPS, "all are supervised")
        for i in range(restarts):
            granted = status()["windows_granted"]
            d.wait(lambda d: status()["windows_granted"] >= granted + 4, "windows are used")
            killed = time.monotonic()
            d.kill()
            time.sleep(RESTART_S)
            d.start()
            status()
            there = supervised()
            while there < PROCESSES * HEAPS and time.monotonic() - killed < BACK_S:
                time.sleep(0.005)
                there = supervised()
            late += PROCESSES * HEAPS - there
            d.wait(lambda d: supervised() == PROCESSES * HEAPS, "all are back")
            back.append(time.monotonic() - killed)
            status()
            if i % 10 == 0:
                progress(f"{i} of {restarts}")
        granted = status()["windows_granted"]
        d.wait(lambda d: status()["windows_granted"] > granted + PROCESSES * HEAPS, "it does its work again")
        pauses = [pause for swarm in swarms for pause in swarm.finish()]
        over_limit = status()["over_limit"]
        ended = [swarm.proc.returncode for swarm in swarms]
    in_window = sum(pause.cause == 0 for pause in pauses)
    total = restarts * PROCESSES * HEAPS
    back.sort()
    return {"restarts": restarts, "returns": total, "late": late, "back_share": 1 - late / total,
            "back_p50_s": back[len(back) // 2], "back_max_s": back[-1], "in_window": in_window,
            "forced": len(pauses) - in_window, "over_limit": over_limit,
            "excess": most_over(pauses, LIMIT, counter), "ended": ended}


def checks(found):
    return [bench.check(f"heaps back within {BACK_S} s of the kill", found["back_share"], "at least", 0.999),
            bench.check("pauses at once beyond the limit and what was counted", found["excess"], "at most", 0),
            bench.check("processes that did not end well", sum(map(bool, found["ended"])), "at most", 0)]


def main():
    parser = bench.arguments("restarts", __doc__, rounds=None)
    parser.add_argument("--restarts", type=int, default=200)
    args = bench.prepare(parser.parse_args())
    found = bench.interleaved(args, ["restarts"], lambda name, where, progress:
                              measure(args.restarts, progress))["restarts"][0]
    judged = checks(found)
    return bench.finish(args, bench.text(str(found), bench.verdict(judged)), {**found, **bench.judged(judged)})


if __name__ == "__main__":
    bench.run("restarts", main)
