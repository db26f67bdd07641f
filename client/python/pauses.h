/* SPDX-License-Identifier: MIT */
/*
 * How long the collections of each generation took, whoever ran them, and how many tracked
 * objects were made on balance. Two looks at the clock a collection, nothing else.
 *
 * Threads: with the GIL.
 */
#ifndef RTGC_PYTHON_PAUSES_H
#define RTGC_PYTHON_PAUSES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

void pauses_reset(void);
/* What gc.callbacks tells, of every generation. */
void pauses_start(int generation);
void pauses_stop(int generation);
/* Adds `generations`, `candidates` and `net_allocations_per_s` to the dict; 0 or -1. */
int pauses_status(PyObject *dict);

#endif
