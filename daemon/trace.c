/* SPDX-License-Identifier: MIT */
#include "daemon/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/wire/list.h"
#include "daemon/eventlog.h"
#include "daemon/hot.h"
#include "daemon/log.h"
#include "daemon/varlink.h"

#define HEAPS_A_PAGE 100
#define LINES_MOST   256 /* in one reply */
#define OVERFLOW     "io.rtgcd.Supervisor.TraceOverflow"

struct trace {
	struct loop *loop;
	struct supervisor *core;
	struct hot *hot;
	const struct core_config *config;
	uint64_t epoch;
	unsigned cpus;
	struct list listeners;
};

struct listener {
	struct trace *trace;
	struct list link;
	struct varlink_call *call;
	json_t *lines;	/* for the next reply */
	bool lossy;	/* memory has run out for one of them */
	uint64_t known; /* heaps up to this id were shown; UINT64_MAX: all */
};

/* ---- Recording ------------------------------------------------------------------------- */

static void listener_free(struct listener *l)
{
	struct trace *t = l->trace;

	list_unlink(&l->link);
	json_decref(l->lines);
	free(l);
	if (list_empty(&t->listeners))
		hot_record(t->hot, NULL, NULL);
}

/* The connection is over. */
static void ended(void *userdata)
{
	listener_free(userdata);
}

/* May free the listener, by ended(). */
static void send_lines(struct listener *l)
{
	json_t *lines = l->lines;

	if (l->lossy) {
		varlink_push(l->call, NULL, OVERFLOW);
		return;
	}
	if (json_array_size(lines) == 0)
		return;
	l->lines = json_array();
	varlink_push(l->call, json_pack("{s:o}", "events", lines), OVERFLOW);
}

static void add_line(struct listener *l, json_t *line)
{
	if (json_array_append(l->lines, line) < 0)
		l->lossy = true;
	if (l->lossy || json_array_size(l->lines) >= LINES_MOST)
		send_lines(l);
}

/* Heaps that were not shown yet will be, as they are then. */
static void record(struct trace *t, uint64_t heap, const struct eventlog_entry *entry)
{
	json_t *line = eventlog_write(entry);

	list_for_each_safe (link, next, &t->listeners) {
		struct listener *l = list_entry(link, struct listener, link);

		if (heap <= l->known)
			add_line(l, line);
	}
	json_decref(line);
}

static void on_event(void *userdata, const struct event *event)
{
	struct trace *t = userdata;
	struct eventlog_entry entry = {
		.type = EVENTLOG_EVENT, .at = loop_now(t->loop), .event = *event};

	record(t, event->heap, &entry);
}

static void on_action(void *userdata, const struct action *action)
{
	struct trace *t = userdata;
	struct eventlog_entry entry = {
		.type = EVENTLOG_ACTION,
		.at = loop_now(t->loop),
		.action = {.action = *action, .wanted = NSEC_NEVER},
	};
	struct core_window w;

	if (!eventlog_tells(action->type))
		return;
	if (action->type == ACTION_REVOKE || action->type == ACTION_CLOSE)
		entry.action.reason = (enum reason)action->revoke.reason;
	if (action->type == ACTION_OPEN &&
	    supervisor_window_after(t->core, action->heap - 1, &w) &&
	    w.id == action->window.window) {
		entry.action.reason = w.reason;
		entry.action.over_limit = w.over_limit;
		entry.action.wanted = w.wanted;
	}
	record(t, action->heap, &entry);
}

void trace_config(struct trace *t, const struct core_config *config)
{
	struct eventlog_entry entry = {
		.type = EVENTLOG_CONFIG, .at = loop_now(t->loop), .config = *config};

	t->config = config;
	if (!list_empty(&t->listeners))
		record(t, 0, &entry);
}

void trace_flush(struct trace *t)
{
	list_for_each_safe (link, next, &t->listeners)
		send_lines(list_entry(link, struct listener, link));
}

/* ---- Listening -------------------------------------------------------------------------- */

