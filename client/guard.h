/* SPDX-License-Identifier: MIT */
/*
 * What protects a process from its supervisor: the ceiling a heap never passes
 * uncollected, and the rules by which a window or a daemon is no longer believed.
 *
 * Pure: time is an argument, there is no system call and no lock. Threads: figures are
 * told by one thread at a time, everything may be asked by any.
 */
#ifndef RTGC_GUARD_H
#define RTGC_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/rtgc.h"
#include "client/wire/nsec.h"
#include "client/wire/page.h"

#define GUARD_NOTHING_TOLD UINT64_MAX /* a watermark of this value means "never" */

/* Amounts in the heap's unit. */
struct guard {
	uint64_t own;		   /* the application's budget; 0: it gave none */
	_Atomic uint64_t moved;	   /* the runtime's own rule, from its figures; 0: none */
	_Atomic uint64_t outgrown; /* the ceiling of a heap whose live data is too big */
	_Atomic uint64_t base;	   /* the daemon's budget when the heap outgrew it */
	_Atomic uint64_t told;	   /* the watermark that was reported last */
};

void guard_init(struct guard *g, uint64_t own_budget);

/*
 * The budget in force; 0: none. The first that is there of: the application's, the daemon's
 * (directive; 0: none), the runtime's own rule. A heap that keeps more than 7/8 of it
 * alive would collect without end and free nothing: until a collection leaves less, its
 * budget is what that one left and a quarter.
 */
uint64_t guard_budget(const struct guard *g, uint64_t directive);
/*
 * Where the heap must be collected, window or not; 0: nowhere. The budget; but a heap
 * that is alone has its collector's own policy, and needs a ceiling only where the
 * application asked for one.
 */
uint64_t guard_ceiling(const struct guard *g, uint64_t directive, bool alone);
/*
 * What a report says: the application's budget, else the runtime's own rule, which the daemon
 * knows to be out of force while it has set one; 0: there is only the daemon's. Where a heap
 * outgrew the budget in force, that is told instead.
 */
uint64_t guard_reported_budget(const struct guard *g, uint64_t directive);

/* Is it time to report? Once for each value of the watermark, and once more after each
 * collection. */
bool guard_crossed(struct guard *g, uint64_t used, uint64_t watermark);
/* A collection of that kind has left so much. */
void guard_collected(struct guard *g, enum rtgc_kind kind, uint64_t used,
		     uint64_t directive);

/* Is the daemon's loop alive? */
bool guard_fresh(nsec_t heartbeat, nsec_t stale_after, nsec_t now);
/* What a window offers now to a program that must be responsive again at until. */
enum rtgc_verdict guard_window(const struct page_window *w, nsec_t until, nsec_t now);
/* The last look before the pause: 0, -EINVAL (another kind), RTGC_E_CLOSED or _UNFIT. */
int guard_begin(const struct page_window *w, uint64_t id, enum rtgc_kind kind,
		nsec_t now);

#endif
