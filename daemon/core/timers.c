/* SPDX-License-Identifier: MIT */
#include "daemon/core/timers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define ARITY 4

void timers_deinit(struct timers *t)
{
	free(t->entries);
}

int timers_add_owner(struct timers *t)
{
	if (t->owners == t->room) {
		size_t room = t->room ? t->room + t->room / 2 : 64;
		struct timer_entry *entries =
			realloc(t->entries, room * sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		t->entries = entries;
		t->room = room;
	}
	t->owners++;
	return 0;
}

void timers_remove_owner(struct timers *t)
{
	assert(t->owners > 0);
	t->owners--;
}

static void put(struct timers *t, size_t i, struct timer_entry e)
{
	t->entries[i] = e;
	e.timer->index = (uint32_t)i + 1;
}

static void sift_up(struct timers *t, size_t i, struct timer_entry e)
{
	while (i > 0) {
		size_t parent = (i - 1) / ARITY;

		if (t->entries[parent].at <= e.at)
			break;
		put(t, i, t->entries[parent]);
		i = parent;
	}
	put(t, i, e);
}

static void sift_down(struct timers *t, size_t i, struct timer_entry e)
{
	for (;;) {
		size_t first = i * ARITY + 1, least = first;

		if (first >= t->used)
			break;
		for (size_t c = first + 1; c < first + ARITY && c < t->used; c++)
			if (t->entries[c].at < t->entries[least].at)
				least = c;
		if (t->entries[least].at >= e.at)
			break;
		put(t, i, t->entries[least]);
		i = least;
	}
	put(t, i, e);
}

static void place(struct timers *t, size_t i, struct timer_entry e)
{
	if (i > 0 && t->entries[(i - 1) / ARITY].at > e.at)
		sift_up(t, i, e);
	else
		sift_down(t, i, e);
}

void timers_arm(struct timers *t, struct timer *timer, nsec_t at)
{
	struct timer_entry e = {at, timer};

	if (at == NSEC_NEVER) {
		size_t i = timer->index;

		if (i == 0)
			return;
		timer->index = 0;
		t->used--;
		if (i - 1 < t->used)
			place(t, i - 1, t->entries[t->used]);
	} else if (timer->index == 0) {
		assert(t->used < t->owners);
		sift_up(t, t->used++, e);
	} else {
		place(t, timer->index - 1, e);
	}
}

nsec_t timers_next(const struct timers *t)
{
	return t->used ? t->entries[0].at : NSEC_NEVER;
}

struct timer *timers_pop(struct timers *t, nsec_t now)
{
	struct timer *timer;

	if (!t->used || t->entries[0].at > now)
		return NULL;
	timer = t->entries[0].timer;
	timers_arm(t, timer, NSEC_NEVER);
	return timer;
}
