/* SPDX-License-Identifier: MIT */
#include "client/python/rest.h"

#include <math.h>
#include <structmember.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "client/python/answer.h"
#include "client/python/changes.h"
#include "client/python/epoll_select.h"
#include "client/python/gate.h"
#include "client/python/heap.h"
#include "client/python/helper.h"
#include "client/python/snapshot.h"
#include "client/python/young.h"
#include "client/slice.h"

#define MAX_ARGUMENTS 8
#define BOUNDARY_NS   20000000ULL /* a boundary of requests is taken so much before that */
#define MAX_WAIT_S    4e9	  /* beyond that a timeout is as good as none */

struct rest {
	PyObject_HEAD vectorcallfunc call;
	PyObject *wrapped;
	PyObject *dict; /* for functools.update_wrapper() */
	Py_ssize_t timeout_index;
	bool wakeable;
	PyTypeObject *
		plain_class; /* of its own instances the call is epoll_select(); or NULL */
};

static PyObject *timeout_name; /* "timeout" */

/* ---- The timeout of a call
 * -------------------------------------------------------------- */

struct call {
	const struct rest *rest;
	PyObject *const *args;
	size_t nargsf;
	PyObject *keywords;
	Py_ssize_t at;	     /* the timeout's place in args; -1: not given */
	double seconds;	     /* below 0: for ever */
	uint64_t timeout_ns; /* RTGC_NEVER: none, or as good as none */
	bool is_epoll;	     /* epoll_select() does it */
};

static PyObject *plain(const struct call *call)
{
	if (call->is_epoll)
		return epoll_select(call->args[0], call->seconds);
	return PyObject_Vectorcall(call->rest->wrapped, call->args, call->nargsf,
				   call->keywords);
}

static bool find_timeout(struct call *call)
{
	Py_ssize_t given = PyVectorcall_NARGS(call->nargsf);
	Py_ssize_t named = call->keywords ? PyTuple_GET_SIZE(call->keywords) : 0;

	call->at = -1;
	if (given + named > MAX_ARGUMENTS - 1 || given < call->rest->timeout_index)
		return false;
	if (given > call->rest->timeout_index)
		call->at = call->rest->timeout_index;
	for (Py_ssize_t i = 0; i < named; i++)
		if (PyUnicode_Compare(PyTuple_GET_ITEM(call->keywords, i),
				      timeout_name) == 0)
			call->at = given + i;
	/* Without one it is appended, which is possible only behind the positional ones.
	 */
	return call->at >= 0 || named == 0;
}

/* The selector and its timeout, and nothing else. */
static bool is_epoll(const struct call *call)
{
	Py_ssize_t count = PyVectorcall_NARGS(call->nargsf);

	if (!call->rest->plain_class || Py_TYPE(call->args[0]) != call->rest->plain_class)
		return false;
	if (call->keywords)
		count += PyTuple_GET_SIZE(call->keywords);
	return count == (call->at < 0 ? 1 : 2) && isfinite(call->seconds);
}

/* False: not a timeout we understand; the plain call will say what is wrong with it. */
static bool read_timeout(struct call *call)
{
	PyObject *timeout;
	double seconds;

	if (!find_timeout(call))
		return false;
	timeout = call->at < 0 ? Py_None : call->args[call->at];
	if (timeout == Py_None) {
		call->timeout_ns = RTGC_NEVER;
		call->seconds = -1;
		call->is_epoll = is_epoll(call);
		return true;
	}
	if (!PyFloat_Check(timeout) && !PyLong_Check(timeout))
		return false;
	seconds = PyFloat_AsDouble(timeout);
	if (seconds == -1.0 && PyErr_Occurred()) {
		PyErr_Clear();
		return false;
	}
	if (seconds > 0)
		call->timeout_ns =
			seconds < MAX_WAIT_S ? (uint64_t)(seconds * 1e9) : RTGC_NEVER;
	else
		call->timeout_ns =
			0; /* select.select() alone refuses less: it never rests */
	call->seconds = seconds < 0 ? 0 : seconds;
	call->is_epoll = is_epoll(call);
	return true;
}

