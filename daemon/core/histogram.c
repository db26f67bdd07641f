/* SPDX-License-Identifier: MIT */
#include "daemon/core/histogram.h"

unsigned histogram_bucket(nsec_t value)
{
	unsigned bits, octave;

	if (value < (UINT64_C(1) << HISTOGRAM_LOW_BITS))
		return 0;
	bits = 63 - (unsigned)__builtin_clzll(value);
	octave = bits - HISTOGRAM_LOW_BITS;
	if (octave >= HISTOGRAM_OCTAVES)
		return HISTOGRAM_BUCKETS - 1;
	return 1 + octave * 4 + (unsigned)(value >> (bits - 2) & 3);
}

nsec_t histogram_edge(unsigned bucket)
{
	unsigned octave, quarter;

	if (bucket == 0)
		return UINT64_C(1) << HISTOGRAM_LOW_BITS;
	octave = (bucket - 1) / 4;
	quarter = (bucket - 1) % 4;
	return (UINT64_C(5) + quarter) << (octave + HISTOGRAM_LOW_BITS - 2);
}

void histogram_add(struct histogram *h, nsec_t value)
{
	uint32_t *bucket = &h->bucket[histogram_bucket(value)];

	if (*bucket < UINT32_MAX)
		++*bucket;
	h->count++;
	h->sum += value;
	h->max = nsec_max(h->max, value);
}

nsec_t histogram_quantile(const struct histogram *h, unsigned permille)
{
	/* The rank is rounded up: the 99th percentile of 3 values is the greatest. */
	uint64_t rank =
		(h->count / 1000) * permille + (h->count % 1000 * permille + 999) / 1000;
	uint64_t seen = 0;

	if (h->count == 0)
		return 0;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		seen += h->bucket[i];
		if (seen >= rank && seen > 0)
			return nsec_min(histogram_edge(i), h->max);
	}
	return h->max;
}

uint64_t histogram_below(const struct histogram *h, unsigned bucket)
{
	uint64_t n = 0;

	for (unsigned i = 0; i <= bucket; i++)
		n += h->bucket[i];
	return n;
}

static const nsec_t bounds[TALLY_BOUNDS] = {
	100 * NSEC_PER_USEC, 250 * NSEC_PER_USEC,  500 * NSEC_PER_USEC,
	1 * NSEC_PER_MSEC,   2500 * NSEC_PER_USEC, 5 * NSEC_PER_MSEC,
	10 * NSEC_PER_MSEC,  25 * NSEC_PER_MSEC,   50 * NSEC_PER_MSEC,
	100 * NSEC_PER_MSEC, 250 * NSEC_PER_MSEC,  500 * NSEC_PER_MSEC,
	1 * NSEC_PER_SEC,    2500 * NSEC_PER_MSEC, 5 * NSEC_PER_SEC,
	10 * NSEC_PER_SEC,   30 * NSEC_PER_SEC,
};

nsec_t tally_bound(unsigned bucket)
{
	return bounds[bucket];
}

void tally_add(struct tally *t, nsec_t value)
{
	unsigned i = 0;

	while (i < TALLY_BOUNDS && value > bounds[i])
		i++;
	t->bucket[i]++;
	t->sum += value;
}
