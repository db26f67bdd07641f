/* SPDX-License-Identifier: MIT */
/* What Python sees of snapshots. */
#ifndef RTGC_PYTHON_SNAPSHOT_MODULE_H
#define RTGC_PYTHON_SNAPSHOT_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* For status(): a new dict, or NULL with an exception set. */
PyObject *snapshot_dict(void);
int snapshot_add(PyObject *module); /* 0, or -1 with an exception set */

#endif
