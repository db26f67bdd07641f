/* SPDX-License-Identifier: MIT */
/*
 * Predicted pauses: against recorded pauses of real CPython programs (tests/traces), which must be
 * covered to 99 % after the first twenty, at a median over-prediction of at most 1.5 (but for one of
 * those that it was not tuned to), and against random models of pauses; and what is published of it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/accuracy.h"
#include "daemon/core/predict.h"
#include "tests/unit/world.h"

#define FIRST		  20
#define MOST		  2000
#define RUNS		  20
#define OBJECTS_WALKED(p) ((p)->freed + (p)->left)

struct pause {
	uint64_t live, freed, left;
	nsec_t took;
};

struct verdict {
	double coverage, over; /* the median */
	struct accuracy accuracy;
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static struct verdict judge(const struct pause *pauses, unsigned n)
{
	static double over[MOST];
	struct predict p = {.count = 0};
	struct verdict v = {.coverage = 0};
	unsigned inside = 0;

	for (unsigned i = 0; i < n; i++) {
		nsec_t predicted = predict_pause(&p, WIRE_OBJECTS, pauses[i].live);
		nsec_t took = pauses[i].took;

		if (i >= FIRST) {
			inside += took <= predicted;
			over[i - FIRST] = (double)predicted / (double)took;
			accuracy_add(&v.accuracy, predicted, took);
		}
		predict_learn(&p, OBJECTS_WALKED(&pauses[i]), pauses[i].left, took,
			      took <= predicted);
	}
	qsort(over, n - FIRST, sizeof(*over), by_value);
	v.coverage = (double)inside / (n - FIRST);
	v.over = over[(n - FIRST) / 2];
	return v;
}

/* ---- Recorded ---- */

static unsigned read_trace(const char *name, struct pause *ret)
{
	const char *srcdir = getenv("RTGC_SRCDIR");
	char path[4096], line[256];
	unsigned n = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/traces/%s.csv", srcdir ? srcdir : ".",
		 name);
	file = fopen(path, "r");
	assert_non_null(file);
	while (n < MOST && fgets(line, sizeof(line), file)) {
		unsigned long long at, took, used, live, freed, left;

		if (sscanf(line, "%llu,%llu,%llu,%llu,%llu,%llu", &at, &took, &used,
			   &live, &freed, &left) == 6)
			ret[n++] = (struct pause){live, freed, left, took};
	}
	fclose(file);
	return n;
}

static void recorded_pauses_are_covered(void **state)
{
	static const struct {
		const char *name;
		double coverage, over;
	} traces[] = {
		{"steady", 0.99, 1.5},
		{"growing", 0.99, 1.5},
		{"bursts", 0.99, 1.5},
		/* Held out: recorded when the prediction was finished, never tuned to. */
		{"documents", 0.99, 1.5},
		{"entries", 0.99, 1.5},
		/* (Nothing says how large the next batch is: neither goal is met.) */
		{"batches", 0.975, 1.95},
	};
	static struct pause pauses[MOST];

	for (unsigned i = 0; i < sizeof(traces) / sizeof(*traces); i++) {
		unsigned n = read_trace(traces[i].name, pauses);
		struct verdict v = judge(pauses, n);

		printf("%-9s %u pauses: coverage %.1f %%, median over-prediction %.2f\n",
		       traces[i].name, n, 100 * v.coverage, v.over);
		assert_true(n >= 200);
		assert_true(v.coverage >= traces[i].coverage);
		assert_true(v.over <= traces[i].over);
		/* What is published says the same. */
		assert_in_range(accuracy_coverage_permille(&v.accuracy),
				(unsigned)(1000 * v.coverage) - 1,
				(unsigned)(1000 * v.coverage) + 1);
		assert_in_range(accuracy_over_p50_permille(&v.accuracy),
				(unsigned)(1000 * v.over / 1.1),
				(unsigned)(1000 * v.over * 1.1));
	}
}

/* ---- Random models ---- */

static uint64_t random_state;

static double random_share(void) /* 0 … 1 */
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (double)(random_state >> 11) / (double)(UINT64_C(1) << 53);
}

static double random_normal(void)
{
	double sum = -6;

	for (unsigned i = 0; i < 12; i++)
		sum += random_share();
	return sum;
}

struct model {
	const char *name;
	double noise;  /* of the logarithm of a pause */
	double drift;  /* of the cost, a pause */
	double growth; /* of what stays, a pause */
	double jump;   /* what stays, in the middle */
	bool bursts;   /* of garbage, up to as much as what stays */
	double coverage, over;
};

