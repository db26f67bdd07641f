/* SPDX-License-Identifier: MIT */
/*
 * What the core claims, held against modelled heaps in virtual time: admission keeps its promise,
 * the square-root rule saves collection time, placement finds what exhaustive search finds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/model.h"

static void run_on(struct sim *sim, nsec_t span)
{
	if (!sim_run_until(sim, sim->now + span))
		fail_msg("seed %u: %s: %s", (unsigned)sim->seed, sim->broken,
			 sim->detail);
}

/* ---- Admission ---- */

#define SERVICES 2000

static void random_service(struct sim *sim)
{
	struct core_service_config *service = &sim->services[0];

	sim->config.n_services = 1;
	sim->config.max_concurrent = 64;
	service->max_concurrent = 1 + (unsigned)sim_random(sim, 3);
	service->lead = 50 * MS;
	sim->n_heaps = 1 + (unsigned)sim_random(sim, 12);
	for (unsigned i = 0; i < sim->n_heaps; i++) {
		uint64_t budget = 100000 + sim_random(sim, 900000);

		sim->heap[i].spec = (struct sim_heap_spec){
			.profile = SIM_STEADY,
			.caps = WIRE_CAP_PAGE,
			.budget = budget,
			.rate = (double)budget * (10 + (double)sim_random(sim, 190)) /
				200,
			.live = budget * (1 + sim_random(sim, 4)),
			.cost = 10 + (double)sim_random(sim, 300),
			.garbage = 1,
			.safe_point = sim_random(sim, 5 * MS),
		};
	}
}

static uint64_t misses(struct sim *sim)
{
	struct core_status status;

	supervisor_status(sim->core, &status);
	return status.over_limit + sim->forced;
}

static struct core_admission ask(struct sim *sim)
{
	struct core_service service;

	assert_true(supervisor_service(sim->core, 0, sim->now, &service));
	return service.admission;
}

/* Runs on for a while; whether nothing was over the limit or forced in it. */
static bool runs_clean(struct sim *sim, nsec_t span)
{
	uint64_t before = misses(sim);

	run_on(sim, span);
	return misses(sim) == before;
}

static void schedulable_never_misses_and_needs_concurrent_cures(void **state)
{
	unsigned yes = 0, cured = 0;
	struct sim *sim = malloc(sizeof(*sim));

	for (uint64_t seed = 1; seed <= SERVICES; seed++) {
		struct core_admission answer;

		sim_init(sim, seed);
		random_service(sim);
		sim_start(sim);
		/* Until each heap's pauses are known: the answer is about what was seen. */
		run_on(sim, 120 * SEC);
		answer = ask(sim);
		if (answer.schedulable) {
			yes++;
		} else {
			cured++;
			sim->services[0].max_concurrent = answer.needs_concurrent;
			sim_configure(sim);
			run_on(sim, 10 * SEC);
			answer = ask(sim);
			if (!answer.schedulable)
				fail_msg(
					"seed %u: %u slots for %u heaps, load %u, needs %u now",
					(unsigned)seed, sim->services[0].max_concurrent,
					sim->n_heaps, answer.load_permille,
					answer.needs_concurrent);
		}
		if (!runs_clean(sim, 60 * SEC))
			fail_msg("seed %u: %u slots were said to be enough for %u heaps",
				 (unsigned)seed, sim->services[0].max_concurrent,
				 sim->n_heaps);
		assert_true(sim_finish(sim));
	}
	print_message("%u services schedulable as they were, %u with needs_concurrent\n",
		      yes, cured);
	assert_true(yes > SERVICES / 10 && cured > SERVICES / 10);
	free(sim);
}

/* ---- The square-root rule ---- */

enum split {
	EQUAL,
	PROPORTIONAL,
	SQUARE_ROOT
};

static nsec_t gc_time(enum split split, uint64_t *ret_memory)
{
	struct sim *sim = malloc(sizeof(*sim));
	uint64_t extra = 0, live[8], sum = 0;
	nsec_t time;

	sim_init(sim, 1);
	sim->config.n_services = 1;
	sim->config.max_concurrent = sim->services[0].max_concurrent = 8;
	sim->n_heaps = 8;
	for (unsigned i = 0; i < 8; i++) {
		/* Live sizes and rates, each spread a hundredfold. */
		static const double size[8] = {1, 100, 5, 50, 10, 2, 20, 70};
		static const double rate[8] = {100, 30, 70, 100, 2, 1, 10, 5};

		live[i] = (uint64_t)(size[i] * 20000);
		sum += live[i];
		sim->heap[i].spec = (struct sim_heap_spec){.profile = SIM_STEADY,
							   .caps = WIRE_CAP_PAGE,
							   .rate = rate[i] * 10000,
							   .live = live[i],
							   .cost = 100,
							   .garbage = 1};
	}
	extra = sum / 4; /* what CPython's own rule would take */
	for (unsigned i = 0; i < 8; i++)
		sim->heap[i].spec.budget = split == EQUAL	   ? extra / 8
					   : split == PROPORTIONAL ? live[i] / 4
								   : 0;
	sim->config.memory_budget = split == SQUARE_ROOT ? sum + extra : 0;
	sim_start(sim);
	/* The rule needs to have seen rates and pauses. */
	run_on(sim, 120 * SEC);
	sim->gc_time = 0;
	run_on(sim, 600 * SEC);
	time = sim->gc_time;
	*ret_memory = sum;
	for (unsigned i = 0; i < 8; i++)
		*ret_memory += sim->heap[i].budget;
	assert_true(sim_finish(sim));
	free(sim);
	return time;
}

