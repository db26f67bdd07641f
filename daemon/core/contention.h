/* SPDX-License-Identifier: MIT */
/*
 * Pauses that run at the same time share CPUs and memory, and so last longer (two full collections at
 * once on two CPUs: twice as long; on many CPUs: hardly). What one pause more at the same
 * time adds is learned for the host from pauses that met others: slow = 1 + each * (met - 1), met
 * being how many ran on the average meanwhile, the pause itself included.
 *
 * Pauses are learned divided by that, and predicted multiplied by it. Little evidence counts little.
 */
#ifndef RTGCD_CORE_CONTENTION_H
#define RTGCD_CORE_CONTENTION_H

#include "client/wire/nsec.h"

struct contention {
	unsigned running, limit; /* pauses now; at once that the host allows */
	nsec_t at;
	double area; /* nanoseconds of pause up to then, those of all heaps added up */
	float each;  /* what one more has added on the average */
	unsigned evidence; /* of so many pauses */
};

/* A pause has begun (1) or ended (-1). */
void contention_change(struct contention *c, int by, nsec_t now);
double contention_area(const struct contention *c, nsec_t now);
/* How many ran meanwhile; area: contention_area() when it began, span: how long ago that is. */
double contention_met(const struct contention *c, double area, nsec_t span, nsec_t now);
/* A pause that met so many took `ratio` times what it usually takes alone. */
void contention_learn(struct contention *c, double met, double ratio);
/* How many times as long a pause is that meets so many. */
double contention_slow(const struct contention *c, double met);

#endif
