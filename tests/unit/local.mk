# SPDX-License-Identifier: MIT
# One cmocka program for each part; all are linked and run the same way.
UNIT_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