/* The same call with another timeout. */
static PyObject *with_timeout(const struct call *call, uint64_t timeout_ns)
{
	Py_ssize_t given = PyVectorcall_NARGS(call->nargsf);
	Py_ssize_t count = given;
	Py_ssize_t at = call->at < 0 ? given : call->at;
	PyObject *args[MAX_ARGUMENTS + 1], *timeout, *result;

	if (call->is_epoll)
		return epoll_select(call->args[0], timeout_ns == RTGC_NEVER
							   ? -1
							   : (double)timeout_ns * 1e-9);
	if (timeout_ns == RTGC_NEVER) {
		timeout = Py_None;
		Py_INCREF(timeout);
	} else {
		timeout = PyFloat_FromDouble((double)timeout_ns * 1e-9);
		if (!timeout)
			return NULL;
	}
	if (call->keywords)
		count += PyTuple_GET_SIZE(call->keywords);
	for (Py_ssize_t i = 0; i < count; i++)
		args[i + 1] = call->args[i];
	args[at + 1] = timeout;
	if (at == count)
		given++;
	result = PyObject_Vectorcall(call->rest->wrapped, args + 1,
				     (size_t)given | PY_VECTORCALL_ARGUMENTS_OFFSET,
				     call->keywords);
	Py_DECREF(timeout);
	return result;
}

/* Whether a result says that something is ready. select.select() returns three lists. */
static bool is_ready(PyObject *result)
{
	if (!PyTuple_Check(result))
		return !PyList_Check(result) || PyList_GET_SIZE(result) > 0;
	for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(result); i++)
		if (PyObject_Size(PyTuple_GET_ITEM(result, i)) != 0)
			return true;
	return false;
}

/* ---- At rest
 * ------------------------------------------------------------------------------- */

static void come_to_rest(struct rtgc *r, const struct call *call)
{
	if (call->rest->wakeable)
		heap.selector = call->args[0];
	atomic_store_explicit(&heap.rest,
			      call->rest->wakeable ? HEAP_RESTS_EPOLL : HEAP_RESTS_POLL,
			      memory_order_release);
	if (!heap.in_flight)
		rtgc_idle(r, RTGC_NEVER);
	if (answer_wanted())
		helper_kick();
}

/* True: the helper woke the selector. */
static bool go_to_work(struct rtgc *r)
{
	bool woken = heap.wake_fd >= 0;

	atomic_store_explicit(&heap.rest, HEAP_WORKS, memory_order_release);
	heap.selector = NULL;
	if (woken) {
		epoll_ctl(heap.wake_epoll, EPOLL_CTL_DEL, heap.wake_fd, NULL);
		close(heap.wake_fd);
		heap.wake_fd = heap.wake_epoll = -1;
	}
	/* Somebody may have ended the supervision meanwhile. */
	if (heap.rtgc == r)
		rtgc_busy(r);
	return woken;
}

/* With a window in force this loop takes no more connections that others can take. */
static void shut_gate(struct rtgc *r, const struct call *call)
{
	struct rtgc_window window;
	enum rtgc_verdict verdict;
	int epoll;

	if (!gate_shared() || !call->rest->wakeable)
		return;
	verdict = rtgc_check(r, RTGC_NEVER, &window);
	if (verdict < RTGC_PREPARE || verdict > RTGC_MUST)
		return;
	epoll = helper_selector_fd(call->args[0]);
	if (epoll >= 0)
		gate_shut(&window, epoll);
}

/* The program waits until then, and nothing is ready: use what is announced or open. */
static void use_rest(struct rtgc *r, uint64_t until_ns)
{
	struct rtgc_window window;
	enum rtgc_verdict verdict = rtgc_check(r, until_ns, &window);

	/* The heap's deadline is worth more than a timer's, not more than a ready
	 * event's. */
	if (verdict == RTGC_RUN && rtgc_check(r, RTGC_NEVER, &window) == RTGC_MUST)
		verdict = RTGC_MUST;
	if (verdict == RTGC_PREPARE) {
		rtgc_idle(r, RTGC_NEVER);
		rtgc_quiet(r);
	} else if (verdict == RTGC_MAY || verdict == RTGC_MUST) {
		heap_collect(RTGC_IN_WINDOW, &window);
	}
}

