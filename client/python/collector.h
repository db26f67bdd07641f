/* SPDX-License-Identifier: MIT */
/* Which kinds of full collections this process offers, and when a snapshot stands in for one. With the GIL. */
#ifndef RTGC_PYTHON_COLLECTOR_H
#define RTGC_PYTHON_COLLECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "client/rtgc.h"

/*
 * 1 << enum rtgc_kind of those that heap.collector asks for and that work here. Tries
 * snapshots out the first time that they are asked for.
 */
uint32_t collector_kinds(void);
/* Tells the daemon, if that has changed. */
void collector_offer(void);
/*
 * Begins a snapshot; false: nothing was done. Where forking has turned out to take too long, or to
 * fail, the daemon is told to give windows for other kinds.
 */
bool collector_snapshot(enum rtgc_cause cause, const struct rtgc_window *window);
/*
 * The budget is used up. True: a snapshot is under way or will begin at the next safe point, in slack where that comes, which
 * does as well as a full collection, unless the heap outgrows its budget by far meanwhile.
 */
bool collector_at_ceiling(void);
/* Begins that one, for which heap.snapshot_soon stands. True: it has begun. */
bool collector_begin_promised(void);

#endif
