/* SPDX-License-Identifier: MIT */
/*
 * A fixed-size histogram of spans: four buckets an octave from 1 µs to 137 s, so that a
 * quantile is exact to one part in eight. Smaller spans count as 1 µs, greater ones as
 * the greatest seen. Plain data: copy it, zero it, no clean-up.
 */
#ifndef RTGCD_CORE_HISTOGRAM_H
#define RTGCD_CORE_HISTOGRAM_H

#include "client/wire/nsec.h"

#define HISTOGRAM_LOW_BITS 10
#define HISTOGRAM_OCTAVES  27
#define HISTOGRAM_BUCKETS  (HISTOGRAM_OCTAVES * 4 + 1)

struct histogram {
	nsec_t max;
	uint64_t count, sum; /* sum: of all values, in ns; it may wrap */
	uint32_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, nsec_t value);
/* The value below which permille of the added values lie; 0 when nothing was added. */
nsec_t histogram_quantile(const struct histogram *h, unsigned permille);
/* The bucket that a value falls into, and the greatest value of a bucket. */
unsigned histogram_bucket(nsec_t value);
nsec_t histogram_edge(unsigned bucket);

/* How many of the added values are at most the greatest value of that bucket. */
uint64_t histogram_below(const struct histogram *h, unsigned bucket);

/*
 * The other way round: bounds that people asked for, the same for all of its kind (metrics that are
 * compared over machines and years), and nothing in between. Plain data as well.
 */
#define TALLY_BOUNDS 17

struct tally {
	uint64_t sum; /* in ns */
	uint64_t bucket[TALLY_BOUNDS + 1];
};

/* From 100 µs to 30 s, rising. */
nsec_t tally_bound(unsigned bucket);
void tally_add(struct tally *t, nsec_t value);

#endif
