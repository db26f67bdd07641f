/* SPDX-License-Identifier: MIT */
/*
 * Contention-aware latest starts. Pauses cannot be preempted and slots are few, so a
 * heap's own latest start is too late when several heaps share a slot. All due
 * collections are placed backwards from their deadlines on the slots, the latest deadline
 * first, each as late as possible (Chetto & Chetto); where one lands is when it must
 * start.
 */
#ifndef RTGCD_CORE_PLACEMENT_H
#define RTGCD_CORE_PLACEMENT_H

#include <stddef.h>

#include "client/wire/nsec.h"

struct placement_job {
	nsec_t latest; /* latest start if it were alone */
	nsec_t span;   /* how long it holds a slot */
	nsec_t start;  /* result: start <= latest; 0 when there is no room at all */
	void *owner;
};

/* Reorders jobs by falling deadline. busy: scratch for slots (>= 1) entries. */
void placement_backward(struct placement_job *jobs, size_t n, nsec_t *busy,
			unsigned slots);

#endif
