/* SPDX-License-Identifier: MIT */
/* The library's guard: ceilings, watermarks, windows and heartbeats, at instants made up
 * here. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/guard.h"

static struct guard guard(uint64_t own)
{
	struct guard g;

	guard_init(&g, own);
	return g;
}

/* The application's goes before the daemon's, that before the runtime's own rule. */
static void test_budget_order(void **state)
{
	struct guard none = guard(0), own = guard(1000);

	assert_int_equal(guard_budget(&none, 0), 0);
	assert_int_equal(guard_budget(&none, 500), 500);
	assert_int_equal(guard_budget(&own, 0), 1000);
	assert_int_equal(guard_budget(&own, 500), 1000);
	own.moved = 700;
	assert_int_equal(guard_budget(&own, 0), 1000);
	assert_int_equal(guard_budget(&own, 500), 1000);
	none.moved = 300;
	assert_int_equal(guard_budget(&none, 0), 300);
	assert_int_equal(guard_budget(&none, 200), 200);
	assert_int_equal(guard_budget(&none, 500), 500);
}

static void test_ceiling_alone(void **state)
{
	struct guard none = guard(0), own = guard(1000);

	assert_int_equal(guard_ceiling(&none, 500, false), 500);
	assert_int_equal(guard_ceiling(&none, 500, true), 0);
	none.moved = 300;
	assert_int_equal(guard_ceiling(&none, 0, false), 300);
	assert_int_equal(guard_ceiling(&none, 500, false), 500);
	assert_int_equal(guard_ceiling(&none, 500, true), 0);
	assert_int_equal(guard_ceiling(&own, 500, false), 1000);
	assert_int_equal(guard_ceiling(&own, 500, true), 1000);
}

static void test_outgrown(void **state)
{
	struct guard g = guard(800);

	guard_collected(&g, RTGC_MAJOR, 700, 0); /* 7/8: not more */
	assert_int_equal(guard_budget(&g, 0), 800);
	guard_collected(&g, RTGC_MAJOR, 701, 0);
	assert_int_equal(guard_budget(&g, 0), 701 + 175);
	guard_collected(&g, RTGC_MAJOR, 1000, 0);
	assert_int_equal(guard_budget(&g, 0), 1250);
	assert_int_equal(guard_ceiling(&g, 0, true), 1250);
	/* These leave old objects where they are. */
	guard_collected(&g, RTGC_MINOR, 100, 0);
	guard_collected(&g, RTGC_FREEZE, 100, 0);
	assert_int_equal(guard_budget(&g, 0), 1250);
	guard_collected(&g, RTGC_SNAPSHOT, 100, 0);
	assert_int_equal(guard_budget(&g, 0), 800);
}

/* A budget that is raised by the runtime itself needs no help. */
static void test_outgrown_moved(void **state)
{
	struct guard g = guard(0);

	g.moved = 800;
	guard_collected(&g, RTGC_MAJOR, 790, 0);
	assert_int_equal(guard_budget(&g, 0), 790 + 197);
	g.moved = 5000;
	assert_int_equal(guard_budget(&g, 0), 5000);
	guard_collected(&g, RTGC_MAJOR, 790, 0);
	g.moved = 800;
	assert_int_equal(guard_budget(&g, 0), 800);
}

/* So does one that the daemon raises; and the runtime's own rule is told meanwhile. */
static void test_outgrown_share(void **state)
{
	struct guard g = guard(0);

	g.moved = 300;
	guard_collected(&g, RTGC_MAJOR, 760, 800);
	assert_int_equal(guard_budget(&g, 800), 950);
	assert_int_equal(guard_reported_budget(&g, 800), 300);
	assert_int_equal(guard_budget(&g, 1600), 1600);
	guard_collected(&g, RTGC_MAJOR, 760, 1600);
	assert_int_equal(guard_budget(&g, 800), 800);
	/* It takes the share back: the rule holds again. */
	assert_int_equal(guard_budget(&g, 0), 300);
	assert_int_equal(guard_reported_budget(&g, 0), 300);
}

