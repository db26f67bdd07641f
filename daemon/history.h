/* SPDX-License-Identifier: MIT */
/*
 * The last pauses and windows of all heaps. Once there are HISTORY_RECORDS of them, a new one takes the
 * room of the oldest of whichever user has most, and that is counted: nobody who pauses often makes
 * others forgotten who have less. A collection in a window is one record with its window, from the announcement
 * on; a window that was not used, and a pause without one, are one record each.
 *
 * All its memory is taken at the start, of which the system gives what is in use: nothing here can fail.
 */
#ifndef RTGCD_HISTORY_H
#define RTGCD_HISTORY_H

#include "daemon/core/supervisor.h"

#define HISTORY_RECORDS 16384
/* A minor collection that is shorter is seen on no timeline, and would leave no room for others. */
#define HISTORY_MINOR_LEAST NSEC_PER_MSEC

struct history;

struct history_record {	     /* instants: NSEC_NEVER: not yet, or there was none */
	uint64_t id;	     /* 1, 2, … */
	uint64_t changed;    /* what history_changes() was when it last changed */
	struct core_who who; /* used: when it was first heard of */
	uint64_t window;     /* 0: without one */
	nsec_t wanted, announced, opens, closes, predicted;
	nsec_t begin, end, stop;    /* stop: a span, the longest */
	nsec_t over;		    /* the window is, or its heap */
	uint64_t used, live, freed; /* at its end */
	uint8_t kind, cause;
	uint16_t reason, outcome; /* enum reason; outcome: once it is over */
	bool opened, over_limit;
};

/* The records of a heap that are not over. Zeroed: there are none. */
struct history_marks {
	uint64_t window, pause;		  /* ids */
	uint16_t window_slot, pause_slot; /* where they are, if they still are */
};

int history_new(struct history **ret);
struct history *history_free(struct history *h);

/* ---- what happens to the heap whose marks these are ---- */

/* Its window was announced or opened, or it came back with one. */
void history_window(struct history *h, const struct supervisor *core, uint64_t heap,
		    nsec_t now, struct history_marks *marks);
void history_window_over(struct history *h, uint64_t window, enum reason reason,
			 nsec_t now, struct history_marks *marks);
/* EVENT_BEGIN or EVENT_END, which the core has taken. */
void history_event(struct history *h, const struct supervisor *core,
		   const struct event *event, nsec_t now, struct history_marks *marks);
void history_left(struct history *h, nsec_t now, struct history_marks *marks);

/* ---- looking ---- */

/* The record with the smallest id above after, and the one behind r; NULL: there is none. */
const struct history_record *history_after(const struct history *h, uint64_t after);
const struct history_record *history_next(const struct history *h,
					  const struct history_record *r);
uint64_t history_changes(const struct history *h);
/* Records that made room for others. */
uint64_t history_dropped(const struct history *h);

#endif
