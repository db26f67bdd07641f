/* SPDX-License-Identifier: MIT */
#include "client/python/servers.h"

#include <errno.h>
#include <poll.h>

#include "client/python/collector.h"
#include "client/python/gate.h"
#include "client/python/heap.h"
#include "client/python/helper.h"
#include "client/python/rest.h"
#include "client/python/snapshot.h"
#include "client/python/young.h"

#define SLOP_NS 100000000ULL /* a window may open that late */

static uint64_t calm_since; /* of heap.stirs, at the last turn that found nothing to do */
static bool calm;

static PyObject *none(void)
{
	Py_RETURN_NONE;
}

static bool in_main_thread(void)
{
	return PyThread_get_thread_ident() == heap.main_thread;
}

/* ---- Requests in flight ------------------------------------------------------------ */

static PyObject *request_begin(PyObject *module, PyObject *unused)
{
	struct rtgc *r = heap.rtgc;

	heap.stirs++;
	if (heap.in_flight++ == 0 && r) {
		/* What rtgc.slack() said no longer holds. A thread in a selector is at rest
		 * all the same: the helper knows of the requests. */
		if (atomic_load(&heap.rest) == HEAP_RESTS_UNTIL)
			atomic_store(&heap.rest, HEAP_WORKS);
		rtgc_busy(r);
	}
	return none();
}

/* No request is in flight: what is young is what will stay, or garbage. */
static bool young_here(struct rtgc *r)
{
	return r && young_between_requests() && young_due(RTGC_NEVER, true);
}

/* True: it was the last one, and somebody waits for that. */
static bool leave_flight(struct rtgc *r)
{
	heap.stirs++;
	if (heap.in_flight > 0)
		heap.in_flight--;
	if (heap.in_flight > 0 || !r)
		return false;
	rtgc_idle(r, RTGC_NEVER);
	return rtgc_pending(r);
}

/* The answer is out. The last one gone, the server is between requests: a safe point. */
static PyObject *request_end(PyObject *module, PyObject *unused)
{
	struct rtgc *r = heap.rtgc;

	if (!leave_flight(r))
		return none();
	if (atomic_load(&heap.rest) == HEAP_RESTS_EPOLL)
		helper_kick(); /* the main thread rests: it looks what is ready, and collects */
	else
		heap_checkpoint(RTGC_NEVER);
	return none();
}

/* The handler is done; its answer may still lie in the loop's buffers. */
static PyObject *request_done(PyObject *module, PyObject *unused)
{
	struct rtgc *r = heap.rtgc;
	bool wanted = leave_flight(r);

	if ((wanted || young_here(r)) && servers_wake_loop())
		return none();
	if (!wanted)
		return none();
	if (!atomic_load(&heap.hooked))
		heap_checkpoint(RTGC_NEVER);
	else if (atomic_load(&heap.rest) != HEAP_WORKS)
		helper_kick();
	return none();
}

/* ---- Loops in C -------------------------------------------------------------------- */

static PyObject *is_main_thread(PyObject *module, PyObject *unused)
{
	return PyBool_FromLong(in_main_thread());
}

static PyObject *enter_loop(PyObject *module, PyObject *waker)
{
	PyObject *outer = heap.waker;

	if (!in_main_thread())
		return none();
	Py_INCREF(waker);
	heap.waker = waker;
	atomic_store(&heap.in_loop, true);
	atomic_store(&heap.hooked, true);
	helper_kick();
	return outer ? outer : none();
}

/* outer: what enter_loop() returned. */
static PyObject *leave_loop(PyObject *module, PyObject *outer)
{
	if (!in_main_thread())
		return none();
	if (outer == Py_None)
		outer = NULL;
	Py_XINCREF(outer);
	atomic_store(&heap.in_loop, outer != NULL);
	Py_XSETREF(heap.waker, outer);
	gate_open();
	return none();
}

bool servers_wake_loop(void)
{
	PyObject *waker = heap.waker, *result;

	if (!waker)
		return false;
	Py_INCREF(waker);
	result = PyObject_CallNoArgs(waker);
	Py_DECREF(waker);
	if (!result)
		PyErr_Clear(); /* the loop has just been closed */
	Py_XDECREF(result);
	return result != NULL;
}

static bool in_force(enum rtgc_verdict verdict)
{
	return verdict >= RTGC_PREPARE && verdict <= RTGC_MUST;
}

static bool anything_ready(int epoll)
{
	struct pollfd set = {.fd = epoll, .events = POLLIN};

	return poll(&set, 1, 0) != 0;
}

/*
 * Nothing to do, twice in a row: what a request that ended just now has left in the loop's
 * buffers was sent between the two turns.
 */
