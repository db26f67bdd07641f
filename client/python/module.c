/* SPDX-License-Identifier: MIT */
/* The module rtgc._rtgc: what the package rtgc is made from. Not for users. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>

#include "client/python/answer.h"
#include "client/python/changes.h"
#include "client/python/figures.h"
#include "client/python/full.h"
#include "client/python/gcstate.h"
#include "client/python/heap.h"
#include "client/python/helper.h"
#include "client/python/pauses.h"
#include "client/python/pool.h"
#include "client/python/rest.h"
#include "client/python/servers.h"
#include "client/python/sites.h"
#include "client/python/slack.h"
#include "client/python/snapshot.h"
#include "client/python/snapshot_module.h"
#include "client/python/summary.h"
#include "client/python/young.h"

#define MAX_S \
	9e9 /* what nanoseconds in 64 bits can hold, and more than anybody waits \
		   */

static PyObject *generation_name; /* "generation" */
static PyObject *collected_name;  /* "collected" */

static PyObject *none(void)
{
	Py_RETURN_NONE;
}

/* ---- gc.callbacks
 * ------------------------------------------------------------------------- */

static long info_number(PyObject *info, PyObject *name)
{
	PyObject *number =
		PyDict_Check(info) ? PyDict_GetItemWithError(info, name) : NULL;

	return number ? PyLong_AsLong(number) : -1;
}

static PyObject *on_gc(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
	long generation, collected;

	if (nargs != 2) {
		PyErr_SetString(PyExc_TypeError,
				"on_gc() is a callback of the gc module");
		return NULL;
	}
	generation = info_number(args[1], generation_name);
	if (generation < 0)
		return PyErr_Occurred() ? NULL : none();
	if (PyUnicode_CompareWithASCIIString(args[0], "start") == 0) {
		heap.began_by = PyThread_get_thread_ident();
		pauses_start((int)generation);
		if (generation > 0)
			heap_on_start((int)generation);
	} else {
		pauses_stop((int)generation);
		collected = info_number(args[1], collected_name);
		heap_on_stop((int)generation, collected > 0 ? (uint64_t)collected : 0);
	}
	return PyErr_Occurred() ? NULL : none();
}

/* ---- Supervising
 * -------------------------------------------------------------------------- */

static uint64_t instant(double seconds)
{
	return seconds < MAX_S ? (uint64_t)(seconds > 0 ? seconds * 1e9 : 0) : RTGC_NEVER;
}

static PyObject *open_heap(PyObject *module, PyObject *args, PyObject *keywords)
{
	static char *names[] = {"service",   "heap",	   "program",	   "budget",
				"collector", "fork_limit", "memory_limit", NULL};
	struct heap_options options = {0};
	unsigned long long budget = 0, memory_limit;
	double fork_limit;
	int collector;

	if (!PyArg_ParseTupleAndKeywords(args, keywords, "szsKidK:open", names,
					 &options.service, &options.name,
					 &options.program, &budget, &collector,
					 &fork_limit, &memory_limit))
		return NULL;
	options.collector = (enum heap_collector)collector;
	options.fork_limit_ns = instant(fork_limit);
	options.byte_budget = budget;
	options.memory_limit = memory_limit;
	heap.main_thread = gcstate_main_thread();
	if (!heap.callback)
		heap.callback = PyObject_GetAttrString(module, "on_gc");
	if (!heap.callback || heap_open(&options) < 0)
		return NULL;
	return none();
}

static PyObject *close_heap(PyObject *module, PyObject *unused)
{
	heap_close();
	return none();
}

static PyObject *after_fork_child(PyObject *module, PyObject *unused)
{
	heap_after_fork_child();
	return none();
}

