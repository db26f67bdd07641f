# SPDX-License-Identifier: MIT
# Checks of the sources and of what was built from them: layers, purity, licence, size, format.
META_TESTS = \
	tests/meta/test_format.py \
	tests/meta/test_layers.py \
	tests/meta/test_manual.py \
	tests/meta/test_packages.py \
	tests/meta/test_protocol.py \
	tests/meta/test_purity.py \
	tests/meta/test_source.py
TESTS += $(META_TESTS)
EXTRA_DIST += tests/meta/sources.py $(META_TESTS)
