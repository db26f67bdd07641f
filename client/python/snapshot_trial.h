/* SPDX-License-Identifier: MIT */
/* Trying snapshots out before any is relied on. With the GIL. */
#ifndef RTGC_PYTHON_SNAPSHOT_TRIAL_H
#define RTGC_PYTHON_SNAPSHOT_TRIAL_H

#include "client/python/internal.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * A snapshot of that list alone, from the fork to the last step. NULL, or why it came to nothing.
 * How many objects the child looked at, marks among them, and how many were freed.
 */
const char *snapshot_trial(PyGC_Head *list, uint64_t *ret_objects, uint64_t *ret_freed);
/* Tries snapshot_part() out, once in a process: without a child. */
bool snapshot_part_usable(void);

#endif
