/* SPDX-License-Identifier: MIT */
#include "client/python/snapshot_walk.h"

#include <sys/mman.h>

#include "client/python/gclist.h"
#include "client/python/snapshot_table.h"

/* A slot of the result: the object's address without its low bits, and its batch. */
#define BATCH_BITS  19
#define BATCHES_MAX (UINT64_C(1) << BATCH_BITS)
#define ALIGN_BITS  3
#define NAMED_BITS  (64 - BATCH_BITS + ALIGN_BITS) /* of an address */

/*
 * A cell's number: of references found; then of those from elsewhere; then REACHED, or for the
 * unreachable the size of the component at its root, later BATCHED and its batch. Its link: the
 * object's own count; then whether it was PASSED; then the parent in its component.
 */
#define REACHED	  UINT32_MAX
#define COUNT_MAX UINT32_C(0x7fffffff) /* of immortal objects and the like */
#define PASSED	  1
#define BATCHED	  UINT32_C(0x80000000)

/* The word, counted from an object, that says where its attributes are, if they are not in a dictionary of its own. */
#if PY_VERSION_HEX >= 0x030c0000
#define ATTRIBUTES (-3)
#elif PY_VERSION_HEX >= 0x030b0000
#define ATTRIBUTES (-4)
#endif

#define BLOCK 32 /* objects traversed together */
#define RING  64 /* so many references after it was met, one is taken up */

/* From a cell to an object, which has that cell if it is on the list. NULL: it is not. */
struct reference {
	const PyObject *to;
	uint32_t from, cell;
};

struct walk {
	struct snapshot_table table;
	struct reference ring[RING];
	unsigned met;
	uint32_t current; /* the cell that is traversed */
	uint32_t *queue;  /* reached after they were passed, to be traversed */
	uint64_t queued, taken;
	uint64_t unreachable; /* the first so many of the table's order, in the end */
};

/* ---- References -------------------------------------------------------------------- */

/* Meets one, and returns the one that has been met RING ago. */
static inline struct reference meet(struct walk *w, const PyObject *to)
{
	unsigned i = w->met++;
	struct reference *latest = &w->ring[i % RING];
	struct reference *asked = &w->ring[(i + RING / 2) % RING], first = *latest;

	latest->to = to;
	latest->from = w->current;
	if (to)
		snapshot_fetch_page(&w->table, to);
	if (asked->to) {
		asked->cell = snapshot_find(&w->table, asked->to);
		if (asked->cell == SNAPSHOT_NOWHERE)
			asked->to = NULL;
		else
			snapshot_fetch_cell(&w->table, asked->cell);
	}
	return first;
}

/* The cell of what a reference goes to, or NULL. */
static inline struct snapshot_cell *target(struct walk *w, struct reference r)
{
	struct snapshot_cell *cell = r.to ? &w->table.cell[r.cell] : NULL;

	return cell && cell->object == r.to ? cell : NULL;
}

/* ---- Objects ----------------------------------------------------------------------- */

/*
 * A prefetch does nothing here: it is dropped where the CPU has to look up the page first, and a heap has more
 * pages than it remembers. So objects are read, a block of them in a row: no step of that needs what the one
 * before has read, so that their memory comes at the same time.
 */
static void touch(const void *p)
{
	(void)*(const volatile char *)p;
}

/* What most of them keep elsewhere. */
static void touch_parts(const PyObject *object)
{
#ifdef ATTRIBUTES
	void *const *word = (void *const *)object;

	if (Py_TYPE(object)->tp_flags & Py_TPFLAGS_MANAGED_DICT && word[ATTRIBUTES])
		touch(word[ATTRIBUTES]);
#endif
	if (PyDict_Check(object)) {
		const PyDictObject *dict = (const PyDictObject *)object;

		touch(dict->ma_keys);
		__builtin_prefetch((const char *)dict->ma_keys + 64);
		__builtin_prefetch((const char *)dict->ma_keys + 128);
		if (dict->ma_values)
			touch(dict->ma_values);
	} else if (PyList_Check(object) && ((const PyListObject *)object)->ob_item) {
		touch(((const PyListObject *)object)->ob_item);
	}
}

static PyObject *object_of(const struct walk *w, uint32_t i)
{
	return (PyObject *)(uintptr_t)w->table.cell[i].object;
}

/* BLOCK at most. */
static void traverse(struct walk *w, const uint32_t *row, unsigned n, visitproc visit)
{
	for (unsigned i = 0; i < n; i++)
		touch(object_of(w, row[i]));
	for (unsigned i = 0; i < n; i++)
		touch_parts(object_of(w, row[i]));
	for (unsigned i = 0; i < n; i++) {
		PyObject *object = object_of(w, row[i]);

		w->current = row[i];
		Py_TYPE(object)->tp_traverse(object, visit, w);
	}
}

/* What has been met is taken up. */
static void finish(struct walk *w, visitproc visit)
{
	for (int i = 0; i < RING; i++)
		visit(NULL, w);
}

