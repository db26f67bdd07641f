/* SPDX-License-Identifier: MIT */
/* How fast a heap allocates, in units a second: an upper estimate from what it reports. Pure. */
#ifndef RTGCD_CORE_RATE_H
#define RTGCD_CORE_RATE_H

#include <stdint.h>

#include "client/wire/nsec.h"

struct rate {
	float slow, fast; /* smoothed; over the last sample */
	nsec_t at;	  /* of the last sample; 0: none yet */
	uint64_t allocated;
};

/* So much had been allocated at that instant since the heap was opened. */
void rate_sample(struct rate *rate, uint64_t allocated, nsec_t at);
/* It reports whenever about so much is allocated (step), and has not for so long. */
void rate_silence(struct rate *rate, uint64_t step, nsec_t silence);
/*
 * The greater of both: a burst counts at once and is forgotten with the next calm sample.
 */
double rate_upper(const struct rate *rate);

#endif
