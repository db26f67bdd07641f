/* SPDX-License-Identifier: MIT */
/*
 * What outlives the daemon, in one sealed memory file that the service manager keeps: a page of
 * counters, and a record for each heap that is written whenever what it holds or what was
 * learned of it changes. It is right at any instant: whoever is killed while writing leaves the
 * one that was there before.
 */
#ifndef RTGCD_STATE_H
#define RTGCD_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/memory.h"

#define STATE_HEAPS_MOST 16384 /* those beyond are not remembered */

struct state;

struct state_run { /* of the daemon as a whole */
	uint64_t epoch, last_heap;
	struct core_counters counters;
};

/*
 * fd: what a former run has left, now the state's; -1: nothing. What cannot be read, because
 * another version has written it, is as if it were not there.
 */
int state_new(int fd, struct state **ret);
struct state *state_free(struct state *state);
/* To be kept by the manager; -1: it has it already. */
int state_to_keep(const struct state *state);

void state_put_run(struct state *state, const struct state_run *run);
/* false: there was no former run. */
bool state_run(const struct state *state, struct state_run *ret);

/* *record: 0 for a heap that has none yet, and if there is no room. */
void state_put(struct state *state, uint32_t *record, uint64_t birth,
	       const struct core_memory *memory);
void state_drop(struct state *state, uint32_t *record);
/* The first record above after that a former run has left; false: there is none. */
bool state_next(const struct state *state, uint32_t after, uint32_t *ret_record,
		uint64_t *ret_birth, struct core_memory *ret_memory);

#endif
