# SPDX-License-Identifier: MIT
# The core among modelled heaps, in virtual time.
SIM_SOURCES = tests/sim/gates.c tests/sim/invariants.c tests/sim/model.c tests/sim/model.h tests/sim/populate.c

check_PROGRAMS += tests/sim/test_sim
TESTS += tests/sim/test_sim
tests_sim_test_sim_SOURCES = tests/sim/test_sim.c $(SIM_SOURCES)
tests_sim_test_sim_LDADD = libcore.la -lm

check_PROGRAMS += tests/sim/test_claims
TESTS += tests/sim/test_claims
tests_sim_test_claims_SOURCES = tests/sim/test_claims.c $(SIM_SOURCES)
tests_sim_test_claims_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_sim_test_claims_LDADD = libcore.la $(CMOCKA_LIBS) -lm

check_PROGRAMS += tests/sim/test_yield
TESTS += tests/sim/test_yield
tests_sim_test_yield_SOURCES = tests/sim/test_yield.c $(SIM_SOURCES)
tests_sim_test_yield_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_sim_test_yield_LDADD = libcore.la $(CMOCKA_LIBS) -lm

TESTS += tests/sim/test_mutations.py
EXTRA_DIST += tests/sim/test_mutations.py

check_PROGRAMS += tests/sim/scale
tests_sim_scale_SOURCES = tests/sim/scale.c
tests_sim_scale_LDADD = libcore.la -lm
TESTS += tests/sim/test_scale.py
EXTRA_DIST += tests/sim/test_scale.py

check_PROGRAMS += tests/sim/day
tests_sim_day_SOURCES = tests/sim/day.c $(SIM_SOURCES)
tests_sim_day_LDADD = libcore.la -lm
