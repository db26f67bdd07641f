/* SPDX-License-Identifier: MIT */
/*
 * $RTGC_RECORD=FILE: one JSON line for each full collection, for checkers that do not want to
 * take the daemon's word. Lines are kept in memory while the collector runs and appended by the
 * helper thread and at exit.
 *
 *	{"pid":71,"heap":"app-71","kind":"major","cause":"window","begin_ns":1,"end_ns":9,"freed":3,
 *	 "stop_ns":8,"fork_ns":0}
 *
 * kind: major, snapshot. cause: window, forced, uncoordinated; default = nobody supervised. Times:
 * CLOCK_MONOTONIC. freed: objects found unreachable. stop_ns: the longest stop of the program; fork_ns: of
 * a snapshot, that of its fork. A line {"pid":…,"lost":N} says that N did not fit. Threads: record_add() with the GIL;
 * record_flush() by one thread at a time, without it.
 */
#ifndef RTGC_PYTHON_RECORD_H
#define RTGC_PYTHON_RECORD_H

#include <stdbool.h>
#include <stdint.h>

struct record {
	const char *kind, *cause; /* static */
	uint64_t begin_ns, end_ns, freed;
	uint64_t stop_ns; /* 0: the program was stopped from begin to end */
	uint64_t fork_ns;
};

/* Reads the environment. 0 or -ENOMEM. */
int record_init(void);
bool record_wanted(void);
void record_name(const char *heap); /* of the lines from now on */
void record_add(const struct record *record);
void record_flush(void);
void record_after_fork_child(void); /* the parent's lines are the parent's */

#endif
