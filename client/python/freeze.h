/* SPDX-License-Identifier: MIT */
/*
 * gc.freeze() in a window: the old objects are set aside, and CPython's count of what has grown
 * old begins anew. It is never for good: any full collection, whoever runs it, takes them back
 * first, and so does the end of supervision. Everything with the GIL.
 */
#ifndef RTGC_PYTHON_FREEZE_H
#define RTGC_PYTHON_FREEZE_H

#include <stdbool.h>

#include "client/rtgc.h"

/*
 * Freezes in that window, after a collection of the middle generation. What the program has
 * frozen itself could not be told apart afterwards: then nothing is set aside, and the daemon sees
 * that it did not help. False: as heap_collect().
 */
bool freeze_run(const struct rtgc_window *window);
/* Takes back what was set aside, if anything was. */
void freeze_undo(void);

#endif
