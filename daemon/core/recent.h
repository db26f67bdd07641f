/* SPDX-License-Identifier: MIT */
/*
 * How long the last spans were, in less room than a histogram: its buckets from that of the greatest
 * span down to a 700th part of it, shorter ones counting as that. All are halved when one is full,
 * so that the last few hundred count. Plain data: copy it, zero it, no clean-up.
 */
#ifndef RTGCD_CORE_RECENT_H
#define RTGCD_CORE_RECENT_H

#include "client/wire/nsec.h"

#define RECENT_BUCKETS 39

struct recent {
	nsec_t max;			/* of all there ever were */
	uint8_t top;			/* histogram_bucket() of it */
	uint8_t bucket[RECENT_BUCKETS]; /* top, top - 1, … */
};

void recent_add(struct recent *r, nsec_t span);
/* The span below which permille of them lie; 0 when nothing was added. */
nsec_t recent_quantile(const struct recent *r, unsigned permille);
/* Halves counters, carrying what is odd over to the next, so that quantiles stay. */
void recent_halve(uint8_t *count, unsigned n);

#endif
