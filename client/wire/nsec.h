/* SPDX-License-Identifier: MIT */
/*
 * Time as every part of the program counts it: nanoseconds of CLOCK_MONOTONIC.
 *
 * All arithmetic saturates, so that "never" stays never and a subtraction never wraps
 * into the far future. Whoever needs the time is told it; only the edges read a clock.
 */
#ifndef RTGC_WIRE_NSEC_H
#define RTGC_WIRE_NSEC_H

#include <stdint.h>

typedef uint64_t nsec_t;

#define NSEC_NEVER    UINT64_MAX
#define NSEC_PER_USEC UINT64_C(1000)
#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_SEC  UINT64_C(1000000000)

static inline nsec_t nsec_add(nsec_t a, nsec_t b)
{
	return a > NSEC_NEVER - b ? NSEC_NEVER : a + b;
}

/* a - b, but never less than zero; "never" minus anything is still never. */
static inline nsec_t nsec_sub(nsec_t a, nsec_t b)
{
	if (a == NSEC_NEVER)
		return NSEC_NEVER;
	return a > b ? a - b : 0;
}

static inline nsec_t nsec_min(nsec_t a, nsec_t b)
{
	return a < b ? a : b;
}

static inline nsec_t nsec_max(nsec_t a, nsec_t b)
{
	return a > b ? a : b;
}

#endif
