# SPDX-License-Identifier: MIT
"""For the processes that multiprocessing starts afresh: supervised as well, where the
runner of CPython's own tests wants it."""

import os
import sys

if os.environ.get("RTGC_PEERS") == "with" and any(
    word.startswith("from multiprocessing.") for word in sys.orig_argv
):
    import rtgc

    rtgc.supervise()
