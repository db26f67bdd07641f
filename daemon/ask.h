/* SPDX-License-Identifier: MIT */
/*
 * Questions to heaps, asked by callers of the control socket: the caller waits, nothing else
 * does. A heap is asked one thing at a time, and has ASK_PATIENCE to answer.
 *
 * Threads: one.
 */
#ifndef RTGCD_ASK_H
#define RTGCD_ASK_H

#include <stdint.h>

#include "client/wire/wire.h"
#include "daemon/core/supervisor.h"
#include "daemon/loop.h"

#define ASK_ROWS_MOST 256
#define ASK_PATIENCE  (4 * NSEC_PER_SEC)

struct asks;
struct sessions;
struct varlink_call;

int asks_new(struct loop *loop, struct sessions *sessions, struct asks **ret);
/* After the Varlink server and the sessions. */
struct asks *asks_free(struct asks *all);
/* Answers the call (method HeapSummary), now or when the heap has. */
void asks_summary(struct asks *all, struct varlink_call *call, const struct core_heap *h,
		  unsigned most);
/* A heap has sent a row; NULL: its connection is over. */
void asks_answer(struct asks *all, uint64_t heap, const struct wire_answer *row);

#endif
