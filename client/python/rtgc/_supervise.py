# SPDX-License-Identifier: MIT
"""Beginning to supervise, and the hooks around the waiting calls."""

import atexit
import functools
import gc
import os
import select
import selectors
import sys
import warnings

from . import _hooks, _memory, _rtgc

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_COLLECTORS = {"auto": 0, "window": 1, "snapshot": 2}  # enum heap_collector
FORK_LIMIT = 0.025  # seconds
_given = None  # what supervise() was called with
_inherited = None  # a spawned child's: what its parent's heap is called
_freeze = False  # gc.freeze() in a server's master before it forks
_program = None  # the program's name, where sys.argv does not tell it


def program_name():
    """What the service, and the heap before its PID, are called by default."""
    name = _program or os.path.basename(sys.argv[0] if hasattr(sys, "argv") else "")
    if name in ("", "-", "-c", "-m"):
        name = os.path.basename(sys.executable or "") or "python"
    if name.endswith(".py") and name != ".py":
        name = name[:-3]
    name = "".join(c if c.isprintable() else "?" for c in name)
    return name.encode("utf-8", "replace")[:48].decode("utf-8", "ignore")


def _part_of_memory(text):
    """Bytes of "80%"."""
    number = text[:-1].strip()
    if not number.isdecimal() or not 0 < int(number) <= 100:
        raise ValueError(f"not a share of the memory: {text!r} (1% to 100%)")
    limit, _ = _memory.limit()
    if limit is None:
        raise ValueError(f"{text!r} of what? The memory's size is not known here: give bytes")
    return limit * int(number) // 100


def parse_budget(budget):
    """Bytes of "512M", "2G", "80%", 1000000; 0 for None: counted in objects."""
    if budget is None:
        return 0
    number, factor = budget, 1
    if isinstance(budget, str):
        text = budget.strip().upper()
        if text.endswith("%"):
            return _part_of_memory(text)
        if text.endswith("B") and text[:-1]:
            text = text[:-1]
        suffix = text[-1:] if text[-1:] in _UNITS else ""
        factor = _UNITS[suffix]
        text = text[: len(text) - len(suffix)].strip()
        if not text.isdecimal():
            raise ValueError(f"not a size: {budget!r} (512M, 2G, or a number of bytes)")
        number = int(text)
    elif isinstance(budget, bool) or not isinstance(budget, int):
        raise TypeError("a budget is a number of bytes or a text such as \"2G\"")
    if not 0 < number * factor < 1 << 63:
        raise ValueError(f"not a size: {budget!r}")
    return number * factor


def parse_collector(collector):
    """The number of "auto", "window", "snapshot", or of $RTGC_COLLECTOR for None."""
    if collector is None:
        collector = os.environ.get("RTGC_COLLECTOR") or "auto"
    if collector not in _COLLECTORS:
        raise ValueError(f"not a collector: {collector!r} ({', '.join(_COLLECTORS)})")
    return _COLLECTORS[collector]


def parse_fork_limit(limit):
    """Seconds, or what $RTGC_FORK_LIMIT says for None."""
    if limit is None:
        limit = os.environ.get("RTGC_FORK_LIMIT") or FORK_LIMIT
    seconds = float(limit)
    if not seconds >= 0:
        raise ValueError(f"not a time: {limit!r}")
    return seconds


def _hook(owner, name, timeout_index, wakeable):
    call = getattr(owner, name)
    if (getattr(call, "__module__", None) or "").startswith("gevent."):
        return  # there a greenlet waits, and not the thread
    if not isinstance(call, _rtgc.Rest):
        # CPython's own is small enough to be done in C, and is the same in these versions.
        known = wakeable and sys.version_info < (3, 14) and call.__module__ == "selectors"
        hook = _rtgc.Rest(call, timeout_index, wakeable, owner if known else None)
        functools.update_wrapper(hook, call)
        setattr(owner, name, hook)


_FORK_WARNING = r".*multi-threaded, use of \w+\(\)"


def _before_fork():
    """CPython 3.12 warns when a process with threads forks, and counts those of the kernel.
    Ours are made for fork(): a program with one thread of its own is not to be warned."""
    ours = [f for f in warnings.filters if getattr(f[1], "pattern", None) == _FORK_WARNING]
    alone = len(sys._current_frames()) == 1
    supervised = _rtgc.status()["state"] != "unsupervised"
    if alone and supervised and not (ours and warnings.filters[0] is ours[0]):
        warnings.filterwarnings("ignore", _FORK_WARNING, DeprecationWarning)
    elif ours and not (alone and supervised):
        for item in ours:
            warnings.filters.remove(item)
        warnings._filters_mutated()


