/* SPDX-License-Identifier: MIT */
/*
 * Who makes tracked objects, by sampling: when the youngest generation is full, whoever is
 * running has made its last object, and the newest objects of that generation are likely
 * his. The more one makes, the more often it is he. Costs nothing while nobody samples.
 *
 * Threads: with the GIL.
 */
#ifndef RTGC_PYTHON_SITES_H
#define RTGC_PYTHON_SITES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* sites_begin(): adds the sampler to gc.callbacks. RuntimeError: somebody samples already. */
PyObject *sites_begin(PyObject *module, PyObject *unused);
/*
 * sites_end() -> (samples, [(filename, lineno, function, samples, [(type, objects), …]), …]):
 * takes it out again.
 */
PyObject *sites_end(PyObject *module, PyObject *unused);
/* on_gc_sites(phase, info): the sampler. */
PyObject *sites_on_gc(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

#endif