static void draw(const struct model *m, struct pause *ret)
{
	double walk = 40 * pow(40, random_share()), free = walk * 2 * random_share();
	double stays = 20000 * pow(50, random_share());

	for (unsigned i = 0; i < MOST; i++) {
		double garbage = stays / 4 * (0.8 + 0.2 * random_share());

		walk *= exp(m->drift * random_normal());
		if (stays < 5e6)
			stays *= 1 + m->growth;
		if (i == MOST / 2)
			stays *= m->jump;
		if (m->bursts)
			garbage = stays * pow(random_share(), 3);
		ret[i].freed = (uint64_t)garbage;
		ret[i].left = (uint64_t)stays;
		ret[i].live = OBJECTS_WALKED(&ret[i]);
		ret[i].took = (nsec_t)((walk * (double)ret[i].live + free * garbage) *
				       exp(m->noise * random_normal()));
	}
}

static void random_models_are_covered(void **state)
{
	static const struct model models[] = {
		{"exact", 0, 0, 0, 1, false, 0.99, 1.3},
		{"noise of 10 %", 0.1, 0, 0, 1, false, 0.99, 1.5},
		{"noise of 20 %", 0.2, 0, 0, 1, false, 0.985, 2},
		{"drift", 0.05, 0.02, 0, 1, false, 0.985, 1.5},
		{"growth", 0.1, 0, 0.003, 1, false, 0.99, 1.5},
		{"sudden growth", 0.1, 0, 0, 10, false, 0.99, 1.5},
		{"bursts", 0.1, 0, 0, 1, true, 0.99, 1.5},
	};
	static struct pause pauses[MOST];

	random_state = 99;
	for (unsigned i = 0; i < sizeof(models) / sizeof(*models); i++) {
		double coverage = 0, over = 0;

		for (unsigned run = 0; run < RUNS; run++) {
			struct verdict v;

			draw(&models[i], pauses);
			v = judge(pauses, MOST);
			coverage += v.coverage / RUNS;
			over += v.over / RUNS;
		}
		printf("%-14s coverage %.2f %%, median over-prediction %.2f\n",
		       models[i].name, 100 * coverage, over);
		assert_true(coverage >= models[i].coverage);
		assert_true(over <= models[i].over);
	}
}

/* ---- Edges ---- */

static void high_before_it_knows(void **state)
{
	struct predict p = {.count = 0};

	assert_true(predict_pause(NULL, WIRE_OBJECTS, 1000000) >= 200 * MS);
	assert_true(predict_pause(&p, WIRE_OBJECTS, 1000000) >= 200 * MS);
	assert_true(predict_pause(&p, WIRE_OBJECTS, 0) >= MS);
	assert_true(predict_pause(&p, WIRE_OBJECTS, UINT64_MAX) <= 60 * SEC);
}

static void absurd_figures_do_no_harm(void **state)
{
	static const uint64_t values[] = {0, 1, 1000000, UINT64_MAX / 2, UINT64_MAX};
	struct predict p = {.count = 0};

	for (unsigned i = 0; i < 1000; i++) {
		nsec_t now;

		predict_learn(&p, values[i % 5], values[i / 5 % 5], values[i / 25 % 5],
			      i % 3);
		now = predict_pause(&p, WIRE_BYTES, values[i / 7 % 5]);
		assert_in_range(now, MS, 60 * SEC);
		assert_in_range(predict_typical(&p, WIRE_BYTES, values[i / 7 % 5]), MS,
				60 * SEC);
	}
}

static void scales_with_the_size_driver(void **state)
{
	struct predict p = {.count = 0};
	nsec_t small, big;

	for (int i = 0; i < 20; i++)
		predict_learn(&p, 500000, 500000, 100 * MS, true);
	small = predict_pause(&p, WIRE_OBJECTS, 500000);
	big = predict_pause(&p, WIRE_OBJECTS, 1000000);
	assert_in_range(small, 100 * MS, 150 * MS);
	assert_in_range(big, 2 * small - MS, 2 * small + MS);
}

static void accuracy_of_nothing_and_of_extremes(void **state)
{
	struct accuracy a = {.pauses = 0};

	assert_int_equal(accuracy_coverage_permille(&a), 0);
	assert_int_equal(accuracy_over_p50_permille(&a), 0);
	accuracy_add(&a, 0, SEC);
	assert_int_equal(accuracy_coverage_permille(&a), 0);
	assert_int_equal(accuracy_over_p50_permille(&a), 500);
	for (unsigned i = 0; i < 100000; i++)
		accuracy_add(&a, NSEC_NEVER, 0);
	assert_int_equal(accuracy_coverage_permille(&a), 999);
	assert_int_equal(accuracy_over_p50_permille(&a), 8000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_pauses_are_covered),
		cmocka_unit_test(random_models_are_covered),
		cmocka_unit_test(high_before_it_knows),
		cmocka_unit_test(absurd_figures_do_no_harm),
		cmocka_unit_test(scales_with_the_size_driver),
		cmocka_unit_test(accuracy_of_nothing_and_of_extremes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