@functools.lru_cache(maxsize=None)
def _install():
    """Once in a process, and for good: an unsupervised process passes through the hooks."""
    for name in ("EpollSelector", "PollSelector", "SelectSelector", "DevpollSelector"):
        selector = getattr(selectors, name, None)
        # A class that inherits select() is served by its parent's.
        if selector is not None:
            call = selector.__dict__.get("select")
            if call is None:
                selector, call = next(
                    (base, base.__dict__["select"])
                    for base in selector.__mro__
                    if "select" in base.__dict__
                )
            _hook(selector, "select", 1, name == "EpollSelector")
    _hook(select, "select", 3, False)
    os.register_at_fork(after_in_child=_rtgc.after_fork_child)
    if sys.version_info >= (3, 12):
        os.register_at_fork(before=_before_fork)
    atexit.register(_rtgc.close)
    _hooks.install()


def _refuse_second():
    """Two copies of this module would each take the other's threshold for the program's."""
    for callback in gc.callbacks:
        module = getattr(callback, "__self__", None)
        name, file = getattr(module, "__name__", None), getattr(module, "__file__", None)
        if name == _rtgc.__name__ and file != _rtgc.__file__:
            raise RuntimeError("another copy of the module rtgc supervises this process")


def _open(given):
    _refuse_second()
    program = program_name()
    _rtgc.open(
        service=given[0] or os.environ.get("RTGC_SERVICE") or program,
        heap=given[2] or os.environ.get("RTGC_HEAP"),
        program=program,
        budget=given[1],
        collector=parse_collector(given[3]),
        fork_limit=parse_fork_limit(given[4]),
        memory_limit=_memory.limit()[0] or 0,
    )


def supervise(service=None, budget=None, heap=None, collector=None, fork_limit=None):
    """Take over the full collections of this process.

    service: the name of the group it belongs to; default $RTGC_SERVICE, else the program's
    name. heap: its own name; default $RTGC_HEAP, else PROGRAM-PID. budget: what the resident
    set may reach, in bytes or as "512M", "2G", or as "80%" of what the control group allows
    (memory.max, memory.high; version 1: memory.limit_in_bytes), of the machine's memory where
    there is no limit.

    Without a budget the heap is counted in objects, and its budget is CPython's own rule: a
    quarter of the objects that survived the last full collection, at least 100,000; that holds in
    a control group with a limit, too, since cycles up to a share of the limit are no use. With one
    the budget alone decides; when a collection leaves more than that, it moves up with what
    is left, for collecting again would not help.

    collector: how full collections are made. "window": by CPython, where the daemon lets them
    pause the process. "snapshot": a child made by fork() finds the garbage while the process goes
    on, which then frees it in steps of a millisecond; each fork stops it for a moment, the longer
    the more memory it has. "auto" (the default, or $RTGC_COLLECTOR): what suits; snapshots where nothing
    can be drained for a pause and the fork takes at most fork_limit seconds (0.025, or $RTGC_FORK_LIMIT).
    Where snapshots do not work, windows are used, and status()["snapshots"]["refused"] says why.

    A forked child supervises itself anew, under NAME-PID. Calling it again with the same
    arguments, or none, changes nothing; with others it begins anew.
    """
    global _given
    given = (service, parse_budget(budget), heap, collector, fork_limit)
    parse_collector(collector), parse_fork_limit(fork_limit)
    if _given is not None and _rtgc.status()["state"] != "unsupervised":
        if given in (_given, (None, 0, None, None, None)):
            return
        given = tuple(
            old if new is None or new == "" or (new == 0 and i == 1) else new
            for i, (new, old) in enumerate(zip(given, _given))
        )
        if given == _given:
            return
        _rtgc.close()
    _install()
    try:
        _open(given)
    except BaseException:
        if _given is not None:
            _open(_given)
        raise
    _given = given


def _prefix():
    """What the name of a child's heap begins with; None: the program's name."""
    return _inherited or (_given and _given[2]) or os.environ.get("RTGC_HEAP")


def inherit(given, program, prefix):
    """In a process that multiprocessing has started anew: as a forked one would."""
    global _inherited, _program
    _inherited, _program = prefix, program
    name = prefix and prefix.encode("utf-8")[:48].decode("utf-8", "ignore")
    try:
        supervise(given[0], given[1] or None, name and f"{name}-{os.getpid()}", *given[3:])
    except OSError:
        pass  # no thread, no memory: CPython's own policy, as with no daemon


class critical:
    """with rtgc.critical(): no collection in a window in here.

    Bounded by the ceiling: when the heap's budget is used up, it is collected all the same.
    Young generations go on. May be nested; holds for the whole process.
    """

    __slots__ = ()

    def __enter__(self):
        _rtgc.enter_critical()
        return self

    def __exit__(self, *exception):
        _rtgc.leave_critical()
