/* SPDX-License-Identifier: MIT */
/* The parts of the core that stand alone: histogram, placement, timers,
 * reasons. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/admit.h"
#include "daemon/core/demand.h"
#include "daemon/core/histogram.h"
#include "daemon/core/history.h"
#include "daemon/core/reason.h"
#include "daemon/core/timers.h"
#include "tests/unit/world.h"

/* A generator of our own: the same numbers on every machine. */
static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* ---- Histogram ---- */

static int by_value(const void *a, const void *b)
{
	nsec_t x = *(const nsec_t *)a, y = *(const nsec_t *)b;

	return x < y ? -1 : x > y;
}

static void quantiles_are_close_to_the_sorted_ones(void **state)
{
	static nsec_t values[10000];
	struct histogram h = {0};

	random_state = 42;
	for (size_t i = 0; i < 10000; i++) {
		values[i] = (nsec_t)exp(7 + (double)(next_random() % 15000) / 1000.0);
		histogram_add(&h, values[i]);
	}
	qsort(values, 10000, sizeof(*values), by_value);
	for (unsigned permille = 10; permille <= 1000; permille += 10) {
		nsec_t exact = values[permille * 10 - 1];
		nsec_t got = histogram_quantile(&h, permille);

		assert_true(got >= exact);
		assert_true(got <= exact + exact / 4 + 1024);
	}
	assert_true(histogram_quantile(&h, 1000) == values[9999]);
}

static void histogram_edges(void **state)
{
	struct histogram h = {0};

	assert_int_equal(histogram_quantile(&h, 990), 0);
	histogram_add(&h, 0);
	assert_int_equal(histogram_quantile(&h, 500), 0);
	histogram_add(&h, NSEC_NEVER);
	assert_true(histogram_quantile(&h, 1000) == NSEC_NEVER);
	assert_int_equal(h.count, 2);
}

/* ---- Demand ---- */

#define JOBS 5

struct job {
	nsec_t latest, span;
};

/* Exhaustive: can these jobs, in this order, run on one slot from t on without a late start? */
static bool feasible(const struct job *jobs, const int *order, int n, nsec_t t)
{
	for (int i = 0; i < n; i++) {
		if (t > jobs[order[i]].latest)
			return false;
		t += jobs[order[i]].span;
	}
	return true;
}

static bool any_order_feasible(const struct job *jobs, int *order, int fixed, int n,
			       nsec_t t)
{
	if (fixed == n)
		return feasible(jobs, order, n, t);
	for (int i = fixed; i < n; i++) {
		int swap = order[fixed];
		bool ok;

		order[fixed] = order[i];
		order[i] = swap;
		ok = any_order_feasible(jobs, order, fixed + 1, n, t);
		order[i] = order[fixed];
		order[fixed] = swap;
		if (ok)
			return true;
	}
	return false;
}

/* On one slot the start is the exact instant after which no order works any more. */
static void one_slot_demand_is_exact(void **state)
{
	random_state = 99;
	for (int round = 0; round < 5000; round++) {
		int n = 1 + (int)(next_random() % JOBS), order[JOBS];
		struct demand_node nodes[JOBS] = {0};
		struct job jobs[JOBS];
		struct demand d;
		nsec_t start;

		demand_init(&d, 1);
		for (int i = 0; i < n; i++) {
			jobs[i] = (struct job){200 + next_random() % 60,
					       1 + next_random() % 30};
			order[i] = i;
			demand_set(&d, &nodes[i], jobs[i].latest, jobs[i].span,
				   jobs[i].span, 1, DEMAND_FREE);
		}
		start = demand_start_by(&d);
		assert_true(any_order_feasible(jobs, order, 0, n, start));
		assert_false(any_order_feasible(jobs, order, 0, n, start + 1));
		assert_true(demand_start_of(&d, demand_first(&d)) == start);
	}
}

/* The tree against the plain formula over a sorted array, under changes of all kinds. */
enum {
	NODES = 60
};

/* From that deadline on; what lies before is work only, if it is counted at all. */
static nsec_t plain_start(const struct demand_node *nodes, unsigned slots, int64_t from,
			  bool count_before)
{
	int64_t start = INT64_MAX, sum = 0, longest = 0, latest = INT64_MAX,
		done = INT64_MIN;
	unsigned count = 0, widths = 0, width;

	for (;;) {
		const struct demand_node *next = NULL;

		for (int i = 0; i < NODES; i++)
			if (nodes[i].linked && nodes[i].deadline > done &&
			    (count_before || nodes[i].deadline >= from) &&
			    (!next || nodes[i].deadline < next->deadline))
				next = &nodes[i];
		if (!next)
			break;
		done = next->deadline;
		count++;
		width = next->width < slots ? next->width : slots;
		widths += next->width;
		sum += (next->work * width + slots - 1) / slots;
		longest = next->work > longest ? next->work : longest;
		if (next->role == DEMAND_LOAD || next->deadline < from)
			continue;
		start = next->deadline - sum < start ? next->deadline - sum : start;
		latest = next->deadline - next->span < latest
				 ? next->deadline - next->span
				 : latest;
	}
	if (latest == INT64_MAX)
		return NSEC_NEVER;
	start -= longest - longest / slots;
	if (count <= 1 || widths <= slots || start > latest)
		start = latest;
	return start > 0 ? (nsec_t)start : 0;
}

