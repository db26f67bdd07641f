/* SPDX-License-Identifier: MIT */
/*
 * One deadline for each owner, and the earliest of them: a 4-ary heap with the keys in
 * the array (at 100,000 entries an order of magnitude cheaper to update than a tree).
 * Room is reserved when an owner is added, so that arming never fails.
 */
#ifndef RTGCD_CORE_TIMERS_H
#define RTGCD_CORE_TIMERS_H

#include <stddef.h>

#include "client/wire/nsec.h"

enum timer_owner {
	TIMER_HEAP,
	TIMER_SERVICE,
	TIMER_RIVALS,
	TIMER_HOST,
	TIMER_SNAPSHOTS,
	TIMER_GATES,
};

struct timer {
	enum timer_owner owner; /* what it lies in */
	uint32_t index;		/* 1 + place in the queue; 0: not armed */
};

struct timers {
	struct timer_entry {
		nsec_t at;
		struct timer *timer;
	} * entries;
	size_t used, owners, room;
};

void timers_deinit(struct timers *t);
int timers_add_owner(struct timers *t); /* 0 or -ENOMEM */
void timers_remove_owner(struct timers *t);
/* NSEC_NEVER disarms. */
void timers_arm(struct timers *t, struct timer *timer, nsec_t at);
nsec_t timers_next(const struct timers *t);
/* Disarms and returns the earliest if it is due at now; else NULL. */
struct timer *timers_pop(struct timers *t, nsec_t now);

#endif
