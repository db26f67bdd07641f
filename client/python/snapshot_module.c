/* SPDX-License-Identifier: MIT */
#include "client/python/snapshot_module.h"

#include <unistd.h>

#include "client/python/heap.h"
#include "client/python/snapshot.h"

#define POLL_US 100

PyObject *snapshot_dict(void)
{
	struct snapshot_figures f;

	snapshot_figures(&f);
#define NUMBER(value) (unsigned long long)(value)
	return Py_BuildValue(
		"{s:O,s:O,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:z,s:z}", "offered",
		heap.kinds & 1U << RTGC_SNAPSHOT ? Py_True : Py_False, "running",
		snapshot_runs() ? Py_True : Py_False, "taken", NUMBER(f.taken), "void",
		NUMBER(f.voided), "freed", NUMBER(f.freed), "objects", NUMBER(f.objects),
		"fork_us", NUMBER(f.fork_ns / 1000), "fork_max_us",
		NUMBER(f.fork_max_ns / 1000), "stop_us", NUMBER(f.stop_ns / 1000),
		"stop_max_us", NUMBER(f.stop_max_ns / 1000), "run_us",
		NUMBER(f.run_ns / 1000), "void_reason", f.void_reason, "refused",
		f.refused);
#undef NUMBER
}

static PyObject *snapshot_begin(PyObject *module, PyObject *unused)
{
	return PyBool_FromLong(snapshot_start(RTGC_UNCOORDINATED, NULL));
}

static PyObject *snapshot_go_on(PyObject *module, PyObject *unused)
{
	return PyBool_FromLong(snapshot_waits() && snapshot_step(RTGC_NEVER));
}

/* One from the fork to the last step. How many objects it freed; None: it came to nothing. */
static PyObject *snapshot_now(PyObject *module, PyObject *unused)
{
	struct snapshot_figures before, after;

	snapshot_figures(&before);
	if (!snapshot_start(RTGC_UNCOORDINATED, NULL))
		Py_RETURN_NONE;
	while (snapshot_runs()) {
		if (snapshot_waits() && snapshot_step(RTGC_NEVER))
			continue;
		Py_BEGIN_ALLOW_THREADS usleep(POLL_US);
		Py_END_ALLOW_THREADS if (PyErr_CheckSignals() < 0) return NULL;
	}
	snapshot_figures(&after);
	if (after.voided != before.voided)
		Py_RETURN_NONE;
	return PyLong_FromUnsignedLongLong(after.freed - before.freed);
}

static PyMethodDef methods[] = {
	{"snapshot_begin", snapshot_begin, METH_NOARGS,
	 "snapshot_begin()\n--\n\nTake a snapshot here, unasked. True: it has begun."},
	{"snapshot_step", snapshot_go_on, METH_NOARGS,
	 "snapshot_step()\n--\n\n"
	 "Go on with it for a millisecond, if its child has ended. True: there is more to do."},
	{"snapshot_now", snapshot_now, METH_NOARGS,
	 "snapshot_now()\n--\n\n"
	 "Take a snapshot here, unasked, and work it off.\n\n"
	 "The number of objects freed, or None: none could be taken, or it was void."},
	{0},
};

int snapshot_add(PyObject *module)
{
	return PyModule_AddFunctions(module, methods);
}