/* Waits until the daemon has answered or refused, at most so many seconds. */
static PyObject *wait_connected(PyObject *module, PyObject *argument)
{
	double seconds = PyFloat_AsDouble(argument);
	uint64_t until, changes;
	uint32_t events;

	if (seconds == -1.0 && PyErr_Occurred())
		return NULL;
	until = rtgc_now() + instant(seconds);
	for (;;) {
		changes = changes_count(&events);
		if (events & (RTGC_EVENT_CONNECTED | RTGC_EVENT_REFUSED) ||
		    rtgc_now() >= until)
			break;
		Py_BEGIN_ALLOW_THREADS changes_wait(changes, until);
		Py_END_ALLOW_THREADS
	}
	return PyBool_FromLong(events & RTGC_EVENT_CONNECTED);
}

/* ---- Safe points
 * ---------------------------------------------------------------------------- */

static PyObject *checkpoint(PyObject *module, PyObject *unused)
{
	struct rtgc *r = heap.rtgc;

	if (!r)
		Py_RETURN_FALSE;
	if (heap.dormant)
		heap_wake();
	atomic_store_explicit(&heap.hooked, true, memory_order_relaxed);
	snapshot_step_between();
	if (!rtgc_pending(r))
		Py_RETURN_FALSE;
	return PyBool_FromLong(heap_checkpoint(RTGC_NEVER));
}

static PyObject *slack(PyObject *module, PyObject *argument)
{
	double seconds = PyFloat_AsDouble(argument);
	bool collected;

	if (seconds == -1.0 && PyErr_Occurred())
		return NULL;
	if (isnan(seconds)) {
		PyErr_SetString(PyExc_ValueError, "slack() wants an instant");
		return NULL;
	}
	if (!heap.rtgc)
		Py_RETURN_FALSE;
	if (heap.dormant)
		heap_wake();
	collected = slack_use(instant(seconds));
	return PyErr_Occurred() ? NULL : PyBool_FromLong(collected);
}

static PyObject *enter_critical(PyObject *module, PyObject *unused)
{
	struct rtgc *r = heap.rtgc;

	heap.critical++;
	atomic_store(&heap.rest, HEAP_WORKS);
	if (r)
		rtgc_busy(r);
	return none();
}

static PyObject *leave_critical(PyObject *module, PyObject *unused)
{
	if (heap.critical > 0)
		heap.critical--;
	if (heap.critical == 0 && heap.rtgc)
		helper_kick();
	return none();
}

/* ---- Looking
 * ---------------------------------------------------------------------------------- */

static PyObject *window_dict(struct rtgc *r)
{
	struct rtgc_window window = {0};
	uint64_t now = rtgc_now();

	switch (rtgc_check(r, RTGC_NEVER, &window)) {
	case RTGC_PREPARE:
	case RTGC_MAY:
	case RTGC_MUST:
		break;
	default:
		return none();
	}
	return Py_BuildValue(
		"{s:K,s:O,s:L,s:L,s:K}", "id", (unsigned long long)window.id, "must",
		window.must ? Py_True : Py_False, "opens_in_us",
		((long long)window.opens_ns - (long long)now) / 1000, "closes_in_us",
		((long long)window.closes_ns - (long long)now) / 1000,
		"predicted_pause_us", (unsigned long long)window.predicted_ns / 1000);
}

