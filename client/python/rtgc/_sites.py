# SPDX-License-Identifier: MIT
"""Who allocates what the collector has to track."""

import time
from typing import Dict, NamedTuple

from . import _rtgc


class AllocationSite(NamedTuple):
    """A line that makes tracked objects. share: of all samples; types: name -> share of what
    was newest in the heap then."""

    filename: str
    lineno: int
    function: str
    share: float
    types: Dict[str, float]

    def __str__(self):
        types = ", ".join(f"{name} {share:.0%}" for name, share in self.types.items())
        return f"{self.share:6.1%}  {self.filename}:{self.lineno} {self.function}()  {types}"


def type_name(kind):
    """As rtgc.heap_summary() has it."""
    module, name = getattr(kind, "__module__", None), getattr(kind, "__qualname__", "?")
    return name if module == "builtins" or not isinstance(module, str) else f"{module}.{name}"


def sample(seconds=1, during=None):
    """(how many samples, [AllocationSite, …])"""
    _rtgc.sites_begin()
    try:
        if during is None:
            time.sleep(seconds)
        else:
            during()
    finally:
        samples, rows = _rtgc.sites_end()
    sites = []
    for filename, lineno, function, count, types in rows:
        seen = sum(n for _, n in types)
        shares = {}
        for kind, n in sorted(types, key=lambda item: -item[1]):
            name = type_name(kind)
            shares[name] = shares.get(name, 0) + n / seen
        sites.append(AllocationSite(filename, lineno, function, count / samples, shares))
    return samples, sorted(sites, key=lambda site: -site.share)


def allocation_sites(seconds=1, during=None):
    """Who allocates tracked objects: a list of AllocationSite(filename, lineno, function, share,
    types), the biggest share first.

    Watches the other threads for so many seconds, or runs `during()` and watches that. Each time
    the youngest generation is full (gc.get_threshold()[0] objects more made than freed) the
    line that is running is taken down, with the types of the newest objects: no allocation is
    wrapped or slowed down. So a line that makes objects and frees them at once, never holding
    many, is seen rarely, for the collector hardly notices it. Since CPython 3.12 the collector
    starts at the end of a loop's turn or a call: the line may be that of the end.

    Without a sample (too little was made, or gc.disable()) the list is empty.
    """
    return sample(seconds, during)[1]
