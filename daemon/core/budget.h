/* SPDX-License-Identifier: MIT */
/*
 * Budgets in bytes, for heaps that bring none of their own.
 *
 * MemoryBudget=: the host's memory shared by them, by the square-root rule (MemBalancer, OOPSLA
 * 2022): total collection time is least when
 *
 *	extra[i] ∝ √( live[i] · allocation rate[i] · collection time for each live byte )
 *	        = √( allocation rate[i] · pause[i] )
 *
 * where extra is what a heap may allocate beyond what lives. The sums over all heaps are kept up
 * to date as single heaps change; a heap's share is worked out when the heap itself is looked at.
 *
 * Budget= of a service: what each of its heaps may reach. Where heaps count bytes it needs no
 * working out (heap_budget()).
 *
 * A heap that counts objects is told its budget in objects: how many make up what is left beyond
 * what lives. What an object takes of the memory is learned at collections: between them the
 * count swings by what is garbage, and the resident set hardly follows it. What the process took
 * with few objects in it, when it first reported, is none of theirs.
 *
 * Shares do not tremble: one stays while it is within a seventh of what is due to the heap. But
 * nobody is given what others still hold: what lives and all shares together stay within MemoryBudget=,
 * unless what lives grows into it. Then, and when one that is due more cannot have it, all shares
 * beyond what is due are cut. Those of heaps from which nothing is heard are looked at in turn, one with each event;
 * their silence tells that they have not reached their watermark.
 *
 * Private to daemon/core.
 */
#ifndef RTGCD_CORE_BUDGET_H
#define RTGCD_CORE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "client/wire/list.h"
#include "client/wire/nsec.h"
#include "daemon/core/supervisor.h"

struct heap;
struct wire_end;

struct budget_pool {
	double total_bytes;			/* 0: there is no MemoryBudget */
	double live_bytes, weight, given_bytes; /* sums */
	struct list *
		turn; /* in the host's heaps: the next to be looked at; NULL: the first */
};

struct budget_share {	 /* of a heap whose budget is worked out here */
	uint64_t budget; /* in its unit; 0: none */
	enum core_budget from;
	struct budget_part { /* what it adds to the sums */
		float live_bytes, weight;
		float given_bytes; /* beyond what lives */
	} part;
	float bytes_per_unit; /* 0: not known */
	float pause_per_unit; /* walked and undisturbed, in seconds; 0: not known */
	float live_most; /* reported lately; falls slowly, as the resident set does */
	float first_rss, first_live; /* reported first */
	bool collected;	   /* it is of a collection, not of the latest figures */
	uint64_t rss_most; /* reported since the last collection */
	/* The last collection and the one before, or the first report: rates are of whole cycles. */
	struct {
		nsec_t at; /* 0: none; later by the pauses since */
		uint64_t allocated;
	} since[2];
};

/* h has new figures. */
void budget_report(struct heap *h);
/* h was collected in [begin, begin + pause); its figures are still those before. */
void budget_learn(struct heap *h, const struct wire_end *end, nsec_t pause);
/* What it may reach of MemoryBudget=, in bytes; 0: it has no share. */
uint64_t budget_bytes(const struct heap *h);
/* Something about h has changed: its part of the sums, then its budget. True: that is another one. */
bool budget_update(struct supervisor *s, struct heap *h, nsec_t now);
/* The limit has changed: all parts, before the first budget. */
void budget_sum_up(struct supervisor *s, nsec_t now);
/* One more heap, in turn; NULL: its share stays what it is. */
struct heap *budget_turn(struct supervisor *s, nsec_t now);
/* h is gone, or gets no budget from here now. */
void budget_forget(struct supervisor *s, struct heap *h);

#endif
