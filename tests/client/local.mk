# SPDX-License-Identifier: MIT
# The library as a program meets it: agent.c makes its calls, the .py files drive it.
check_PROGRAMS += tests/client/agent
tests_client_agent_SOURCES = tests/client/agent.c
tests_client_agent_LDFLAGS = $(AM_LDFLAGS) -no-install
tests_client_agent_LDADD = libruntime.la

EXTRA_DIST += \
	tests/client/agent.py \
	tests/client/conftest.py \
	tests/client/example.c \
	tests/client/hammer.c \
	tests/client/peer.py

CLIENT_TESTS = \
	tests/client/test_connect.py \
	tests/client/test_daemon.py \
	tests/client/test_example.py \
	tests/client/test_faults.py \
	tests/client/test_fork.py \
	tests/client/test_holders.py \
	tests/client/test_held_up.py \
	tests/client/test_threads.py \
	tests/client/test_slice.py \
	tests/client/test_window.py
TESTS += $(CLIENT_TESTS)
EXTRA_DIST += $(CLIENT_TESTS)
