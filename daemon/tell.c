/* SPDX-License-Identifier: MIT */
#include "daemon/tell.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/eventlog.h"
#include "daemon/eventlog_lines.h"
#include "daemon/hot.h"
#include "daemon/varlink.h"

#define LINES_MOST     256 /* in one reply */
#define LISTENERS_MOST 1   /* in one turn: the others wait, not the heaps */

struct tell {
	struct loop *loop;
	struct supervisor *core;
	struct hot *hot;
	struct loop_timer timer; /* those who were not told in this turn */
	struct list listeners;
	struct list pending; /* those for whom there are lines */
	struct list round; /* those who are told in this round, as far as they were not */
	struct core_who leaves; /* who has left last, or is about to */
	/* The last reply that was made, and of what: most listeners are told the same. */
	json_t *told;
	char *text;
};

/* ---- who hears what --------------------------------------------------------------------- */

uint32_t tell_kind(const char *name)
{
	for (const struct eventlog_line *e = eventlog_events; e->name; e++) {
		if (strcmp(e->name, name) == 0)
			return TELL_EVENT(e->type);
	}
	for (const struct eventlog_line *a = eventlog_actions; a->name; a++) {
		if (strcmp(a->name, name) == 0)
			return TELL_ACTION(a->type);
	}
	return strcmp(name, "config") == 0 ? TELL_CONFIG : 0;
}

static bool is_called(const struct core_who *who, const char *heap)
{
	char *end;

	if (strcmp(who->name, heap) == 0)
		return true;
	return *heap >= '0' && *heap <= '9' && strtoull(heap, &end, 10) == who->heap &&
	       !*end;
}

bool listener_hears(const struct listener *l, const struct core_who *who)
{
	if (!varlink_sees(l->call, who->uid))
		return false;
	if (l->service && strcmp(l->service, who->service) != 0)
		return false;
	return !l->heap || (who->heap && is_called(who, l->heap));
}

/* Who that is or was; NULL: there is nobody. */
static const struct core_who *who_is(struct tell *t, uint64_t heap, struct core_who *room)
{
	if (supervisor_who(t->core, heap, loop_now(t->loop), room))
		return room;
	return t->leaves.heap == heap ? &t->leaves : NULL;
}

/* who: NULL for what is of no heap, or of one that has gone. */
static bool is_for(const struct listener *l, uint64_t heap, uint32_t kind,
		   const struct core_who *who)
{
	if (heap > l->known || !(l->kinds & kind))
		return false;
	return who ? listener_hears(l, who)
		   : varlink_sees_all(l->call) && !l->service && !l->heap;
}

/* ---- sending ---------------------------------------------------------------------------- */

/* (Lines that are remembered are still there, so that another one is another pointer.) */
static bool same(const json_t *a, const json_t *b)
{
	size_t n = json_array_size(a);

	if (n == 0 || n != json_array_size(b))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (json_array_get(a, i) != json_array_get(b, i))
			return false;
	}
	return true;
}

static void forget_text(struct tell *t)
{
	json_decref(t->told);
	free(t->text);
	t->told = NULL;
	t->text = NULL;
}

/* NULL: memory has run out. */
static const char *text_of(struct tell *t, json_t *lines)
{
	if (!same(t->told, lines)) {
		forget_text(t);
		t->told = json_incref(lines);
		t->text = varlink_push_text(json_pack("{s:O}", "events", lines));
	}
	return t->text;
}

/* What it is to be told in this round, and what has come since. */
json_t *listener_take(struct listener *l)
{
	json_t *lines = l->lines;

	if (l->telling) {
		lines = json_copy(l->telling);
		if (json_array_extend(lines, l->lines) < 0)
			l->lossy = true;
		json_decref(l->telling);
		json_decref(l->lines);
		l->telling = NULL;
	}
	list_unlink(&l->pending);
	l->lines = json_array();
	if (!l->lossy)
		return lines;
	json_decref(lines);
	return NULL;
}

/* NULL: memory has run out. */
static json_t *part_of(json_t *lines, size_t from)
{
	json_t *part = json_array();

	for (size_t i = from; i < json_array_size(lines) && i < from + LINES_MOST; i++) {
		if (json_array_append(part, json_array_get(lines, i)) < 0) {
			json_decref(part);
			return NULL;
		}
	}
	return part;
}

/* lines are stolen; NULL: memory has run out. This may be its end. */
static void push(struct listener *l, json_t *lines)
{
	bool listens = lines || varlink_push(l->call, NULL, l->overflow);

	for (size_t i = 0; listens && i < json_array_size(lines); i += LINES_MOST) {
		json_t *part = part_of(lines, i);

		listens = varlink_push(l->call, part ? text_of(l->tell, part) : NULL,
				       l->overflow);
		json_decref(part);
	}
	json_decref(lines);
}

void listener_send(struct listener *l)
{
	push(l, listener_take(l));
}

static void append(struct listener *l, json_t *line)
{
	if (json_array_append(l->lines, line) < 0)
		l->lossy = true;
	if (list_empty(&l->pending))
		list_append(&l->tell->pending, &l->pending);
}

