# SPDX-License-Identifier: MIT
# The live page, and the file of rtgcctl trace --format=html, in a real browser.
TESTS += tests/web/test_page.py tests/web/test_trace_page.py
web_packages = $(srcdir)/tests/web/package.json $(srcdir)/tests/web/package-lock.json
EXTRA_DIST += tests/web/browser.py tests/web/driver.mjs tests/web/test_page.py tests/web/test_trace_page.py $(web_packages)

# playwright-core, of that version and checksum. Where npm cannot bring it, these tests are skipped, and say what it said.
tests/web/test_page.log tests/web/test_trace_page.log: tests/web/npm.log
tests/web/npm.log: $(web_packages)
	$(AM_V_GEN)$(MKDIR_P) tests/web && cd tests/web && rm -rf node_modules && \
	for f in package.json package-lock.json; do \
		test '$(abs_srcdir)'/tests/web/$$f -ef $$f || cp -f '$(abs_srcdir)'/tests/web/$$f . || exit 1; \
	done && \
	if npm ci --ignore-scripts --no-audit --no-fund >npm.log 2>&1; then :; else rm -rf node_modules; fi

clean-local: clean-web
.PHONY: clean-web
clean-web:
	rm -rf tests/web/node_modules tests/web/npm.log
	test '$(srcdir)' = . || rm -f tests/web/package.json tests/web/package-lock.json
