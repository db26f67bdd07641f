# SPDX-License-Identifier: MIT
# Calls of the C library that fail, one at a time: shim.c goes into the program under test by LD_PRELOAD.
check_LTLIBRARIES += tests/fault/shim.la
tests_fault_shim_la_SOURCES = tests/fault/shim.c tests/fault/shim.h
tests_fault_shim_la_CFLAGS = -std=gnu11 $(WARN_CFLAGS)
tests_fault_shim_la_LDFLAGS = -module -avoid-version -rpath /nowhere

fault_tests = \
	tests/fault/test_guard.py \
	tests/fault/test_restore.py \
	tests/fault/test_requests.py \
	tests/fault/test_start.py \
	tests/fault/test_ctl.py \
	tests/fault/test_library.py
TESTS += $(fault_tests)

# Every seventh call fails in make check, each one here.
.PHONY: fault
fault: all
	$(MAKE) check TESTS='$(fault_tests)' RTGC_FAULT_STRIDE=1

EXTRA_DIST += tests/fault/fault.py tests/fault/lsan.supp $(fault_tests)
