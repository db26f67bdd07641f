/* SPDX-License-Identifier: MIT */
#include "client/python/epoll_select.h"

#include <math.h>
#include <sys/epoll.h>

#define EVENT_READ  1 /* selectors.EVENT_READ */
#define EVENT_WRITE 2
#define KEY_FIELDS  4
#define KEY_EVENTS  2 /* SelectorKey(fileobj, fd, events, data) */

static PyObject *name_selector, *name_keys, *name_poll;

int epoll_select_init(void)
{
	name_selector = PyUnicode_InternFromString("_selector");
	name_keys = PyUnicode_InternFromString("_fd_to_key");
	name_poll = PyUnicode_InternFromString("poll");
	return name_selector && name_keys && name_poll ? 0 : -1;
}

/* [(descriptor, events)], NULL with an exception set. */
static PyObject *poll_for(PyObject *epoll, double seconds, Py_ssize_t most)
{
	PyObject *args[3] = {epoll}, *result = NULL;

	/* The kernel counts milliseconds: not to be woken too early it is rounded up. */
	if (seconds < 0)
		args[1] = PyLong_FromLong(-1);
	else if (seconds == 0)
		args[1] = PyLong_FromLong(0);
	else
		args[1] = PyFloat_FromDouble(ceil(seconds * 1e3) * 1e-3);
	args[2] = PyLong_FromSsize_t(most > 0 ? most : 1);
	if (args[1] && args[2])
		result = PyObject_VectorcallMethod(
			name_poll, args, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
	Py_XDECREF(args[1]);
	Py_XDECREF(args[2]);
	return result;
}

/* 0, or -1 with an exception set. */
static int add_pair(PyObject *ready, PyObject *key, long event)
{
	PyObject *events, *pair = NULL;
	long wanted;
	int result = -1;

	if (!PyTuple_Check(key) || PyTuple_GET_SIZE(key) != KEY_FIELDS) {
		PyErr_SetString(PyExc_TypeError, "no SelectorKey");
		return -1;
	}
	wanted = PyLong_AsLong(PyTuple_GET_ITEM(key, KEY_EVENTS));
	if (wanted == -1 && PyErr_Occurred())
		return -1;
	wanted &= (event & ~(long)EPOLLIN ? EVENT_WRITE : 0) |
		  (event & ~(long)EPOLLOUT ? EVENT_READ : 0);
	events = PyLong_FromLong(wanted);
	if (events)
		pair = PyTuple_Pack(2, key, events);
	if (pair)
		result = PyList_Append(ready, pair);
	Py_XDECREF(events);
	Py_XDECREF(pair);
	return result;
}

/* Of a descriptor that was unregistered meanwhile nothing is said. */
static int add_ready(PyObject *ready, PyObject *keys, PyObject *polled)
{
	PyObject *key;
	long event;
	int result;

	if (!PyTuple_Check(polled) || PyTuple_GET_SIZE(polled) != 2) {
		PyErr_SetString(PyExc_TypeError, "poll() has returned no pairs");
		return -1;
	}
	event = PyLong_AsLong(PyTuple_GET_ITEM(polled, 1));
	if (event == -1 && PyErr_Occurred())
		return -1;
	key = PyDict_GetItemWithError(keys, PyTuple_GET_ITEM(polled, 0));
	if (!key)
		return PyErr_Occurred() ? -1 : 0;
	Py_INCREF(key); /* a finalizer may unregister it */
	result = add_pair(ready, key, event);
	Py_DECREF(key);
	return result;
}

static PyObject *add_all(PyObject *keys, PyObject *polled)
{
	PyObject *ready = PyList_New(0);

	if (!ready)
		return NULL;
	for (Py_ssize_t i = 0; i < PyList_GET_SIZE(polled); i++)
		if (add_ready(ready, keys, PyList_GET_ITEM(polled, i)) < 0) {
			Py_DECREF(ready);
			return NULL;
		}
	return ready;
}

PyObject *epoll_select(PyObject *selector, double seconds)
{
	PyObject *keys = PyObject_GetAttr(selector, name_keys), *epoll = NULL;
	PyObject *polled = NULL, *ready = NULL;

	if (!keys)
		return NULL;
	epoll = PyObject_GetAttr(selector, name_selector);
	if (epoll && !PyDict_Check(keys))
		PyErr_SetString(PyExc_TypeError, "_fd_to_key is no dict");
	else if (epoll)
		polled = poll_for(epoll, seconds, PyDict_GET_SIZE(keys));
	if (polled && PyList_Check(polled)) {
		ready = add_all(keys, polled);
	} else if (polled) {
		PyErr_SetString(PyExc_TypeError, "poll() has returned no list");
	} else if (epoll && PyErr_ExceptionMatches(PyExc_InterruptedError)) {
		PyErr_Clear();
		ready = PyList_New(0);
	}
	Py_DECREF(keys);
	Py_XDECREF(epoll);
	Py_XDECREF(polled);
	return ready;
}
