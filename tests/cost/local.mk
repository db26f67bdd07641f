# SPDX-License-Identifier: MIT
# What is gone all the time, in instructions.
check_PROGRAMS += tests/cost/paths
tests_cost_paths_SOURCES = tests/cost/paths.c
tests_cost_paths_LDADD = libruntime.la
TESTS += tests/cost/test_instructions.py
EXTRA_DIST += tests/cost/test_instructions.py tests/cost/instructions.json