void rest_use_last_moment(struct rtgc *r)
{
	struct rtgc_window window;

	if (rtgc_check(r, RTGC_NEVER, &window) == RTGC_MUST &&
	    rtgc_now() + BOUNDARY_NS >= heap_latest(&window))
		heap_collect(RTGC_IN_WINDOW, &window);
}

void rest_wait_announced(struct rtgc *r, uint64_t until_ns)
{
	struct rtgc_window window;

	while (heap.rtgc == r && rtgc_check(r, until_ns, &window) == RTGC_PREPARE) {
		uint64_t changes = changes_count(NULL);
		uint64_t last = until_ns > window.predicted_ns
					? until_ns - window.predicted_ns
					: 0;

		if (rtgc_now() >= last)
			return;
		/* It may have opened before the changes were counted. */
		if (rtgc_check(r, until_ns, NULL) != RTGC_PREPARE)
			return;
		Py_BEGIN_ALLOW_THREADS changes_wait(changes, last);
		Py_END_ALLOW_THREADS if (PyErr_CheckSignals() < 0) return;
	}
}

static uint64_t remaining(uint64_t until_ns)
{
	uint64_t now;

	if (until_ns == RTGC_NEVER)
		return RTGC_NEVER;
	now = rtgc_now();
	return until_ns > now ? until_ns - now : 0;
}

/* Nobody waits for it, so others may have the CPU first. true: there is more to do. */
static bool work_snapshot_off(uint64_t until)
{
	struct slice slice;
	bool more;

	if (!snapshot_due())
		return false;
	slice_lengthen(&slice);
	more = snapshot_step(until);
	slice_restore(&slice);
	return more;
}

/*
 * With a window in force, or a snapshot to be worked off: what is ready now? NULL and
 * *ret_rest: nothing, the program is at rest. Else the call's result, or NULL with an
 * exception set.
 */
static PyObject *look_first(struct rtgc *r, const struct call *call, uint64_t until,
			    bool *ret_rest)
{
	PyObject *result;

	shut_gate(r, call);
	do {
		result = with_timeout(call, 0);
		if (!result || heap.rtgc != r)
			return result;
		if (is_ready(result)) {
			rest_use_last_moment(r);
			snapshot_step_between();
			return result;
		}
		Py_DECREF(result);
		if (heap.in_flight)
			rest_use_last_moment(r);
		else
			use_rest(r, until);
		if (heap.rtgc == r && young_due(until, young_between_requests()))
			young_collect();
	} while (work_snapshot_off(until) && heap.rtgc == r);
	*ret_rest = true;
	return NULL;
}

/* There is nothing that could be done before it waits. */
static bool is_quiet(struct rtgc *r, uint64_t until_ns)
{
	return !rtgc_pending(r) && !snapshot_due() &&
	       !young_due(until_ns, young_between_requests());
}

static PyObject *wait_at_rest(struct rtgc *r, const struct call *call)
{
	uint64_t until = call->timeout_ns;
	bool first = true;

	if (until != RTGC_NEVER)
		until += rtgc_now();
	for (;; first = false) {
		bool rest = is_quiet(r, until), woken;
		PyObject *result;

		if (!rest) {
			first = false;
			result = look_first(r, call, until, &rest);
			if (!rest)
				return result;
			if (heap.rtgc != r)
				return with_timeout(call, remaining(until));
		}
		come_to_rest(r, call);
		result = first ? plain(call) : with_timeout(call, remaining(until));
		woken = go_to_work(r);
		if (!result || !woken || heap.rtgc != r || is_ready(result) ||
		    remaining(until) == 0)
			return result;
		Py_DECREF(result);
	}
}

