# SPDX-License-Identifier: MIT
"""What is in the heap, by type."""

from typing import List, NamedTuple

from . import _rtgc


class TypeSummary(NamedTuple):
    """The objects of one type. bytes: sys.getsizeof() of all; share: of the heap's bytes."""

    name: str
    count: int
    bytes: int
    share: float


class HeapSummary(NamedTuple):
    """What rtgc.heap_summary() returns; printed, it is a table.

    objects, bytes: of the whole heap. pause_us: for how long every thread waited while it was
    counted. types: most bytes first, as many as were asked for; the others are in the sums.
    """

    objects: int
    bytes: int
    pause_us: int
    types: List[TypeSummary]

    def __str__(self):
        rows = [("TYPE", "OBJECTS", "BYTES", "SHARE")]
        rows += [(t.name, f"{t.count:,}", f"{t.bytes:,}", f"{t.share:.1%}") for t in self.types]
        rows.append(("all", f"{self.objects:,}", f"{self.bytes:,}", ""))
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = [
            (f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}").rstrip()
            for a, b, c, d in rows
        ]
        return "\n".join([*lines, f"(counted in {self.pause_us / 1000:.1f} ms)"])


def heap_summary(limit=20, untracked=False):
    """What is in this process's heap, by type: a HeapSummary, which prints as a table.

    limit: how many types, those with most bytes first; None: all. Bytes are
    sys.getsizeof()'s: the object itself, nothing it refers to; a __sizeof__() written in
    Python is not asked.

    Counted are the objects that the garbage collector tracks, frozen ones among them. With
    untracked=True also the others (str, bytes, int, float, tuples of such) that tracked
    ones lead to, each once; this takes several times as long, and memory for their addresses.

    Every thread waits meanwhile: some 20 ns an object that lies in a cache, 50 and more for one
    that does not. `rtgcctl heap-summary HEAP` has it done when the program is at rest. For
    the same without any pause: in a forked child.
    """
    if limit is not None and limit < 0:
        raise ValueError("limit is a number of types")
    objects, size, pause_us, rows = _rtgc.heap_summary(untracked)
    types = [TypeSummary(*row, row[2] / size if size else 0.0) for row in rows[:limit]]
    return HeapSummary(objects, size, pause_us, types)
