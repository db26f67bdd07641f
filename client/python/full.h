/* SPDX-License-Identifier: MIT */
/*
 * A full collection that stops the program for a third to a half of the time CPython's own takes.
 *
 * That follows a list through memory, writes to the head of each object, and asks of each reference where it goes, one after
 * the other. Here the objects are looked at as a snapshot's child does it (snapshot_walk.h), which finds the same; then
 * those that can be reached stand aside, and CPython's own full collection has the rest: it counts the references
 * itself, so that a wrong word of the walk costs a little time, never an object, and weak references, finalizers,
 * resurrection, gc.callbacks, gc.get_stats() and gc.garbage are as ever.
 *
 * What differs: while they run, callbacks and finalizers do not find by gc.get_objects() and gc.get_referrers() what stands
 * aside; and dictionaries that hold no container any more stay tracked.
 *
 * Where it does not pay, or may not be, CPython's own is left alone with all of it: a small heap; one whose objects lie in
 * memory in the order in which they were made, as caches like it; where the walk's tables (FULL_BYTES_EACH) do not
 * fit into the budget or the limit of memory; where it does not work. $RTGC_FULL: "plain" never walks, "walk" does wherever it can.
 *
 * Threads: with the GIL, and not while a collection runs.
 */
#ifndef RTGC_PYTHON_FULL_H
#define RTGC_PYTHON_FULL_H

#include <stdbool.h>
#include <stdint.h>

#define FULL_BYTES_EACH 48 /* of the tables, for an object */

/* Once in a process. */
void full_init(void);
/* True: it was walked. Runs finalizers. */
bool full_collect(void);
/* How often it was, in this process. */
uint64_t full_walked(void);
/* CPython's part of it is over: all are together again. Does nothing where none has stood aside. */
void full_ended(void);
/* In a forked child: a collection another thread had under way does not end there. */
void full_after_fork_child(void);

#endif