/* The block of the list that begins there, and the next one's cells on their way. Returns its size. */
static unsigned block(const struct walk *w, uint64_t first, uint64_t n)
{
	uint64_t size = n - first < BLOCK ? n - first : BLOCK;

	for (uint64_t i = first + size; i < n && i < first + size + BLOCK; i++)
		snapshot_fetch_cell(&w->table, w->table.order[i]);
	return (unsigned)size;
}

static size_t queue_size(const struct walk *w)
{
	return (w->table.objects + 1) * sizeof(w->queue[0]);
}

/* ---- What is reachable ------------------------------------------------------------- */

static int visit_count(PyObject *object, void *arg)
{
	struct walk *w = arg;
	struct snapshot_cell *cell = target(w, meet(w, object));

	if (cell && cell->number < COUNT_MAX)
		cell->number++;
	return 0;
}

static void count_references(struct walk *w)
{
	const struct snapshot_table *t = &w->table;

	for (uint64_t i = 0; i < t->objects; i += BLOCK) {
		unsigned n = block(w, i, t->objects);

		traverse(w, t->order + i, n, visit_count);
		for (unsigned k = 0; k < n; k++) {
			struct snapshot_cell *cell = &t->cell[t->order[i + k]];
			size_t count = (size_t)Py_REFCNT(cell->object);

			cell->link = count < COUNT_MAX ? (uint32_t)count : COUNT_MAX;
		}
	}
	finish(w, visit_count);
}

static enum snapshot_outcome subtract(struct walk *w)
{
	for (uint64_t i = 0; i < w->table.objects; i++) {
		struct snapshot_cell *cell = &w->table.cell[i];

		if ((uintptr_t)cell->object >> NAMED_BITS)
			return SNAPSHOT_NO_ROOM;
		if (cell->number > cell->link)
			return SNAPSHOT_NO_SENSE;
		cell->number =
			cell->link == COUNT_MAX ? COUNT_MAX : cell->link - cell->number;
		cell->link = 0;
	}
	return SNAPSHOT_FOUND;
}

static int visit_reach(PyObject *object, void *arg)
{
	struct walk *w = arg;
	struct snapshot_cell *cell = target(w, meet(w, object));

	if (!cell || cell->number == REACHED)
		return 0;
	cell->number = REACHED;
	if (cell->link == PASSED)
		w->queue[w->queued++] = (uint32_t)(cell - w->table.cell);
	return 0;
}

/* As long as there are so many. */
static void reach_queued(struct walk *w, uint64_t least)
{
	while (w->queued - w->taken >= least) {
		uint64_t n = w->queued - w->taken;

		n = n < BLOCK ? n : BLOCK;
		w->taken += n;
		traverse(w, w->queue + w->taken - n, (unsigned)n, visit_reach);
	}
}

/* In the order of the list; those that turn out to be reachable when they have been passed, after that. */
static void reach(struct walk *w)
{
	const struct snapshot_table *t = &w->table;

	for (uint64_t i = 0; i < t->objects; i += BLOCK) {
		unsigned n = block(w, i, t->objects), reached = 0;
		uint32_t row[BLOCK];

		for (unsigned k = 0; k < n; k++) {
			struct snapshot_cell *cell = &t->cell[t->order[i + k]];

			if (cell->number == 0) {
				cell->link = PASSED;
				continue;
			}
			cell->number = REACHED;
			row[reached++] = t->order[i + k];
		}
		traverse(w, row, reached, visit_reach);
		reach_queued(w, BLOCK);
	}
	do {
		reach_queued(w, 1);
		finish(w, visit_reach);
	} while (w->queued > w->taken);
}

/* ---- What hangs together ------------------------------------------------------------- */

static uint32_t root_of(struct walk *w, uint32_t i)
{
	struct snapshot_cell *cell = w->table.cell;

	while (cell[i].link != i) {
		cell[i].link = cell[cell[i].link].link;
		i = cell[i].link;
	}
	return i;
}

static int visit_unite(PyObject *object, void *arg)
{
	struct walk *w = arg;
	struct reference r = meet(w, object);
	struct snapshot_cell *cell = target(w, r);
	uint32_t a, b;

	if (!cell || cell->number == REACHED)
		return 0;
	cell = w->table.cell;
	a = root_of(w, r.from);
	b = root_of(w, r.cell);
	if (a == b)
		return 0;
	if (cell[a].number < cell[b].number) {
		uint32_t c = a;

		a = b;
		b = c;
	}
	cell[b].link = a;
	cell[a].number += cell[b].number;
	return 0;
}

/*
 * A weak reference that is unreachable itself must not see its object go before it: its
 * callback would be called, which a full collection does not.
 */
static void unite_weakrefs(struct walk *w, uint32_t i)
{
	PyObject *object = object_of(w, i);
	Py_ssize_t offset = Py_TYPE(object)->tp_weaklistoffset;

	if (offset == 0)
		return;
	w->current = i;
	for (PyWeakReference *ref = *(PyWeakReference **)((char *)object + offset); ref;
	     ref = ref->wr_next)
		visit_unite((PyObject *)ref, w);
}