static bool is_calm(int epoll)
{
	if (anything_ready(epoll)) {
		calm = false;
		return false;
	}
	if (calm && calm_since == heap.stirs)
		return true;
	calm = true;
	calm_since = heap.stirs;
	return false;
}

/* The garbage of a snapshot is freed bit by bit. True: at once again, nothing else is to do. */
static bool free_some(int epoll)
{
	if (heap.in_flight || anything_ready(epoll)) {
		snapshot_step_between();
		return false; /* the helper wakes the loop again */
	}
	return snapshot_step(RTGC_NEVER);
}

/* True: once more in the next turn. */
static bool collect_young(int epoll)
{
	if (!heap.critical && !is_calm(epoll))
		return calm;
	calm = false;
	if (!heap.critical)
		young_collect();
	return false;
}

/* In the loop's thread, between two pieces of work. True: once more in the next turn. */
static PyObject *turn(PyObject *module, PyObject *argument)
{
	struct rtgc *r = heap.rtgc;
	long epoll = PyLong_AsLong(argument);
	struct rtgc_window window;

	if (epoll == -1 && PyErr_Occurred())
		return NULL;
	if (r && snapshot_due() && !heap.critical)
		return PyBool_FromLong(free_some((int)epoll));
	if (!r || !rtgc_pending(r) || !in_force(rtgc_check(r, RTGC_NEVER, &window))) {
		if (young_here(r))
			return PyBool_FromLong(collect_young((int)epoll));
		calm = false;
		Py_RETURN_FALSE;
	}
	gate_shut(&window, (int)epoll);
	rest_use_last_moment(r);
	if (heap.in_flight || heap.critical)
		Py_RETURN_FALSE; /* their end wakes the loop again */
	if (!is_calm((int)epoll))
		return PyBool_FromLong(heap.rtgc == r && rtgc_pending(r));
	calm = false;
	rtgc_idle(r, RTGC_NEVER);
	heap_checkpoint(RTGC_NEVER);
	Py_RETURN_FALSE;
}

/* ---- Shared listening sockets ------------------------------------------------------- */

static PyObject *share(PyObject *module, PyObject *argument)
{
	int fd = PyObject_AsFileDescriptor(argument), error;

	if (fd < 0)
		return NULL;
	error = gate_share(fd);
	if (error < 0) {
		errno = -error;
		return PyErr_SetFromErrno(PyExc_OSError);
	}
	if (heap.rtgc)
		collector_offer(); /* it can be drained from now on */
	return none();
}

static PyObject *draining(PyObject *module, PyObject *unused)
{
	struct rtgc *r = heap.rtgc;

	return PyBool_FromLong(r && gate_shared() && rtgc_pending(r));
}

/*
 * Between two requests of a server that takes one at a time, from a socket that others take
 * from as well: while a window is announced or open it takes none.
 */
static PyObject *between(PyObject *module, PyObject *unused)
{
	struct rtgc *r = heap.rtgc;
	struct rtgc_window window;

	if (!r || !rtgc_pending(r) || heap.critical)
		Py_RETURN_FALSE;
	if (rtgc_check(r, RTGC_NEVER, &window) == RTGC_PREPARE) {
		rtgc_idle(r, RTGC_NEVER);
		rtgc_quiet(r);
		rest_wait_announced(r,
				    window.opens_ns + 2 * window.predicted_ns + SLOP_NS);
		if (PyErr_Occurred())
			return NULL;
	}
	return PyBool_FromLong(heap.rtgc == r && heap_checkpoint(RTGC_NEVER));
}

/* ---- The module --------------------------------------------------------------------- */

static PyMethodDef methods[] = {
	{"request_begin", request_begin, METH_NOARGS, NULL},
	{"request_end", request_end, METH_NOARGS, NULL},
	{"request_done", request_done, METH_NOARGS, NULL},
	{"in_main_thread", is_main_thread, METH_NOARGS, NULL},
	{"enter_loop", enter_loop, METH_O, NULL},
	{"leave_loop", leave_loop, METH_O, NULL},
	{"turn", turn, METH_O, NULL},
	{"share", share, METH_O, NULL},
	{"draining", draining, METH_NOARGS, NULL},
	{"between", between, METH_NOARGS, NULL},
	{0},
};

int servers_add(PyObject *module)
{
	return PyModule_AddFunctions(module, methods);
}

void servers_after_fork_child(void)
{
	atomic_store(&heap.in_loop, false);
	Py_CLEAR(heap.waker);
	atomic_store(&heap.in_flight, 0);
	calm = false;
	gate_after_fork_child();
}
