/* SPDX-License-Identifier: MIT */
/* Policy=together among heaps that are collected by their runtime's own rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/world.h"

#define RANKS 3
#define LIVE  UINT64_C(20000)
#define RULE  (LIVE / 4)

struct rank {
	uint64_t used, allocated, begun_at; /* used, when its last collection began */
	unsigned collections;
};

static void join(struct world *w, uint64_t heap, const char *service)
{
	struct event e = {.type = EVENT_JOIN, .heap = heap};

	e.join.hello =
		(struct wire_hello){.unit = WIRE_OBJECTS, .kinds = 1 << WIRE_MAJOR};
	strcpy(e.join.hello.service, service);
	strcpy(e.join.hello.heap, "h");
	world_event(w, &e);
}

static void report(struct world *w, uint64_t heap, struct rank *rank, uint64_t more)
{
	struct event e = {.type = EVENT_REPORT, .heap = heap};

	rank->used += more;
	rank->allocated += more;
	e.report = (struct wire_report){.at = w->now,
					.used = rank->used,
					.allocated = rank->allocated,
					.live = LIVE + rank->used,
					.budget = RULE};
	world_event(w, &e);
}

/* It collects for a millisecond that counts for none of the others. */
static void collect(struct world *w, uint64_t heap, struct rank *rank, uint64_t window,
		    uint64_t freed)
{
	struct event e = {.type = EVENT_BEGIN, .heap = heap};

	e.begin = (struct wire_begin){
		.window = window,
		.at = w->now,
		.kind = WIRE_MAJOR,
		.cause = window ? WIRE_IN_WINDOW : WIRE_UNCOORDINATED};
	assert_int_equal(world_event(w, &e), 0);
	e = (struct event){.type = EVENT_END, .heap = heap};
	e.end = (struct wire_end){.window = window,
				  .begin = w->now,
				  .end = w->now + MS,
				  .freed = freed,
				  .live = LIVE,
				  .kind = WIRE_MAJOR,
				  .cause = window ? WIRE_IN_WINDOW : WIRE_UNCOORDINATED};
	w->now += MS;
	assert_int_equal(world_event(w, &e), 0);
	rank->begun_at = rank->used;
	rank->used = 0;
	rank->collections++;
}

/* So often fills all by what they allocate in 50 ms, and collects in the windows that open; how many rounds that was. */
static unsigned run(struct world *w, struct rank rank[], const uint64_t rate[],
		    unsigned times)
{
	unsigned rounds = 0, opened;

	while (times--) {
		world_until(w, w->now + 50 * MS);
		for (uint64_t i = 1; i <= RANKS; i++)
			report(w, i, &rank[i], rate[i] / 20);
		opened = world_count(w, ACTION_OPEN);
		rounds += opened > 0;
		world_until(w, w->now + 10 * MS);
		for (uint64_t i = 1; i <= RANKS; i++) {
			const struct action *open = world_find(w, ACTION_OPEN, i);

			if (open)
				collect(w, i, &rank[i], open->window.window,
					rank[i].used);
		}
		world_forget(w);
	}
	return rounds;
}

/* What came before the loop freed nothing, in some of them: they go with the others all the same. */
static void who_had_nothing_to_free_goes_with_the_others(void **state)
{
	static const uint64_t rate[] = {0, 1000, 1000, 1000};
	struct rank rank[RANKS + 1] = {{0}};
	struct world *w = *state;
	unsigned rounds;

	for (uint64_t i = 1; i <= RANKS; i++) {
		join(w, i, "ranks");
		report(w, i, &rank[i], 0);
	}
	for (unsigned n = 0; n < 3; n++)
		for (uint64_t i = 2; i <= RANKS; i++)
			collect(w, i, &rank[i], 0, 0);
	rounds = run(w, rank, rate, 450);
	assert_int_equal(rounds, 4);
	for (uint64_t i = 1; i <= RANKS; i++)
		assert_in_range(rank[i].collections + (i == 1 ? 3 : 0), rounds + 3,
				rounds + 3);
	assert_int_equal(world_status(w).forced, 0);
}

/* One that began a little later than the others falls into step with them at once. */
static void who_is_behind_falls_into_step(void **state)
{
	static const uint64_t rate[] = {0, 1000, 1000, 1000};
	struct rank rank[RANKS + 1] = {{0}};
	struct world *w = *state;

	for (uint64_t i = 1; i <= RANKS; i++) {
		join(w, i, "ranks");
		report(w, i, &rank[i], i == 1 ? 0 : RULE * 4 / 5);
	}
	run(w, rank, rate, 30);
	for (uint64_t i = 1; i <= RANKS; i++)
		assert_int_equal(rank[i].collections, 1);
}