static PyObject *heap_status(void)
{
	struct rtgc *r = heap.rtgc;
	/* Not what the library has just learnt: what holds for the collector by now. */
	bool supervised = atomic_load(&heap.taken);
	struct rtgc_status now;
	PyObject *window;

	if (!r)
		return Py_BuildValue("{s:s,s:O}", "state", "unsupervised", "supervised",
				     Py_False);
	if (heap.dormant)
		heap_wake();
	window = window_dict(r);
	if (!window)
		return NULL;
	rtgc_status(r, &now);
#define NUMBER(value) (unsigned long long)(value)
	return Py_BuildValue(
		"{s:s,s:O,s:s,s:s,s:K,s:K,s:s,s:K,s:K,s:K,s:N,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,"
		"s:K,s:K,s:K,s:i,s:s,s:N}",
		"state",
		supervised ? rtgc_verdict_name(rtgc_check(r, RTGC_NEVER, NULL))
			   : rtgc_verdict_name(RTGC_ALONE),
		"supervised", supervised ? Py_True : Py_False, "service", now.service,
		"heap", now.heap, "heap_id", NUMBER(now.heap_id), "epoch",
		NUMBER(now.epoch), "unit", heap.byte_budget ? "bytes" : "objects", "used",
		NUMBER(heap.used), "budget", NUMBER(heap.budget), "live",
		NUMBER(heap.live), "window", window, "windows_opened",
		NUMBER(now.windows_opened), "windows_used", NUMBER(now.windows_used),
		"windows_missed", NUMBER(now.windows_missed), "collections_in_window",
		NUMBER(now.collections_in_window), "forced", NUMBER(now.forced),
		"uncoordinated", NUMBER(now.uncoordinated), "connects",
		NUMBER(now.connects), "last_pause_us", NUMBER(now.last_pause_ns / 1000),
		"max_pause_us", NUMBER(now.max_pause_ns / 1000), "freezes",
		NUMBER(heap.freezes), "frozen", NUMBER(heap.frozen), "threshold",
		supervised ? atomic_load(&heap.own) : gcstate_threshold(), "refused",
		now.refused, "snapshots", snapshot_dict());
#undef NUMBER
}

/* Adds what `value` (stolen) holds; 0, or -1 with an exception set. */
static int add(PyObject *dict, const char *key, PyObject *value)
{
	int r = value ? PyDict_SetItemString(dict, key, value) : -1;

	Py_XDECREF(value);
	return r;
}

static PyObject *status(PyObject *module, PyObject *unused)
{
	PyObject *dict = heap_status();

	if (dict &&
	    (add(dict, "pools", pool_list()) < 0 ||
	     add(dict, "enabled", PyBool_FromLong(gcstate_enabled())) < 0 ||
	     add(dict, "rss_bytes", PyLong_FromUnsignedLongLong(figures_rss())) < 0 ||
	     add(dict, "put_right", PyLong_FromUnsignedLongLong(heap.put_right)) < 0 ||
	     add(dict, "walked", PyLong_FromUnsignedLongLong(full_walked())) < 0 ||
	     add(dict, "young_is_wide", PyBool_FromLong(young_is_wide())) < 0 ||
	     pauses_status(dict) < 0))
		Py_CLEAR(dict);
	return dict;
}

/* ---- Running a program as python itself runs it
 * ----------------------------------------------- */

/*
 * Calls call(*args). What it does not catch is reported here, where no frame of the
 * launcher has become part of the traceback yet. SystemExit goes on to the interpreter.
 */
static PyObject *run(PyObject *module, PyObject *args)
{
	PyObject *call, *rest, *result, *code;
	bool interrupted;

	if (PyTuple_GET_SIZE(args) < 1) {
		PyErr_SetString(PyExc_TypeError, "run() wants something to call");
		return NULL;
	}
	call = PyTuple_GET_ITEM(args, 0);
	rest = PyTuple_GetSlice(args, 1, PyTuple_GET_SIZE(args));
	if (!rest)
		return NULL;
	result = PyObject_Call(call, rest, NULL);
	Py_DECREF(rest);
	if (result || PyErr_ExceptionMatches(PyExc_SystemExit))
		return result;
	interrupted = PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
	PyErr_Print();
	if (interrupted) {
		PyErr_SetNone(PyExc_KeyboardInterrupt);
		return NULL;
	}
	code = PyLong_FromLong(1);
	if (code)
		PyErr_SetObject(PyExc_SystemExit, code);
	Py_XDECREF(code);
	return NULL;
}

static PyObject *full_now(PyObject *module, PyObject *unused)
{
	if (gcstate_collecting() || !gcstate_enabled())
		Py_RETURN_FALSE;
	return PyBool_FromLong(full_collect());
}

