/* SPDX-License-Identifier: MIT */
/*
 * Our entry in gc.callbacks: there once, while the process is supervised, and the first, so
 * that none of the program's code runs in a collection we do not know of. With the GIL.
 */
#ifndef RTGC_PYTHON_LISTEN_H
#define RTGC_PYTHON_LISTEN_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* 0, or -1 with an exception set. */
int listen_begin(PyObject *callback);
/* Needs no memory. Nothing to do when somebody took it out before us. */
void listen_end(PyObject *callback);

#endif
