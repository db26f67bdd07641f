/* SPDX-License-Identifier: MIT */
/*
 * The daemon's words, counted: for those who wait for the next one.
 *
 * Threads: any, without the GIL.
 */
#ifndef RTGC_PYTHON_CHANGES_H
#define RTGC_PYTHON_CHANGES_H

#include <stdint.h>

void changes_init(void); /* also in a forked child */
void changes_reset(void);
/* enum rtgc_event: they wake those who wait. */
void changes_note(uint32_t events);
/* How many words there were, and which kinds so far. */
uint64_t changes_count(uint32_t *ret_events);
/* Waits for the daemon's next word, at most until then. Call it without the GIL. */
void changes_wait(uint64_t changes, uint64_t until_ns);

#endif
