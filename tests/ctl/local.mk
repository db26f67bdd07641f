# SPDX-License-Identifier: MIT
check_PROGRAMS += tests/ctl/test_text
tests_ctl_test_text_SOURCES = \
	tests/ctl/test_text.c \
	client/ctl/ctl.c client/ctl/ctl.h \
	client/ctl/text.c client/ctl/text.h
tests_ctl_test_text_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(CMOCKA_CFLAGS)
tests_ctl_test_text_LDADD = $(JANSSON_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/ctl/test_whatif
tests_ctl_test_whatif_SOURCES = \
	tests/ctl/test_whatif.c \
	client/ctl/ctl.c client/ctl/ctl.h \
	client/ctl/field.c client/ctl/field.h \
	client/ctl/text.c client/ctl/text.h \
	client/ctl/whatif.c client/ctl/whatif.h
tests_ctl_test_whatif_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(CMOCKA_CFLAGS)
tests_ctl_test_whatif_LDADD = $(JANSSON_LIBS) $(CMOCKA_LIBS)

ctl_tests = \
	tests/ctl/test_completion.py \
	tests/ctl/test_ctl.py \
	tests/ctl/test_examples.py \
	tests/ctl/test_hostile.py \
	tests/ctl/test_installed.py \
	tests/ctl/test_readme.py \
	tests/ctl/test_simulate.py \
	tests/ctl/test_tables.py
TESTS += tests/ctl/test_text tests/ctl/test_whatif $(ctl_tests)
EXTRA_DIST += tests/ctl/answering.py tests/ctl/joined.py tests/ctl/lockstep.events tests/ctl/lockstep.py \
	tests/ctl/screen.py $(ctl_tests)
