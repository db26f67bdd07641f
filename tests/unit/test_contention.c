/* SPDX-License-Identifier: MIT */
/* What simultaneous pauses are learned to cost each other: each function, and where it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/core/contention.h"

#define MS NSEC_PER_MSEC

static void assert_near(double found, double wanted)
{
	double by = found - wanted;

	if (by < -1e-6 || by > 1e-6)
		fail_msg("%f instead of %f", found, wanted);
}

static void the_area_is_that_of_all_pauses(void **state)
{
	struct contention c = {.running = 0};

	assert_near(contention_area(&c, 5 * MS), 0);
	contention_change(&c, 1, 10 * MS);
	assert_near(contention_area(&c, 10 * MS), 0);
	assert_near(contention_area(&c, 14 * MS), 4 * MS);
	contention_change(&c, 1, 20 * MS);
	contention_change(&c, -1, 25 * MS);
	assert_int_equal(c.running, 1);
	/* 10 ms of one, 5 of two, 5 of one. */
	assert_near(contention_area(&c, 30 * MS), 25 * MS);
	contention_change(&c, -1, 30 * MS);
	assert_near(contention_area(&c, NSEC_NEVER), 25 * MS);
}

/* Looking back in time counts for nothing, and does not turn the clock back. */
static void an_instant_that_was_earlier(void **state)
{
	struct contention c = {.running = 0};

	contention_change(&c, 1, 10 * MS);
	contention_change(&c, 1, 20 * MS);
	assert_near(contention_area(&c, 15 * MS), 10 * MS);
	contention_change(&c, -1, 15 * MS);
	assert_near(contention_area(&c, 20 * MS), 10 * MS);
	assert_near(contention_area(&c, 21 * MS), 11 * MS);
}

static void how_many_it_met(void **state)
{
	struct contention c = {.running = 0};
	double area;

	contention_change(&c, 1, 10 * MS);
	area = contention_area(&c, 10 * MS);
	assert_near(contention_met(&c, area, 10 * MS, 20 * MS), 1);
	contention_change(&c, 1, 20 * MS);
	/* Alone for the first half, with another one for the second. */
	assert_near(contention_met(&c, area, 20 * MS, 30 * MS), 1.5);
	contention_change(&c, -1, 30 * MS);
	contention_change(&c, -1, 30 * MS);
	/* Itself at least; in no time nobody can be met. */
	assert_near(contention_met(&c, contention_area(&c, 30 * MS), 10 * MS, 40 * MS),
		    1);
	assert_near(contention_met(&c, 0, 0, 40 * MS), 1);
}

static void nothing_is_believed_at_first(void **state)
{
	const struct contention c = {.running = 0};

	assert_near(contention_slow(&c, 1), 1);
	assert_near(contention_slow(&c, 100), 1);
}

static void evidence_is_believed_bit_by_bit(void **state)
{
	struct contention c = {.running = 0};
	double before = 1;

	/* Two at once take twice as long. */
	for (unsigned i = 1; i <= 40; i++) {
		double slow;

		contention_learn(&c, 2, 2);
		slow = contention_slow(&c, 2);
		assert_true(i > 32 ? slow >= before : slow > before);
		assert_true(slow < 2);
		before = slow;
	}
	assert_int_equal(c.evidence, 32);
	assert_near((double)c.each, 1);
	assert_near(contention_slow(&c, 2), 1 + 32.0 / 34);
	assert_near(contention_slow(&c, 3), 1 + 2 * 32.0 / 34);
	assert_near(contention_slow(&c, 1), 1);
	/* The latest count as much as a thirty-second of all. */
	contention_learn(&c, 2, 1);
	assert_near((double)c.each, 31.0 / 32);
}

static void a_short_meeting_tells_nothing(void **state)
{
	struct contention c = {.running = 0};

	contention_learn(&c, 1, 10);
	contention_learn(&c, 1.49, 10);
	assert_int_equal(c.evidence, 0);
	contention_learn(&c, 1.5, 1.5);
	assert_int_equal(c.evidence, 1);
	assert_near((double)c.each, 1);
}

static void a_single_pause_may_be_anything(void **state)
{
	struct contention c = {.running = 0};

	contention_learn(&c, 2, 1000);
	assert_near((double)c.each, 3);
	c = (struct contention){.running = 0};
	contention_learn(&c, 3, 0);
	assert_near((double)c.each, -0.5);
	contention_learn(&c, 1.5, -10);
	assert_near((double)c.each, -0.75);
	/* Others make no pause shorter. */
	assert_near(contention_slow(&c, 8), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_area_is_that_of_all_pauses),
		cmocka_unit_test(an_instant_that_was_earlier),
		cmocka_unit_test(how_many_it_met),
		cmocka_unit_test(nothing_is_believed_at_first),
		cmocka_unit_test(evidence_is_believed_bit_by_bit),
		cmocka_unit_test(a_short_meeting_tells_nothing),
		cmocka_unit_test(a_single_pause_may_be_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
