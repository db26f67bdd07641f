/* SPDX-License-Identifier: MIT */
/*
 * Admission: do the collections of a set of heaps fit into its slots, before one misses?
 *
 * A sufficient test, so "schedulable" is a promise as long as the heaps keep to the rates and
 * pauses seen: with T the time a budget lasts and p the time a collection holds a slot, each
 * collection can start anywhere in a known part of T, and on k slots under non-preemptive
 * earliest-deadline-first none is late if
 *
 *	Σ p/T / k  +  2 · longest p / shortest T  <=  that part
 *
 * (the second term: one pause that has just begun, and the longest at the end). With a slot for
 * each heap nobody waits at all. A round of Policy=together is one collection that takes all its slots
 * at once: it waits until nobody else pauses, and nobody else begins meanwhile, as if there was one slot.
 *
 * Private to daemon/core.
 */
#ifndef RTGCD_CORE_ADMIT_H
#define RTGCD_CORE_ADMIT_H

#include "daemon/core/heap.h"
#include "daemon/core/supervisor.h"

struct admit {
	unsigned heaps, snapshots;
	unsigned singles, rounds; /* that ask for slots: heaps by themselves, rounds */
	double load;		  /* Σ p/T: how many slots are in use on average */
	nsec_t longest, shortest; /* span that a slot is taken, period */
	nsec_t pause, drain;	  /* the longest of what makes up the span */
};

void admit_init(struct admit *a);
void admit_add(struct admit *a, const struct heap *h);
/* Those that collect together, added up in an answer of their own, as one that asks with the others. */
void admit_add_round(struct admit *a, const struct admit *members);
void admit_answer(const struct admit *a, unsigned slots, struct core_admission *ret);

#endif
