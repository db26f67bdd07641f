/* SPDX-License-Identifier: MIT */
/*
 * What the core makes of collections that free nothing, in virtual time: it declines them and
 * backs off, freezes instead, and is there when garbage comes back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/model.h"

#define LIVE   1000000
#define RULE   (LIVE / 4) /* CPython's own */
#define MINUTE (60 * SEC)

static void run_on(struct sim *sim, nsec_t span)
{
	if (!sim_run_until(sim, sim->now + span))
		fail_msg("%s: %s", sim->broken, sim->detail);
}

/* A heap like CPython's that keeps all it has: its rule would have it collected twenty times in ten minutes. */
static struct sim_heap *start(struct sim *sim, uint8_t kinds)
{
	sim_init(sim, 1);
	sim->config.n_services = 1;
	sim->n_heaps = 1;
	sim->heap[0].spec = (struct sim_heap_spec){
		.profile = SIM_STEADY,
		.caps = WIRE_CAP_PAGE,
		.kinds = kinds,
		.budget = RULE,
		.rate = RULE / 30.0,
		.live = LIVE,
		.cost = 140,
		.safe_point = MS,
	};
	sim_start(sim);
	return &sim->heap[0];
}

static void finish(struct sim *sim)
{
	assert_int_equal(sim->forced, 0);
	assert_true(sim_finish(sim));
	free(sim);
}

static struct core_heap look(const struct sim *sim)
{
	struct core_heap info;

	assert_true(supervisor_heap_after(sim->core, 0, sim->now, &info));
	return info;
}

static void a_live_heap_is_frozen_and_garbage_is_still_found(void **state)
{
	struct sim *sim = malloc(sizeof(*sim));
	struct sim_heap *h = start(sim, 1 << WIRE_FREEZE);
	struct core_service service;
	uint64_t majors, windows;
	nsec_t again;

	run_on(sim, 10 * MINUTE);
	majors = h->collections[WIRE_MAJOR];
	windows = majors + h->collections[WIRE_FREEZE];
	print_message("10 minutes, %u objects, no garbage: %u majors, %u freezes, %u "
		      "declined\n",
		      LIVE, (unsigned)majors, (unsigned)h->collections[WIRE_FREEZE],
		      (unsigned)look(sim).declined);
	assert_true(majors <= 3);
	assert_true(h->collections[WIRE_FREEZE] >= 1);
	assert_true(look(sim).declined >= 1);
	assert_int_equal(look(sim).collections[WIRE_FREEZE], h->collections[WIRE_FREEZE]);
	/* Freezes back off as well. */
	assert_true(windows <= 6);

	/* They are short, but what comes after them is not: admission allows for that. */
	assert_true(supervisor_service(sim->core, 0, sim->now, &service));
	assert_true(service.admission.pause > look(sim).predicted[WIRE_FREEZE]);
	assert_true(service.admission.pause >= look(sim).predicted[WIRE_MAJOR]);

	h->spec.garbage = 1;

	again = sim->now;
	while (h->collections[WIRE_MAJOR] == majors)
		run_on(sim, SEC);
	print_message("garbage again: %.0f objects of it freed after %u s\n", h->freed,
		      (unsigned)((sim->now - again) / SEC));
	/* Before the heap has doubled: the budget that MinYield allows is far larger. */
	assert_in_range((uint64_t)h->freed, LIVE / 4, LIVE * 3 / 4);
	assert_true(h->trash < RULE);

	/* And from then on by the rule, without any delay. */
	majors = h->collections[WIRE_MAJOR];
	run_on(sim, 5 * MINUTE);
	assert_in_range(h->collections[WIRE_MAJOR] - majors, 9, 15);
	finish(sim);
}

static void without_freezes_the_budget_is_raised_instead(void **state)
{
	struct sim *sim = malloc(sizeof(*sim));
	struct sim_heap *h = start(sim, 0);
	uint64_t majors;

	run_on(sim, 10 * MINUTE);
	majors = h->collections[WIRE_MAJOR];
	print_message("10 minutes without freezes: %u majors, %u declined\n",
		      (unsigned)majors, (unsigned)look(sim).declined);
	assert_in_range(majors, 3, 6);
	assert_int_equal(h->collections[WIRE_FREEZE], 0);
	assert_in_range(look(sim).declined, majors - 1, majors);
	/* An hour later it still looks from time to time. */
	run_on(sim, 60 * MINUTE);
	assert_in_range(h->collections[WIRE_MAJOR] - majors, 3, 8);
	finish(sim);
}

