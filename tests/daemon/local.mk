# SPDX-License-Identifier: MIT
# Tests of the real daemon over its real sockets. The harness serves every test that needs one.
EXTRA_DIST += tests/harness.py
