# SPDX-License-Identifier: MIT
"""How much memory this process may use: its control group's limit, or the machine's memory."""

import os


def _number(path):
    """The number in the file; None: there is none ("max", not there, not to be read)."""
    try:
        with open(path, encoding="ascii") as file:
            text = file.read().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdecimal() else None


def _least(root, path, names):
    """The least of the limits of that group and those above it."""
    limits = []
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    for depth in range(len(parts), -1, -1):
        for name in names:
            limits.append(_number(os.path.join(root, *parts[:depth], name)))
    # Version 1 says "no limit" by a number that no machine has.
    return min((n for n in limits if n is not None and 0 < n < 1 << 60), default=None)


def cgroup_limit(membership="/proc/self/cgroup", root="/sys/fs/cgroup"):
    """Bytes that the control group allows; None: no limit. Version 2: the least of memory.max and
    memory.high, its own and those above it; version 1: memory.limit_in_bytes."""
    try:
        with open(membership, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    found = []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and controllers == "":
            found.append(_least(root, path, ("memory.max", "memory.high")))
        elif "memory" in controllers.split(","):
            found.append(
                _least(os.path.join(root, "memory"), path, ("memory.limit_in_bytes",))
            )
    return min((n for n in found if n is not None), default=None)


def machine_memory(meminfo="/proc/meminfo"):
    """Bytes of RAM; None: not known."""
    try:
        with open(meminfo, encoding="ascii") as file:
            for line in file:
                if line.startswith("MemTotal:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def limit():
    """What a budget in per cent is of: (bytes, "cgroup" or "machine"); (None, None)."""
    group, machine = cgroup_limit(), machine_memory()
    if group is not None and (machine is None or group < machine):
        return group, "cgroup"
    return machine, "machine" if machine is not None else None