static void square_root_budgets_save_collection_time(void **state)
{
	uint64_t memory[3];
	double equal = (double)gc_time(EQUAL, &memory[0]);
	double proportional = (double)gc_time(PROPORTIONAL, &memory[1]);
	double root = (double)gc_time(SQUARE_ROOT, &memory[2]);

	print_message(
		"collection time in 600 s: equal %.1f s, proportional %.1f s, square root "
		"%.1f s\n",
		equal / 1e9, proportional / 1e9, root / 1e9);
	/* The same memory, within the hysteresis. */
	assert_true(memory[2] <= memory[0] + memory[0] / 20);
	assert_true(root <= 0.85 * equal);
	assert_true(root <= 0.85 * proportional);
}

/* ---- Placement against exhaustive search ---- */

#define SETS 5000
#define MOST 7

struct set {
	unsigned n, slots;
	nsec_t latest[MOST], pause[MOST]; /* from now */
};

/* Can the rest be placed, the slots being free at those instants? */
static bool search(const struct set *set, unsigned done, const nsec_t free_at[3])
{
	unsigned slot = 0;

	if (done == (1u << set->n) - 1)
		return true;
	/* Whoever is next starts on the slot that is free first. */
	for (unsigned k = 1; k < set->slots; k++)
		if (free_at[k] < free_at[slot])
			slot = k;
	for (unsigned i = 0; i < set->n; i++) {
		nsec_t next[3] = {free_at[0], free_at[1], free_at[2]};

		if (done & 1u << i || free_at[slot] > set->latest[i])
			continue;
		next[slot] += set->pause[i];
		if (search(set, done | 1u << i, next))
			return true;
	}
	return false;
}

static void random_set(struct sim *sim, struct set *set)
{
	set->slots = 1 + (unsigned)sim_random(sim, 3);
	set->n = 2 + (unsigned)sim_random(sim, MOST - 1);
	for (unsigned i = 0; i < set->n; i++) {
		set->pause[i] = (1 + sim_random(sim, 20)) * 10 * MS;
		set->latest[i] = sim_random(sim, 1 + 20 * set->n / set->slots) * 10 * MS;
	}
	/*
	 * By deadline: the core hears of one after the other, and what it begins with before it
	 * has heard of the rest is to be what it would have begun with.
	 */
	for (unsigned i = 0; i < set->n; i++)
		for (unsigned j = i + 1; j < set->n; j++)
			if (set->latest[j] + set->pause[j] <
			    set->latest[i] + set->pause[i]) {
				nsec_t latest = set->latest[i], pause = set->pause[i];

				set->latest[i] = set->latest[j];
				set->pause[i] = set->pause[j];
				set->latest[j] = latest;
				set->pause[j] = pause;
			}
}

/* The core alone with these heaps, all due; each begins when its window opens. */
struct bench {
	struct supervisor *core;
	nsec_t now, begun[MOST + 1], end[MOST + 1]; /* by heap id */
	uint64_t window[MOST + 1];
	bool opened[MOST + 1]; /* just now, and it has not begun */
};

/* All of one event's, before the next. */
static void take_actions(struct bench *b)
{
	struct action a;

	while (supervisor_next_action(b->core, &a)) {
		if (a.type != ACTION_OPEN)
			continue;
		b->window[a.heap] = a.window.window;
		b->opened[a.heap] = true;
	}
}

static void feed(struct bench *b, const struct event *e)
{
	supervisor_handle(b->core, e, b->now);
	take_actions(b);
}

static void bench_start(struct bench *b, unsigned slots)
{
	struct core_service_config service;
	struct core_config config = {
		.max_concurrent = 64, .services = &service, .n_services = 1};

	memset(b, 0, sizeof(*b));
	b->now = 1000 * SEC;
	core_service_config_init(&service);
	strcpy(service.name, "s");
	service.max_concurrent = slots;
	service.min_yield_permille = 0; /* (They tell of none that freed anything.) */
	core_service_config_init(&config.defaults);
	assert_int_equal(supervisor_new(&config, b->now, &b->core), 0);
}

