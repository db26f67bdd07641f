/* SPDX-License-Identifier: MIT */
#include "daemon/core/accuracy.h"

#include <math.h>

#include "daemon/core/recent.h"

#define AN_OCTAVE 4.0
#define LOWEST	  0.5

static unsigned bucket_of(double over)
{
	double place = 1 + floor(log2(over / LOWEST) * AN_OCTAVE);

	if (!(place > 0))
		return 0;
	return place < ACCURACY_BUCKETS - 1 ? (unsigned)place : ACCURACY_BUCKETS - 1;
}

void accuracy_add(struct accuracy *a, nsec_t predicted, nsec_t pause)
{
	unsigned bucket = bucket_of((double)predicted / (double)nsec_max(pause, 1));

	if (a->pauses == UINT32_MAX) {
		a->pauses /= 2;
		a->inside /= 2;
	}
	a->pauses++;
	a->inside += pause <= predicted;
	if (a->over[bucket] == UINT8_MAX)
		recent_halve(a->over, ACCURACY_BUCKETS);
	a->over[bucket]++;
}

unsigned accuracy_coverage_permille(const struct accuracy *a)
{
	return a->pauses ? (unsigned)((uint64_t)a->inside * 1000 / a->pauses) : 0;
}

unsigned accuracy_over_p50_permille(const struct accuracy *a)
{
	double all = 0, below = 0, part = 0;
	unsigned i;

	for (i = 0; i < ACCURACY_BUCKETS; i++)
		all += a->over[i];
	if (all == 0)
		return 0;
	for (i = 0; i < ACCURACY_BUCKETS - 1 && below + a->over[i] < all / 2; i++)
		below += a->over[i];
	if (i == 0)
		return (unsigned)(LOWEST * 1000);
	if (i < ACCURACY_BUCKETS - 1)
		part = (all / 2 - below) / a->over[i];
	return (unsigned)(1000 * LOWEST * exp2(((double)i - 1 + part) / AN_OCTAVE));
}