static void test_outgrown_without_budget(void **state)
{
	struct guard g = guard(0);

	guard_collected(&g, RTGC_MAJOR, 1u << 30, 0);
	assert_int_equal(guard_budget(&g, 0), 0);
	assert_int_equal(guard_reported_budget(&g, 0), 0);
}

/* The daemon takes the raised budget for the runtime's and sets none of its own; it stays the
 * service's budget that a later collection is measured by. */
static void test_outgrown_service_budget(void **state)
{
	struct guard g = guard(0);

	assert_int_equal(guard_reported_budget(&g, 800), 0);
	guard_collected(&g, RTGC_MAJOR, 960, 800);
	assert_int_equal(guard_budget(&g, 800), 1200); /* before it has answered */
	assert_int_equal(guard_reported_budget(&g, 800), 1200);
	assert_int_equal(guard_budget(&g, 0), 1200);
	guard_collected(&g, RTGC_MAJOR, 760, 0); /* below 7/8 of 1200, not of 800 */
	assert_int_equal(guard_reported_budget(&g, 0), 950);
	guard_collected(&g, RTGC_MAJOR, 100, 0);
	assert_int_equal(guard_reported_budget(&g, 0), 0);
	assert_int_equal(guard_budget(&g, 800), 800);
}

static void test_outgrown_saturates(void **state)
{
	struct guard g = guard(UINT64_MAX - 8);

	guard_collected(&g, RTGC_MAJOR, UINT64_MAX - 1, 0);
	assert_true(guard_budget(&g, 0) == UINT64_MAX);
}

static void test_reported_budget(void **state)
{
	struct guard own = guard(1000), rule = guard(0);

	assert_int_equal(guard_reported_budget(&own, 0), 1000);
	own.moved = 400;
	assert_int_equal(guard_reported_budget(&own, 0), 1000);
	guard_collected(&own, RTGC_MAJOR, 1000, 0);
	assert_int_equal(guard_reported_budget(&own, 0), 1250);
	/* The rule is told also while it is not in force: it will be when the share is not. */
	rule.moved = 400;
	assert_int_equal(guard_reported_budget(&rule, 0), 400);
	assert_int_equal(guard_reported_budget(&rule, 700), 400);
	guard_collected(&rule, RTGC_MAJOR, 400, 0);
	assert_int_equal(guard_reported_budget(&rule, 0), 500);
}

static void test_watermark(void **state)
{
	struct guard g = guard(0);

	assert_false(guard_crossed(&g, 49, 50));
	assert_true(guard_crossed(&g, 50, 50));
	assert_false(guard_crossed(&g, 51, 50)); /* once */
	assert_false(guard_crossed(&g, 10, 50));
	assert_false(guard_crossed(&g, 60, 50)); /* garbage that came and went */
	assert_false(guard_crossed(&g, 60, 75));
	assert_true(guard_crossed(&g, 80, 75));
	assert_false(guard_crossed(&g, 80, 75));
	guard_collected(&g, RTGC_MINOR, 10, 0);
	assert_true(guard_crossed(&g, 75, 75));
	assert_false(guard_crossed(&g, UINT64_MAX, UINT64_MAX)); /* never */
	assert_true(guard_crossed(&g, 0, 0));
	assert_false(guard_crossed(&g, 0, 0));
}

static void test_fresh(void **state)
{
	assert_true(guard_fresh(100, 10, 100));
	assert_true(guard_fresh(100, 10, 110));
	assert_false(guard_fresh(100, 10, 111));
	assert_true(guard_fresh(200, 10, 100)); /* read before our clock */
	assert_true(guard_fresh(100, NSEC_NEVER, UINT64_MAX));
}

static struct page_window window(enum page_state s, nsec_t opens, nsec_t closes,
				 nsec_t predicted)
{
	return (struct page_window){
		.state = s,
		.window = {.window = 9,
			   .opens = opens,
			   .closes = closes,
			   .predicted = predicted,
			   .kind = WIRE_MAJOR},
	};
}

