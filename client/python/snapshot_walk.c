/* SPDX-License-Identifier: MIT */
#include "client/python/snapshot_walk.h"

#include <sys/mman.h>

#include "client/python/gclist.h"

/* A slot of the result: the object's address without its low bits, and its batch. */
#define BATCH_BITS  19
#define BATCHES_MAX (UINT64_C(1) << BATCH_BITS)
#define ALIGN_BITS  3
#define NAMED_BITS  (64 - BATCH_BITS + ALIGN_BITS) /* of an address */

/* Where a slot is: objects are 16 bytes apart at least. */
#define PAGE_BITS   12
#define APART_BITS  4
#define PAGE_PLACES (UINT64_C(1) << (PAGE_BITS - APART_BITS))

/*
 * A cell's number. While references are counted: those not yet explained. Then REACHED, or for
 * the unreachable the size of the component at its root, later BATCHED and its batch.
 */
#define REACHED	  UINT32_MAX
#define COUNT_MAX UINT32_C(0x7fffffff) /* of immortal objects and the like */
#define BATCHED	  UINT32_C(0x80000000)
#define NOWHERE	  UINT32_MAX

struct cell {
	const PyObject *object; /* NULL: empty */
	uint32_t number;
	uint32_t link; /* the next to be traversed; the parent in its component */
};

struct walk {
	struct cell *cell;
	uint64_t mask;
	unsigned shift;
	uint32_t stack;	  /* reached, not yet traversed: a chain of links */
	uint32_t current; /* the cell that is traversed */
	bool senseless;
	uint32_t *order; /* the unreachable ones in the order of the list */
	uint64_t objects, unreachable;
};

/* Neighbours in a page stay neighbours: lists and references go to those that were made together. */
static uint64_t hash(const PyObject *object, unsigned shift)
{
	uint64_t page = (uintptr_t)object >> PAGE_BITS;
	uint64_t place = ((uintptr_t)object >> APART_BITS) & (PAGE_PLACES - 1);

	return (page * UINT64_C(0x9e3779b97f4a7c15) >> shift) + place;
}

/* The shift that leaves as many bits as the mask has. */
static unsigned shift_of(uint64_t mask)
{
	return (unsigned)__builtin_clzll(mask);
}

uint32_t snapshot_batch_of(const struct snapshot_result *result, const PyObject *object)
{
	uint64_t key = (uintptr_t)object >> ALIGN_BITS, slot;
	uint64_t i = hash(object, shift_of(result->mask)) & result->mask;

	for (; (slot = result->slot[i]) != 0; i = (i + 1) & result->mask)
		if (slot >> BATCH_BITS == key)
			return (uint32_t)(slot & (BATCHES_MAX - 1));
	return SNAPSHOT_NONE;
}

/* The object's cell, or the empty one where it belongs. */
static struct cell *find(const struct walk *w, const PyObject *object)
{
	uint64_t i = hash(object, w->shift) & w->mask;

	while (w->cell[i].object && w->cell[i].object != object)
		i = (i + 1) & w->mask;
	return &w->cell[i];
}

static struct cell *known(const struct walk *w, const PyObject *object)
{
	struct cell *cell = find(w, object);

	return cell->object ? cell : NULL;
}

static uint32_t index_of(const struct walk *w, const struct cell *cell)
{
	return (uint32_t)(cell - w->cell);
}

static void traverse(struct walk *w, const struct cell *cell, visitproc visit)
{
	PyObject *object = (PyObject *)(uintptr_t)cell->object;

	w->current = index_of(w, cell);
	Py_TYPE(object)->tp_traverse(object, visit, w);
}

/* ---- What is reachable ------------------------------------------------------------- */

static void *memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* (All of it is used, here and there at random.) */
	madvise(p, size, MADV_HUGEPAGE);
	return p;
}

/* The smallest mask for so many, at least half of the slots empty. */
static uint64_t mask_for(uint64_t count)
{
	uint64_t mask = 63;

	while (mask / 2 < count)
		mask = 2 * mask + 1;
	return mask;
}

static bool prepare(struct walk *w, PyGC_Head *list)
{
	for (PyGC_Head *g = gclist_next(list); g != list; g = gclist_next(g))
		w->objects++;
	w->mask = mask_for(w->objects);
	if (w->mask >= NOWHERE)
		return false;
	w->shift = shift_of(w->mask);
	w->cell = memory((w->mask + 1) * sizeof(*w->cell));
	w->order = memory((w->objects + 1) * sizeof(*w->order));
	return w->cell && w->order;
}

static bool count_references(struct walk *w, PyGC_Head *list)
{
	for (PyGC_Head *g = gclist_next(list); g != list; g = gclist_next(g)) {
		PyObject *object = gclist_object(g);
		struct cell *cell = find(w, object);
		size_t count = (size_t)Py_REFCNT(object);

		if ((uintptr_t)object >> NAMED_BITS ||
		    (uintptr_t)object & ((1 << ALIGN_BITS) - 1))
			return false;
		cell->object = object;
		cell->number = count < COUNT_MAX ? (uint32_t)count : COUNT_MAX;
	}
	return true;
}

static int visit_subtract(PyObject *object, void *arg)
{
	struct walk *w = arg;
	struct cell *cell = known(w, object);

	if (!cell || cell->number == COUNT_MAX)
		return 0;
	if (cell->number == 0)
		w->senseless = true;
	else
		cell->number--;
	return 0;
}

