/* SPDX-License-Identifier: MIT */
/*
 * What the heap looks like, in its unit, and telling it to the library.
 *
 * Objects: used is what has grown old since the last full collection, the budget a quarter
 * of what survived that one (CPython's own rule), at least HEAP_MIN_OBJECTS. Bytes: used is
 * the resident set, read from /proc at most every 50 ms. A collection need not give memory
 * back to the system; when it leaves the heap close to its budget or beyond, the library
 * raises the budget above what is left.
 *
 * Threads: with the GIL.
 */
#ifndef RTGC_PYTHON_FIGURES_H
#define RTGC_PYTHON_FIGURES_H

#include <stdint.h>

#include "client/rtgc.h"

void figures_init(void);
/* Reads and publishes. RTGC_CEILING or RTGC_RUN. No allocation, no lock. */
enum rtgc_verdict figures_publish(struct rtgc *r);
/* A full collection begins, and has ended having found so many objects unreachable. */
void figures_begin(void);
void figures_result(uint64_t collected, struct rtgc_result *ret);
/* What is the budget now? To be asked when rtgc_end() or rtgc_record() was told. */
void figures_budget(struct rtgc *r);
/* The resident set, in bytes; read anew when it was read more than 50 ms ago. */
uint64_t figures_rss(void);

#endif