static void freezes_that_do_not_help_are_not_repeated(void **state)
{
	struct sim *sim = malloc(sizeof(*sim));
	struct sim_heap *h = start(sim, 1 << WIRE_FREEZE);

	h->spec.freezes_in_vain = true;
	run_on(sim, 60 * MINUTE);
	assert_int_equal(h->collections[WIRE_FREEZE], 1);
	assert_in_range(h->collections[WIRE_MAJOR], 4, 12);
	/* Until there was garbage in between. */
	h->spec.garbage = 1;
	run_on(sim, 20 * MINUTE);
	assert_int_equal(h->collections[WIRE_FREEZE], 1);
	h->spec.garbage = 0;
	run_on(sim, 20 * MINUTE);
	assert_int_equal(h->collections[WIRE_FREEZE], 2);
	finish(sim);
}

static void snapshots_that_find_nothing_count_and_those_that_fail_do_not(void **state)
{
	struct sim *sim = malloc(sizeof(*sim));
	struct sim_heap *h = start(sim, 1 << WIRE_SNAPSHOT | 1 << WIRE_FREEZE);

	run_on(sim, 10 * MINUTE);
	assert_in_range(h->collections[WIRE_SNAPSHOT], 1, 3);
	assert_true(h->collections[WIRE_FREEZE] >= 1);
	finish(sim);

	sim = malloc(sizeof(*sim));
	h = start(sim, 1 << WIRE_SNAPSHOT | 1 << WIRE_FREEZE);
	h->spec.snapshots_fail = true;
	while (h->collections[WIRE_SNAPSHOT] < 4)
		run_on(sim, SEC);
	assert_int_equal(h->collections[WIRE_FREEZE], 0);
	assert_int_equal(look(sim).declined, 0);
	assert_true(sim_finish(sim));
	free(sim);
}

/* Nothing is forced once that has been found out. */
static void a_heap_that_outruns_its_snapshots_has_majors(void **state)
{
	struct sim *sim = malloc(sizeof(*sim));
	struct sim_heap *h = start(sim, 1 << WIRE_SNAPSHOT);
	uint64_t snapshots, majors, forced;

	/* A snapshot of a second, of a heap whose budget lasts half a minute, and then a second and a half. */
	h->spec.run_cost = 800;
	h->spec.garbage = 1;
	run_on(sim, 5 * MINUTE);
	assert_in_range(h->collections[WIRE_SNAPSHOT], 8, 15);
	assert_int_equal(h->collections[WIRE_MAJOR], 0);

	h->spec.rate *= 20;
	h->rate_until = sim->now;
	run_on(sim, 10 * SEC);
	snapshots = h->collections[WIRE_SNAPSHOT];
	forced = look(sim).forced;
	assert_true(h->collections[WIRE_MAJOR] > 0);
	run_on(sim, 5 * MINUTE);
	print_message("its budget lasts as long as a snapshot: %u snapshots, then %u "
		      "majors and %u snapshots in 5 minutes\n",
		      (unsigned)snapshots, (unsigned)h->collections[WIRE_MAJOR],
		      (unsigned)(h->collections[WIRE_SNAPSHOT] - snapshots));
	assert_true(h->collections[WIRE_MAJOR] > 150);
	/* One is tried from time to time. */
	assert_in_range(h->collections[WIRE_SNAPSHOT] - snapshots, 2, 8);
	assert_int_equal(look(sim).forced, forced);

	/* And it has snapshots again as before. */
	h->spec.rate /= 20;
	h->rate_until = sim->now;
	run_on(sim, MINUTE);
	majors = h->collections[WIRE_MAJOR];
	run_on(sim, 5 * MINUTE);
	assert_int_equal(h->collections[WIRE_MAJOR], majors);
	finish(sim);
}

