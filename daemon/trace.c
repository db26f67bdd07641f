/* SPDX-License-Identifier: MIT */
#include "daemon/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/eventlog.h"
#include "daemon/tell.h"
#include "daemon/varlink.h"

#define HEAPS_A_PAGE 100
#define OVERFLOW     "io.rtgcd.Supervisor.TraceOverflow"

struct trace {
	struct loop *loop;
	struct supervisor *core;
	struct tell *tell;
	const struct core_config *config;
	uint64_t epoch;
	unsigned cpus;
};

static void ended(struct listener *l)
{
	free(l);
}

static struct listener *listen(struct trace *t, struct varlink_call *call)
{
	struct listener *l = calloc(1, sizeof *l);

	if (!l)
		return NULL;
	l->kinds = TELL_ALL;
	l->overflow = OVERFLOW;
	l->ended = ended;
	tell_listen(t->tell, l, call);
	return l;
}

static void show_header(const struct trace *t, struct listener *l)
{
	struct eventlog_header header = {
		.rtgcd = PACKAGE_VERSION,
		.epoch = t->epoch,
		.cpus = t->cpus,
		.at = loop_now(t->loop),
		.config = *t->config,
	};

	listener_add(l, eventlog_write_header(&header));
}

static void show_heap(const struct trace *t, struct listener *l,
		      const struct core_snapshot *snapshot)
{
	for (unsigned i = 0; i < snapshot->n; i++) {
		const struct eventlog_entry entry = {
			.type = EVENTLOG_EVENT,
			.at = loop_now(t->loop),
			.snapshot = true,
			.event = snapshot->events[i],
		};

		listener_add(l, eventlog_write(&entry));
	}
}

/* The next heaps that are not shown yet, behind what was recorded of those before. */
static void show_page(const struct trace *t, struct listener *l)
{
	struct core_snapshot snapshot;

	listener_hear(l);
	for (unsigned n = 0; n < HEAPS_A_PAGE; n++) {
		if (!supervisor_snapshot_after(t->core, l->known, loop_now(t->loop),
					       &snapshot)) {
			l->known = UINT64_MAX;
			break;
		}
		l->known = snapshot.heap;
		show_heap(t, l, &snapshot);
	}
	if (l->known != UINT64_MAX) {
		json_t *again = json_object();

		l->lossy = l->lossy || !again;
		varlink_next_page(l->call, again);
	}
	listener_send(l);
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
	struct listener *l = tell_listener(t->tell, call);

	if (!l) {
		if (!acceptable(call, parameters))
			return;
		l = listen(t, call);
		if (!l) {
			varlink_reply(call, NULL);
			return;
		}
		show_header(t, l);
	}
	show_page(t, l);
}

void trace_config(struct trace *t, const struct core_config *config)
{
	t->config = config;
	tell_config(t->tell, config);
}

int trace_new(struct loop *loop, struct supervisor *core, struct tell *tell,
	      uint64_t epoch, unsigned cpus, struct trace **ret)
{
	struct trace *t = calloc(1, sizeof *t);

	if (!t)
		return -ENOMEM;
	t->loop = loop;
	t->core = core;
	t->tell = tell;
	t->epoch = epoch;
	t->cpus = cpus;
	*ret = t;
	return 0;
}

struct trace *trace_free(struct trace *t)
{
	free(t);
	return NULL;
}
