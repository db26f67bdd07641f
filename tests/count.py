# SPDX-License-Identifier: MIT
"""Adds up what the logs of `make check` say: tests/count.py BUILD-FOLDER.

Prints one line, "N passed, N failed, N skipped". A log that names no count of its own (a script)
is one test, judged by its .trs file. Exits 1 when something failed or nothing ran.
"""
import pathlib
import re
import sys


def count(log):
    text = log.read_text(errors="replace")
    result = re.search(r"^:test-result: (\w+)", log.with_suffix(".trs").read_text(), re.M).group(1)
    number = {"passed": 0, "failed": 0, "skipped": 0}
    cmocka = re.findall(r"^\[  (PASSED|FAILED|SKIPPED) +\] (\d+) test\(s\)", text, re.M)
    pytest = re.search(r"^=*\s*((?:\d+ \w+(?:, )?)+) in [\d.]+s", text, re.M)
    if cmocka:
        for word, n in cmocka:
            number[word.lower()] += int(n)
    elif pytest:
        for n, word in re.findall(r"(\d+) (\w+)", pytest.group(1)):
            word = "failed" if word.startswith("error") else word
            if word in number:
                number[word] += int(n)
    else:
        number[{"PASS": "passed", "SKIP": "skipped"}.get(result, "failed")] += 1
    if result not in ("PASS", "SKIP") and number["failed"] == 0:
        number["failed"] = 1
    return number


def main():
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for trs in sorted(pathlib.Path(sys.argv[1], "tests").rglob("*.trs")):
        for word, n in count(trs.with_suffix(".log")).items():
            total[word] += n
    print(", ".join(f"{n} {word}" for word, n in total.items()))
    return 0 if total["failed"] == 0 and total["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
