# SPDX-License-Identifier: MIT
# The Python module in real interpreters, with the real daemon or with none.
PYTHON_TESTS = \
	tests/python/test_api.py \
	tests/python/test_cost.py \
	tests/python/test_fail_open.py \
	tests/python/test_forks.py \
	tests/python/test_gate.py \
	tests/python/test_gthread.py \
	tests/python/test_hooks.py \
	tests/python/test_freeze.py \
	tests/python/test_full.py \
	tests/python/test_launch.py \
	tests/python/test_budgets.py \
	tests/python/test_others.py \
	tests/python/test_peers.py \
	tests/python/test_packages.py \
	tests/python/test_pool.py \
	tests/python/test_pools.py \
	tests/python/test_processes.py \
	tests/python/test_robust.py \
	tests/python/test_select.py \
	tests/python/test_servers.py \
	tests/python/test_stress.py \
	tests/python/test_together.py \
	tests/python/test_tsan.py \
	tests/python/test_snapshot.py \
	tests/python/test_snapshot_graphs.py \
	tests/python/test_snapshot_processes.py \
	tests/python/test_snapshot_traps.py \
	tests/python/test_summary.py \
	tests/python/test_windows.py \
	tests/python/test_young.py
TESTS += $(PYTHON_TESTS)
EXTRA_DIST += tests/python/busy.py tests/python/program.py tests/python/servers.py tests/python/trap.c $(PYTHON_TESTS)
EXTRA_DIST += \
	tests/python/peers/differences.txt \
	tests/python/peers/peers.py \
	tests/python/peers/sitecustomize.py \
	tests/python/stress/graph.py \
	tests/python/stress/kinds.py \
	tests/python/stress/stress.py

# CPython's own tests under rtgc: all of them, some 20 minutes. TESTS_OF_CPYTHON names some.
run_peers = RTGC_SRCDIR='$(abs_top_srcdir)' PYTHON='$(PYTHON)' $(PYTHON) -B \
	$(srcdir)/tests/python/peers/peers.py --build .
run_stress = RTGC_SRCDIR='$(abs_top_srcdir)' PYTHON='$(PYTHON)' $(PYTHON) -B \
	$(srcdir)/tests/python/stress/stress.py --build .
.PHONY: peers
peers: all
	$(AM_V_at)$(run_peers) --results peers-results $(TESTS_OF_CPYTHON)
