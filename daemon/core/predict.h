/* SPDX-License-Identifier: MIT */
/*
 * How long a collection will pause its process: an upper estimate learned from the pauses of
 * one heap and kind. The cost of an object spans 40 times between programs, so a heap is
 * judged by its own past only; until there is one, by a deliberately high guess.
 *
 * A pause grows with what is walked (more than in proportion while the heap outgrows the caches)
 * and with what is freed on top of that. What will be freed is not known before, but what can be is:
 * whatever lies above the least that was left over lately ("spare"). So a pause is taken for
 * cost * size, size being one of a few functions of live and spare: the one under which the costs
 * of the last pauses agree best. Costs wander: for some time a machine is slower than usual. So the upper
 * estimate lies between (the geometric mean of) two: the greatest of the last costs, and the cost as it is just
 * now times the greatest step up that there was from one pause to the next lately (of both the two greatest,
 * averaged). That times a margin is it, and only the margin is steered: it widens with each pause that
 * outlasts its prediction and narrows with each that does not, such that in the long run
 * PREDICT_OUTSIDE of them do, whatever the pauses are distributed like (adaptive conformal inference:
 * Gibbs & Candès, 2021).
 *
 * Plain data: zero it, no clean-up. Spans are of pauses that ran alone: contention.h.
 */
#ifndef RTGCD_CORE_PREDICT_H
#define RTGCD_CORE_PREDICT_H

#include <stdbool.h>

#include "client/wire/nsec.h"

#define PREDICT_SAMPLES 14
#define PREDICT_STEPS	40
#define PREDICT_OUTSIDE 0.007

struct predict {
	struct predict_sample { /* rounded to one part in 500: predict.c */
		uint16_t live, spare, pause;
	} ring[PREDICT_SAMPLES];
	int8_t step[PREDICT_STEPS]; /* logarithms, in parts of 64 */
	uint16_t count;		    /* pauses learned; stays large */
	uint8_t shape;		    /* of size: predict.c */
	uint8_t of;		    /* its owner's: which pauses it is of */
	/* Left over: the least of the last 32 to 63 collections, of the last 0 to 31. As samples are. */
	uint16_t least, least_so;
	float margin;	      /* the logarithm of the factor */
	float upper, typical; /* nanoseconds for each unit of size */
};

/* A collection walked `walked` units and left `left`. inside: it ended inside its prediction. */
void predict_learn(struct predict *p, uint64_t walked, uint64_t left, nsec_t pause,
		   bool inside);
/* unit: enum wire_unit. p may be NULL: nothing was learned yet. At least 1 ms. */
nsec_t predict_pause(const struct predict *p, unsigned unit, uint64_t live);
/* The same for the stops of snapshots; the first guess is from the memory whose pages a fork maps anew. */
nsec_t predict_stop(const struct predict *p, unsigned unit, uint64_t rss_bytes,
		    uint64_t live);
/* How long a snapshot takes from its begin to its end; learned by predict_learn(). */
nsec_t predict_run(const struct predict *p, unsigned unit, uint64_t live);
/* The usual pause: half of the last ones were shorter. */
nsec_t predict_typical(const struct predict *p, unsigned unit, uint64_t live);

#endif
