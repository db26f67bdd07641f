/* SPDX-License-Identifier: MIT */
/*
 * How good predictions have been: the share of pauses that ended inside them, and how long
 * they were by the pause that came. Plain data: zero it, no clean-up.
 */
#ifndef RTGCD_CORE_ACCURACY_H
#define RTGCD_CORE_ACCURACY_H

#include "client/wire/nsec.h"

/* Four buckets an octave from a half to eight times the pause, and what lies outside. */
#define ACCURACY_BUCKETS 18

struct accuracy {
	uint32_t pauses, inside;
	uint8_t over[ACCURACY_BUCKETS]; /* halved all at once when one is full */
};

void accuracy_add(struct accuracy *a, nsec_t predicted, nsec_t pause);
/* Both 0 when there was no pause yet. */
unsigned accuracy_coverage_permille(const struct accuracy *a);
/* The median of predicted / pause, to a tenth; 8000 when it is more. */
unsigned accuracy_over_p50_permille(const struct accuracy *a);

#endif
