/* SPDX-License-Identifier: MIT */
/*
 * rtgc.Pool: objects that are reused instead of made again.
 *
 * A pool holds the objects that rest in it, and knows the addresses of those it has handed
 * out without holding them: one that its user forgets dies as any other object does.
 *
 * Threads: with the GIL. Before it is given up (factory, reset, an object's end) every
 * pool is whole.
 */
#ifndef RTGC_PYTHON_POOL_H
#define RTGC_PYTHON_POOL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Adds the type to the module. 0, or -1 with an exception set. */
int pool_add(PyObject *module);
/* A new list with the counters of every living pool. */
PyObject *pool_list(void);

#endif
