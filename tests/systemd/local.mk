# SPDX-License-Identifier: MIT
# The installed daemon under a real systemd, in a container; skipped where none can be booted.
systemd_tests = \
	tests/systemd/test_packages.py \
	tests/systemd/test_systemd.py
TESTS += $(systemd_tests)
EXTRA_DIST += tests/systemd/box.py $(systemd_tests)
