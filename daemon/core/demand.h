/* SPDX-License-Identifier: MIT */
/*
 * What a set of collections that share slots demands: by when must the first of them start?
 *
 * Pauses cannot be preempted and slots are few, so a heap's own latest start is too late when
 * several heaps share a slot. Placed backwards from their deadlines, each as late as possible
 * (Chetto & Chetto), the i-th by deadline must start at
 *
 *	min over j >= i of ( deadline[j] - (span[i] + … + span[j]) )
 *
 * on one slot, which is exact: later, and no order meets all deadlines. On k slots spans are shared
 * by k and the longest one is allowed for, as list scheduling needs; that is early by one pause at most.
 *
 * A treap ordered by deadline that keeps these minima in its nodes: every change and question costs
 * O(log n). Nodes lie inside their owners, nothing is allocated. Deadlines and spans of clients are clipped so
 * that no sum overflows.
 */
#ifndef RTGCD_CORE_DEMAND_H
#define RTGCD_CORE_DEMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "client/wire/nsec.h"

enum demand_role {
	DEMAND_FREE, /* not yet due */
	DEMAND_WAITING, /* due, has no slot yet: its deadline counts, it is not asked for again */
	DEMAND_LOAD, /* has a slot, or asks for none just now: work, but no deadline to keep */
};

struct demand_node {
	struct demand_node *left, *right, *parent;
	int64_t deadline, span, work;
	int64_t share; /* of all slots, as long as they work */
	/* Of the subtree. slack: min of deadline - sum of shares up to it, loads left out. */
	int64_t sum, longest, slack, latest;
	uint32_t widths;
	uint32_t priority; /* in the treap; 0: none yet */
	bool any_free : 1;
	bool linked : 1;
	enum demand_role role : 2;
	uint32_t width : 24; /* how many slots it takes at once */
};

struct demand {
	struct demand_node *root;
	unsigned slots;
	uint32_t random; /* the last priority */
};

void demand_init(struct demand *d, unsigned slots);
/*
 * Adds the node, or moves it. latest: the latest start if it were alone; NSEC_NEVER takes it out.
 * span: how long it is expected to hold a slot; work (>= span): how long those behind it must allow
 * for, as predictions are exceeded now and then. width: how many slots it takes at once (all, where
 * there are fewer).
 */
void demand_set(struct demand *d, struct demand_node *node, nsec_t latest, nsec_t span,
		nsec_t work, unsigned width, enum demand_role role);
void demand_remove(struct demand *d, struct demand_node *node);
/* Takes another number of slots: O(n log n). */
void demand_resize(struct demand *d, unsigned slots);
/* The free node with the earliest deadline, or NULL. */
struct demand_node *demand_first(const struct demand *d);
/*
 * By when that one must start, so that it and all with later deadlines are in time; whatever is
 * waiting or holds a slot before it goes first. NSEC_NEVER: there is none; 0: too late already.
 */
nsec_t demand_start_by(const struct demand *d);
/* The node with the earliest deadline, whatever its role, or NULL. */
struct demand_node *demand_earliest(const struct demand *d);
/* By when this one must start, given all with later deadlines. */
nsec_t demand_start_of(const struct demand *d, const struct demand_node *node);

#endif
