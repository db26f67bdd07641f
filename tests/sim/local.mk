# SPDX-License-Identifier: MIT
# The core among modelled heaps, in virtual time.
SIM_SOURCES = tests/sim/model.c tests/sim/model.h

check_PROGRAMS += tests/sim/test_sim
TESTS += tests/sim/test_sim
tests_sim_test_sim_SOURCES = tests/sim/test_sim.c $(SIM_SOURCES)
tests_sim_test_sim_LDADD = libcore.la -lm