void listener_add(struct listener *l, json_t *line)
{
	append(l, line);
	json_decref(line);
}

static void begin_round(struct tell *t)
{
	list_for_each_safe (link, next, &t->pending) {
		struct listener *l = list_entry(link, struct listener, pending);

		l->telling = l->lines;
		l->lines = json_array();
		list_unlink(&l->pending);
		list_append(&t->round, &l->pending);
	}
}

static void tell_first(struct tell *t)
{
	struct listener *l = list_entry(t->round.next, struct listener, pending);
	json_t *lines = l->telling;

	l->telling = NULL;
	list_unlink(&l->pending);
	if (json_array_size(l->lines) > 0)
		list_append(&t->pending, &l->pending);
	if (l->lossy) {
		json_decref(lines);
		lines = NULL;
	}
	push(l, lines);
}

/*
 * A thousand that listen are told in many turns, between which heaps are served. What happens meanwhile follows
 * when all have been told, so that those who hear the same go on hearing the same, and it is put into words once.
 */
void tell_flush(struct tell *t)
{
	if (list_empty(&t->round))
		begin_round(t);
	for (unsigned n = 0; n < LISTENERS_MOST && !list_empty(&t->round); n++)
		tell_first(t);
	if (list_empty(&t->round))
		forget_text(t);
	if (!list_empty(&t->round) || !list_empty(&t->pending))
		loop_timer_set(&t->timer, loop_now(t->loop));
}

/* It is enough that there is another turn. */
static void on_timer(void *userdata, nsec_t now)
{
	(void)userdata;
	(void)now;
}

/* ---- recording -------------------------------------------------------------------------- */

/* Heaps that were not shown yet will be, as they are then. */
static void record(struct tell *t, uint64_t heap, uint32_t kind,
		   const struct eventlog_entry *entry)
{
	struct core_who room;
	const struct core_who *who = heap ? who_is(t, heap, &room) : NULL;
	json_t *line = NULL;

	list_for_each (link, &t->listeners) {
		struct listener *l = list_entry(link, struct listener, link);

		if (!is_for(l, heap, kind, who))
			continue;
		if (!line)
			line = eventlog_write(entry);
		append(l, line);
	}
	json_decref(line);
}

static void on_leaving(void *userdata, uint64_t heap)
{
	struct tell *t = userdata;

	supervisor_who(t->core, heap, loop_now(t->loop), &t->leaves);
}

static void on_event(void *userdata, const struct event *event)
{
	struct tell *t = userdata;
	struct eventlog_entry entry = {
		.type = EVENTLOG_EVENT, .at = loop_now(t->loop), .event = *event};

	record(t, event->heap, TELL_EVENT(event->type), &entry);
}

static void on_action(void *userdata, const struct action *action)
{
	struct tell *t = userdata;
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
	record(t, action->heap, TELL_ACTION(action->type), &entry);
}

void tell_config(struct tell *t, const struct core_config *config)
{
	struct eventlog_entry entry = {
		.type = EVENTLOG_CONFIG, .at = loop_now(t->loop), .config = *config};

	record(t, 0, TELL_CONFIG, &entry);
}

/* ---- listening -------------------------------------------------------------------------- */

static void listener_deinit(struct listener *l)
{
	struct tell *t = l->tell;

	list_unlink(&l->link);
	list_unlink(&l->pending);
	json_decref(l->lines);
	json_decref(l->telling);
	l->lines = l->telling = NULL;
	if (list_empty(&t->listeners))
		hot_record(t->hot, NULL, NULL);
}

/* The connection is over. */
static void on_ended(void *userdata)
{
	struct listener *l = userdata;

	listener_deinit(l);
	l->ended(l);
}

struct listener *tell_listener(const struct tell *t, const struct varlink_call *call)
{
	list_for_each (link, &t->listeners) {
		struct listener *l = list_entry(link, struct listener, link);

		if (l->call == call)
			return l;
	}
	return NULL;
}

void tell_listen(struct tell *t, struct listener *l, struct varlink_call *call)
{
	static const struct hot_recorder recorder = {
		.event = on_event,
		.action = on_action,
		.leaving = on_leaving,
	};

	l->tell = t;
	l->call = call;
	l->lines = json_array();
	l->telling = NULL;
	l->lossy = false;
	list_init(&l->pending);
	list_append(&t->listeners, &l->link);
	varlink_stream(call, on_ended, l);
	hot_record(t->hot, &recorder, t);
}

int tell_new(struct loop *loop, struct supervisor *core, struct hot *hot,
	     struct tell **ret)
{
	struct tell *t = calloc(1, sizeof *t);
	int r;

	if (!t)
		return -ENOMEM;
	list_init(&t->listeners);
	list_init(&t->pending);
	list_init(&t->round);
	t->loop = loop;
	t->core = core;
	t->hot = hot;
	r = loop_timer_init(loop, &t->timer, on_timer, t);
	if (r < 0) {
		free(t);
		return r;
	}
	*ret = t;
	return 0;
}

struct tell *tell_free(struct tell *t)
{
	if (!t)
		return NULL;
	loop_timer_deinit(&t->timer);
	forget_text(t);
	free(t);
	return NULL;
}
