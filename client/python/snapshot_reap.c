/* SPDX-License-Identifier: MIT */
#include "client/python/snapshot_reap.h"

#include "client/python/gclist.h"
#include "client/python/young.h"
#include "client/rtgc.h"

#define LOOK_EVERY  128	 /* members, between two looks at the clock */
#define MARKS_EVERY 1024 /* made, the same */
#define STEP_MIN_NS 200000ULL

static struct {
	PyObject *collect, *youngest; /* gc.collect, and its argument 0 */
	PyObject *cursor, *fence;
	enum {
		CLOSED,
		MARKING,
		SORTING,
		FREEING,
	} phase;
	PyGC_Head *list;
	struct gclist_epoch epoch;
	PyObject **mark; /* batch i lies between marks i and i + 1 */
	uint64_t marks, batch;
	uint64_t batch_ns; /* what one takes, of late at most */

	struct gclist_aside aside;
	bool is_aside;
} reap;

int snapshot_reap_init(void)
{
	PyObject *module;

	if (reap.fence)
		return 0;
	gclist_init();
	module = PyImport_ImportModule("gc");
	if (module && !reap.collect)
		reap.collect = PyObject_GetAttrString(module, "collect");
	Py_XDECREF(module);
	if (!reap.youngest)
		reap.youngest = PyLong_FromLong(GCLIST_YOUNG);
	if (!reap.collect || !reap.youngest || gclist_marks_ready() < 0)
		return -1;
	if (!reap.cursor)
		reap.cursor = gclist_mark_new();
	if (reap.cursor)
		reap.fence = gclist_mark_new();
	return reap.fence ? 0 : -1;
}

void snapshot_reap_open(PyGC_Head *list)
{
	reap.list = list;
	reap.epoch = gclist_epoch();
	gclist_insert(gclist_node(reap.cursor), gclist_next(list));
	gclist_insert(gclist_node(reap.fence), list);
	reap.phase = MARKING;
	reap.batch = reap.batch_ns = 0;
}

void snapshot_reap_close(void)
{
	if (reap.phase == CLOSED)
		return;
	for (uint64_t i = 0; i < reap.marks; i++)
		gclist_mark_free(reap.mark[i]);
	PyMem_RawFree(reap.mark);
	reap.mark = NULL;
	reap.marks = 0;
	PyObject_GC_UnTrack(reap.cursor);
	PyObject_GC_UnTrack(reap.fence);
	reap.phase = CLOSED;
}

void snapshot_reap_abandon(void)
{
	if (reap.is_aside)
		gclist_bring_back(&reap.aside);
	reap.is_aside = false;
	young_is_other(false);
}

/* ---- The marks of the batches -------------------------------------------------------- */

/* Behind the fence, in order, before what has grown old since. */
static enum reap make_marks(const struct snapshot_result *result, uint64_t until)
{
	uint64_t wanted = result->batches + 1;
	PyGC_Head *before;

	if (!reap.mark)
		reap.mark = PyMem_RawCalloc(wanted, sizeof(*reap.mark));
	if (!reap.mark)
		return REAP_VOID;
	/* (Making one may run a collection, so they are put into the list all together.) */
	while (reap.marks < wanted) {
		PyObject *mark = gclist_mark_new();

		if (!mark) {
			PyErr_Clear();
			return REAP_VOID;
		}
		reap.mark[reap.marks++] = mark;
		if (reap.marks % MARKS_EVERY == 0 && rtgc_now() >= until)
			return REAP_MORE;
	}
	if (!gclist_epoch_same(reap.epoch, gclist_epoch()))
		return REAP_VOID;
	before = gclist_next(gclist_node(reap.fence));
	for (uint64_t i = 0; i < wanted; i++)
		gclist_insert(gclist_node(reap.mark[i]), before);
	reap.phase = SORTING;
	return REAP_DONE;
}

/* ---- The walk -------------------------------------------------------------------------- */

static enum reap sort(const struct snapshot_result *result, uint64_t until)
{
	PyGC_Head *cursor = gclist_node(reap.cursor), *fence = gclist_node(reap.fence);
	PyGC_Head *node = gclist_next(cursor), *next;

	for (uint64_t i = 1; node != fence; node = next, i++) {
		uint32_t batch;

		if (node == reap.list || gclist_is_generation(node))
			return REAP_VOID;
		next = gclist_next(node);
		batch = snapshot_batch_of(result, gclist_object(node));
		if (batch < result->batches) {
			gclist_remove(node);
			gclist_insert(node, gclist_node(reap.mark[batch + 1]));
		}
		if (i % LOOK_EVERY == 0 && rtgc_now() >= until) {
			gclist_remove(cursor);
			gclist_insert(cursor, next);
			return REAP_MORE;
		}
	}
	reap.phase = FREEING;
	return REAP_DONE;
}

/* ---- The collections --------------------------------------------------------------------- */

/* CPython's collection of the youngest generation, which is what lies between two marks. */
static bool collect_between(PyObject *first, PyObject *last, uint64_t *freed)
{
	uint64_t before = gclist_collected();
	PyObject *result;

	reap.is_aside = true;
	young_is_other(true);
	gclist_set_aside(&reap.aside);
	gclist_join_between(gclist_node(first), gclist_node(last),
			    gclist_generation(GCLIST_YOUNG));
	result = PyObject_CallFunctionObjArgs(reap.collect, reap.youngest, NULL);
	gclist_bring_back(&reap.aside);
	reap.is_aside = false;
	young_is_other(false);
	if (!result) {
		PyErr_Clear();
		return false;
	}
	Py_DECREF(result);
	/* (A callback may have run a collection before this one, which has left nothing to it.) */
	*freed += gclist_collected() - before;
	return true;
}

static enum reap free_batches(const struct snapshot_result *result, uint64_t until,
			      uint64_t *freed)
{
	uint64_t now = rtgc_now();

	while (reap.batch < result->batches) {
		PyObject *first = reap.mark[reap.batch],
			 *last = reap.mark[reap.batch + 1];
		uint64_t before = now;

		if (!gclist_epoch_same(reap.epoch, gclist_epoch()))
			return REAP_VOID;
		if (gclist_next(gclist_node(first)) != gclist_node(last) &&
		    !collect_between(first, last, freed))
			return REAP_VOID;
		reap.mark[reap.batch++] = gclist_mark_free(first);
		now = rtgc_now();
		reap.batch_ns -= reap.batch_ns / 8;
		if (now - before > reap.batch_ns)
			reap.batch_ns = now - before;
		if (now + reap.batch_ns > until && reap.batch < result->batches)
			return REAP_MORE;
	}
	return REAP_DONE;
}

uint64_t snapshot_reap_need_ns(void)
{
	return reap.phase == FREEING && reap.batch_ns > STEP_MIN_NS ? reap.batch_ns
								    : STEP_MIN_NS;
}

enum reap snapshot_reap(const struct snapshot_result *result, uint64_t until_ns,
			uint64_t *freed)
{
	enum reap r = REAP_DONE;

	while (r == REAP_DONE) {
		if (!gclist_epoch_same(reap.epoch, gclist_epoch()))
			return REAP_VOID;
		switch (reap.phase) {
		case CLOSED:
			return REAP_VOID;
		case MARKING:
			r = make_marks(result, until_ns);
			break;
		case SORTING:
			r = sort(result, until_ns);
			break;
		case FREEING:
			return free_batches(result, until_ns, freed);
		}
	}
	return r;
}
