/* SPDX-License-Identifier: MIT */
/*
 * What a snapshot's child does: finds what nothing refers to from outside, by CPython's own
 * rule (each object's references less those from other objects of the list), in a table of
 * its own. It writes to no object, so no page of the heap is copied for it, and makes no call
 * but system calls and tp_traverse.
 *
 * The result lies in memory shared with the parent: the unreachable objects in batches. Those
 * that refer to each other, and weak references to them that are unreachable as well, are
 * in the same one, so that a collection of one batch alone sees them as a full one would.
 */
#ifndef RTGC_PYTHON_SNAPSHOT_WALK_H
#define RTGC_PYTHON_SNAPSHOT_WALK_H

#include "client/python/internal.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SNAPSHOT_BATCH 256 /* objects, unless more of them hang together */

enum snapshot_outcome {
	SNAPSHOT_RUNS = 0,
	SNAPSHOT_FOUND,	  /* the result is complete */
	SNAPSHOT_NO_ROOM, /* more objects, or higher addresses, than the table can name */
	SNAPSHOT_NO_SENSE, /* an object is referred to more often than its count says */
};

struct snapshot_result {
	_Atomic uint32_t outcome; /* enum snapshot_outcome; stored last */
	uint64_t objects;	  /* on the list */
	uint64_t unreachable, components, batches;
	uint64_t mask;	 /* of the table's slots; there is always an empty one */
	uint64_t slot[]; /* 0: empty */
};

#define SNAPSHOT_NONE UINT32_MAX
/* The batch an object is in, or SNAPSHOT_NONE: it is not among the unreachable ones. */
uint32_t snapshot_batch_of(const struct snapshot_result *result, const PyObject *object);

/*
 * Looks at the objects of a list and fills the result, which has room for so many bytes and is
 * all zeros. Returns what it stored as the outcome.
 */
enum snapshot_outcome snapshot_walk(PyGC_Head *list, struct snapshot_result *result,
				    size_t room);

/*
 * The same in a process that goes on: moves the unreachable ones of a list to the end of another one, and says how many
 * stay. suits: asked early, of how many objects lie near those before them on the list; NULL: it does. False: it does
 * not, memory does not suffice, or it makes no sense; nothing was moved.
 */
bool snapshot_part(PyGC_Head *list, bool (*suits)(uint64_t near, uint64_t objects),
		   PyGC_Head *unreachable, uint64_t *ret_reachable);

#endif