static PyMethodDef methods[] = {
	{"on_gc", (PyCFunction)(void (*)(void))on_gc, METH_FASTCALL,
	 "on_gc(phase, info)\n--\n\nrtgc's entry in gc.callbacks."},
	{"open", (PyCFunction)(void (*)(void))open_heap, METH_VARARGS | METH_KEYWORDS,
	 "open(service, heap, program, budget)\n--\n\nBegin to supervise."},
	{"close", close_heap, METH_NOARGS, "close()\n--\n\nEnd it."},
	{"after_fork_child", after_fork_child, METH_NOARGS,
	 "after_fork_child()\n--\n\nLeave the parent's connection."},
	{"wait_connected", wait_connected, METH_O,
	 "wait_connected(seconds)\n--\n\nWait for the daemon's answer."},
	{"checkpoint", checkpoint, METH_NOARGS,
	 "checkpoint()\n--\n\n"
	 "A safe point: collect here if a window is open and the pause fits into it.\n\n"
	 "Costs some nanoseconds otherwise. True: it collected. Any thread may call it."},
	{"slack", slack, METH_O,
	 "slack(until)\n--\n\n"
	 "Nothing is due before the time.monotonic() instant `until`, in seconds.\n\n"
	 "Collects what fits before it, may wait for an announced window, and returns in time.\n"
	 "True: it collected."},
	{"full_now", full_now, METH_NOARGS,
	 "full_now()\n--\n\n"
	 "Collect here, unasked, as in a window. True: rtgc walked the heap itself."},
	{"enter_critical", enter_critical, METH_NOARGS, NULL},
	{"leave_critical", leave_critical, METH_NOARGS, NULL},
	{"status", status, METH_NOARGS,
	 "status()\n--\n\n"
	 "What is known of this process's heap, as a dict of plain values.\n\n"
	 "state: unsupervised, alone (no daemon: CPython's own policy), else the verdict of the\n"
	 "moment (run, prepare, may, must, ceiling). used, budget, live: in `unit`.\n"
	 "freezes: gc.freeze() run in windows for it; frozen: the objects set aside by that, which\n"
	 "any full collection takes back."},
	{"heap_summary", summary_call, METH_O,
	 "heap_summary(untracked)\n--\n\n(objects, bytes, pause_us, rows)."},
	{"sites_begin", sites_begin, METH_NOARGS, NULL},
	{"sites_end", sites_end, METH_NOARGS, NULL},
	{"on_gc_sites", (PyCFunction)(void (*)(void))sites_on_gc, METH_FASTCALL,
	 "on_gc_sites(phase, info)\n--\n\nThe sampler of allocation sites."},
	{"run", run, METH_VARARGS,
	 "run(call, *args)\n--\n\nCall it as the interpreter would."},
	{0},
};

/* Runs once in each interpreter that imports it; gcstate_init() refuses all but the main. */
static int execute(PyObject *module)
{
	static bool ready;

	if (gcstate_init() < 0)
		return -1;
	if (!ready) {
		generation_name = PyUnicode_InternFromString("generation");
		collected_name = PyUnicode_InternFromString("collected");
		if (!generation_name || !collected_name)
			return -1;
		if (heap_init() < 0)
			return PyErr_NoMemory(), -1;
		ready = true;
	}
	if (rest_add(module) < 0 || servers_add(module) < 0 || pool_add(module) < 0 ||
	    snapshot_add(module) < 0)
		return -1;
	return PyModule_AddStringConstant(module, "version", rtgc_version());
}

static PyModuleDef_Slot slots[] = {
	{Py_mod_exec, (void *)execute},
#ifdef Py_mod_multiple_interpreters
	{Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
	{0, NULL},
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "rtgc._rtgc",
	.m_methods = methods,
	.m_slots = slots,
};

/* CPython asks for it by name. */
PyMODINIT_FUNC PyInit__rtgc(void);

PyMODINIT_FUNC PyInit__rtgc(void)
{
	return PyModuleDef_Init(&definition);
}
