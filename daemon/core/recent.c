/* SPDX-License-Identifier: MIT */
#include "daemon/core/recent.h"

#include <string.h>

#include "daemon/core/histogram.h"

#define LOWEST (RECENT_BUCKETS - 1)

void recent_halve(uint8_t *count, unsigned n)
{
	unsigned odd = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned both = count[i] + odd;

		count[i] = (uint8_t)(both / 2);
		odd = both % 2;
	}
}

/* Those that the lowest bucket would hold, were the top so much higher. */
static unsigned below(const struct recent *r, unsigned by)
{
	unsigned sum = 0;

	for (unsigned i = by < LOWEST ? LOWEST - by : 0; i < RECENT_BUCKETS; i++)
		sum += r->bucket[i];
	return sum;
}

static void rise(struct recent *r, unsigned top)
{
	unsigned by = top - r->top;
	unsigned kept = by < LOWEST ? LOWEST - by : 0;

	while (below(r, by) > UINT8_MAX)
		recent_halve(r->bucket, RECENT_BUCKETS);
	r->bucket[LOWEST] = (uint8_t)below(r, by);
	memmove(r->bucket + LOWEST - kept, r->bucket, kept);
	memset(r->bucket, 0, LOWEST - kept);
	r->top = (uint8_t)top;
}

void recent_add(struct recent *r, nsec_t span)
{
	unsigned bucket = histogram_bucket(span), i;

	if (bucket > r->top)
		rise(r, bucket);
	i = r->top - bucket < LOWEST ? r->top - bucket : LOWEST;
	if (r->bucket[i] == UINT8_MAX)
		recent_halve(r->bucket, RECENT_BUCKETS);
	r->bucket[i]++;
	r->max = nsec_max(r->max, span);
}

nsec_t recent_quantile(const struct recent *r, unsigned permille)
{
	unsigned all = below(r, LOWEST), seen = 0, i = LOWEST;

	if (all == 0)
		return 0;
	/* The rank is rounded up: the 99th percentile of 3 values is the greatest. */
	for (; i > 0; i--) {
		seen += r->bucket[i];
		if (seen > 0 && seen >= (all * permille + 999) / 1000)
			return nsec_min(histogram_edge(r->top - i), r->max);
	}
	return r->max;
}
