/* SPDX-License-Identifier: MIT */
#include "client/python/internal.h"

#include <stdio.h>
#include <string.h>

#include "client/python/gcstate.h"

#define OLDEST	   2
#define TEST_LISTS 512
#define TEST_SLOP  64	 /* objects that come and go while the test itself runs */
#define TEST_SMALL 50000 /* old objects; a full collection takes some milliseconds */

#define FROZEN_AT_START 1000 /* more than any interpreter has set aside by itself */

static struct _gc_runtime_state *gc;
static PyObject *gc_module;

void gcstate_figures(struct gcstate_figures *ret)
{
	ret->total = gc->long_lived_total > 0 ? (uint64_t)gc->long_lived_total : 0;
	ret->pending = gc->long_lived_pending > 0 ? (uint64_t)gc->long_lived_pending : 0;
}

unsigned long gcstate_main_thread(void)
{
	return _PyRuntime.main_thread;
}

bool gcstate_enabled(void)
{
	return gc->enabled;
}

bool gcstate_collecting(void)
{
	return gc->collecting;
}

void gcstate_end_collecting(void)
{
	gc->collecting = 0;
}

static int threshold_of(int generation)
{
	return __atomic_load_n(&gc->generations[generation].threshold, __ATOMIC_SEQ_CST);
}

int gcstate_threshold(void)
{
	return threshold_of(OLDEST);
}

void gcstate_set_threshold(int threshold)
{
	__atomic_store_n(&gc->generations[OLDEST].threshold, threshold, __ATOMIC_SEQ_CST);
}

void gcstate_reset_count(void)
{
	gc->generations[OLDEST].count = 0;
}

uint64_t gcstate_step(void)
{
	int young = threshold_of(0), middle = threshold_of(1);

	if (!gc->enabled || young <= 0 || middle < 0)
		return 0;
	return ((uint64_t)young + 1) * ((uint64_t)middle + 2);
}

bool gcstate_middle_soon(int quarters)
{
	int count = gc->generations[1].count, threshold = threshold_of(1);

	/* (Without a threshold of its own it is collected with the youngest.) */
	return count > 0 && 4 * (int64_t)count >= quarters * ((int64_t)threshold + 1) &&
	       threshold > 0 && gc->enabled && !gc->collecting && threshold_of(0) > 0;
}

bool gcstate_young_is(const struct gcstate_young *thresholds)
{
	return threshold_of(0) == thresholds->youngest &&
	       threshold_of(1) == thresholds->middle;
}

