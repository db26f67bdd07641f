# SPDX-License-Identifier: MIT
"""multiprocessing: children that are started anew (spawn, forkserver) are supervised as forked
ones are."""

import os

from . import _hooks, _rtgc, _supervise

# Runs in the child before anything of the program, and must not fail there.
_BEGIN = """
import sys
sys.path.append(folder)
try:
    from rtgc import _supervise
    _supervise.inherit(given, program, prefix)
except ImportError:
    pass
finally:
    sys.path.remove(folder)
"""


class _Inherited:
    """Unpickled in the child, it begins to supervise there."""

    def __init__(self, names):
        self.names = names

    def __reduce__(self):
        return exec, (_BEGIN, self.names)


def arrived(module):
    def make(get_preparation_data):
        def wrapper(name):
            data = get_preparation_data(name)
            if _supervise._given is not None and _rtgc.status()["state"] != "unsupervised":
                folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
                data["rtgc"] = _Inherited({
                    "given": _supervise._given, "folder": folder,
                    "program": _supervise.program_name(), "prefix": _supervise._prefix()})
            return data

        return wrapper

    _hooks.wrap(module, "get_preparation_data", make)
