# SPDX-License-Identifier: MIT
"""Has libFuzzer run one target: run.py --corpus FOLDER --results FOLDER [--seconds N] [--seed N]
PROGRAM.

Starts from what is committed (corpus/TARGET, found/TARGET) and from what earlier runs have found worth
keeping (RESULTS/corpus/TARGET). Prints one line: runs, coverage, crashes. The input of a crash is kept in
RESULTS/crashes; the program ends with 1 then, after the report.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys

LONGEST = {"wire": 300, "session": 1024, "core": 1024, "eventlog": 16384}
INPUT_SECONDS = 120  # an input that takes longer hangs, also on a slow machine
LINES_OF_A_REPORT = 60


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--corpus", type=pathlib.Path, required=True)
    parser.add_argument("--results", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("program", type=pathlib.Path)
    return parser.parse_args()


def command(options, target, kept, crashes):
    seeds = [options.corpus / kind / target for kind in ("corpus", "found")]
    words = options.corpus / f"{target}.dict"
    return [
        options.program.resolve(), f"-max_total_time={options.seconds}", f"-seed={options.seed}", "-print_final_stats=1",
        "-close_fd_mask=2", "-rss_limit_mb=2048", f"-timeout={INPUT_SECONDS}",
        f"-max_len={LONGEST.get(target, 4096)}", f"-artifact_prefix={crashes}/{target}-",
        *([f"-dict={words}"] if words.exists() else []), kept, *(s for s in seeds if s.is_dir())]


def figure(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def main():
    options = arguments()
    target = options.program.name.removeprefix("fuzz_")
    kept, crashes = options.results / "corpus" / target, options.results / "crashes"
    kept.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(parents=True, exist_ok=True)
    mine = f"{target}-*"  # other targets may run beside this one
    before = set(crashes.glob(mine))
    log = options.results / f"{target}.log"
    environment = dict(os.environ)
    environment.setdefault("ASAN_OPTIONS", "quarantine_size_mb=16")
    with log.open("w") as file:
        status = subprocess.run(command(options, target, kept, crashes), stdin=subprocess.DEVNULL,
                                stdout=file, stderr=file, env=environment).returncode
    text = log.read_text(errors="replace")
    found = sorted(path for path in set(crashes.glob(mine)) - before)
    runs = figure(r"number_of_executed_units:\s*(\d+)", text)
    edges, kept = figure(r"cov: (\d+)", text), figure(r"corp: (\d+)", text)
    print(f"fuzz {target}: {runs} runs, {edges} edges, {kept} inputs kept, {len(found)} crashes",
          flush=True)
    if status != 0:
        print("\n".join(text.splitlines()[-LINES_OF_A_REPORT:]))
        for path in found:
            print(f"the input: {path}")
    return 0 if status == 0 and runs else 1


if __name__ == "__main__":
    sys.exit(main())
