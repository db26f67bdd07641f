# SPDX-License-Identifier: MIT
# The load program and its test.
noinst_PROGRAMS += tests/bench/rtgc-load
tests_bench_rtgc_load_SOURCES = \
	tests/bench/load.c tests/bench/load.h \
	tests/bench/load_report.c \
	tests/bench/http.c tests/bench/http.h

TESTS += tests/bench/test_load.py
EXTRA_DIST += tests/bench/test_load.py