/* A heap whose pauses are known, from collections told after the fact. */
static void bench_join(struct bench *b, uint64_t heap, nsec_t pause)
{
	struct event e = {.type = EVENT_JOIN, .heap = heap};

	e.join.hello =
		(struct wire_hello){.unit = WIRE_OBJECTS, .kinds = 1 << WIRE_MAJOR};
	strcpy(e.join.hello.service, "s");
	strcpy(e.join.hello.heap, "h");
	feed(b, &e);
	b->end[heap] = NSEC_NEVER;
	for (unsigned i = 0; i < 20; i++) {
		e = (struct event){.type = EVENT_END, .heap = heap};
		/* The prediction adds 15 %: this is what it then comes to. */
		e.end = (struct wire_end){.begin = b->now - pause * 100 / 115,
					  .end = b->now,
					  .live = 100000,
					  .kind = WIRE_MAJOR,
					  .cause = WIRE_UNCOORDINATED};
		feed(b, &e);
	}
}

static void bench_report(struct bench *b, uint64_t heap, uint64_t used, uint64_t budget)
{
	struct event e = {.type = EVENT_REPORT, .heap = heap};

	e.report = (struct wire_report){.at = b->now,
					.used = used,
					.allocated = used + 1,
					.live = 100000,
					.budget = budget};
	feed(b, &e);
}

/* 0: there is none. */
static unsigned next_opened(const struct bench *b, const struct set *set)
{
	for (unsigned i = 1; i <= set->n; i++)
		if (b->opened[i])
			return i;
	return 0;
}

/* false: one of the windows has opened too late. */
static bool bench_begin_opened(struct bench *b, const struct set *set, nsec_t start)
{
	bool met = true;
	unsigned i;

	while ((i = next_opened(b, set)) > 0) {
		struct event e = {.type = EVENT_BEGIN, .heap = i};

		b->opened[i] = false;
		b->begun[i] = b->now;
		b->end[i] = b->now + set->pause[i - 1];
		/* (Costs are kept as floats: a few nanoseconds are nobody's fault.) */
		met &= b->now <= start + set->latest[i - 1] + MS / 10;
		e.begin = (struct wire_begin){
			.window = b->window[i], .at = b->now, .kind = WIRE_MAJOR};
		feed(b, &e);
	}
	return met;
}

static void bench_end(struct bench *b, uint64_t heap)
{
	struct event e = {.type = EVENT_END, .heap = heap};

	e.end = (struct wire_end){.window = b->window[heap],
				  .begin = b->begun[heap],
				  .end = b->now,
				  .live = 100000,
				  .kind = WIRE_MAJOR};
	b->end[heap] = NSEC_NEVER;
	feed(b, &e);
	feed(b, &(struct event){.type = EVENT_LEAVE, .heap = heap});
}

static bool core_meets_all(const struct set *set)
{
	struct bench b;
	unsigned ended = 0;
	bool met = true;
	nsec_t start;

	bench_start(&b, set->slots);
	for (unsigned i = 1; i <= set->n; i++)
		bench_join(&b, i, set->pause[i - 1]);
	/* One unit a microsecond, known by two reports. */
	for (unsigned second = 0; second < 2; second++) {
		b.now += SEC;
		for (unsigned i = 1; i <= set->n; i++)
			bench_report(&b, i, second * 1000000, 0);
	}
	/* exhaustion - a tenth of the budget's time = latest  =>  budget = 10/9 (used + latest) */
	for (unsigned i = 1; i <= set->n; i++)
		bench_report(&b, i, 1000000,
			     (1000000 + set->latest[i - 1] / 1000) * 10 / 9 + 1);
	start = b.now;
	while (ended < set->n) {
		nsec_t next;

		met &= bench_begin_opened(&b, set, start);
		next = supervisor_deadline(b.core);
		for (unsigned i = 1; i <= set->n; i++)
			next = nsec_min(next, b.end[i]);
		assert_true(next != NSEC_NEVER);
		b.now = nsec_max(b.now, next);
		for (unsigned i = 1; i <= set->n; i++)
			if (b.end[i] <= b.now) {
				bench_end(&b, i);
				ended++;
			}
		supervisor_tick(b.core, b.now);
		take_actions(&b);
	}
	supervisor_free(b.core);
	return met;
}

static void finds_what_exhaustive_search_finds(void **state)
{
	unsigned feasible[4] = {0}, met[4] = {0};
	struct sim *sim = malloc(sizeof(*sim));

	sim_init(sim, 7);
	for (unsigned i = 0; i < SETS; i++) {
		static const nsec_t from_now[3];
		struct set set;

		random_set(sim, &set);
		if (!search(&set, 0, from_now))
			continue;
		feasible[set.slots]++;
		met[set.slots] += core_meets_all(&set);
	}
	for (unsigned k = 1; k <= 3; k++)
		print_message("%u slots: %u of %u feasible sets (%.1f %%)\n", k, met[k],
			      feasible[k], 100.0 * met[k] / feasible[k]);
	assert_int_equal(met[1], feasible[1]);
	assert_true(met[2] + met[3] >= 0.97 * (feasible[2] + feasible[3]));
	free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schedulable_never_misses_and_needs_concurrent_cures),
		cmocka_unit_test(square_root_budgets_save_collection_time),
		cmocka_unit_test(finds_what_exhaustive_search_finds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
