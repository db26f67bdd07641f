# SPDX-License-Identifier: MIT
# Hostile clients: small in make check, at full size in make stress.
check_PROGRAMS += tests/stress/storm
tests_stress_storm_SOURCES = tests/stress/storm.c
tests_stress_storm_LDADD = libwire.la

check_LTLIBRARIES += tests/stress/turns.la
tests_stress_turns_la_SOURCES = tests/stress/turns.c
tests_stress_turns_la_CFLAGS = -std=gnu11 -D_GNU_SOURCE $(WARN_CFLAGS)
tests_stress_turns_la_LDFLAGS = -module -avoid-version -rpath /nowhere

TESTS += tests/stress/test_stress.py
EXTRA_DIST += tests/stress/test_stress.py tests/stress/attacks.py tests/stress/run.py

STRESS =
QUICK =
.PHONY: stress
stress: all tests/stress/storm tests/stress/turns.la $(safety_programs)
	$(PYTHON) -B $(srcdir)/tests/stress/run.py --build . --results stress-results $(if $(QUICK),--quick) --parts $(STRESS)