static void test_window(void **state)
{
	struct page_window w = window(PAGE_OPEN, 100, 200, 30);

	assert_int_equal(guard_window(&w, NSEC_NEVER, 99), RTGC_PREPARE);
	assert_int_equal(guard_window(&w, NSEC_NEVER, 100), RTGC_MAY);
	assert_int_equal(guard_window(&w, NSEC_NEVER, 170), RTGC_MAY);
	assert_int_equal(guard_window(&w, NSEC_NEVER, 171), RTGC_RUN);
	assert_int_equal(guard_window(&w, NSEC_NEVER, 500), RTGC_RUN);
	assert_int_equal(guard_window(&w, 129, 100), RTGC_RUN);
	assert_int_equal(guard_window(&w, 130, 100), RTGC_MAY);
	w.window.must = 1;
	assert_int_equal(guard_window(&w, NSEC_NEVER, 100), RTGC_MUST);
	assert_int_equal(guard_window(&w, 129, 100), RTGC_RUN);
	w.state = PAGE_NONE;
	assert_int_equal(guard_window(&w, NSEC_NEVER, 100), RTGC_RUN);
}

/* [opens, closes) holds for a pause of no length, too. */
static void test_window_edges(void **state)
{
	struct page_window w = window(PAGE_OPEN, 100, 200, 0);

	assert_int_equal(guard_window(&w, NSEC_NEVER, 199), RTGC_MAY);
	assert_int_equal(guard_window(&w, NSEC_NEVER, 200), RTGC_RUN);
	assert_int_equal(guard_begin(&w, 9, RTGC_MAJOR, 199), 0);
	assert_int_equal(guard_begin(&w, 9, RTGC_MAJOR, 200), RTGC_E_CLOSED);
	w = window(PAGE_OPEN, 0, NSEC_NEVER, NSEC_NEVER);
	assert_int_equal(guard_window(&w, 1000, 100), RTGC_RUN);
}

static void test_announced(void **state)
{
	struct page_window w = window(PAGE_ANNOUNCED, 100, NSEC_NEVER, 30);

	assert_int_equal(guard_window(&w, NSEC_NEVER, 50), RTGC_PREPARE);
	assert_int_equal(guard_window(&w, NSEC_NEVER, 150), RTGC_PREPARE);
	assert_int_equal(guard_begin(&w, 9, RTGC_MAJOR, 150), RTGC_E_CLOSED);
}

static void test_begin(void **state)
{
	struct page_window w = window(PAGE_OPEN, 100, 200, 30);

	assert_int_equal(guard_begin(&w, 9, RTGC_MAJOR, 99), RTGC_E_CLOSED);
	assert_int_equal(guard_begin(&w, 9, RTGC_MAJOR, 100), 0);
	assert_int_equal(guard_begin(&w, 9, RTGC_MAJOR, 170), 0);
	assert_int_equal(guard_begin(&w, 9, RTGC_MAJOR, 171), RTGC_E_UNFIT);
	assert_int_equal(guard_begin(&w, 9, RTGC_MAJOR, 200), RTGC_E_CLOSED);
	assert_int_equal(guard_begin(&w, 8, RTGC_MAJOR, 100), RTGC_E_CLOSED);
	assert_int_equal(guard_begin(&w, 9, RTGC_MINOR, 100), -EINVAL);
	w = window(PAGE_NONE, 0, 0, 0);
	w.window.window = 0;
	assert_int_equal(guard_begin(&w, 0, RTGC_MAJOR, 0), RTGC_E_CLOSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_budget_order),
		cmocka_unit_test(test_ceiling_alone),
		cmocka_unit_test(test_outgrown),
		cmocka_unit_test(test_outgrown_moved),
		cmocka_unit_test(test_outgrown_share),
		cmocka_unit_test(test_outgrown_without_budget),
		cmocka_unit_test(test_outgrown_service_budget),
		cmocka_unit_test(test_outgrown_saturates),
		cmocka_unit_test(test_reported_budget),
		cmocka_unit_test(test_watermark),
		cmocka_unit_test(test_fresh),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_window_edges),
		cmocka_unit_test(test_announced),
		cmocka_unit_test(test_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
