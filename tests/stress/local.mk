# SPDX-License-Identifier: MIT
# Hostile clients: small in make check, at full size in make stress.
check_PROGRAMS += tests/stress/storm
tests_stress_storm_SOURCES = tests/stress/storm.c
tests_stress_storm_LDADD = libwire.la

TESTS += tests/stress/test_stress.py
EXTRA_DIST += tests/stress/test_stress.py tests/stress/attacks.py tests/stress/run.py

STRESS = crowd half-open descriptors subscribers telemetry
.PHONY: stress
stress: all tests/stress/storm
	$(PYTHON) -B $(srcdir)/tests/stress/run.py --build . --results stress-results --parts $(STRESS)