/*
 * A round is due ahead of the budget by the guard, where the rule is the runtime's own that is when it says: what is
 * beyond it is for what comes in lumps, and while all come by.
 */
static void rounds_come_when_the_rule_says(void **state)
{
	static const uint64_t rate[] = {0, 1000, 1000, 1000};
	struct rank rank[RANKS + 1] = {{0}};
	struct world *w = *state;

	for (uint64_t i = 1; i <= RANKS; i++) {
		join(w, i, "ranks");
		report(w, i, &rank[i], 0);
	}
	assert_int_equal(world_find(w, ACTION_DIRECT, 1)->directive.budget, RULE * 5 / 4);
	while (rank[1].collections < 3)
		run(w, rank, rate, 1);
	for (uint64_t i = 1; i <= RANKS; i++)
		assert_in_range(rank[i].begun_at, RULE * 95 / 100, RULE * 105 / 100);
	assert_int_equal(world_status(w).over_limit, 0);
}

/* Nobody pauses in vain who has just collected. */
static void who_has_nothing_to_free_yet_stays_out(void **state)
{
	static const uint64_t rate[] = {0, 50, 1000, 1000};
	struct rank rank[RANKS + 1] = {{0}};
	struct world *w = *state;
	unsigned rounds;

	for (uint64_t i = 1; i <= RANKS; i++) {
		join(w, i, "ranks");
		report(w, i, &rank[i], 0);
	}
	rounds = run(w, rank, rate, 450);
	assert_int_equal(rounds, 4);
	assert_true(rank[1].collections < rounds);
}

static void answer(struct world *w, uint64_t heap)
{
	struct event e = {.type = EVENT_QUIET, .heap = heap};

	e.quiet.window = world_find(w, ACTION_ANNOUNCE, heap)->announce.window;
	assert_int_equal(world_event(w, &e), 0);
}

/*
 * Steps of some 40 ms, and a round is announced in the middle of one or, while they leave a barrier, between the first of
 * them and the others. They answer one after the other behind the next barrier, that one at once. How far ahead they open.
 */
static nsec_t ahead_of_a_round(struct world *w, bool between)
{
	const struct action *open;
	struct core_window window;
	nsec_t ahead, since;

	world_forget(w);
	world_fill_until(w, RANKS, 250, ACTION_ANNOUNCE, 60 * SEC);
	assert_true(supervisor_window_after(w->core, 0, &window));
	since = w->now - window.announced;
	if (between)
		answer(w, 1);
	world_until(w, w->now + (between ? since + 30 * MS : 20 * MS));
	for (uint64_t i = between ? 2 : 1; i <= RANKS; i++) {
		assert_null(world_find(w, ACTION_OPEN, 1));
		world_until(w, w->now + 3 * MS);
		answer(w, i);
	}
	open = world_find(w, ACTION_OPEN, 1);
	assert_non_null(open);
	ahead = open->window.opens - w->now;
	world_until(w, open->window.opens);
	for (uint64_t i = 1; i <= RANKS; i++) {
		open = world_find(w, ACTION_OPEN, i);
		assert_int_equal(world_begin(w, i, open->window.window, WIRE_IN_WINDOW),
				 0);
		assert_int_equal(world_end(w, i, open->window.window, WIRE_IN_WINDOW, 0),
				 0);
	}
	return ahead;
}

/*
 * Those who leave the barrier last, for want of a CPU, must not see an open window in the step before the others;
 * but where all have left it, the next one may be near.
 */
static void a_round_opens_between_two_barriers(void **state)
{
	struct world *w = *state;

	for (uint64_t i = 1; i <= RANKS; i++)
		world_join(w, i, "ranks", QUIET);
	ahead_of_a_round(w, true); /* how long a step is is not known yet */
	for (unsigned round = 0; round < 5; round++)
		assert_in_range(ahead_of_a_round(w, true), 8 * MS, 20 * MS);
	for (unsigned round = 0; round < 5; round++)
		assert_in_range(ahead_of_a_round(w, false), MS, 3 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(who_had_nothing_to_free_goes_with_the_others),
		T(who_is_behind_falls_into_step),
		T(rounds_come_when_the_rule_says),
		T(a_round_opens_between_two_barriers),
		T(who_has_nothing_to_free_yet_stays_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
