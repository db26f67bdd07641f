/* SPDX-License-Identifier: MIT */
/*
 * The middle generation, where the program rests. It stays CPython's to collect, by CPython's own rule, which
 * comes to it in the middle of a request. Where nothing is ready it is collected early: nobody waits for it.
 * Between requests that is done as soon as there is something to collect, in short pieces, for what lives then
 * is there to stay. While something is in flight, or may be, it would grow old by that: only when it is nearly due.
 *
 * Threads: with the GIL.
 */
#ifndef RTGC_PYTHON_YOUNG_H
#define RTGC_PYTHON_YOUNG_H

#include <stdbool.h>
#include <stdint.h>

/* A collection of the middle generation begins and ends, whoever runs it. */
void young_began(void);
void young_ended(void);
/* It is worth it, and fits well into a rest until then (RTGC_NEVER: without end); between: nothing is in flight. */
bool young_due(uint64_t until_ns, bool between);
/* What is known of the requests: there are some now and then, and none just now. */
bool young_between_requests(void);
void young_collect(void);

#endif
