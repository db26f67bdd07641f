# SPDX-License-Identifier: MIT
# What a replay needs besides the core: the log and the keys of the configuration.
noinst_LTLIBRARIES += libreplay.la
libreplay_la_SOURCES = \
	daemon/config.h \
	daemon/config_gates.c daemon/config_gates.h \
	daemon/config_keys.c daemon/config_keys.h \
	daemon/config_limits.c daemon/config_limits.h \
	daemon/config_show.c daemon/config_show.h \
	daemon/eventlog.c daemon/eventlog.h \
	daemon/eventlog_fields.c daemon/eventlog_fields.h \
	daemon/eventlog_lines.c daemon/eventlog_lines.h \
	daemon/http_address.c daemon/http_address.h \
	daemon/units.c daemon/units.h
libreplay_la_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)

# The daemon: everything but main.c is an archive, which the unit tests link too.
noinst_LTLIBRARIES += libdaemon.la
libdaemon_la_SOURCES = \
	daemon/advice.c daemon/advice.h \
	daemon/ask.c daemon/ask.h \
	daemon/bind.c daemon/bind.h \
	daemon/buffer.c daemon/buffer.h \
	daemon/clock.c daemon/clock.h \
	daemon/config.c daemon/config.h \
	daemon/config_files.c daemon/config_files.h \
	daemon/control.c daemon/control.h \
	daemon/control_pauses.c daemon/control_pauses.h \
	daemon/control_show.c daemon/control_show.h \
	daemon/daemon.c daemon/daemon.h \
	daemon/drain.c daemon/drain.h \
	daemon/guard.c daemon/guard.h daemon/guard_job.c daemon/guard_private.h \
	daemon/haproxy.c daemon/haproxy.h \
	daemon/history.c daemon/history.h \
	daemon/hot.c daemon/hot.h \
	daemon/hot_frame.c daemon/hot_private.h \
	daemon/http.c daemon/http.h \
	daemon/http_client.c daemon/http_memory.c daemon/http_private.h \
	daemon/http_listen.c \
	daemon/keep.c daemon/keep.h \
	daemon/listener.c daemon/listener.h \
	daemon/log.c daemon/log.h \
	daemon/machine.c daemon/machine.h \
	daemon/loop.c daemon/loop.h \
	daemon/metrics.c daemon/metrics.h \
	daemon/metrics_call.c daemon/metrics_call.h \
	daemon/metrics_families.c daemon/metrics_private.h \
	daemon/metrics_text.c \
	daemon/metrics_web.c daemon/metrics_web.h \
	daemon/notify.c daemon/notify.h \
	daemon/page.c daemon/page.h \
	daemon/parameters.c daemon/parameters.h \
	daemon/peer.c daemon/peer.h \
	daemon/pressure.c daemon/pressure.h \
	daemon/refused.c daemon/refused.h \
	daemon/session.c daemon/session.h \
	daemon/session_private.h \
	daemon/session_receive.c \
	daemon/session_queue.c daemon/session_queue.h \
	daemon/session_restore.c \
	daemon/session_window.c \
	daemon/sessions.c \
	daemon/state.c daemon/state.h \
	daemon/subscribe.c daemon/subscribe.h \
	daemon/table.c daemon/table.h \
	daemon/tell.c daemon/tell.h daemon/tell_log.c daemon/tell_log.h \
	daemon/trace.c daemon/trace.h \
	daemon/varlink.c daemon/varlink.h \
	daemon/varlink_ask.c \
	daemon/varlink_private.h \
	daemon/varlink_reply.c \
	daemon/varlink_message.c daemon/varlink_message.h \
	daemon/varlink_service.c daemon/varlink_service.h \
	daemon/web.c daemon/web.h \
	daemon/web_page.c daemon/web_page.h
nodist_libdaemon_la_SOURCES = daemon/interface.h daemon/web_files.h
libdaemon_la_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(SYSTEMD_CFLAGS) $(JANSSON_CFLAGS) $(INIH_CFLAGS)
libdaemon_la_LIBADD = libreplay.la libcore.la $(EVENT_LIBS) $(SYSTEMD_LIBS) $(JANSSON_LIBS) $(INIH_LIBS)

sbin_PROGRAMS += rtgcd
rtgcd_SOURCES = daemon/main.c
rtgcd_LDADD = libdaemon.la

# The interface's text, as a string of C.
EXTRA_DIST += daemon/io.rtgcd.Supervisor.varlink
CLEANFILES += daemon/interface.h
BUILT_SOURCES += daemon/interface.h
$(libdaemon_la_OBJECTS): | daemon/interface.h
daemon/interface.h: daemon/io.rtgcd.Supervisor.varlink
	$(AM_V_GEN)$(MKDIR_P) daemon && { \
		echo 'static const char interface_description[] ='; \
		$(SED) -e 's/[\\"]/\\&/g' -e 's/.*/	"&\\n"/' $(srcdir)/daemon/io.rtgcd.Supervisor.varlink; \
		echo '	;'; } >$@.tmp && mv $@.tmp $@

# The live page, as arrays of C.
web_sources = \
	daemon/web/base.css \
	daemon/web/embed.py \
	daemon/web/events.js \
	daemon/web/feed.js \
	daemon/web/icon.svg \
	daemon/web/index.html \
	daemon/web/model.js \
	daemon/web/page.css \
	daemon/web/page.js \
	daemon/web/panel.js \
	daemon/web/text.js \
	daemon/web/timeline.js \
	daemon/web/trace.css \
	daemon/web/trace.html \
	daemon/web/trace.js
run_embed = $(AM_V_GEN)$(MKDIR_P) $(@D) && \
	$(PYTHON) -B $(srcdir)/daemon/web/embed.py $(1) $(srcdir)/daemon/web >$@.tmp && mv $@.tmp $@
EXTRA_DIST += $(web_sources)
CLEANFILES += daemon/web_files.h
BUILT_SOURCES += daemon/web_files.h
$(libdaemon_la_OBJECTS): | daemon/web_files.h
daemon/web_files.h: $(web_sources)
	$(call run_embed,page)
