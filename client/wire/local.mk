# SPDX-License-Identifier: MIT
noinst_LTLIBRARIES += libwire.la
libwire_la_SOURCES = \
	client/wire/list.h \
	client/wire/names.c client/wire/names.h \
	client/wire/nsec.h \
	client/wire/page.c client/wire/page.h \
	client/wire/wire.c client/wire/wire.h
