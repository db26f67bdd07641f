# SPDX-License-Identifier: MIT
"""
The layout of the frames stands in four places: the table in wire.c, the code below it, the
golden frames and rtgc-protocol(7). They say the same.
"""

import re

import pytest
import sources

WIDTHS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
ROW = re.compile(r"^ *(\d+|all) ([A-Za-z]+) +(?:(\d+)  +)?(.*)$")


def table(text):
    """{frame: (type, size, payload)} of the lines from the heading to the first empty one."""
    lines = text[text.index("type frame "):].splitlines()[1:]
    frames, name = {}, None
    for line in lines:
        if not line.strip() or line.startswith("."):
            break
        row = ROW.match(line)
        if row:
            number, name, size, payload = row.groups()
            frames[name] = (number, size, payload)
        else:
            number, size, payload = frames[name]
            frames[name] = (number, size, f"{payload} {line.strip()}")
    return frames


def of_source(text):
    """The same from a C comment."""
    return table(re.sub(r"^ \*(?:   )?", "", text, flags=re.MULTILINE))


def fields(payload):
    """[(offset, width, name)]"""
    found = []
    for at, kind, name in re.findall(r"(\d+) (u\d+|name\d+) (\w+)", payload):
        found.append((int(at), WIDTHS.get(kind) or int(kind[4:]), name))
    return found


def of_code(text):
    """{(frame, offset, name)} of the arrays of fields."""
    found = set()
    for at, frame, name in re.findall(r"[A-Z]+\((\d+), (\w+)\.(\w+)", text):
        found.add((frame.upper(), int(at), name))
    return found


def overlaps(frames):
    """Frames with a field that is not aligned, not behind the last, or out of the frame."""
    found = []
    for frame, (number, size, payload) in frames.items():
        end = 0 if number == "all" else 8
        for at, width, name in fields(payload):
            if at < end or at % min(width, 8) or (size and at + width > int(size)):
                found.append(f"{frame}.{name}")
            end = at + width
    return found


WIRE = sources.read(sources.ROOT, "client/wire/wire.c")


def test_table_is_sound():
    frames = of_source(WIRE)
    assert len(frames) == 21
    assert fields(frames["header"][2]) == [(0, 2, "type"), (2, 2, "size"), (4, 4, "serial")]
    assert fields(frames["END"][2])[-1] == (64, 8, "stop")
    sources.expect_none(overlaps(frames))


def test_code_has_the_fields_of_the_table():
    described = {
        (frame, at, name)
        for frame, (number, _, payload) in of_source(WIRE).items()
        for at, _, name in fields(payload)
        if number != "all" and name != "magic"
    }
    assert of_code(WIRE) == described


def test_golden_frames_have_the_sizes_of_the_table():
    golden = sources.read(sources.ROOT, "tests/unit/golden.c")
    head = r"\},\n\t\t\"(\w\w) (\w\w) (\w\w) (\w\w) "
    heads = re.findall(head, golden)
    sizes = {(int(t1 + t0, 16), int(s1 + s0, 16)) for t0, t1, s0, s1 in heads}
    assert sizes == {
        (int(number), int(size))
        for number, size, _ in of_source(WIRE).values()
        if number != "all"
    }


def test_manual_page():
    manual = table(sources.read(sources.ROOT, "man/rtgc-protocol.7"))
    described = of_source(WIRE)
    differing = [name for name in described if manual.get(name) != described[name]]
    sources.expect_none(differing)
    assert set(manual) == set(described)


@pytest.mark.parametrize(
    "payload, bad",
    [
        ("8 u32 a, 12 u16 b, 16 u64 c", []),
        ("4 u32 a", ["X.a"]),
        ("8 u32 a, 10 u16 b", ["X.b"]),
        ("8 u16 a, 12 u64 b", ["X.b"]),
        ("16 u64 a, 24 u8 b", ["X.b"]),
        ("8 name32 a", ["X.a"]),
    ],
)
def test_the_check_finds(payload, bad):
    assert overlaps({"X": ("1", "24", payload)}) == bad


def test_tables_are_read():
    rows = " * type frame size\n *    1 A  16  8 u8 a,\n *          9 u8 b [1-]\n *    2 B   8  -\n *\n"
    expected = {"A": ("1", "16", "8 u8 a, 9 u8 b [1-]"), "B": ("2", "8", "-")}
    assert of_source(rows) == expected
    assert table(re.sub("(?m)^ [*] ?", "", rows)) == expected
