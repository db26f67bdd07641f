/* SPDX-License-Identifier: MIT */
/*
 * CPython's generations: doubly linked lists of the heads that lie before each tracked
 * object. What is done here to live members of a list (take one out, put one in elsewhere,
 * join lists) is what CPython's own collector does between two collections; which list an
 * object is on never decides whether it is freed, only when it is looked at.
 *
 * Threads: with the GIL, and not while a collection runs.
 */
#ifndef RTGC_PYTHON_GCLIST_H
#define RTGC_PYTHON_GCLIST_H

#include "client/python/internal.h"

#include <stdbool.h>
#include <stdint.h>

#define GCLIST_YOUNG  0
#define GCLIST_MIDDLE 1
#define GCLIST_OLD    2

/* Of the main interpreter. */
void gclist_init(void);
PyGC_Head *gclist_generation(int generation);
/* Is it a list itself, not a member? */
bool gclist_is_generation(const PyGC_Head *node);

static inline PyGC_Head *gclist_node(PyObject *object)
{
	return (PyGC_Head *)object - 1;
}

static inline PyObject *gclist_object(PyGC_Head *node)
{
	return (PyObject *)(node + 1);
}

static inline PyGC_Head *gclist_next(PyGC_Head *node)
{
	return _PyGCHead_NEXT(node);
}

static inline PyGC_Head *gclist_previous(PyGC_Head *node)
{
	return _PyGCHead_PREV(node);
}

void gclist_make(PyGC_Head *list); /* an empty list of ours */
bool gclist_empty(PyGC_Head *list);
/* Takes a member out of its list; it is in none then. */
void gclist_remove(PyGC_Head *node);
/* Puts one that is in none before another member, or at the end of a list. */
void gclist_insert(PyGC_Head *node, PyGC_Head *before);
/* All members of a list to the end of another one. */
void gclist_join(PyGC_Head *from, PyGC_Head *to);
/* What lies between two members of a list, without them, to the end of another one. */
void gclist_join_between(PyGC_Head *after, PyGC_Head *before, PyGC_Head *to);

/* The young generations become old, as at the beginning of a full collection. */
void gclist_age(void);

/* The young generations, set aside so that a collection of the youngest sees its own only. */
struct gclist_aside {
	PyGC_Head young, middle;
	int young_count, middle_count;
};

void gclist_set_aside(struct gclist_aside *ret);
void gclist_bring_back(struct gclist_aside *aside);

/*
 * How far those have got who rearrange the old generation: full collections, gc.freeze(),
 * gc.unfreeze(). Two that differ: somebody has. (The same may once in a while look
 * different, never the other way round unless gc.unfreeze() has undone it.)
 */
struct gclist_epoch {
	uint64_t full_collections;
	uintptr_t frozen;
};

struct gclist_epoch gclist_epoch(void);
bool gclist_epoch_same(struct gclist_epoch a, struct gclist_epoch b);

/* For CPython's own rule of a quarter: so many are old now, and those grown old before do not count. */
void gclist_settle(uint64_t old, uint64_t pending_before);
/* The old generation has got back so many that the full collection just now did not look at. */
void gclist_settle_more(uint64_t more);
/* What all collections so far have found unreachable, nested ones among them. */
uint64_t gclist_collected(void);
/* An upper estimate of how many objects are tracked. */
uint64_t gclist_count(void);

/* ---- Marks: objects of ours that stand between others in a list ---- */

/* Untracked; NULL with MemoryError set. May run a young collection. */
PyObject *gclist_mark_new(void);
/* Takes it out of the list it is in. NULL is fine. Returns NULL. */
PyObject *gclist_mark_free(PyObject *mark);
int gclist_marks_ready(void); /* the type: 0, or -1 with an exception set */

#endif