static PyObject *rest_call(PyObject *self, PyObject *const *args, size_t nargsf,
			   PyObject *keywords)
{
	struct rtgc *r = heap.rtgc;
	struct call call = {
		.rest = (const struct rest *)self,
		.args = args,
		.nargsf = nargsf,
		.keywords = keywords,
	};

	if (!r || PyThread_get_thread_ident() != heap.main_thread || heap.critical ||
	    !read_timeout(&call))
		return plain(&call);
	atomic_store_explicit(&heap.hooked, true, memory_order_relaxed);
	if (heap.dormant)
		heap_wake();
	if (call.timeout_ns > 0)
		return wait_at_rest(r, &call);
	if (rtgc_pending(r)) {
		shut_gate(r, &call);
		rest_use_last_moment(r);
	}
	snapshot_step_between();
	return plain(&call);
}

/* ---- The type
 * ------------------------------------------------------------------------------ */

static PyObject *rest_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	static char *names[] = {"call", "timeout_index", "wakeable", "epoll", NULL};
	PyObject *wrapped, *epoll = Py_None;
	Py_ssize_t timeout_index;
	int wakeable;
	struct rest *self;

	if (!PyArg_ParseTupleAndKeywords(args, keywords, "Onp|O:Rest", names, &wrapped,
					 &timeout_index, &wakeable, &epoll))
		return NULL;
	if (!PyCallable_Check(wrapped) || timeout_index < 0 ||
	    timeout_index >= MAX_ARGUMENTS - 1 ||
	    (epoll != Py_None && (!PyType_Check(epoll) || timeout_index != 1))) {
		PyErr_SetString(PyExc_TypeError,
				"Rest() wants a callable and a small index");
		return NULL;
	}
	self = (struct rest *)type->tp_alloc(type, 0);
	if (!self)
		return NULL;
	Py_INCREF(wrapped);
	self->wrapped = wrapped;
	self->call = rest_call;
	self->timeout_index = timeout_index;
	self->wakeable = wakeable && timeout_index > 0;
	if (epoll != Py_None) {
		Py_INCREF(epoll);
		self->plain_class = (PyTypeObject *)epoll;
	}
	return (PyObject *)self;
}

static int rest_traverse(PyObject *object, visitproc visit, void *arg)
{
	struct rest *self = (struct rest *)object;

	Py_VISIT(self->wrapped);
	Py_VISIT(self->plain_class);
	Py_VISIT(self->dict);
	return 0;
}

static int rest_clear(PyObject *object)
{
	struct rest *self = (struct rest *)object;

	Py_CLEAR(self->wrapped);
	Py_CLEAR(self->plain_class);
	Py_CLEAR(self->dict);
	return 0;
}

static void rest_dealloc(PyObject *object)
{
	PyObject_GC_UnTrack(object);
	rest_clear(object);
	Py_TYPE(object)->tp_free(object);
}

static PyObject *rest_get(PyObject *self, PyObject *object, PyObject *type)
{
	if (!object || object == Py_None) {
		Py_INCREF(self);
		return self;
	}
	return PyMethod_New(self, object);
}

static PyGetSetDef rest_attributes[] = {
	{"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
	{0},
};

static PyTypeObject rest_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "rtgc._rtgc.Rest",
	.tp_doc = "A waiting call, with the places for pauses around it.",
	.tp_basicsize = sizeof(struct rest),
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
		    Py_TPFLAGS_METHOD_DESCRIPTOR,
	.tp_new = rest_new,
	.tp_dealloc = rest_dealloc,
	.tp_traverse = rest_traverse,
	.tp_clear = rest_clear,
	.tp_call = PyVectorcall_Call,
	.tp_vectorcall_offset = offsetof(struct rest, call),
	.tp_descr_get = rest_get,
	.tp_dictoffset = offsetof(struct rest, dict),
	.tp_getset = rest_attributes,
};

int rest_add(PyObject *module)
{
	timeout_name = PyUnicode_InternFromString("timeout");
	if (!timeout_name || epoll_select_init() < 0 || PyType_Ready(&rest_type) < 0)
		return -1;
	Py_INCREF(&rest_type);
	if (PyModule_AddObject(module, "Rest", (PyObject *)&rest_type) < 0) {
		Py_DECREF(&rest_type);
		return -1;
	}
	return 0;
}
