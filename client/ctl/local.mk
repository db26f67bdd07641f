# SPDX-License-Identifier: MIT
# rtgcctl: a client of the control socket. Only simulate shares code with the daemon: its core.
bin_PROGRAMS += rtgcctl
rtgcctl_SOURCES = \
	client/ctl/call.c client/ctl/call.h \
	client/ctl/collect.c \
	client/ctl/complete.c client/ctl/complete.h \
	client/ctl/config.c \
	client/ctl/ctl.c client/ctl/ctl.h \
	client/ctl/explain.c \
	client/ctl/field.c client/ctl/field.h \
	client/ctl/heap_summary.c \
	client/ctl/heaps.c \
	client/ctl/hold.c \
	client/ctl/main.c \
	client/ctl/metrics.c \
	client/ctl/release.c \
	client/ctl/reload.c \
	client/ctl/services.c \
	client/ctl/show.c client/ctl/show.h \
	client/ctl/simulate.c client/ctl/simulate.h \
	client/ctl/simulate_figures.c \
	client/ctl/simulate_heap.c \
	client/ctl/simulate_history.c \
	client/ctl/simulate_keys.c \
	client/ctl/simulate_log.c \
	client/ctl/simulate_run.c \
	client/ctl/status.c \
	client/ctl/table.c client/ctl/table.h \
	client/ctl/text.c client/ctl/text.h \
	client/ctl/trace.c \
	client/ctl/verbs.c \
	client/ctl/whatif.c client/ctl/whatif.h \
	client/ctl/windows.c
rtgcctl_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
rtgcctl_LDADD = libreplay.la libcore.la $(JANSSON_LIBS)
