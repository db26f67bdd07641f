/* SPDX-License-Identifier: MIT */
/*
 * Taking a snapshot's word for what is unreachable, a little at a time, and never on trust.
 *
 * The child's list is of addresses. Between the fork and now such an object may have been
 * reached again by a weak reference or a cache of borrowed pointers in C, and been freed since,
 * and its address be another object's. So no address of the list is ever followed. Instead the
 * old generation itself is walked, once, from a mark of ours at its head to another one that stood
 * at its end at the fork, and each member's own address is looked up in the child's table. Members of
 * CPython's lists are alive: what is freed takes itself out. The walk goes a slice at a time and
 * rests on the first mark, which is an object of the list as well, so it survives whatever happens to
 * its neighbours. A member that is found is moved behind the second mark, to the others of its
 * batch (one more mark each); it stays in the old generation all the time.
 *
 * Then each batch is made the whole youngest generation, and CPython's gc.collect(0) does the rest: it counts
 * the references itself, and frees what nothing refers to; weak references, finalizers and resurrection
 * are as ever. What it leaves becomes old again. So a wrong word of the child can cost a
 * little time, never an object.
 *
 * Somebody else's full collection, gc.freeze() or gc.unfreeze() rearrange the old generation: the
 * rest of the snapshot is void then. Marks may stand anywhere without harm.
 *
 * One at a time in a process. Threads: with the GIL.
 */
#ifndef RTGC_PYTHON_SNAPSHOT_REAP_H
#define RTGC_PYTHON_SNAPSHOT_REAP_H

#include "client/python/internal.h"

#include <stdbool.h>
#include <stdint.h>

#include "client/python/snapshot_walk.h"

enum reap {
	REAP_MORE, /* time is up */
	REAP_DONE,
	REAP_VOID, /* the generations were rearranged, or there is no memory for marks */
};

/* What is needed for all of them. 0, or -1 with an exception set. */
int snapshot_reap_init(void);
/* At the fork: stands the first two marks into the list. */
void snapshot_reap_open(PyGC_Head *list);
/* Goes on until then, or a little longer. Adds what it freed to *freed. Runs finalizers. */
enum reap snapshot_reap(const struct snapshot_result *result, uint64_t until_ns,
			uint64_t *freed);
/* What the least step of it takes, as far as one can know. */
uint64_t snapshot_reap_need_ns(void);
/* Takes all marks out. Not inside snapshot_reap(). */
void snapshot_reap_close(void);
/* In a forked child, of which snapshot_reap() will not return: the thread is gone that called it. */
void snapshot_reap_abandon(void);

#endif
