/* SPDX-License-Identifier: MIT */
#include "daemon/history.h"

#include <errno.h>
#include <stdlib.h>

struct history {
	uint64_t last, changes;
	struct history_record ring[HISTORY_RECORDS];
};

static struct history_record *at(const struct history *h, uint64_t id)
{
	return (struct history_record *)&h->ring[id % HISTORY_RECORDS];
}

/* NULL: there is none, or others have taken its room. */
static struct history_record *find(const struct history *h, uint64_t id)
{
	struct history_record *r = at(h, id);

	return id && r->id == id ? r : NULL;
}

static void touch(struct history *h, struct history_record *r)
{
	r->changed = ++h->changes;
}

/* To be touched. NULL: nothing is known of that heap. */
static struct history_record *add(struct history *h, const struct supervisor *core,
				  uint64_t heap, nsec_t now)
{
	struct history_record *r;
	struct core_who who;

	if (!supervisor_who(core, heap, now, &who))
		return NULL;
	r = at(h, ++h->last);
	*r = (struct history_record){
		.id = h->last,
		.who = who,
		.wanted = NSEC_NEVER,
		.announced = NSEC_NEVER,
		.opens = NSEC_NEVER,
		.closes = NSEC_NEVER,
		.predicted = NSEC_NEVER,
		.begin = NSEC_NEVER,
		.end = NSEC_NEVER,
		.stop = NSEC_NEVER,
		.over = NSEC_NEVER,
	};
	return r;
}

static struct history_record *of_window(const struct history *h, uint64_t window,
					const struct history_marks *marks)
{
	struct history_record *r = find(h, marks->window);

	return r && r->window == window ? r : NULL;
}

void history_window(struct history *h, const struct supervisor *core, uint64_t heap,
		    nsec_t now, struct history_marks *marks)
{
	struct history_record *r;
	struct core_window w;

	if (!supervisor_window_of(core, heap, &w))
		return;
	r = of_window(h, w.id, marks);
	if (!r) {
		r = add(h, core, heap, now);
		if (!r)
			return;
		marks->window = r->id;
		r->window = w.id;
		r->wanted = w.wanted;
	}
	r->announced = w.announced;
	r->opens = w.opens;
	r->closes = w.closes;
	r->predicted = w.predicted;
	r->kind = w.kind;
	r->reason = (uint16_t)w.reason;
	r->over_limit = w.over_limit;
	r->opened = w.state != WINDOW_ANNOUNCED;
	if (w.state == WINDOW_IN_USE)
		r->begin = w.begin;
	touch(h, r);
}

void history_window_over(struct history *h, uint64_t window, enum reason reason,
			 nsec_t now, struct history_marks *marks)
{
	struct history_record *r = of_window(h, window, marks);

	if (!r || r->over != NSEC_NEVER)
		return;
	r->over = now;
	r->outcome = (uint16_t)reason;
	touch(h, r);
}

static void begin(struct history *h, const struct supervisor *core, uint64_t heap,
		  const struct wire_begin *begin, nsec_t now, struct history_marks *marks)
{
	struct history_record *r;

	if (begin->cause == WIRE_IN_WINDOW) {
		r = of_window(h, begin->window, marks);
		if (r) /* (It may have been handled as expired before it told of this.) */
			r->over = NSEC_NEVER;
	} else {
		if (begin->kind == WIRE_MINOR)
			return; /* at its end, if at all */
		r = add(h, core, heap, now);
		if (r) {
			marks->pause = r->id;
			r->kind = begin->kind;
			r->cause = begin->cause;
		}
	}
	if (!r)
		return;
	r->begin = nsec_min(begin->at, now);
	touch(h, r);
}

static void end(struct history *h, const struct supervisor *core, uint64_t heap,
		const struct wire_end *end, nsec_t now, struct history_marks *marks)
{
	bool in_window = end->cause == WIRE_IN_WINDOW;
	struct history_record *r =
		in_window ? of_window(h, end->window, marks) : find(h, marks->pause);

	if (!in_window && end->kind == WIRE_MINOR &&
	    nsec_sub(end->end, end->begin) < HISTORY_MINOR_LEAST)
		return;
	/* What is told after the fact is not the end of what is under way. */
	if (!r || r->end != NSEC_NEVER || (!in_window && r->kind != end->kind))
		r = add(h, core, heap, now);
	if (!r)
		return;
	r->kind = end->kind;
	r->cause = end->cause;
	if (in_window)
		r->window = end->window;
	r->end = nsec_min(end->end, now);
	r->begin = nsec_min(end->begin, r->end);
	r->stop = end->stop ? nsec_min(end->stop, r->end - r->begin) : r->end - r->begin;
	r->used = end->used;
	r->live = end->live;
	r->freed = end->freed;
	if (r->over == NSEC_NEVER || r->outcome == REASON_OVERRUN) {
		r->over = now;
		r->outcome = REASON_ENDED;
	}
	touch(h, r);
}

void history_event(struct history *h, const struct supervisor *core,
		   const struct event *event, nsec_t now, struct history_marks *marks)
{
	if (event->type == EVENT_BEGIN)
		begin(h, core, event->heap, &event->begin, now, marks);
	else if (event->type == EVENT_END)
		end(h, core, event->heap, &event->end, now, marks);
}

static void leave(struct history *h, struct history_record *r, nsec_t now)
{
	bool running = r && r->begin != NSEC_NEVER && r->end == NSEC_NEVER;

	if (!r || (r->over != NSEC_NEVER && !running))
		return;
	if (running) {
		r->end = now;
		r->stop = nsec_sub(now, r->begin);
	}
	r->over = now;
	r->outcome = REASON_LEFT;
	touch(h, r);
}

void history_left(struct history *h, nsec_t now, struct history_marks *marks)
{
	leave(h, find(h, marks->window), now);
	leave(h, find(h, marks->pause), now);
	*marks = (struct history_marks){0};
}

const struct history_record *history_after(const struct history *h, uint64_t after)
{
	uint64_t oldest = history_dropped(h) + 1;

	if (after >= h->last)
		return NULL;
	return at(h, after < oldest ? oldest : after + 1);
}

uint64_t history_changes(const struct history *h)
{
	return h->changes;
}

uint64_t history_dropped(const struct history *h)
{
	return h->last > HISTORY_RECORDS ? h->last - HISTORY_RECORDS : 0;
}

int history_new(struct history **ret)
{
	struct history *h = calloc(1, sizeof *h);

	if (!h)
		return -ENOMEM;
	*ret = h;
	return 0;
}

struct history *history_free(struct history *h)
{
	free(h);
	return NULL;
}
