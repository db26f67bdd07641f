/* SPDX-License-Identifier: MIT */
/*
 * What is worth keeping when the daemon ends: of one heap, and of all. Plain data without
 * pointers; the edge carries it to the next run. There the heap is one that was lost: its window
 * holds its slot, and when its process comes back it finds what was learned of it.
 */
#ifndef RTGCD_CORE_MEMORY_H
#define RTGCD_CORE_MEMORY_H

#include "daemon/core/accuracy.h"
#include "daemon/core/predict.h"
#include "daemon/core/rate.h"
#include "daemon/core/recent.h"
#include "daemon/core/supervisor.h"
#include "daemon/core/yield.h"

#define CORE_KNOWN \
	(WIRE_KINDS + 1) /* of the pauses of each kind, and of the runs of snapshots */

struct core_learned { /* of a heap */
	uint32_t collections[WIRE_KINDS];
	uint32_t forced, uncoordinated, declined, expired, overruns, violations;
	uint8_t absurd, strikes;
	float yield_last, last_pause;
	/* As last reported: predictions go by the size, a raised budget by its runtime's rule. */
	uint64_t live, rule;
	struct recent pauses;
	struct accuracy accuracy;
	float met;
	struct yield yield;
	struct rate rate;
	/* The last of all, as mostly there is one of them: what lies behind n_known is nothing. */
	uint32_t n_known;
	struct predict known[CORE_KNOWN];
};

struct core_held { /* its window, if its process may pause in it */
	enum core_hold {
		CORE_HOLDS_NOTHING,
		CORE_HOLDS_OPEN,
		CORE_HOLDS_IN_USE,
	} hold;
	uint8_t kind;
	bool must, over_limit;
	uint64_t id;
	nsec_t announced, opens, closes, predicted, run, begin;
};

struct core_tally { /* of its service; all of it only grows */
	uint64_t windows, forced, over_limit, would_wait, dropped_out;
	uint32_t paused_max;
};

struct core_memory {
	uint32_t uid;
	int32_t pid;
	struct wire_hello hello; /* as it would be said today */
	struct core_held held;
	struct core_tally tally;
	struct core_learned learned;
};

struct core_counters { /* of all heaps */
	uint64_t windows_granted, forced, uncoordinated, overruns, over_limit, decisions;
	uint32_t paused_max;
	float slowing; /* of pauses by each other: contention.h */
	uint32_t slowing_evidence;
};

/* false: there is no such heap. */
bool supervisor_memory(const struct supervisor *s, uint64_t heap,
		       struct core_memory *ret);
/*
 * The heap of a former run, under a new id, as one that was lost. -ENOMEM. (Like an event: its
 * actions are to be taken off the queue.)
 */
int supervisor_restore(struct supervisor *s, uint64_t heap,
		       const struct core_memory *memory, nsec_t now);
void supervisor_counters(const struct supervisor *s, struct core_counters *ret);
/* To be called before anything has happened. */
void supervisor_restore_counters(struct supervisor *s,
				 const struct core_counters *counters);

#endif
