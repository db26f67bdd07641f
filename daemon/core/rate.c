/* SPDX-License-Identifier: MIT */
#include "daemon/core/rate.h"

#include <math.h>

/* Rates from shorter spans than this are noise: allocation is reported in lumps. */
#define SPAN_MIN (20 * NSEC_PER_MSEC)
#define MEMORY_S 1.0

void rate_sample(struct rate *rate, uint64_t allocated, nsec_t at)
{
	double span, sample, weight;

	if (rate->at == 0 || allocated < rate->allocated) {
		*rate = (struct rate){.at = at, .allocated = allocated};
		return;
	}
	if (at < rate->at + SPAN_MIN)
		return;
	span = (double)(at - rate->at) / (double)NSEC_PER_SEC;
	sample = (double)(allocated - rate->allocated) / span;
	weight = rate->slow == 0 ? 1 : span / (span + MEMORY_S);
	rate->slow += (float)((sample - (double)rate->slow) * weight);
	rate->fast = (float)sample;
	rate->at = at;
	rate->allocated = allocated;
}

void rate_silence(struct rate *rate, uint64_t step, nsec_t silence)
{
	double most;

	if (!step || !silence)
		return;
	most = (double)step * (double)NSEC_PER_SEC / (double)silence;
	rate->fast = (float)fmin((double)rate->fast, most);
	rate->slow = (float)fmin((double)rate->slow, most);
}

double rate_upper(const struct rate *rate)
{
	return (double)(rate->fast > rate->slow ? rate->fast : rate->slow);
}
