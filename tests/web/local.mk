# SPDX-License-Identifier: MIT
# The live page, and the file of rtgcctl trace --format=html, in a real browser.
TESTS += tests/web/test_page.py tests/web/test_trace_page.py
EXTRA_DIST += tests/web/browser.py tests/web/test_page.py tests/web/test_trace_page.py
