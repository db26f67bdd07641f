# SPDX-License-Identifier: MIT
# The Python module in real interpreters, with the real daemon or with none.
PYTHON_TESTS = \
	tests/python/test_api.py \
	tests/python/test_cost.py \
	tests/python/test_fail_open.py \
	tests/python/test_gate.py \
	tests/python/test_hooks.py \
	tests/python/test_freeze.py \
	tests/python/test_launch.py \
	tests/python/test_others.py \
	tests/python/test_packages.py \
	tests/python/test_pool.py \
	tests/python/test_pools.py \
	tests/python/test_processes.py \
	tests/python/test_servers.py \
	tests/python/test_together.py \
	tests/python/test_summary.py \
	tests/python/test_windows.py
TESTS += $(PYTHON_TESTS)
EXTRA_DIST += tests/python/program.py tests/python/servers.py $(PYTHON_TESTS)