static struct listener *find_listener(struct trace *t, const struct varlink_call *call)
{
	list_for_each (link, &t->listeners) {
		struct listener *l = list_entry(link, struct listener, link);

		if (l->call == call)
			return l;
	}
	return NULL;
}

static struct listener *listen(struct trace *t, struct varlink_call *call)
{
	static const struct hot_recorder recorder = {
		.event = on_event,
		.action = on_action,
	};
	struct listener *l = calloc(1, sizeof *l);

	if (!l)
		return NULL;
	l->trace = t;
	l->call = call;
	l->lines = json_array();
	list_append(&t->listeners, &l->link);
	varlink_stream(call, ended, l);
	hot_record(t->hot, &recorder, t);
	return l;
}

static void show_header(struct listener *l)
{
	const struct trace *t = l->trace;
	struct eventlog_header header = {
		.rtgcd = PACKAGE_VERSION,
		.epoch = t->epoch,
		.cpus = t->cpus,
		.at = loop_now(t->loop),
		.config = *t->config,
	};

	if (json_array_append_new(l->lines, eventlog_write_header(&header)) < 0)
		l->lossy = true;
}

static void show_heap(struct listener *l, const struct core_snapshot *snapshot)
{
	for (unsigned i = 0; i < snapshot->n; i++) {
		const struct eventlog_entry entry = {
			.type = EVENTLOG_EVENT,
			.at = loop_now(l->trace->loop),
			.snapshot = true,
			.event = snapshot->events[i],
		};

		if (json_array_append_new(l->lines, eventlog_write(&entry)) < 0)
			l->lossy = true;
	}
}

/* The next heaps that are not shown yet, behind what was recorded of those before. */
static void show_page(struct listener *l)
{
	struct trace *t = l->trace;
	struct core_snapshot snapshot;
	struct varlink_call *call = l->call;

	for (unsigned n = 0; n < HEAPS_A_PAGE; n++) {
		if (!supervisor_snapshot_after(t->core, l->known, loop_now(t->loop),
					       &snapshot)) {
			l->known = UINT64_MAX;
			break;
		}
		l->known = snapshot.heap;
		show_heap(l, &snapshot);
	}
	if (l->known != UINT64_MAX) {
		json_t *again = json_object();

		l->lossy = l->lossy || !again;
		varlink_next_page(call, again);
	}
	send_lines(l);
}

static bool acceptable(struct varlink_call *call, json_t *parameters)
{
	const char *format = json_string_value(json_object_get(parameters, "format"));
	const char *key;
	json_t *value;

	json_object_foreach(parameters, key, value)
	{
		if (strcmp(key, "format") != 0) {
			varlink_invalid(call, key);
			return false;
		}
	}
	if (!format || strcmp(format, "events") != 0)
		varlink_invalid(call, "format");
	else if (!varlink_wants_more(call))
		varlink_error(call, "org.varlink.service.ExpectedMore", json_object());
	else if (!varlink_sees_all(call))
		varlink_error(call, "org.varlink.service.PermissionDenied",
			      json_object());
	else
		return true;
	return false;
}

void trace_call(struct trace *t, struct varlink_call *call, json_t *parameters)
{
	struct listener *l = find_listener(t, call);

	if (!l) {
		if (!acceptable(call, parameters))
			return;
		/* What happened before is not for this one. */
		trace_flush(t);
		l = listen(t, call);
		if (!l) {
			varlink_reply(call, NULL);
			return;
		}
		show_header(l);
	}
	show_page(l);
}

int trace_new(struct loop *loop, struct supervisor *core, struct hot *hot, uint64_t epoch,
	      unsigned cpus, struct trace **ret)
{
	struct trace *t = calloc(1, sizeof *t);

	if (!t)
		return -ENOMEM;
	t->loop = loop;
	t->core = core;
	t->hot = hot;
	t->epoch = epoch;
	t->cpus = cpus;
	list_init(&t->listeners);
	*ret = t;
	return 0;
}

struct trace *trace_free(struct trace *t)
{
	if (!t)
		return NULL;
	list_for_each_safe (link, next, &t->listeners)
		listener_free(list_entry(link, struct listener, link));
	free(t);
	return NULL;
}
