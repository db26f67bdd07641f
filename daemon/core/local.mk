# SPDX-License-Identifier: MIT
noinst_LTLIBRARIES += libcore.la
libcore_la_SOURCES = \
	daemon/core/reason.c daemon/core/reason.h \
	daemon/core/supervisor.c daemon/core/supervisor.h
