/* SPDX-License-Identifier: MIT */
/* Who has changed since: what those who are told of changes go by. */
#include <string.h>

#include "tests/unit/world.h"

#define ANY 1000

/* The names of those found, in order. */
static void expect_services(struct world *w, uint64_t since, unsigned at,
			    const char *const *names)
{
	unsigned looks = ANY;
	struct core_who who;

	for (; *names; names++) {
		assert_true(
			supervisor_changed_service(w->core, since, &at, &looks, &who));
		assert_string_equal(who.service, *names);
	}
	assert_false(supervisor_changed_service(w->core, since, &at, &looks, &who));
}

static void expect_heaps(struct world *w, uint64_t since, const uint64_t *ids)
{
	unsigned looks = ANY;
	struct core_who who;
	uint64_t at = 0;

	for (; *ids; ids++) {
		assert_true(supervisor_changed_heap(w->core, since, w->now, &at, &looks,
						    &who));
		assert_int_equal(who.heap, *ids);
		assert_int_equal(at, *ids);
	}
	assert_false(supervisor_changed_heap(w->core, since, w->now, &at, &looks, &who));
}

#define SERVICES(since, at, ...) \
	expect_services(w, since, at, (const char *const[]){__VA_ARGS__, NULL})
#define HEAPS(since, ...) expect_heaps(w, since, (const uint64_t[]){__VA_ARGS__, 0})

static void those_that_changed_and_no_others(void **state)
{
	struct world *w = *state;
	uint64_t since;

	world_join(w, 1, "a", 0);
	world_join(w, 2, "b", 0);
	world_join(w, 3, "b", 0);
	HEAPS(0, 1, 2, 3);
	SERVICES(0, 0, "a", "b");
	since = supervisor_changes(w->core);
	expect_heaps(w, since, (const uint64_t[]){0});
	expect_services(w, since, 0, (const char *const[]){NULL});
	world_report(w, 3, 100);
	assert_true(supervisor_changes(w->core) > since);
	HEAPS(since, 3);
	SERVICES(since, 0, "b");
	/* One that left is no more, and its service has changed. */
	since = supervisor_changes(w->core);
	world_leave(w, 2);
	expect_heaps(w, since, (const uint64_t[]){0});
	SERVICES(since, 0, "b");
	HEAPS(0, 1, 3);
}

static void a_decision_and_a_window_are_changes(void **state)
{
	struct world *w = *state;
	uint64_t since;

	world_join(w, 1, "a", 0);
	world_join(w, 2, "other", 0);
	world_report(w, 1, 0);
	world_until(w, w->now + 100 * SEC);
	world_report(w, 1, 910);
	since = supervisor_changes(w->core);
	world_until(w, w->now + 100 * SEC); /* its timers alone */
	assert_non_null(world_find(w, ACTION_OPEN, 1));
	HEAPS(since, 1);
	SERVICES(since, 0, "a");
}

static void looks_are_counted(void **state)
{
	struct world *w = *state;
	unsigned looks = 2, services = 0;
	struct core_who who;
	uint64_t at = 0, since;

	world_join(w, 1, "a", 0);
	world_join(w, 2, "b", 0);
	world_join(w, 3, "c", 0);
	since = supervisor_changes(w->core);
	world_report(w, 3, 1);
	assert_false(supervisor_changed_heap(w->core, since, w->now, &at, &looks, &who));
	assert_int_equal(at, 2);
	assert_int_equal(looks, 0);
	looks = 2;
	assert_true(supervisor_changed_heap(w->core, since, w->now, &at, &looks, &who));
	assert_int_equal(looks, 1);
	looks = 2;
	assert_false(supervisor_changed_service(w->core, since, &services, &looks, &who));
	assert_int_equal(services, 2);
	looks = 1;
	assert_true(supervisor_changed_service(w->core, since, &services, &looks, &who));
	assert_string_equal(who.service, "c");
	assert_int_equal(services, 3);
}

static void services_that_have_gone_are_counted(void **state)
{
	struct world *w = *state;
	unsigned at = 0, looks = ANY;
	struct core_who who;
	uint64_t gone;

	for (unsigned i = 0; i < 4; i++)
		world_join(w, i + 1, (const char *[]){"a", "b", "c", "d"}[i], 0);
	gone = supervisor_services_gone(w->core);
	for (unsigned i = 0; i < 2; i++)
		supervisor_changed_service(w->core, 0, &at, &looks, &who);
	world_leave(w, 1);
	assert_int_equal(supervisor_services_gone(w->core), gone + 1);
	SERVICES(0, at - 1, "c", "d"); /* from where they are now */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(those_that_changed_and_no_others),
		T(a_decision_and_a_window_are_changes),
		T(looks_are_counted),
		T(services_that_have_gone_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