static void demand_follows_every_change(void **state)
{
	for (unsigned slots = 1; slots <= 4; slots++) {
		struct demand_node nodes[NODES] = {0};
		struct demand d;

		demand_init(&d, slots);
		random_state = slots;
		for (int round = 0; round < 20000; round++) {
			struct demand_node *n = &nodes[next_random() % NODES];
			/* Deadlines are kept apart: among equal ones order is free. */
			nsec_t deadline =
				(next_random() % 4000 + 1) * NODES + (nsec_t)(n - nodes);
			nsec_t span = next_random() % 1000 + 1;

			if (next_random() % 4 == 0)
				demand_remove(&d, n);
			else
				demand_set(&d, n, deadline > span ? deadline - span : 0,
					   span, span + next_random() % 500,
					   1 + (unsigned)next_random() % 5,
					   (enum demand_role)(next_random() % 3));
			if (round % 20)
				continue;
			n = demand_first(&d);
			assert_true(demand_start_by(&d) ==
				    (n ? plain_start(nodes, slots, n->deadline, true)
				       : NSEC_NEVER));
			for (int i = 0; n && i < NODES; i++)
				if (nodes[i].linked && nodes[i].role == DEMAND_FREE)
					assert_true(nodes[i].deadline >= n->deadline);
			n = &nodes[next_random() % NODES];
			if (n->linked)
				assert_true(
					demand_start_of(&d, n) ==
					plain_start(nodes, slots, n->deadline, false));
		}
	}
}

static void absurd_demands_do_not_overflow(void **state)
{
	static struct demand_node nodes[1000];
	struct demand d;

	demand_init(&d, 3);
	for (int i = 0; i < 1000; i++)
		demand_set(&d, &nodes[i], NSEC_NEVER - 1, NSEC_NEVER, NSEC_NEVER,
			   UINT32_MAX, DEMAND_FREE);
	assert_true(demand_start_by(&d) > 1000000 * SEC);
	demand_set(&d, &nodes[0], 0, NSEC_NEVER, NSEC_NEVER, 1, DEMAND_FREE);
	assert_int_equal(demand_start_by(&d), 0);
	for (int i = 0; i < 1000; i++)
		demand_remove(&d, &nodes[i]);
	assert_true(demand_start_by(&d) == NSEC_NEVER);
	assert_null(demand_first(&d));
}

/* ---- Timers ---- */

static void timers_come_in_order(void **state)
{
	enum {
		N = 500
	};
	static struct timer timer[N];
	static nsec_t at[N];
	struct timers t = {0};

	random_state = 11;
	for (int i = 0; i < N; i++)
		assert_int_equal(timers_add_owner(&t), 0);
	for (int i = 0; i < 20000; i++) {
		size_t which = next_random() % N;
		nsec_t least = NSEC_NEVER;

		at[which] = next_random() % 4 ? next_random() % 1000 + 1 : NSEC_NEVER;
		timers_arm(&t, &timer[which], at[which]);
		if (i % 50 == 0) {
			for (int j = 0; j < N; j++)
				if (timer[j].index)
					least = nsec_min(least, at[j]);
			assert_true(timers_next(&t) == least);
		}
		if (i % 97 == 0 && timers_next(&t) != NSEC_NEVER) {
			nsec_t next = timers_next(&t);
			struct timer *due;

			assert_null(timers_pop(&t, next - 1));
			due = timers_pop(&t, next);
			assert_true(at[due - timer] == next);
			assert_int_equal(due->index, 0);
		}
	}
	timers_deinit(&t);
}

/* ---- Reasons ---- */

static void every_reason_has_its_own_key_and_a_sentence(void **state)
{
	for (unsigned i = 0; i < REASON_COUNT; i++) {
		assert_true(strlen(reason_key(i)) > 0);
		assert_true(strlen(reason_sentence(i)) > strlen(reason_key(i)));
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(reason_key(i), reason_key(j));
	}
	assert_string_equal(reason_key(REASON_COUNT), "unknown");
}

