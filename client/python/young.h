/* SPDX-License-Identifier: MIT */
/*
 * The young generations. They stay CPython's to collect, by CPython's own rule, with two exceptions.
 *
 * Where nothing is ready the middle one is collected early: else it comes due in the middle of a request.
 * Between requests that is done as soon as there is something to collect, in short pieces, for what lives then
 * is there to stay. While something is in flight, or may be, it would grow old by that: only when it is nearly due.
 *
 * Where they find nothing, collection after collection, the youngest is collected a quarter as often, in portions four
 * times as large: most of what it looks at is about to be freed by its reference counts, and need not have been
 * looked at. The middle one comes due after as many objects as ever. The first collection that finds something, and
 * the end of the supervision, put CPython's thresholds back; other thresholds than those are the program's choice
 * and never touched.
 *
 * Threads: with the GIL, but for what says otherwise. What goes on at the same time as young_put_back() may be for
 * the larger portions once more: the end of the next collection finds that the daemon is gone.
 */
#ifndef RTGC_PYTHON_YOUNG_H
#define RTGC_PYTHON_YOUNG_H

#include <stdbool.h>
#include <stdint.h>

/* A collection of the middle generation begins, whoever runs it. */
void young_began(void);
/* One of either ends, and has found so many. */
void young_ended(int generation, uint64_t collected);
/* Until told otherwise: what is collected as the youngest generation is something else, and tells nothing of it. */
void young_is_other(bool other);
/* Are the larger portions in force? */
bool young_is_wide(void);
/* CPython's thresholds instead. Without the GIL as well. */
void young_put_back(void);
/* It is worth it, and fits well into a rest until then (RTGC_NEVER: without end); between: nothing is in flight. */
bool young_due(uint64_t until_ns, bool between);
/* What is known of the requests: there are some now and then, and none just now. */
bool young_between_requests(void);
void young_collect(void);

#endif
