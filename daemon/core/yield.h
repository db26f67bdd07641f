/* SPDX-License-Identifier: MIT */
/*
 * What collections of a heap free for their pauses, and what follows from it: which are declined,
 * and what the next window is for. The words of MinYield= are in rtgcd.conf(5).
 *
 * A collection is empty when it frees less than MinYield of the heap. After empty ones
 *   - the budget of a heap that is collected by its runtime's own rule, in objects, is raised:
 *     twice the rule after one, four times after two …;
 *   - every other budget stands, and only windows in slack are declined, until later in it;
 *   - from the second one on, windows are for freezes, where the heap can freeze.
 * A collection that frees enough ends that. An allocation rate that changes has all be looked at once, and
 * if there was nothing to find, the next change must be twice as great: rates go up and down. Once the heap has
 * grown a whole collection looks at all of it again, the frozen part as well.
 *
 * A snapshot is of use only to a heap whose budget lasts longer than it runs. One that is outrun, that
 * is uses up half of its budget in less time twice in a row, has windows for majors instead, until its budget
 * lasts four times as long as a snapshot would run; from time to time another snapshot is tried.
 */
#ifndef RTGCD_CORE_YIELD_H
#define RTGCD_CORE_YIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "client/wire/nsec.h"

struct heap;
struct wire_end;

struct yield {
	uint64_t raised; /* the budget instead of the rule's; 0: not raised */
	uint64_t
		allocated; /* when the present cycle began, that is the last collection ended */
	nsec_t since;
	/* When the whole heap was looked at last: */
	uint64_t base_allocated;
	float base_live, base_rss;
	float base_rate;  /* units a second, in the cycle that ended with it */
	float of_used;	  /* what it freed, as a part of what was used */
	float per_s;	  /* and in units for each second of its pause */
	uint8_t empty;	  /* so many in a row freed too little */
	uint8_t freezes;  /* since one that did not */
	uint8_t outrun;	  /* snapshots in a row, and then majors instead of them */
	bool useless : 1; /* a freeze has not lowered what is used */
	bool at_once : 1; /* a raised budget was lowered to what is used: it is due */
	bool told : 1;	  /* that a window in slack is declined, in this cycle */
	bool doubt : 1; /* its rate has changed: the next one decides whether they are still empty */
	uint8_t alarms : 2; /* so often that was in vain */
};

/* enum wire_kind; WIRE_MAJOR also for a heap that can run none of those a window is for. */
uint8_t yield_kind(const struct heap *h, nsec_t now);
/* Were it not for its rate of allocation, its windows would be for snapshots. */
bool yield_is_outrun(const struct heap *h);
/*
 * The runtime's own rule: how much may be used. Of ranks that collect together a quarter more, and
 * the guard before their latest start is a fifth of that: their rounds begin when the rule would have, and
 * there is time for all to come by, though what is used is reported in lumps.
 */
uint64_t yield_rule(const struct heap *h);
bool yield_rule_is_wide(const struct heap *h);
#define YIELD_WIDE_GUARD 5
/* The budget in force where there is no other but that. */
uint64_t yield_budget(const struct heap *h);
bool yield_is_raised(const struct heap *h);
/*
 * Figures have come in: are the conclusions still right? (Never on old ones.) True: no longer, and what the
 * budget was raised by is to be taken back.
 */
bool yield_review(struct heap *h);
/* turn: how long it may take until the others have had theirs. */
void yield_lower(struct heap *h, nsec_t turn, nsec_t now);
/* h is due: is it to be declined, and its budget raised instead? */
bool yield_declines(const struct heap *h);
/* Its last call has come and all slots are taken: has it more room, the last one having freed nothing? */
bool yield_gives_way(const struct heap *h);
void yield_raise(struct heap *h);
/* So much must be used before a window in slack is worth it. */
uint64_t yield_slack_from(const struct heap *h);
/* Before the figures of that collection replace those in h. */
void yield_learn(struct heap *h, const struct wire_end *end, nsec_t begin, nsec_t pause);

#endif
