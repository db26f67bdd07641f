# SPDX-License-Identifier: MIT
# The window protocol as a Promela model, searched by spin.
TESTS += tests/model/test_window.py
EXTRA_DIST += tests/model/window.pml tests/model/test_window.py
