# SPDX-License-Identifier: MIT
# Tests of the real daemon over its real sockets. The harness serves every test that needs one.
daemon_tests = \
	tests/daemon/test_ask.py \
	tests/daemon/test_access.py \
	tests/daemon/test_config.py \
	tests/daemon/test_dead_peer.py \
	tests/daemon/test_control.py \
	tests/daemon/test_drain.py \
	tests/daemon/test_frames.py \
	tests/daemon/test_gates.py \
	tests/daemon/test_history.py \
	tests/daemon/test_http.py \
	tests/daemon/test_metrics.py \
	tests/daemon/test_mutations.py \
	tests/daemon/test_notify.py \
	tests/daemon/test_policies.py \
	tests/daemon/test_prometheus.py \
	tests/daemon/test_quotas.py \
	tests/daemon/test_restart.py \
	tests/daemon/test_start.py \
	tests/daemon/test_subscribe.py \
	tests/daemon/test_trace.py \
	tests/daemon/test_windows.py
TESTS += $(daemon_tests)
EXTRA_DIST += tests/harness.py tests/wall_clock.py tests/daemon/alerts.yml tests/daemon/balancer.py tests/daemon/common.py \
	tests/daemon/config_model.py tests/daemon/exposition.py tests/daemon/frames.py tests/daemon/http_client.py tests/daemon/swarming.py \
	$(daemon_tests)

check_PROGRAMS += tests/daemon/test_parts
TESTS += tests/daemon/test_parts
tests_daemon_test_parts_SOURCES = tests/daemon/test_parts.c
tests_daemon_test_parts_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_daemon_test_parts_LDADD = libdaemon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/daemon/test_shares
TESTS += tests/daemon/test_shares
tests_daemon_test_shares_SOURCES = tests/daemon/test_shares.c tests/unit/world.c tests/unit/world.h
tests_daemon_test_shares_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_daemon_test_shares_LDADD = libdaemon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/daemon/test_advice
TESTS += tests/daemon/test_advice
tests_daemon_test_advice_SOURCES = tests/daemon/test_advice.c
tests_daemon_test_advice_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_daemon_test_advice_LDADD = libdaemon.la $(CMOCKA_LIBS)

# Many heaps in one process, over the library.
check_PROGRAMS += tests/daemon/swarm
tests_daemon_swarm_SOURCES = tests/daemon/swarm.c
tests_daemon_swarm_LDFLAGS = $(AM_LDFLAGS) -no-install
tests_daemon_swarm_LDADD = libruntime.la
