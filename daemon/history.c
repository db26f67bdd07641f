/* SPDX-License-Identifier: MIT */
#include "daemon/history.h"

#include <errno.h>
#include <stdlib.h>

#include "client/wire/list.h"

#define BUCKETS 1024
#define AHEAD	16 /* records: more than are on one page */

struct user {
	struct user *hash_next;
	struct list same;    /* those who have as many records */
	struct list records; /* oldest first */
	unsigned n;	     /* of them; 0: nobody */
	uint32_t uid;
};

struct slot {
	struct history_record record;
	struct list order, of_user;
	struct user *user;
};

struct history {
	uint64_t last, changes, dropped;
	struct list order; /* by id */
	unsigned n_slots;  /* in use; they stay so */
	/* Users who have none make room for others. */
	struct list spare;
	unsigned n_users, most; /* ever there were; records that a user has at the most */
	struct user *buckets[BUCKETS];
	struct list by_n[HISTORY_RECORDS + 1]; /* users, by their number of records */
	struct user users[HISTORY_RECORDS];
	struct slot slots[HISTORY_RECORDS];
};

/* ---- shares ----------------------------------------------------------------------------- */

static struct user **bucket(struct history *h, uint32_t uid)
{
	return &h->buckets[(uid ^ uid >> 10) % BUCKETS];
}

/* There are never more of them than records. */
static struct user *find_user(struct history *h, uint32_t uid)
{
	struct user **link = bucket(h, uid), *u;

	for (u = *link; u; u = u->hash_next) {
		if (u->uid == uid)
			return u;
	}
	if (list_empty(&h->spare)) {
		u = &h->users[h->n_users++];
	} else {
		u = list_entry(h->spare.next, struct user, same);
		list_unlink(&u->same);
	}
	*u = (struct user){.uid = uid, .hash_next = *link};
	list_init(&u->same);
	list_init(&u->records);
	*link = u;
	return u;
}

static void forget_user(struct history *h, struct user *u)
{
	struct user **link = bucket(h, u->uid);

	while (*link != u)
		link = &(*link)->hash_next;
	*link = u->hash_next;
	list_append(&h->spare, &u->same);
}

/* (Memory that nobody has been counted in is not touched.) */
static struct list *those_with(struct history *h, unsigned n)
{
	if (!h->by_n[n].next)
		list_init(&h->by_n[n]);
	return &h->by_n[n];
}

/* One more or one less. */
static void count(struct history *h, struct user *u, int more)
{
	u->n += (unsigned)more;
	list_unlink(&u->same);
	list_append(those_with(h, u->n), &u->same);
	if (u->n > h->most)
		h->most = u->n;
	else if (list_empty(those_with(h, h->most)))
		h->most--;
}

/* Whoever has most gives one up: his oldest. */
static struct slot *make_room(struct history *h)
{
	struct user *u = list_entry(h->by_n[h->most].next, struct user, same);
	struct slot *slot = list_entry(u->records.next, struct slot, of_user);

	list_unlink(&slot->order);
	list_unlink(&slot->of_user);
	count(h, u, -1);
	if (u->n == 0) {
		list_unlink(&u->same);
		forget_user(h, u);
	}
	h->dropped++;
	return slot;
}

static struct slot *take_slot(struct history *h, uint32_t uid)
{
	struct slot *slot =
		h->n_slots < HISTORY_RECORDS ? &h->slots[h->n_slots++] : make_room(h);
	struct user *u = find_user(h, uid);

	slot->user = u;
	list_append(&h->order, &slot->order);
	list_append(&u->records, &slot->of_user);
	count(h, u, 1);
	return slot;
}

/* ---- records ---------------------------------------------------------------------------- */

static uint16_t slot_of(const struct history *h, const struct history_record *r)
{
	return (uint16_t)((const struct slot *)r - h->slots);
}

/* NULL: there is none, or others have taken its room. */
static struct history_record *find(struct history *h, uint64_t id, uint16_t slot)
{
	struct history_record *r = &h->slots[slot].record;

	return id && r->id == id ? r : NULL;
}

static void touch(struct history *h, struct history_record *r)
{
	r->changed = ++h->changes;
}

/*
 * The first time round, the kernel gives the memory of the slots page by page as it is written to. It does so while
 * nobody waits for a window, for some records to come.
 */
static void have_memory(struct history *h)
{
	volatile uint64_t *id;

	if (h->n_slots + AHEAD >= HISTORY_RECORDS)
		return;
	id = &h->slots[h->n_slots + AHEAD].record.id;
	*id = *id;
}

/* To be touched. NULL: nothing is known of that heap. */
static struct history_record *add(struct history *h, const struct supervisor *core,
				  uint64_t heap, nsec_t now)
{
	struct history_record *r;
	struct core_who who;

	if (!supervisor_who(core, heap, now, &who))
		return NULL;
	r = &take_slot(h, who.uid)->record;
	*r = (struct history_record){
		.id = ++h->last,
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

static struct history_record *of_window(struct history *h, uint64_t window,
					const struct history_marks *marks)
{
	struct history_record *r = find(h, marks->window, marks->window_slot);

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
		marks->window_slot = slot_of(h, r);
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
	have_memory(h);
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
			marks->pause_slot = slot_of(h, r);
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
	struct history_record *r = in_window ? of_window(h, end->window, marks)
					     : find(h, marks->pause, marks->pause_slot);

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
	have_memory(h);
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
	leave(h, find(h, marks->window, marks->window_slot), now);
	leave(h, find(h, marks->pause, marks->pause_slot), now);
	*marks = (struct history_marks){0};
}

static const struct history_record *record_at(const struct history *h,
					      const struct list *order)
{
	return order == &h->order ? NULL : &list_entry(order, struct slot, order)->record;
}

const struct history_record *history_after(const struct history *h, uint64_t after)
{
	const struct history_record *r = record_at(h, h->order.next);

	while (r && r->id <= after)
		r = history_next(h, r);
	return r;
}

const struct history_record *history_next(const struct history *h,
					  const struct history_record *r)
{
	return record_at(h, ((const struct slot *)r)->order.next);
}

uint64_t history_changes(const struct history *h)
{
	return h->changes;
}

uint64_t history_dropped(const struct history *h)
{
	return h->dropped;
}

int history_new(struct history **ret)
{
	struct history *h = calloc(1, sizeof *h);

	if (!h)
		return -ENOMEM;
	list_init(&h->order);
	list_init(&h->spare);
	*ret = h;
	return 0;
}

struct history *history_free(struct history *h)
{
	free(h);
	return NULL;
}
