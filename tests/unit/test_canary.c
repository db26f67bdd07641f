/* SPDX-License-Identifier: MIT */
/* Whether anybody should wait for this daemon. */
#include <stdio.h>

#include "tests/unit/world.h"

static struct core_gates gates(const struct world *w)
{
	struct core_gates gates;

	supervisor_gates(w->core, &gates);
	return gates;
}

/* Anew, with these limits; one slot in the service, two on the host. */
static void limited(struct world *w, nsec_t lag, unsigned permille)
{
	struct core_config config = {
		.max_concurrent = 2,
		.gate_lag = lag,
		.gate_pressure_permille = permille,
	};

	core_service_config_init(&config.defaults);
	assert_int_equal(supervisor_configure(w->core, &config, w->now), 0);
}

static void strain(struct world *w, nsec_t lag, unsigned permille, bool stood_still)
{
	supervisor_strain(w->core,
			  &(struct core_strain){.lag = lag,
						.pressure_permille = permille,
						.stood_still = stood_still},
			  w->now);
	/* (Of nobody, and takes the actions.) */
	world_event(w, &(struct event){.type = EVENT_BUSY, .heap = 999});
}

static void opens_beyond_its_limits_only(void **state)
{
	struct world *w = *state;

	limited(w, SEC, 500);
	strain(w, SEC, 499, false);
	assert_false(gates(w).open);
	strain(w, SEC + 1, 0, false);
	assert_true(gates(w).open);
	assert_int_equal(gates(w).cause, STRAIN_LAG);
	assert_int_equal(gates(w).by.lag, SEC + 1);
	world_until(w, w->now + 5 * SEC);
	assert_false(gates(w).open);
	strain(w, 0, 500, false);
	assert_true(gates(w).open);
	assert_int_equal(gates(w).cause, STRAIN_PRESSURE);
	assert_int_equal(gates(w).opened, 2);
}

static void never_without_limits(void **state)
{
	struct world *w = *state;

	limited(w, 0, 0);
	strain(w, 100 * SEC, 1000, false);
	assert_false(gates(w).open);
}

static void who_stood_still_was_not_late(void **state)
{
	struct world *w = *state;

	limited(w, SEC, 500);
	strain(w, 3600 * SEC, 1000, true);
	assert_false(gates(w).open);
	assert_int_equal(gates(w).opened, 0);
}

static void stays_open_until_it_is_calm(void **state)
{
	struct world *w = *state;

	limited(w, SEC, 500);
	strain(w, 2 * SEC, 0, false);
	for (int i = 0; i < 10; i++) {
		world_until(w, w->now + 4 * SEC);
		assert_true(gates(w).open);
		strain(w, 2 * SEC, 0, false);
		strain(w, MS, 10, false); /* what is no strain changes nothing */
	}
	world_until(w, w->now + 5 * SEC - 1);
	assert_true(gates(w).open);
	world_until(w, w->now + 1);
	assert_false(gates(w).open);
	assert_int_equal(gates(w).opened, 1);
}

static void nobody_waits_while_they_are_open(void **state)
{
	struct world *w = *state;
	struct core_status status;

	limited(w, SEC, 500);
	for (uint64_t heap = 1; heap <= 4; heap++)
		world_join(w, heap, "a", 0);
	world_fill_until(w, 4, 100, ACTION_OPEN, 20 * SEC);
	for (int i = 0; i < 12; i++) {
		world_until(w, w->now + 5 * MS);
		for (uint64_t heap = 1; heap <= 4; heap++)
			world_report(w, heap, 899);
	}
	status = world_status(w);
	assert_int_equal(status.windows_open, 1);
	assert_int_equal(status.over_limit, 0);
	/* Those that waited go at once, also over the limit, and that is counted. */
	strain(w, 2 * SEC, 0, false);
	status = world_status(w);
	assert_int_equal(status.windows_open, 4);
	assert_int_equal(status.over_limit, 3);
	assert_int_equal(gates(w).ungated, 3);
	assert_true(world_explains(w, world_find(w, ACTION_OPEN, 0)->heap,
				   REASON_GATES_OPEN));
	/* Calm: the limit holds again. */
	for (uint64_t heap = 1; heap <= 4; heap++) {
		uint64_t id = world_find(w, ACTION_OPEN, heap)->window.window;

		world_begin(w, heap, id, WIRE_IN_WINDOW);
		world_end(w, heap, id, WIRE_IN_WINDOW, 0);
	}
	world_until(w, w->now + 6 * SEC);
	assert_false(gates(w).open);
	world_forget(w);
	world_fill_until(w, 4, 100, ACTION_OPEN, 20 * SEC);
	assert_int_equal(world_status(w).windows_open, 1);
	assert_int_equal(gates(w).ungated, 3);
}

