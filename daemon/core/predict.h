/* SPDX-License-Identifier: MIT */
/*
 * How long a collection will pause its process: an upper estimate learned from measured
 * pauses of one heap and kind, scaled by the size driver (what the collection walks). The
 * cost for each unit spans 40 times between programs, so a heap is judged by its own past
 * only; until there is one, a deliberately high guess.
 */
#ifndef RTGCD_CORE_PREDICT_H
#define RTGCD_CORE_PREDICT_H

#include "client/wire/nsec.h"

#define PREDICT_SAMPLES 16

struct predict {
	float cost[PREDICT_SAMPLES]; /* nanoseconds for each unit, a ring */
	uint32_t count;		     /* pauses learned in all */
};

void predict_learn(struct predict *p, uint64_t live, nsec_t pause);
/* unit: enum wire_unit. At least 1 ms. */
nsec_t predict_pause(const struct predict *p, unsigned unit, uint64_t live);
/* The same for the stops of snapshots; the first guess is from the memory whose pages a fork maps anew. */
nsec_t predict_stop(const struct predict *p, unsigned unit, uint64_t rss_bytes,
		    uint64_t live);
/* How long a snapshot takes from its begin to its end; learned by predict_learn(). */
nsec_t predict_run(const struct predict *p, unsigned unit, uint64_t live);
/* The usual pause: half of the last ones were shorter. */
nsec_t predict_typical(const struct predict *p, unsigned unit, uint64_t live);

#endif
