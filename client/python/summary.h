/* SPDX-License-Identifier: MIT */
/*
 * What is in the heap, by type: how many objects, how many bytes.
 *
 * The lists of the collector are walked, frozen objects among them. Bytes are
 * sys.getsizeof()'s: the object itself with the collector's header, nothing it refers to.
 * A __sizeof__() that is written in Python is not called, since nothing may run while the
 * lists are walked: such objects count as object.__sizeof__() has it.
 *
 * Threads: with the GIL, which is not given up: every thread of the program waits.
 */
#ifndef RTGC_PYTHON_SUMMARY_H
#define RTGC_PYTHON_SUMMARY_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct summary_row {
	char *name; /* "dict", "collections.OrderedDict"; types of one name are one row */
	uint64_t count, bytes;
};

struct summary {
	uint64_t count, bytes; /* in all */
	uint64_t pause_ns;     /* how long it took */
	size_t n_rows;
	struct summary_row *rows; /* most bytes first */
};

enum summary_outcome {
	SUMMARY_E_COLLECTING = 1, /* a collection runs: in a finalizer, or its callback */
};

/*
 * untracked: also what the collector does not track, once each, where tracked objects lead to
 * it. 0, a summary_outcome, or -ENOMEM. No exception is set.
 */
int summary_take(bool untracked, struct summary *ret);
void summary_deinit(struct summary *s);

/* heap_summary(untracked) -> (objects, bytes, pause_us, [(name, count, bytes), …]). */
PyObject *summary_call(PyObject *module, PyObject *untracked);

#endif
