/* SPDX-License-Identifier: MIT */
#include "daemon/core/contention.h"

#include <assert.h>

/* That the others add nothing is believed as if so many pauses had shown it. */
#define PRIOR	     2.0
#define EVIDENCE_MAX 32
/* A single pause may be anything; noise must cancel out, so it may be less than nothing. */
#define EACH_MIN -1.0
#define EACH_MAX 3.0
/* Less than half a pause more drowns in the noise. */
#define MET_ENOUGH 1.5

void contention_change(struct contention *c, int by, nsec_t now)
{
	assert(by > 0 || c->running > 0);
	c->area = contention_area(c, now);
	c->at = nsec_max(now, c->at);
	c->running += (unsigned)by;
}

double contention_area(const struct contention *c, nsec_t now)
{
	return c->area + (double)c->running * (double)nsec_sub(now, c->at);
}

double contention_met(const struct contention *c, double area, nsec_t span, nsec_t now)
{
	double met = span ? (contention_area(c, now) - area) / (double)span : 1;

	return met > 1 ? met : 1;
}

void contention_learn(struct contention *c, double met, double ratio)
{
	double each;

	if (met < MET_ENOUGH)
		return;
	each = (ratio - 1) / (met - 1);
	each = each < EACH_MIN ? EACH_MIN : each > EACH_MAX ? EACH_MAX : each;
	if (c->evidence < EVIDENCE_MAX)
		c->evidence++;
	c->each += ((float)each - c->each) / (float)c->evidence;
}

double contention_slow(const struct contention *c, double met)
{
	double each = c->each > 0 ? (double)c->each : 0;

	return 1 + each * c->evidence / (c->evidence + PRIOR) * (met - 1);
}
