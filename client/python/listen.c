/* SPDX-License-Identifier: MIT */
#include "client/python/listen.h"

static PyObject *callbacks; /* the list the collector calls */

static Py_ssize_t position(PyObject *callback)
{
	for (Py_ssize_t i = 0; i < PyList_GET_SIZE(callbacks); i++)
		if (PyList_GET_ITEM(callbacks, i) == callback)
			return i;
	return -1;
}

int listen_begin(PyObject *callback)
{
	PyObject *module;

	if (!callbacks) {
		module = PyImport_ImportModule("gc");
		callbacks = module ? PyObject_GetAttrString(module, "callbacks") : NULL;
		Py_XDECREF(module);
	}
	if (!callbacks)
		return -1;
	if (!PyList_Check(callbacks)) {
		Py_CLEAR(callbacks);
		PyErr_SetString(PyExc_TypeError, "gc.callbacks is not a list");
		return -1;
	}
	return position(callback) >= 0 ? 0 : PyList_Insert(callbacks, 0, callback);
}

void listen_end(PyObject *callback)
{
	Py_ssize_t at = callbacks ? position(callback) : -1;

	if (at >= 0 && PyList_SetSlice(callbacks, at, at + 1, NULL) < 0)
		PyErr_Clear();
}