/* A round takes all slots of the host: others wait for it as if there was one. By itself it waits for nobody. */
static void rounds_are_admitted_as_one_collection(void **state)
{
	struct admit round = {.heaps = 4,
			      .singles = 4,
			      .load = 0.6,
			      .longest = 3 * SEC / 2,
			      .shortest = 10 * SEC};
	struct admit others = {.heaps = 2,
			       .singles = 2,
			       .load = 0.3,
			       .longest = 3 * SEC / 2,
			       .shortest = 10 * SEC};
	struct admit host;
	struct core_admission answer;

	admit_init(&host);
	admit_add_round(&host, &round);
	admit_answer(&host, 2, &answer);
	assert_true(answer.schedulable);
	assert_int_equal(answer.heaps, 4);
	admit_answer(&others, 2, &answer);
	assert_true(answer.schedulable);
	host = others;
	admit_add_round(&host, &round);
	admit_answer(&host, 2, &answer);
	assert_false(answer.schedulable);
	assert_int_equal(answer.needs_concurrent, 6);
	admit_answer(&host, 6, &answer);
	assert_true(answer.schedulable);
}

/* ---- History ---- */

static uint64_t any_number(void)
{
	return next_random() >> next_random() % 64;
}

static nsec_t any_instant(void)
{
	return next_random() % 4 ? any_number() / 1000 * 1000 : NSEC_NEVER;
}

static struct core_decision any_decision(void)
{
	return (struct core_decision){
		.at = any_number() / 1000 * 1000,
		.reason = (enum reason)(next_random() % REASON_COUNT),
		.window = any_number(),
		.used = any_number(),
		.budget = any_number(),
		.rate_per_s = any_number(),
		.exhaustion = any_instant(),
		.latest_start = any_instant(),
		.contention_start = any_instant(),
		.predicted = any_number() / 1000 * 1000,
		.slots_taken = (unsigned)any_number(),
		.slots = (unsigned)any_number(),
		.holder = any_number(),
	};
}

static void assert_same(const struct core_decision *a, const struct core_decision *b)
{
	assert_int_equal(a->at, b->at);
	assert_int_equal(a->reason, b->reason);
	assert_int_equal(a->window, b->window);
	assert_int_equal(a->used, b->used);
	assert_int_equal(a->budget, b->budget);
	assert_int_equal(a->rate_per_s, b->rate_per_s);
	assert_int_equal(a->exhaustion, b->exhaustion);
	assert_int_equal(a->latest_start, b->latest_start);
	assert_int_equal(a->contention_start, b->contention_start);
	assert_int_equal(a->predicted, b->predicted);
	assert_int_equal(a->slots_taken, b->slots_taken);
	assert_int_equal(a->slots, b->slots);
	assert_int_equal(a->holder, b->holder);
}

static void history_keeps_the_last_decisions_whole(void **state)
{
	static struct core_decision made[5000], kept[CORE_DECISIONS];
	struct history h = {0};
	unsigned n;

	random_state = 7;
	assert_int_equal(history_read(&h, kept), 0);
	for (unsigned i = 0; i < 5000; i++) {
		made[i] = any_decision();
		history_add(&h, &made[i]);
		n = history_read(&h, kept);
		assert_true(n <= i + 1 && n >= (i < 4 ? i + 1 : 4));
		for (unsigned k = 0; k < n; k++)
			assert_same(&made[i + 1 - n + k], &kept[k]);
	}
	history_deinit(&h);
}

/* Of the numbers that there are in life all are kept, the oldest of too many not. */
static void history_is_as_long_as_it_is_said_to_be(void **state)
{
	static struct core_decision kept[CORE_DECISIONS];
	struct history h = {0};
	struct core_decision d = {.reason = REASON_COUNT - 1, .slots = 1};

	for (unsigned i = 0; i < CORE_DECISIONS + 3; i++) {
		d.at = i * NSEC_PER_SEC;
		d.exhaustion = d.latest_start = d.contention_start =
			d.at + 10 * NSEC_PER_SEC;
		d.used = 1000000;
		history_add(&h, &d);
	}
	assert_int_equal(history_read(&h, kept), CORE_DECISIONS);
	assert_int_equal(kept[0].at, 3 * NSEC_PER_SEC);
	assert_int_equal(kept[CORE_DECISIONS - 1].at,
			 (CORE_DECISIONS + 2) * NSEC_PER_SEC);
	history_deinit(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rounds_are_admitted_as_one_collection),
		cmocka_unit_test(quantiles_are_close_to_the_sorted_ones),
		cmocka_unit_test(histogram_edges),
		cmocka_unit_test(one_slot_demand_is_exact),
		cmocka_unit_test(demand_follows_every_change),
		cmocka_unit_test(absurd_demands_do_not_overflow),
		cmocka_unit_test(timers_come_in_order),
		cmocka_unit_test(history_keeps_the_last_decisions_whole),
		cmocka_unit_test(history_is_as_long_as_it_is_said_to_be),
		cmocka_unit_test(every_reason_has_its_own_key_and_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
