/* SPDX-License-Identifier: MIT */
#include "client/python/gclist.h"

static struct _gc_runtime_state *gc;

void gclist_init(void)
{
	gc = &PyInterpreterState_Get()->gc;
}

PyGC_Head *gclist_generation(int generation)
{
	return &gc->generations[generation].head;
}

bool gclist_is_generation(const PyGC_Head *node)
{
	uintptr_t address = (uintptr_t)node, begin = (uintptr_t)gc;

	return address >= begin && address < begin + sizeof(*gc);
}

/* ---- Lists ------------------------------------------------------------------------- */

static void link_nodes(PyGC_Head *first, PyGC_Head *second)
{
	_PyGCHead_SET_NEXT(first, second);
	_PyGCHead_SET_PREV(second, first); /* keeps the flags */
}

void gclist_make(PyGC_Head *list)
{
	list->_gc_next = list->_gc_prev = (uintptr_t)list;
}

bool gclist_empty(PyGC_Head *list)
{
	return gclist_next(list) == list;
}

void gclist_remove(PyGC_Head *node)
{
	link_nodes(gclist_previous(node), gclist_next(node));
	node->_gc_next = 0;
	node->_gc_prev &= _PyGC_PREV_MASK_FINALIZED;
}

void gclist_insert(PyGC_Head *node, PyGC_Head *before)
{
	PyGC_Head *after = gclist_previous(before);

	link_nodes(after, node);
	link_nodes(node, before);
}

void gclist_join_between(PyGC_Head *after, PyGC_Head *before, PyGC_Head *to)
{
	PyGC_Head *first = gclist_next(after), *last = gclist_previous(before);

	if (first == before)
		return;
	link_nodes(after, before);
	link_nodes(gclist_previous(to), first);
	link_nodes(last, to);
}

void gclist_join(PyGC_Head *from, PyGC_Head *to)
{
	gclist_join_between(from, from, to);
}

/* ---- Generations -------------------------------------------------------------------- */

void gclist_age(void)
{
	for (int i = GCLIST_YOUNG; i < GCLIST_OLD; i++) {
		gclist_join(gclist_generation(i), gclist_generation(GCLIST_OLD));
		gc->generations[i].count = 0;
	}
}

void gclist_set_aside(struct gclist_aside *ret)
{
	gclist_make(&ret->young);
	gclist_make(&ret->middle);
	gclist_join(gclist_generation(GCLIST_YOUNG), &ret->young);
	gclist_join(gclist_generation(GCLIST_MIDDLE), &ret->middle);
	ret->young_count = gc->generations[GCLIST_YOUNG].count;
	ret->middle_count = gc->generations[GCLIST_MIDDLE].count;
}

void gclist_bring_back(struct gclist_aside *aside)
{
	/* What finalizers have made meanwhile is the youngest of all. */
	gclist_join(gclist_generation(GCLIST_YOUNG), &aside->young);
	gclist_join(&aside->young, gclist_generation(GCLIST_YOUNG));
	gclist_join(gclist_generation(GCLIST_MIDDLE), gclist_generation(GCLIST_OLD));
	gclist_join(&aside->middle, gclist_generation(GCLIST_MIDDLE));
	gc->generations[GCLIST_YOUNG].count += aside->young_count;
	gc->generations[GCLIST_MIDDLE].count = aside->middle_count;
}

struct gclist_epoch gclist_epoch(void)
{
	return (struct gclist_epoch){
		.full_collections =
			(uint64_t)gc->generation_stats[GCLIST_OLD].collections,
		.frozen = (uintptr_t)gclist_previous(&gc->permanent_generation.head),
	};
}

bool gclist_epoch_same(struct gclist_epoch a, struct gclist_epoch b)
{
	return a.full_collections == b.full_collections && a.frozen == b.frozen;
}

void gclist_settle(uint64_t old, uint64_t pending_before)
{
	gc->long_lived_total = (Py_ssize_t)old;
	gc->long_lived_pending -= (Py_ssize_t)pending_before;
	if (gc->long_lived_pending < 0)
		gc->long_lived_pending = 0;
}

void gclist_settle_more(uint64_t more)
{
	gc->long_lived_total += (Py_ssize_t)more;
}

uint64_t gclist_collected(void)
{
	Py_ssize_t sum = 0;

	for (int i = 0; i <= GCLIST_OLD; i++)
		sum += gc->generation_stats[i].collected;
	return (uint64_t)sum;
}

uint64_t gclist_count(void)
{
	Py_ssize_t count = gc->long_lived_total + gc->long_lived_pending;

	count += gc->generations[GCLIST_YOUNG].count;
	return count > 0 ? (uint64_t)count : 0;
}

/* ---- Marks --------------------------------------------------------------------------- */

static int mark_traverse(PyObject *mark, visitproc visit, void *arg)
{
	return 0;
}

static void mark_dealloc(PyObject *mark)
{
	PyObject_GC_UnTrack(mark);
	PyObject_GC_Del(mark);
}

static PyTypeObject mark_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "rtgc._rtgc.Mark",
	.tp_doc = "A place among the old objects, while a snapshot is worked off.",
	.tp_basicsize = sizeof(PyObject),
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
	.tp_traverse = mark_traverse,
	.tp_dealloc = mark_dealloc,
};

int gclist_marks_ready(void)
{
	return PyType_Ready(&mark_type);
}

PyObject *gclist_mark_new(void)
{
	return PyObject_GC_New(PyObject, &mark_type);
}

PyObject *gclist_mark_free(PyObject *mark)
{
	if (mark) {
		PyObject_GC_UnTrack(mark);
		Py_DECREF(mark);
	}
	return NULL;
}
