/* SPDX-License-Identifier: MIT */
#include "daemon/core/predict.h"

#include <math.h>
#include <string.h>

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

static const struct shape {
	double spare; /* what a spare unit costs besides being walked */
	bool faster;  /* size grows as its power of 1.5 */
} shapes[] = {{0, false}, {0.5, false}, {1, false}, {2, false}, {0, true}};
#define SHAPES (sizeof(shapes) / sizeof(*shapes))
/* Under another shape the costs must agree so much better. */
#define SHAPE_BETTER 0.95

#define LEAST_OF 32
/* Where the count goes back to half: the rings and LEAST_OF divide both. */
#define COUNT_MAX (52 * 1120)

/* How far the cost of just now follows each pause; its part in the estimate. */
#define FOLLOW	0.7
#define NOW	0.5
#define STEP_OF 64

#define MARGIN_FIRST 0.07F
#define MARGIN_STEP  0.03F
#define MARGIN_MIN   -0.1F
#define MARGIN_MAX   1.0F

/* ---- Samples: the upper half of a float but its sign, to save memory -------------------------- */

static uint16_t pack(double value)
{
	float f = value > 0 ? (float)value : 0;
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return (uint16_t)((bits + (UINT32_C(1) << 14)) >> 15);
}

static double unpack(uint16_t packed)
{
	uint32_t bits = (uint32_t)packed << 15;
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

/* ---- The model ------------------------------------------------------------------------------ */

static double spare_of(const struct predict *p, uint64_t live)
{
	return p->count ? fmax((double)live - unpack(p->least), 0) : 0;
}

static double size_of(double live, double spare, unsigned shape)
{
	double size = live > LIVE_FLOOR ? live : LIVE_FLOOR;

	size += shapes[shape].spare * spare;
	return shapes[shape].faster ? size * sqrt(size) : size;
}

static unsigned samples(const struct predict *p)
{
	return p->count < PREDICT_SAMPLES ? p->count : PREDICT_SAMPLES;
}

static void sort(double *values, unsigned n)
{
	for (unsigned i = 1; i < n; i++) {
		double value = values[i];
		unsigned j = i;

		for (; j > 0 && values[j - 1] > value; j--)
			values[j] = values[j - 1];
		values[j] = value;
	}
}

/* Of the i-th in the ring. */
static double cost_of(const struct predict *p, unsigned i, unsigned shape)
{
	const struct predict_sample *sample = &p->ring[i % PREDICT_SAMPLES];

	return unpack(sample->pause) /
	       size_of(unpack(sample->live), unpack(sample->spare), shape);
}

/* Costs under that shape, sorted. Returns by how much the upper half lies above the median. */
static double costs(const struct predict *p, unsigned shape, double *ret)
{
	unsigned n = samples(p);
	double sum = 0, median;

	for (unsigned i = 0; i < n; i++)
		ret[i] = cost_of(p, i, shape);
	sort(ret, n);
	median = ret[n / 2];
	for (unsigned i = n / 2 + 1; i < n; i++)
		sum += (ret[i] / median - 1) * (ret[i] / median - 1);
	return sqrt(sum / n);
}

/* The logarithm of the cost as it is just now. */
static double cost_now(const struct predict *p)
{
	unsigned n = samples(p), first = n < PREDICT_SAMPLES ? 0 : p->count;
	double now = log(cost_of(p, first, p->shape));

	for (unsigned i = 1; i < n; i++)
		now += FOLLOW * (log(cost_of(p, first + i, p->shape)) - now);
	return now;
}

/* The greatest of that many steps up, or the mean of two; at least 0. */
static double greatest_step(const struct predict *p)
{
	unsigned n = p->count - 1U < PREDICT_STEPS ? p->count - 1U : PREDICT_STEPS;
	int most = 0, second = 0;

	for (unsigned i = 0; i < n; i++) {
		int step = p->step[i];

		if (step > most) {
			second = most;
			most = step;
		} else if (step > second) {
			second = step;
		}
	}
	return (n > 8 ? (most + second) / 2.0 : most) / STEP_OF;
}

static void note_step(struct predict *p, const struct predict_sample *next)
{
	double size = size_of(unpack(next->live), unpack(next->spare), p->shape);
	double step = log(unpack(next->pause) / size) - cost_now(p);

	step = fmin(fmax(ceil(step * STEP_OF), INT8_MIN), INT8_MAX);
	p->step[(p->count - 1U) % PREDICT_STEPS] = (int8_t)step;
}

/* While there are few, the next one may well be worse than all. */
static double few(unsigned n)
{
	return n < 4 ? 1.5 : n < 8 ? 1.25 : 1;
}

static void fit(struct predict *p)
{
	unsigned n = samples(p);
	double cost[PREDICT_SAMPLES], top, now;
	double best = costs(p, p->shape, cost) * SHAPE_BETTER;

	for (unsigned shape = 0; shape < SHAPES; shape++) {
		double differ = costs(p, shape, cost);

		if (differ < best) {
			best = differ;
			p->shape = (uint8_t)shape;
		}
	}
	costs(p, p->shape, cost);
	top = n > 8 ? sqrt(cost[n - 1] * cost[n - 2]) : cost[n - 1];
	now = cost_now(p) + greatest_step(p);
	p->typical = (float)cost[n / 2];
	p->upper = (float)(exp(NOW * now + (1 - NOW) * log(top) + (double)p->margin) *
			   few(n));
}

static void steer(struct predict *p, bool inside)
{
	if (p->count == 0)
		p->margin = MARGIN_FIRST;
	if (p->count < 8)
		return; /* who was outside so early says nothing of the margin */
	p->margin += inside ? -MARGIN_STEP * (float)PREDICT_OUTSIDE
			    : MARGIN_STEP * (float)(1 - PREDICT_OUTSIDE);
	p->margin = (float)fmin(fmax(p->margin, MARGIN_MIN), MARGIN_MAX);
}

static uint16_t least_of(uint16_t a, uint16_t b)
{
	return a < b ? a : b; /* (They are in order as floats are.) */
}

static void note_left(struct predict *p, uint64_t left)
{
	uint16_t packed = pack((double)left);

	if (p->count == 0)
		p->least = p->least_so = packed;
	if (p->count % LEAST_OF == 0 && p->count > 0) {
		p->least = p->least_so;
		p->least_so = packed;
	}
	p->least_so = least_of(p->least_so, packed);
	p->least = least_of(p->least, p->least_so);
}

void predict_learn(struct predict *p, uint64_t walked, uint64_t left, nsec_t pause,
		   bool inside)
{
	const struct predict_sample sample = {
		.live = pack((double)walked),
		.spare = pack(spare_of(p, walked)),
		.pause = pack((double)nsec_max(pause, 1)),
	};

	steer(p, inside);
	if (p->count > 0)
		note_step(p, &sample);
	p->ring[p->count % PREDICT_SAMPLES] = sample;
	note_left(p, left);
	if (++p->count == COUNT_MAX)
		p->count = COUNT_MAX / 2;
	fit(p);
}

static nsec_t pause_at(const struct predict *p, double cost, uint64_t live)
{
	double ns = cost * size_of((double)live, spare_of(p, live), p->shape);

	if (ns >= (double)PAUSE_MAX)
		return PAUSE_MAX;
	return nsec_max((nsec_t)ns, PAUSE_MIN);
}

/* Nothing is known: so much a unit. */
static nsec_t guess(double cost, uint64_t live)
{
	static const struct predict nothing;

	return pause_at(&nothing, cost, live);
}

static double first_guess(unsigned unit)
{
	return unit == WIRE_OBJECTS ? GUESS_NS_PER_OBJECT : GUESS_NS_PER_BYTE;
}

nsec_t predict_pause(const struct predict *p, unsigned unit, uint64_t live)
{
	return p && p->count ? pause_at(p, p->upper, live)
			     : guess(first_guess(unit), live);
}

nsec_t predict_typical(const struct predict *p, unsigned unit, uint64_t live)
{
	return p && p->count ? pause_at(p, p->typical, live)
			     : guess(first_guess(unit), live);
}

nsec_t predict_stop(const struct predict *p, unsigned unit, uint64_t rss_bytes,
		    uint64_t live)
{
	if ((!p || p->count == 0) && rss_bytes)
		return guess(GUESS_STOP_NS_PER_KIB, rss_bytes / 1024);
	return predict_pause(p, unit, live);
}

nsec_t predict_run(const struct predict *p, unsigned unit, uint64_t live)
{
	if (p && p->count)
		return pause_at(p, p->upper, live);
	return guess(
		unit == WIRE_OBJECTS ? GUESS_RUN_NS_PER_OBJECT : GUESS_RUN_NS_PER_BYTE,
		live);
}
