# SPDX-License-Identifier: MIT
# libruntime. The convenience archive is what the unit tests link; the shared library is the same code.
noinst_LTLIBRARIES += libclient.la
libclient_la_SOURCES = \
	client/answer.c \
	client/client.c client/client.h \
	client/collect.c \
	client/figures.c \
	client/fork.c \
	client/guard.c client/guard.h \
	client/late.c \
	client/link.c client/link.h \
	client/options.c client/options.h \
	client/pages.c client/pages.h \
	client/reconnect.c client/reconnect.h \
	client/rtgc.h \
	client/session.c \
	client/slice.c client/slice.h \
	client/window.c
libclient_la_CFLAGS = $(AM_CFLAGS) -fvisibility=hidden
libclient_la_LIBADD = libwire.la

lib_LTLIBRARIES += libruntime.la
libruntime_la_SOURCES =
libruntime_la_LIBADD = libclient.la
libruntime_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 \
	-Wl,--version-script=$(top_srcdir)/client/libruntime.sym
libruntime_la_DEPENDENCIES = libclient.la client/libruntime.sym
include_HEADERS += client/rtgc.h
pkgconfig_DATA += client/libruntime.pc
EXTRA_DIST += client/libruntime.sym