static void push(struct walk *w, struct cell *cell)
{
	cell->number = REACHED;
	cell->link = w->stack;
	w->stack = index_of(w, cell);
}

static int visit_reach(PyObject *object, void *arg)
{
	struct walk *w = arg;
	struct cell *cell = known(w, object);

	if (cell && cell->number != REACHED)
		push(w, cell);
	return 0;
}

static void reach(struct walk *w, PyGC_Head *list)
{
	w->stack = NOWHERE;
	for (PyGC_Head *g = gclist_next(list); g != list; g = gclist_next(g)) {
		struct cell *root = find(w, gclist_object(g));

		if (root->number != 0 && root->number != REACHED)
			push(w, root);
		while (w->stack != NOWHERE) {
			struct cell *cell = &w->cell[w->stack];

			w->stack = cell->link;
			traverse(w, cell, visit_reach);
		}
	}
}

/* ---- What hangs together ------------------------------------------------------------- */

static uint32_t root_of(struct walk *w, uint32_t i)
{
	while (w->cell[i].link != i) {
		w->cell[i].link = w->cell[w->cell[i].link].link;
		i = w->cell[i].link;
	}
	return i;
}

static int visit_unite(PyObject *object, void *arg)
{
	struct walk *w = arg;
	struct cell *cell = known(w, object);
	uint32_t a, b;

	if (!cell || cell->number == REACHED)
		return 0;
	a = root_of(w, w->current);
	b = root_of(w, index_of(w, cell));
	if (a == b)
		return 0;
	if (w->cell[a].number < w->cell[b].number) {
		uint32_t c = a;

		a = b;
		b = c;
	}
	w->cell[b].link = a;
	w->cell[a].number += w->cell[b].number;
	return 0;
}

/*
 * A weak reference that is unreachable itself must not see its object go before it: its
 * callback would be called, which a full collection does not.
 */
static void unite_weakrefs(struct walk *w, const struct cell *cell)
{
	PyObject *object = (PyObject *)(uintptr_t)cell->object;
	Py_ssize_t offset = Py_TYPE(object)->tp_weaklistoffset;

	if (offset == 0)
		return;
	w->current = index_of(w, cell);
	for (PyWeakReference *ref = *(PyWeakReference **)((char *)object + offset); ref;
	     ref = ref->wr_next)
		visit_unite((PyObject *)ref, w);
}

static void unite(struct walk *w, PyGC_Head *list)
{
	for (PyGC_Head *g = gclist_next(list); g != list; g = gclist_next(g)) {
		struct cell *cell = find(w, gclist_object(g));

		if (cell->number == REACHED)
			continue;
		cell->number = 1;
		cell->link = index_of(w, cell);
		w->order[w->unreachable++] = cell->link;
	}
	for (uint64_t i = 0; i < w->unreachable; i++) {
		const struct cell *cell = &w->cell[w->order[i]];

		traverse(w, cell, visit_unite);
		unite_weakrefs(w, cell);
	}
}

/* ---- The result ----------------------------------------------------------------------- */

static void store(struct snapshot_result *result, const PyObject *object, uint32_t batch)
{
	uint64_t i = hash(object, shift_of(result->mask)) & result->mask;

	while (result->slot[i])
		i = (i + 1) & result->mask;
	result->slot[i] = (uintptr_t)object >> ALIGN_BITS << BATCH_BITS | batch;
}

/* Whole components, in the order in which they are met, until a batch is full. */
static enum snapshot_outcome divide(struct walk *w, struct snapshot_result *result,
				    size_t room)
{
	uint64_t batch = 0, filled = 0;

	result->mask = mask_for(w->unreachable);
	if (room < sizeof(*result) + (result->mask + 1) * sizeof(result->slot[0]))
		return SNAPSHOT_NO_ROOM;
	for (uint64_t i = 0; i < w->unreachable; i++) {
		struct cell *root = &w->cell[root_of(w, w->order[i])];

		if (!(root->number & BATCHED)) {
			if (filled > 0 && filled + root->number > SNAPSHOT_BATCH) {
				batch++;
				filled = 0;
			}
			filled += root->number;
			result->components++;
			if (batch >= BATCHES_MAX)
				return SNAPSHOT_NO_ROOM;
			root->number = BATCHED | (uint32_t)batch;
		}
		store(result, w->cell[w->order[i]].object, root->number & ~BATCHED);
	}
	result->unreachable = w->unreachable;
	result->batches = w->unreachable ? batch + 1 : 0;
	return SNAPSHOT_FOUND;
}

static enum snapshot_outcome look(struct walk *w, PyGC_Head *list,
				  struct snapshot_result *result, size_t room)
{
	if (!prepare(w, list) || !count_references(w, list))
		return SNAPSHOT_NO_ROOM;
	result->objects = w->objects;
	for (PyGC_Head *g = gclist_next(list); g != list; g = gclist_next(g))
		traverse(w, find(w, gclist_object(g)), visit_subtract);
	if (w->senseless)
		return SNAPSHOT_NO_SENSE;
	reach(w, list);
	unite(w, list);
	return divide(w, result, room);
}

enum snapshot_outcome snapshot_walk(PyGC_Head *list, struct snapshot_result *result,
				    size_t room)
{
	struct walk w = {.stack = NOWHERE};
	enum snapshot_outcome outcome = look(&w, list, result, room);

	/* The process ends now, and its memory with it. */
	atomic_store(&result->outcome, (uint32_t)outcome);
	return outcome;
}