static void hold(struct world *w, bool held)
{
	world_event(w, &(struct event){.type = EVENT_HOLD, .heap = 1, .held = held});
}

/* Heaps 1 … n have waited for some time; one of them has a window. */
static void all_due(struct world *w, uint64_t n)
{
	world_fill_until(w, (unsigned)n, 100, ACTION_OPEN, 20 * SEC);
	for (int i = 0; i < 12; i++) {
		world_until(w, w->now + 5 * MS);
		for (uint64_t heap = 1; heap <= n; heap++)
			world_report(w, heap, 899);
	}
	assert_int_equal(world_status(w).windows_open, 1);
}

static void who_is_held_back_stays_so(void **state)
{
	struct world *w = *state;

	limited(w, SEC, 500);
	for (uint64_t heap = 1; heap <= 3; heap++)
		world_join(w, heap, "a", 0);
	all_due(w, 3);
	hold(w, true);
	strain(w, 2 * SEC, 0, false);
	assert_true(gates(w).open);
	assert_int_equal(world_status(w).windows_open, 1);
	assert_int_equal(gates(w).ungated, 0);
	hold(w, false);
	assert_int_equal(world_status(w).windows_open, 3);
	assert_int_equal(gates(w).ungated, 2);
}

static void rivals_that_meet_are_over_the_limit(void **state)
{
	struct world *w = *state;
	struct core_service_config services[2];
	struct core_config config = {
		.max_concurrent = 4,
		.gate_lag = SEC,
		.services = services,
		.n_services = 2,
	};

	core_service_config_init(&config.defaults);
	for (int i = 0; i < 2; i++) {
		core_service_config_init(&services[i]);
		snprintf(services[i].name, WIRE_NAME_MAX, "%c", 'a' + i);
		snprintf(services[i].never_with[0], WIRE_NAME_MAX, "%c", 'b' - i);
	}
	assert_int_equal(supervisor_configure(w->core, &config, w->now), 0);
	world_join(w, 1, "a", 0);
	world_join(w, 2, "b", 0);
	all_due(w, 2);
	strain(w, 2 * SEC, 0, false);
	assert_int_equal(world_status(w).windows_open, 2);
	assert_int_equal(world_status(w).over_limit, 1);
	assert_int_equal(gates(w).ungated, 1);
}

static void of_a_round_each_window_is_counted(void **state)
{
	struct world *w = *state;
	struct core_config config = {.max_concurrent = 2, .gate_lag = SEC};

	core_service_config_init(&config.defaults);
	config.defaults.policy = POLICY_TOGETHER;
	assert_int_equal(supervisor_configure(w->core, &config, w->now), 0);
	for (uint64_t heap = 1; heap <= 3; heap++)
		world_join(w, heap, "a", 0);
	strain(w, 2 * SEC, 0, false);
	world_fill_until(w, 3, 400, ACTION_OPEN, 20 * SEC);
	assert_int_equal(world_status(w).windows_open, 3);
	assert_true(gates(w).open);
	assert_int_equal(gates(w).ungated, 3);
}

static void opens_for_those_that_come_later(void **state)
{
	struct world *w = *state;

	limited(w, SEC, 500);
	for (uint64_t heap = 1; heap <= 4; heap++)
		world_join(w, heap, "a", 0);
	strain(w, 2 * SEC, 0, false);
	assert_int_equal(world_status(w).windows_open, 0); /* nobody is due */
	for (int i = 0; i < 40; i++) {
		world_until(w, w->now + 50 * MS);
		for (uint64_t heap = 1; heap <= 4; heap++)
			world_report(w, heap, 250 * (uint64_t)(i > 3 ? 4 : i));
	}
	for (uint64_t heap = 1; heap <= 4; heap++)
		assert_non_null(world_find(w, ACTION_OPEN, heap));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(opens_beyond_its_limits_only),
		T(never_without_limits),
		T(who_stood_still_was_not_late),
		T(stays_open_until_it_is_calm),
		T(nobody_waits_while_they_are_open),
		T(opens_for_those_that_come_later),
		T(who_is_held_back_stays_so),
		T(rivals_that_meet_are_over_the_limit),
		T(of_a_round_each_window_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