static void change(int generation, int from, int to)
{
	__atomic_compare_exchange_n(&gc->generations[generation].threshold, &from, to,
				    false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void gcstate_change_young(struct gcstate_young from, struct gcstate_young to)
{
	if (!gcstate_young_is(&from))
		return;
	change(0, from.youngest, to.youngest);
	change(1, from.middle, to.middle);
}

int gcstate_count(int generation)
{
	return gc->generations[generation].count;
}

bool gcstate_is_full(void)
{
	int threshold = threshold_of(0);

	return threshold > 0 && gc->generations[0].count > threshold;
}

bool gcstate_hold(void)
{
	if (gc->collecting)
		return false;
	gc->collecting = 1;
	return true;
}

void gcstate_release(void)
{
	gc->collecting = 0;
}

static int visit_list(PyGC_Head *head, int (*fn)(PyObject *object, void *userdata),
		      void *userdata)
{
	PyGC_Head *g = _PyGCHead_NEXT(head);
	int r = 0;

	/* What comes next is read last: fn may add a young object. */
	for (; g != head && r == 0; g = _PyGCHead_NEXT(g))
		r = fn((PyObject *)(g + 1), userdata);
	return r;
}

int gcstate_visit_newest(int (*fn)(PyObject *object, void *userdata), void *userdata)
{
	PyGC_Head *head = &gc->generations[0].head, *g = _PyGCHead_PREV(head);
	int r = 0;

	for (; g && g != head && r == 0; g = _PyGCHead_PREV(g))
		r = fn((PyObject *)(g + 1), userdata);
	return r;
}

int gcstate_visit(int (*fn)(PyObject *object, void *userdata), void *userdata)
{
	int r = 0;

	for (int i = 0; i <= OLDEST && r == 0; i++)
		r = visit_list(&gc->generations[i].head, fn, userdata);
	return r ? r : visit_list(&gc->permanent_generation.head, fn, userdata);
}

/* Calls gc.NAME() and drops what it returns. */
static int call(PyObject *module, const char *name)
{
	PyObject *result = PyObject_CallMethod(module, name, NULL);

	Py_XDECREF(result);
	return result ? 0 : -1;
}

static int collect(PyObject *module, int generation)
{
	PyObject *result = PyObject_CallMethod(module, "collect", "i", generation);

	Py_XDECREF(result);
	return result ? 0 : -1;
}

void gcstate_collect_middle(void)
{
	if (collect(gc_module, OLDEST - 1) < 0)
		PyErr_Clear();
}

static int count_to_limit(PyObject *object, void *userdata)
{
	unsigned *n = userdata;

	return ++*n > FROZEN_AT_START;
}

bool gcstate_holds_frozen(void)
{
	unsigned n = 0;

	return visit_list(&gc->permanent_generation.head, count_to_limit, &n) != 0;
}

bool gcstate_freeze(void)
{
	if (call(gc_module, "freeze") < 0) {
		PyErr_Clear();
		return false;
	}
	gc->long_lived_total = gc->long_lived_pending = 0;
	return true;
}

void gcstate_unfreeze(uint64_t total)
{
	if (call(gc_module, "unfreeze") < 0)
		PyErr_Clear();
	gc->long_lived_total += (Py_ssize_t)total;
}

/* ---- The self-test ---------------------------------------------------------------- */

static int refuse(const char *what)
{
	const char *text = Py_GetVersion();
	char version[16];

	snprintf(version, sizeof(version), "%.*s", (int)strcspn(text, " "), text);
	if (!PyErr_Occurred())
		PyErr_Format(
			PyExc_ImportError,
			"rtgc was built for CPython %d.%d, and the collector of this "
			"interpreter (%s) is another one: %s",
			PY_MAJOR_VERSION, PY_MINOR_VERSION, version, what);
	return -1;
}

static bool same_version(void)
{
	int major = 0, minor = 0;

	return sscanf(Py_GetVersion(), "%d.%d", &major, &minor) == 2 &&
	       major == PY_MAJOR_VERSION && minor == PY_MINOR_VERSION;
}

static int add_one(PyObject *object, void *userdata)
{
	++*(Py_ssize_t *)userdata;
	return 0;
}

static int set_thresholds(PyObject *module, const int threshold[3])
{
	PyObject *result = PyObject_CallMethod(module, "set_threshold", "iii",
					       threshold[0], threshold[1], threshold[2]);

	Py_XDECREF(result);
	return result ? 0 : -1;
}

static bool thresholds_are(const int threshold[3])
{
	return gc->generations[0].threshold == threshold[0] &&
	       gc->generations[1].threshold == threshold[1] &&
	       gc->generations[OLDEST].threshold == threshold[2];
}

/* What the gc module is told must be found in the struct, and the other way round. */
static int test_thresholds(PyObject *module)
{
	static const int odd[3] = {1000003, 1009, 1013};
	PyObject *result = PyObject_CallMethod(module, "get_threshold", NULL);
	int old[3];
	bool seen;

	if (!result || !PyArg_ParseTuple(result, "iii", &old[0], &old[1], &old[2])) {
		Py_XDECREF(result);
		return -1;
	}
	Py_DECREF(result);
	if (!thresholds_are(old))
		return refuse("its thresholds are elsewhere");
	if (set_thresholds(module, odd) < 0)
		return -1;
	seen = thresholds_are(odd);
	if (set_thresholds(module, old) < 0)
		return -1;
	return seen && thresholds_are(old) ? 0 : refuse("its thresholds are elsewhere");
}

static int test_enabled(PyObject *module)
{
	PyObject *result = PyObject_CallMethod(module, "isenabled", NULL);
	bool was = result == Py_True, off, on;

	Py_XDECREF(result);
	if (!result || call(module, "disable") < 0)
		return -1;
	off = !gc->enabled;
	if (call(module, "enable") < 0)
		return -1;
	on = gc->enabled == 1;
	if (!was && call(module, "disable") < 0)
		return -1;
	return on && off && gc->enabled == was ? 0 : refuse("its switch is elsewhere");
}

static Py_ssize_t old_objects(PyObject *module)
{
	PyObject *list = PyObject_CallMethod(module, "get_objects", "i", OLDEST);
	Py_ssize_t count = list ? PyList_Size(list) : -1;

	Py_XDECREF(list);
	return count;
}

static bool is_near(Py_ssize_t a, Py_ssize_t b)
{
	return a <= b + TEST_SLOP && b <= a + TEST_SLOP;
}

/* Lists that somebody holds; NULL with an exception set. */
static PyObject *known_objects(void)
{
	PyObject *lists = PyList_New(0);

	for (int i = 0; lists && i < TEST_LISTS; i++) {
		PyObject *list = PyList_New(0);

		if (!list || PyList_Append(lists, list) < 0)
			Py_CLEAR(lists);
		Py_XDECREF(list);
	}
	return lists;
}

/*
 * Known objects grow old: pending must rise by as much as the oldest generation does, total
 * not. In a small heap a full collection is cheap: it must make the total what is there.
 */
static int test_figures(PyObject *module)
{
	Py_ssize_t total = gc->long_lived_total, pending = gc->long_lived_pending;
	Py_ssize_t before = old_objects(module), after, listed = 0;
	PyObject *lists = before < 0 ? NULL : known_objects();
	int r = lists ? collect(module, OLDEST - 1) : -1;

	after = r < 0 ? -1 : old_objects(module);
	visit_list(&gc->generations[OLDEST].head, add_one, &listed);
	Py_XDECREF(lists);
	if (after < 0)
		return -1;
	if (gc->long_lived_total != total || total < 0 || pending < 0 ||
	    after - before < TEST_LISTS ||
	    !is_near(gc->long_lived_pending - pending, after - before))
		return refuse("its count of objects grown old is elsewhere");
	if (!is_near(listed, after))
		return refuse("its lists are linked in another way");
	if (after > TEST_SMALL)
		return 0;
	if (collect(module, OLDEST) < 0)
		return -1;
	after = old_objects(module);
	if (after < 0)
		return -1;
	if (gc->long_lived_pending != 0 || !is_near(gc->long_lived_total, after))
		return refuse("its count of old objects is elsewhere");
	return 0;
}

int gcstate_init(void)
{
	PyInterpreterState *interpreter = PyInterpreterState_Get();
	PyObject *module;
	int r;

	if (!same_version())
		return refuse("the versions differ");
	/* (Our file's name says nothing of the build, so it may be found by one of those.) */
	if (strstr(Py_GetVersion(), "free-threading"))
		return refuse("a free-threaded build has a collector of its own");
	if (interpreter != PyInterpreterState_Main())
		return refuse("it is a subinterpreter's");
	gc = &interpreter->gc;
	module = PyImport_ImportModule("gc");
	if (!module)
		return -1;
	r = test_thresholds(module);
	if (r == 0)
		r = test_enabled(module);
	if (r == 0)
		r = test_figures(module);
	if (r == 0 && !gc_module)
		gc_module = module; /* kept */
	else
		Py_DECREF(module);
	return r;
}