static void a_changed_rate_is_reason_to_look_again(void **state)
{
	struct sim *sim = malloc(sizeof(*sim));
	struct sim_heap *h = start(sim, 1 << WIRE_FREEZE);
	uint64_t majors;
	nsec_t quiet, hasty;

	run_on(sim, 10 * MINUTE);
	majors = h->collections[WIRE_MAJOR];
	quiet = sim->now;
	h->spec.rate *= 3;
	h->rate_until = sim->now;
	while (h->collections[WIRE_MAJOR] == majors)
		run_on(sim, SEC);
	hasty = sim->now - quiet;
	print_message("at three times the rate: a major after %u s\n",
		      (unsigned)(hasty / SEC));
	/* Not only when eight times the heap has been made anew. */
	assert_true(hasty < 5 * MINUTE);
	finish(sim);
}

/* As on a machine that others use as well, or by day and by night. */
static void a_rate_that_goes_up_and_down_is_no_reason(void **state)
{
	static const double times[] = {1, 2.5, 0.8, 3, 1.2, 0.7, 2.8, 1, 2.2, 0.9};
	struct sim *sim = malloc(sizeof(*sim));
	struct sim_heap *h = start(sim, 1 << WIRE_FREEZE);
	double usual = h->spec.rate;

	for (unsigned i = 0; i < 10; i++) {
		h->spec.rate = usual * times[i];
		h->rate_until = sim->now;
		run_on(sim, MINUTE);
	}
	print_message(
		"10 minutes, at one to four times the rate: %u majors, %u freezes\n",
		(unsigned)h->collections[WIRE_MAJOR],
		(unsigned)h->collections[WIRE_FREEZE]);
	assert_in_range(h->collections[WIRE_MAJOR], 2, 3);
	finish(sim);
}

static void heaps_with_garbage_are_left_alone(void **state)
{
	struct sim *sim = malloc(sizeof(*sim));
	struct sim_heap *h = start(sim, 1 << WIRE_FREEZE);

	/* A twentieth of a quarter of the heap: just above MinYield=1%. */
	h->spec.garbage = 0.07;
	run_on(sim, 10 * MINUTE);
	assert_in_range(h->collections[WIRE_MAJOR], 18, 24);
	assert_int_equal(h->collections[WIRE_FREEZE], 0);
	assert_int_equal(look(sim).declined, 0);
	finish(sim);
}

static void min_yield_of_nothing_switches_it_off(void **state)
{
	struct sim *sim = malloc(sizeof(*sim));
	struct sim_heap *h = start(sim, 1 << WIRE_FREEZE);

	sim->services[0].min_yield_permille = 0;
	sim_configure(sim);
	run_on(sim, 10 * MINUTE);
	assert_in_range(h->collections[WIRE_MAJOR], 18, 24);
	assert_int_equal(h->collections[WIRE_FREEZE], 0);
	/* Switched on while it runs, and off again while the budget is raised. */
	sim->services[0].min_yield_permille = 10;
	sim_configure(sim);
	run_on(sim, 10 * MINUTE);
	assert_true(h->collections[WIRE_FREEZE] > 0);
	sim->services[0].min_yield_permille = 0;
	sim_configure(sim);
	run_on(sim, 10 * MINUTE);
	assert_in_range(h->collections[WIRE_MAJOR], 36, 50);
	finish(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_live_heap_is_frozen_and_garbage_is_still_found),
		cmocka_unit_test(without_freezes_the_budget_is_raised_instead),
		cmocka_unit_test(freezes_that_do_not_help_are_not_repeated),
		cmocka_unit_test(
			snapshots_that_find_nothing_count_and_those_that_fail_do_not),
		cmocka_unit_test(a_heap_that_outruns_its_snapshots_has_majors),
		cmocka_unit_test(a_changed_rate_is_reason_to_look_again),
		cmocka_unit_test(a_rate_that_goes_up_and_down_is_no_reason),
		cmocka_unit_test(heaps_with_garbage_are_left_alone),
		cmocka_unit_test(min_yield_of_nothing_switches_it_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
