# SPDX-License-Identifier: MIT
# One cmocka program for each part; all are linked and run the same way.
UNIT_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)

check_PROGRAMS += tests/unit/test_wire
TESTS += tests/unit/test_wire
tests_unit_test_wire_SOURCES = tests/unit/test_wire.c tests/unit/golden.c tests/unit/golden.h
tests_unit_test_wire_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_wire_LDADD = libwire.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_names
TESTS += tests/unit/test_names
tests_unit_test_names_SOURCES = tests/unit/test_names.c
tests_unit_test_names_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_names_LDADD = libwire.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_page
TESTS += tests/unit/test_page
tests_unit_test_page_SOURCES = tests/unit/test_page.c
tests_unit_test_page_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_page_LDADD = libwire.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_core
TESTS += tests/unit/test_core
tests_unit_test_core_SOURCES = tests/unit/test_core.c tests/unit/world.c tests/unit/world.h
tests_unit_test_core_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_core_LDADD = libcore.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_changed
TESTS += tests/unit/test_changed
tests_unit_test_changed_SOURCES = tests/unit/test_changed.c tests/unit/world.c tests/unit/world.h
tests_unit_test_changed_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_changed_LDADD = libcore.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_lease
TESTS += tests/unit/test_lease
tests_unit_test_lease_SOURCES = tests/unit/test_lease.c tests/unit/world.c tests/unit/world.h
tests_unit_test_lease_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_lease_LDADD = libcore.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_canary
TESTS += tests/unit/test_canary
tests_unit_test_canary_SOURCES = tests/unit/test_canary.c tests/unit/world.c tests/unit/world.h
tests_unit_test_canary_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_canary_LDADD = libcore.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_round
TESTS += tests/unit/test_round
tests_unit_test_round_SOURCES = tests/unit/test_round.c tests/unit/world.c tests/unit/world.h
tests_unit_test_round_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_round_LDADD = libcore.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_parts
TESTS += tests/unit/test_parts
tests_unit_test_parts_SOURCES = tests/unit/test_parts.c tests/unit/world.h
tests_unit_test_parts_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_parts_LDADD = libcore.la $(CMOCKA_LIBS) -lm

check_PROGRAMS += tests/unit/test_predict
TESTS += tests/unit/test_predict
tests_unit_test_predict_SOURCES = tests/unit/test_predict.c tests/unit/world.h
tests_unit_test_predict_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_predict_LDADD = libcore.la $(CMOCKA_LIBS) -lm
EXTRA_DIST += tests/traces/record.py tests/traces/steady.csv tests/traces/growing.csv \
	tests/traces/bursts.csv tests/traces/documents.csv \
	tests/traces/entries.csv tests/traces/batches.csv

check_PROGRAMS += tests/unit/test_core_random
TESTS += tests/unit/test_core_random
tests_unit_test_core_random_SOURCES = tests/unit/test_core_random.c tests/unit/world.h
tests_unit_test_core_random_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_core_random_LDADD = libcore.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_guard
TESTS += tests/unit/test_guard
tests_unit_test_guard_SOURCES = tests/unit/test_guard.c
tests_unit_test_guard_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_guard_LDADD = libclient.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_eventlog
TESTS += tests/unit/test_eventlog
tests_unit_test_eventlog_SOURCES = tests/unit/test_eventlog.c
tests_unit_test_eventlog_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_eventlog_LDADD = libdaemon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_core_policies
TESTS += tests/unit/test_core_policies
tests_unit_test_core_policies_SOURCES = tests/unit/test_core_policies.c tests/unit/world.c tests/unit/world.h
tests_unit_test_core_policies_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_core_policies_LDADD = libcore.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_core_snapshots
TESTS += tests/unit/test_core_snapshots
tests_unit_test_core_snapshots_SOURCES = tests/unit/test_core_snapshots.c tests/unit/world.c tests/unit/world.h
tests_unit_test_core_snapshots_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_core_snapshots_LDADD = libcore.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_budget
TESTS += tests/unit/test_budget
tests_unit_test_budget_SOURCES = tests/unit/test_budget.c tests/unit/world.c tests/unit/world.h
tests_unit_test_budget_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_budget_LDADD = libcore.la $(CMOCKA_LIBS) -lm

check_PROGRAMS += tests/unit/test_quota
TESTS += tests/unit/test_quota
tests_unit_test_quota_SOURCES = tests/unit/test_quota.c
tests_unit_test_quota_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_quota_LDADD = libcore.la $(CMOCKA_LIBS)

# What an operator orders.
check_PROGRAMS += tests/unit/test_orders
TESTS += tests/unit/test_orders
tests_unit_test_orders_SOURCES = tests/unit/test_orders.c tests/unit/world.c tests/unit/world.h
tests_unit_test_orders_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_orders_LDADD = libcore.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_contention
TESTS += tests/unit/test_contention
tests_unit_test_contention_SOURCES = tests/unit/test_contention.c
tests_unit_test_contention_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_contention_LDADD = libcore.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_yield
TESTS += tests/unit/test_yield
tests_unit_test_yield_SOURCES = tests/unit/test_yield.c
tests_unit_test_yield_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_yield_LDADD = libcore.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_tell_log
TESTS += tests/unit/test_tell_log
tests_unit_test_tell_log_SOURCES = tests/unit/test_tell_log.c
tests_unit_test_tell_log_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_tell_log_LDADD = libdaemon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_late
TESTS += tests/unit/test_late
tests_unit_test_late_SOURCES = tests/unit/test_late.c
tests_unit_test_late_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_late_LDADD = libclient.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_slice
TESTS += tests/unit/test_slice
tests_unit_test_slice_SOURCES = tests/unit/test_slice.c
tests_unit_test_slice_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_slice_LDADD = libclient.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_reconnect
TESTS += tests/unit/test_reconnect
tests_unit_test_reconnect_SOURCES = tests/unit/test_reconnect.c
tests_unit_test_reconnect_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_reconnect_LDADD = libclient.la $(CMOCKA_LIBS)
