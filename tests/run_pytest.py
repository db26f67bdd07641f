# SPDX-License-Identifier: MIT
"""Runs one file of pytest tests for make check: run_pytest.py FILE [ARGUMENT…].

A shell starts what it puts into the background with SIGINT ignored, and so would every program under
test be; here it is what it is for a program somebody starts. A file of which every test was skipped
is skipped itself: exit status 77.
"""
import signal
import sys

import pytest


class Skipped:
    def pytest_sessionfinish(self, session, exitstatus):
        stats = session.config.pluginmanager.get_plugin("terminalreporter").stats
        if exitstatus == 0 and stats.get("skipped") and not stats.get("passed"):
            session.exitstatus = 77


signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(pytest.main(["-q", "-rs", "-p", "no:cacheprovider", "--tb=short", *sys.argv[1:]], plugins=[Skipped()]))
