# SPDX-License-Identifier: MIT
noinst_LTLIBRARIES += libcore.la
libcore_la_SOURCES = \
	daemon/core/accuracy.c daemon/core/accuracy.h \
	daemon/core/action.c \
	daemon/core/admit.c daemon/core/admit.h \
	daemon/core/budget.c daemon/core/budget.h \
	daemon/core/canary.c daemon/core/canary.h \
	daemon/core/configure.c \
	daemon/core/contention.c daemon/core/contention.h \
	daemon/core/decide.c \
	daemon/core/demand.c daemon/core/demand.h \
	daemon/core/direct.c \
	daemon/core/grant.c \
	daemon/core/heap.c daemon/core/heap.h daemon/core/heap_lead.c \
	daemon/core/histogram.c daemon/core/histogram.h \
	daemon/core/history.c daemon/core/history.h \
	daemon/core/lease.c \
	daemon/core/look.c \
	daemon/core/members.c \
	daemon/core/memory.c daemon/core/memory.h \
	daemon/core/predict.c daemon/core/predict.h \
	daemon/core/quota.c daemon/core/quota.h \
	daemon/core/rate.c daemon/core/rate.h \
	daemon/core/reason.c daemon/core/reason.h \
	daemon/core/recent.c daemon/core/recent.h \
	daemon/core/rivals.c daemon/core/rivals.h \
	daemon/core/round.c \
	daemon/core/run.c \
	daemon/core/service.c daemon/core/service.h \
	daemon/core/state.h \
	daemon/core/supervisor.c daemon/core/supervisor.h \
	daemon/core/timers.c daemon/core/timers.h \
	daemon/core/yield.c daemon/core/yield.h
libcore_la_LIBADD = libwire.la -lm
