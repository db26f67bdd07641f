/* SPDX-License-Identifier: MIT */
#include "client/python/snapshot_trial.h"

#include <stdbool.h>

#include "client/python/gclist.h"
#include "client/python/snapshot.h"
#include "client/python/snapshot_reap.h"
#include "client/python/snapshot_walk.h"

#define LIVE 100 /* lists that hold themselves, and that we hold as well */
#define PAIRS \
	300 /* pairs of lists that hold each other, and nobody else does: two batches and more */
#define MARKS 2
#define WRONG "it did not find what it had to"

/* Static: until the trial is over, members of CPython's own point here. */
static PyGC_Head list;

/* Lists, each with the one `step` further on in its group of two. */
static bool make(PyObject **array, int count, int step)
{
	for (int i = 0; i < count; i++) {
		array[i] = PyList_New(0);
		if (!array[i])
			return false;
	}
	for (int i = 0; i < count; i++)
		if (PyList_Append(array[i], array[i ^ step]) < 0)
			return false;
	return true;
}

/* Out of the program's generations, so that the trial takes no longer in a big process. */
static void isolate(PyObject **array, int count)
{
	for (int i = 0; i < count; i++) {
		gclist_remove(gclist_node(array[i]));
		gclist_insert(gclist_node(array[i]), &list);
	}
}

static void drop(PyObject **array, int count)
{
	for (int i = 0; i < count; i++)
		Py_CLEAR(array[i]);
}

static bool all_alive(PyObject **array)
{
	for (int i = 0; i < LIVE; i++)
		if (Py_REFCNT(array[i]) != 2 || PyList_GET_SIZE(array[i]) != 1 ||
		    PyList_GET_ITEM(array[i], 0) != array[i])
			return false;
	return true;
}

/* NULL, or why it came to nothing. */
static const char *snapshot_of_list(void)
{
	uint64_t objects = 0, freed = 0;
	const char *why = snapshot_trial(&list, &objects, &freed);

	if (!why && (objects != LIVE + 2 * PAIRS + MARKS || freed != 2 * PAIRS))
		why = WRONG;
	return why;
}

static const char *part_of_list(void)
{
	PyGC_Head unreachable;
	uint64_t reachable = 0, moved = 0;
	const char *why;

	gclist_make(&unreachable);
	if (!snapshot_part(&list, NULL, &unreachable, &reachable))
		return WRONG;
	for (PyGC_Head *node = gclist_next(&unreachable); node != &unreachable;
	     node = gclist_next(node))
		moved++;
	for (int i = 0; moved == 2 * PAIRS && reachable == LIVE && i < PAIRS; i++) {
		/* Both of a pair. */
		PyObject *one = Py_NewRef(gclist_object(gclist_next(&unreachable)));

		PyList_SetSlice(one, 0, 1, NULL);
		Py_DECREF(one);
	}
	why = gclist_empty(&unreachable) ? NULL : WRONG;
	gclist_join(&unreachable, gclist_generation(GCLIST_YOUNG));
	return why;
}

static const char *try_out(const char *(*trial)(void))
{
	static PyObject *live[LIVE], *dead[2 * PAIRS];
	const char *why;

	if (!make(live, LIVE, 0) || !make(dead, 2 * PAIRS, 1)) {
		PyErr_Clear();
		drop(live, LIVE);
		drop(dead, 2 * PAIRS);
		return "there is no memory";
	}
	gclist_make(&list);
	isolate(live, LIVE);
	isolate(dead, 2 * PAIRS);
	drop(dead, 2 * PAIRS);
	why = trial();
	if (!why && !all_alive(live))
		why = WRONG;
	gclist_join(&list, gclist_generation(GCLIST_YOUNG));
	for (int i = 0; i < LIVE; i++)
		PyList_SetSlice(live[i], 0, 1, NULL);
	drop(live, LIVE);
	return why;
}

bool snapshot_usable(void)
{
	static bool tried;
	struct snapshot_figures figures;

	if (!tried && snapshot_reap_init() < 0) {
		PyErr_Clear();
		snapshot_refuse("there is no memory");
	} else if (!tried) {
		const char *why = try_out(snapshot_of_list);

		if (why)
			snapshot_refuse(why);
	}
	tried = true;
	snapshot_figures(&figures);
	return !figures.refused;
}

bool snapshot_part_usable(void)
{
	static bool tried, usable;

	if (!tried)
		usable = try_out(part_of_list) == NULL;
	tried = true;
	return usable;
}
