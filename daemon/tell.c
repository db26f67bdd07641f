/* SPDX-License-Identifier: MIT */
#include "daemon/tell.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/eventlog.h"
#include "daemon/eventlog_lines.h"
#include "daemon/hot.h"
#include "daemon/tell_log.h"
#include "daemon/varlink.h"

#define LINES_MOST 8 /* in one reply, and told in one round */
/*
 * In one turn one listener is told, which takes no longer than what heaps say in it, and looks at what happened are so
 * many; then listeners wait, not heaps.
 */
#define LOOKS_MOST 1024
/* Then others have the CPU, which the daemon would keep for a slice of the scheduler's. */
#define REST (120 * NSEC_PER_USEC)

struct tell {
	struct loop *loop;
	struct supervisor *core;
	struct hot *hot;
	struct loop_timer timer; /* those who were not told in this turn */
	struct list listeners;
	struct list round; /* those of them who were not yet told in this round */
	uint32_t kinds;	   /* that anybody has wanted to hear since nobody listened */
	struct tell_log log;
	uint64_t round_end;
	struct core_who leaves; /* who has left last, or is about to */
	/* The last reply that was made, and of what: most listeners are told the same. */
	json_t *told;
	char *text;
	nsec_t rests_until;
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

/* (What is of no heap, or of one that nobody knows any more, is for those who see all.) */
static bool is_for(const struct listener *l, const struct tell_entry *e)
{
	if (e->who.heap > l->known || !(l->kinds & e->kind))
		return false;
	return e->of_somebody ? listener_hears(l, &e->who)
			      : varlink_sees_all(l->call) && !l->service && !l->heap;
}

/* (A configuration is put into words at once: its services are not ours.) */
static json_t *line_of(struct tell_entry *e)
{
	if (!e->line)
		e->line = eventlog_write(&e->what);
	return e->line;
}

/* Adds what was until that place, and is for it. */
static void hear_until(struct listener *l, uint64_t count)
{
	struct tell *t = l->tell;

	if (l->heard < t->log.first) {
		l->slow = true;
		l->heard = t->log.first;
	}
	for (; l->heard < count; l->heard++) {
		struct tell_entry *e = tell_log_at(&t->log, l->heard);

		if (is_for(l, e) && json_array_append(l->lines, line_of(e)) < 0)
			l->lossy = true;
	}
}

void listener_hear(struct listener *l)
{
	hear_until(l, l->tell->log.end);
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

json_t *listener_take(struct listener *l)
{
	json_t *lines = l->lines;

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

/* What there is. This may be its end. */
static void push(struct listener *l)
{
	json_t *lines = l->lines;
	bool listens = true;

	if (l->slow || l->lossy || !lines) {
		if (l->slow)
			varlink_cut(l->call, l->overflow);
		else
			varlink_push(l->call, NULL, l->overflow);
		return;
	}
	l->lines = json_array();
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
	listener_hear(l);
	push(l);
}

void listener_add(struct listener *l, json_t *line)
{
	if (json_array_append_new(l->lines, line) < 0)
		l->lossy = true;
}

static void begin_round(struct tell *t)
{
	list_for_each_safe (link, next, &t->listeners) {
		struct listener *l = list_entry(link, struct listener, link);

		if (list_empty(&l->in_round))
			list_append(&t->round, &l->in_round);
	}
	t->round_end = t->log.end - t->log.first < LINES_MOST ? t->log.end
							      : t->log.first + LINES_MOST;
}

static void end_round(struct tell *t)
{
	tell_log_drop(&t->log, t->round_end);
	forget_text(t);
}

/* What it costs in looks. */
static uint64_t tell_first(struct tell *t, bool *told)
{
	struct listener *l = list_entry(t->round.next, struct listener, in_round);
	uint64_t looks = 1 + (l->heard < t->round_end ? t->round_end - l->heard : 0);

	list_unlink(&l->in_round);
	hear_until(l, t->round_end);
	if (l->slow || l->lossy || json_array_size(l->lines) > 0) {
		*told = true;
		push(l);
	}
	return looks;
}

/*
 * A thousand that listen are told in many turns, between which heaps are served. What happens meanwhile follows
 * when all have been told, so that those who hear the same go on hearing the same, and it is put into words once.
 */
void tell_flush(struct tell *t)
{
	nsec_t now = loop_now(t->loop);
	uint64_t looks = 0;
	bool told = false;

	while (now >= t->rests_until && t->log.first < t->log.end && !told &&
	       looks < LOOKS_MOST) {
		if (list_empty(&t->round))
			begin_round(t);
		if (!list_empty(&t->round))
			looks += tell_first(t, &told);
		if (list_empty(&t->round))
			end_round(t);
	}
	if (t->log.first < t->log.end && looks > 0)
		t->rests_until = nsec_add(now, REST);
	if (t->log.first < t->log.end)
		loop_timer_set(&t->timer, t->rests_until);
}

/* It is enough that there is another turn. */
static void on_timer(void *userdata, nsec_t now)
{
	(void)userdata;
	(void)now;
}

/* ---- recording -------------------------------------------------------------------------- */

/* One turn's work does not grow by those who listen. */
static struct tell_entry *record(struct tell *t, uint64_t heap, uint32_t kind,
				 const struct eventlog_entry *what)
{
	struct core_who room;
	const struct core_who *who;
	struct tell_entry *e;

	if (!(t->kinds & kind))
		return NULL;
	who = heap ? who_is(t, heap, &room) : NULL;
	e = tell_log_add(&t->log);
	if (!e)
		return NULL;
	*e = (struct tell_entry){.kind = kind, .of_somebody = who, .what = *what};
	if (who)
		e->who = *who;
	e->who.heap = heap;
	return e;
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

	struct tell_entry *e = record(t, 0, TELL_CONFIG, &entry);

	if (e)
		line_of(e);
}

/* ---- listening -------------------------------------------------------------------------- */

static void listener_deinit(struct listener *l)
{
	struct tell *t = l->tell;

	list_unlink(&l->link);
	list_unlink(&l->in_round);
	json_decref(l->lines);
	l->lines = NULL;
	if (!list_empty(&t->listeners))
		return;
	hot_record(t->hot, NULL, NULL);
	tell_log_deinit(&t->log);
	forget_text(t);
	t->kinds = 0;
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
	l->heard = t->log.end;
	l->lossy = l->slow = false;
	list_init(&l->in_round);
	list_append(&t->listeners, &l->link);
	t->kinds |= l->kinds;
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
	tell_log_deinit(&t->log);
	forget_text(t);
	free(t);
	return NULL;
}