static void unite(struct walk *w)
{
	const struct snapshot_table *t = &w->table;

	for (uint64_t i = 0; i < t->objects; i++) {
		uint32_t at = t->order[i];

		if (t->cell[at].number == REACHED)
			continue;
		t->cell[at].number = 1;
		t->cell[at].link = at;
		t->order[w->unreachable++] = at;
	}
	for (uint64_t i = 0; i < w->unreachable; i += BLOCK) {
		unsigned n = block(w, i, w->unreachable);

		traverse(w, t->order + i, n, visit_unite);
		for (unsigned k = 0; k < n; k++)
			unite_weakrefs(w, t->order[i + k]);
	}
	finish(w, visit_unite);
}

/* ---- The result ----------------------------------------------------------------------- */

/* Neighbours in a page stay neighbours. */
static uint64_t slot_of(const PyObject *object, uint64_t mask)
{
	return (snapshot_hash(snapshot_page_number(object), snapshot_shift(mask)) +
		snapshot_place(object)) &
	       mask;
}

uint32_t snapshot_batch_of(const struct snapshot_result *result, const PyObject *object)
{
	uint64_t key = (uintptr_t)object >> ALIGN_BITS, slot;
	uint64_t i = slot_of(object, result->mask);

	for (; (slot = result->slot[i]) != 0; i = (i + 1) & result->mask)
		if (slot >> BATCH_BITS == key)
			return (uint32_t)(slot & (BATCHES_MAX - 1));
	return SNAPSHOT_NONE;
}

static void store(struct snapshot_result *result, const PyObject *object, uint32_t batch)
{
	uint64_t i = slot_of(object, result->mask);

	while (result->slot[i])
		i = (i + 1) & result->mask;
	result->slot[i] = (uintptr_t)object >> ALIGN_BITS << BATCH_BITS | batch;
}

/* Whole components, in the order in which they are met, until a batch is full. */
static enum snapshot_outcome divide(struct walk *w, struct snapshot_result *result,
				    size_t room)
{
	uint64_t batch = 0, filled = 0;

	result->mask = snapshot_mask(w->unreachable);
	if (room < sizeof(*result) + (result->mask + 1) * sizeof(result->slot[0]))
		return SNAPSHOT_NO_ROOM;
	for (uint64_t i = 0; i < w->unreachable; i++) {
		uint32_t at = w->table.order[i];
		struct snapshot_cell *root = &w->table.cell[root_of(w, at)];

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
		store(result, w->table.cell[at].object, root->number & ~BATCHED);
	}
	result->unreachable = w->unreachable;
	result->batches = w->unreachable ? batch + 1 : 0;
	return SNAPSHOT_FOUND;
}

/* Which objects of the table can be reached. */
static enum snapshot_outcome look(struct walk *w)
{
	enum snapshot_outcome outcome;

	w->queue = snapshot_memory(queue_size(w));
	if (!w->queue)
		return SNAPSHOT_NO_ROOM;
	count_references(w);
	outcome = subtract(w);
	if (outcome == SNAPSHOT_FOUND)
		reach(w);
	return outcome;
}

static enum snapshot_outcome find(struct walk *w, PyGC_Head *list,
				  struct snapshot_result *result, size_t room)
{
	enum snapshot_outcome outcome;

	if (!snapshot_table(&w->table, list, NULL))
		return SNAPSHOT_NO_ROOM;
	result->objects = w->table.objects;
	outcome = look(w);
	if (outcome != SNAPSHOT_FOUND)
		return outcome;
	unite(w);
	return divide(w, result, room);
}

enum snapshot_outcome snapshot_walk(PyGC_Head *list, struct snapshot_result *result,
				    size_t room)
{
	struct walk w = {0};
	enum snapshot_outcome outcome = find(&w, list, result, room);

	/* The process ends now, and its memory with it. */
	atomic_store(&result->outcome, (uint32_t)outcome);
	return outcome;
}

/* ---- In a process that goes on ---------------------------------------------------------- */

/* Returns how many were moved. */
static uint64_t move_unreachable(const struct walk *w, PyGC_Head *to)
{
	uint64_t moved = 0;

	for (uint64_t i = 0; i < w->table.objects; i++) {
		uint32_t at = w->table.order[i];
		PyGC_Head *node;

		if (w->table.cell[at].number == REACHED)
			continue;
		node = gclist_node(object_of(w, at));
		gclist_remove(node);
		gclist_insert(node, to);
		moved++;
	}
	return moved;
}

bool snapshot_part(PyGC_Head *list, bool (*suits)(uint64_t near, uint64_t objects),
		   PyGC_Head *unreachable, uint64_t *ret_reachable)
{
	struct walk w = {0};
	bool done = snapshot_table(&w.table, list, suits) && look(&w) == SNAPSHOT_FOUND;

	if (done)
		*ret_reachable = w.table.objects - move_unreachable(&w, unreachable);
	if (w.queue)
		munmap(w.queue, queue_size(&w));
	snapshot_table_deinit(&w.table);
	return done;
}
