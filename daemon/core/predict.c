/* SPDX-License-Identifier: MIT */
#include "daemon/core/predict.h"

#include "client/wire/wire.h"

/*
 * A pause has a part that does not depend on size. Taking no heap for smaller than this
 * keeps that part from being multiplied when a small heap grows.
 */
#define LIVE_FLOOR 10000.0

/* First guesses. Measured on CPython: 40 … 1,600 ns an object; on copying collectors
 * about 1 ns a byte. */
#define GUESS_NS_PER_OBJECT 400.0
#define GUESS_NS_PER_BYTE   1.0

/* Of a snapshot. The fork stops it for 20 µs a megabyte, and no step of it for less than 1 ms. */
#define GUESS_STOP_NS_PER_KIB	25.0
#define GUESS_RUN_NS_PER_OBJECT 4000.0
#define GUESS_RUN_NS_PER_BYTE	20.0

#define PAUSE_MIN NSEC_PER_MSEC
#define PAUSE_MAX (60 * NSEC_PER_SEC)

static double size_of(uint64_t live)
{
	return (double)live > LIVE_FLOOR ? (double)live : LIVE_FLOOR;
}

void predict_learn(struct predict *p, uint64_t live, nsec_t pause)
{
	p->cost[p->count % PREDICT_SAMPLES] = (float)((double)pause / size_of(live));
	p->count++;
}

/*
 * The greatest of the last sixteen is an upper quantile by itself once there are many;
 * while there are few, the next one may well be worse, so the margin is wider.
 */
static double cost_upper(const struct predict *p)
{
	uint32_t n = p->count < PREDICT_SAMPLES ? p->count : PREDICT_SAMPLES;
	double max = 0;

	for (uint32_t i = 0; i < n; i++)
		if (p->cost[i] > max)
			max = p->cost[i];
	return max * (n < 4 ? 1.5 : 1.15);
}

static double cost_median(const struct predict *p)
{
	uint32_t n = p->count < PREDICT_SAMPLES ? p->count : PREDICT_SAMPLES;
	float sorted[PREDICT_SAMPLES];

	for (uint32_t i = 0; i < n; i++) {
		uint32_t j = i;

		for (; j > 0 && sorted[j - 1] > p->cost[i]; j--)
			sorted[j] = sorted[j - 1];
		sorted[j] = p->cost[i];
	}
	return sorted[n / 2];
}

static nsec_t pause_at(double cost, uint64_t live)
{
	double ns = cost * size_of(live);

	if (ns >= (double)PAUSE_MAX)
		return PAUSE_MAX;
	return nsec_max((nsec_t)ns, PAUSE_MIN);
}

static double guess(unsigned unit)
{
	return unit == WIRE_OBJECTS ? GUESS_NS_PER_OBJECT : GUESS_NS_PER_BYTE;
}

nsec_t predict_pause(const struct predict *p, unsigned unit, uint64_t live)
{
	return pause_at(p->count ? cost_upper(p) : guess(unit), live);
}

nsec_t predict_typical(const struct predict *p, unsigned unit, uint64_t live)
{
	return pause_at(p->count ? cost_median(p) : guess(unit), live);
}

nsec_t predict_stop(const struct predict *p, unsigned unit, uint64_t rss_bytes,
		    uint64_t live)
{
	if (p->count == 0 && rss_bytes)
		return pause_at(GUESS_STOP_NS_PER_KIB, rss_bytes / 1024);
	return predict_pause(p, unit, live);
}

nsec_t predict_run(const struct predict *p, unsigned unit, uint64_t live)
{
	double first =
		unit == WIRE_OBJECTS ? GUESS_RUN_NS_PER_OBJECT : GUESS_RUN_NS_PER_BYTE;

	return pause_at(p->count ? cost_upper(p) : first, live);
}
