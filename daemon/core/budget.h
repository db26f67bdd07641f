/* SPDX-License-Identifier: MIT */
/*
 * MemoryBudget=: the host's memory shared by heaps that bring no budget of their own, by the
 * square-root rule (MemBalancer, OOPSLA 2022): total collection time is least when
 *
 *	extra[i] ∝ √( live[i] · allocation rate[i] · collection time for each live byte )
 *	        = √( allocation rate[i] · pause[i] )
 *
 * where extra is what a heap may allocate beyond what lives. The sums over all heaps are kept up
 * to date as single heaps change; a heap's share is worked out when the heap itself is looked
 * at, and moves only when it is off by more than a twentieth, so that budgets do not tremble.
 *
 * Private to daemon/core.
 */
#ifndef RTGCD_CORE_BUDGET_H
#define RTGCD_CORE_BUDGET_H

#include <stdint.h>

struct heap;
struct supervisor;

struct budget_part { /* what a heap adds to the sums */
	double live_bytes, weight;
};

struct budget_pool {
	double total_bytes;	   /* 0: there is no MemoryBudget */
	double live_bytes, weight; /* sums */
};

/* Something about h has changed: its part of the sums, then its share. */
void budget_update(struct supervisor *s, struct heap *h);
/* h is gone, or brings its own budget now. */
void budget_forget(struct supervisor *s, struct heap *h);

#endif
