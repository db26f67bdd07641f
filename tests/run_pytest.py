# SPDX-License-Identifier: MIT
"""Runs one file of pytest tests for make check: run_pytest.py FILE [ARGUMENT…].

A shell starts what it puts into the background with SIGINT ignored, and so would every program under
test be; here it is what it is for a program somebody starts.
"""
import signal
import sys

import pytest

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(pytest.main(["-q", "-rs", "-p", "no:cacheprovider", "--tb=short", *sys.argv[1:]]))
