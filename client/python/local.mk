# SPDX-License-Identifier: MIT
# The Python module rtgc: a C extension over libruntime and a thin package around it.
rtgcmoddir = $(rtgcpythondir)/rtgc
rtgcmod_LTLIBRARIES = client/python/_rtgc.la
client_python__rtgc_la_SOURCES = \
	client/python/answer.c client/python/answer.h \
	client/python/collector.c client/python/collector.h \
	client/python/changes.c client/python/changes.h \
	client/python/epoll_select.c client/python/epoll_select.h \
	client/python/figures.c client/python/figures.h \
	client/python/forked.c client/python/forked.h \
	client/python/freeze.c client/python/freeze.h \
	client/python/full.c client/python/full.h \
	client/python/gclist.c client/python/gclist.h \
	client/python/gate.c client/python/gate.h \
	client/python/gcstate.c client/python/gcstate.h \
	client/python/heap.c client/python/heap.h \
	client/python/helper.c client/python/helper.h \
	client/python/listen.c client/python/listen.h \
	client/python/internal.h \
	client/python/module.c \
	client/python/pauses.c client/python/pauses.h \
	client/python/pool.c client/python/pool.h \
	client/python/ptrmap.c client/python/ptrmap.h \
	client/python/record.c client/python/record.h \
	client/python/rest.c client/python/rest.h \
	client/python/snapshot.c client/python/snapshot.h \
	client/python/snapshot_child.c client/python/snapshot_child.h \
	client/python/snapshot_module.c client/python/snapshot_module.h \
	client/python/snapshot_reap.c client/python/snapshot_reap.h \
	client/python/snapshot_table.c client/python/snapshot_table.h \
	client/python/snapshot_trial.c client/python/snapshot_trial.h \
	client/python/snapshot_walk.c client/python/snapshot_walk.h \
	client/python/servers.c client/python/servers.h \
	client/python/sites.c client/python/sites.h \
	client/python/slack.c client/python/slack.h \
	client/python/summary.c client/python/summary.h \
	client/python/threshold.c client/python/threshold.h \
	client/python/young.c client/python/young.h \
	client/slice.c client/slice.h
client_python__rtgc_la_CPPFLAGS = $(AM_CPPFLAGS) $(PYTHON_CPPFLAGS)
client_python__rtgc_la_CFLAGS = $(AM_CFLAGS) -fvisibility=hidden
client_python__rtgc_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared
client_python__rtgc_la_LIBADD = libruntime.la

rtgcmod_python = \
	client/python/rtgc/__init__.py client/python/rtgc/__init__.pyi \
	client/python/rtgc/__main__.py \
	client/python/rtgc/_advise.py \
	client/python/rtgc/_aiohttp.py \
	client/python/rtgc/_freeze.py \
	client/python/rtgc/_gevent.py \
	client/python/rtgc/_gunicorn.py \
	client/python/rtgc/_hooks.py \
	client/python/rtgc/_listen.py \
	client/python/rtgc/_memory.py \
	client/python/rtgc/_multiprocessing.py \
	client/python/rtgc/_rtgc.pyi \
	client/python/rtgc/_sites.py \
	client/python/rtgc/_summary.py \
	client/python/rtgc/_supervise.py \
	client/python/rtgc/_uvicorn.py \
	client/python/rtgc/_uvloop.py \
	client/python/rtgc/_web.py \
	client/python/rtgc/_wsgi.py \
	client/python/rtgc/gunicorn.py \
	client/python/rtgc/py.typed
rtgcmod_DATA = $(rtgcmod_python)
EXTRA_DIST += $(rtgcmod_python)

# The package as it will be installed, for PYTHONPATH=client/python/stage.
rtgc_stage = client/python/stage
noinst_DATA = $(rtgc_stage)/.stamp
$(rtgc_stage)/.stamp: client/python/_rtgc.la $(rtgcmod_python)
	$(AM_V_GEN)$(MKDIR_P) $(rtgc_stage)/rtgc && \
	for file in $(rtgcmod_python); do \
		rm -f $(rtgc_stage)/rtgc/$${file##*/} && \
		$(LN_S) $(abs_top_srcdir)/$$file $(rtgc_stage)/rtgc/$${file##*/} || exit 1; \
	done && \
	rm -f $(rtgc_stage)/rtgc/_rtgc.so && \
	$(LN_S) $(abs_top_builddir)/client/python/.libs/_rtgc.so $(rtgc_stage)/rtgc/_rtgc.so && \
	touch $@

clean-local: clean-rtgc-stage
.PHONY: clean-rtgc-stage
clean-rtgc-stage:
	rm -rf $(rtgc_stage)
