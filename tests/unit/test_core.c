/* SPDX-License-Identifier: MIT */
/* The core as its edge sees it: events in, actions out. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/world.h"

/* ---- When ---- */

static void opens_before_the_budget_is_used_up(void **state)
{
	struct world *w = *state;
	const struct action *open;

	assert_int_equal(world_join(w, 1, "a", 0), 0);
	assert_null(world_find(w, ACTION_OPEN, 0));
	open = world_fill_until(w, 1, 100, ACTION_OPEN, 20 * SEC);
	assert_true(open->window.must);
	assert_int_equal(open->window.kind, WIRE_MAJOR);
	assert_true(open->window.closes >= open->window.opens + open->window.predicted);
	/* Late enough to be worth it, early enough not to be forced. */
	assert_in_range(world_heap(w, 1).used, 800, 990);
	assert_true(world_explains(w, 1, REASON_DUE));
}

static void quiet_heap_is_left_alone(void **state)
{
	struct world *w = *state;

	world_join(w, 1, "a", 0);
	for (int i = 0; i < 100; i++) {
		world_until(w, w->now + SEC);
		world_report(w, 1, 400);
	}
	assert_null(world_find(w, ACTION_OPEN, 0));
	assert_int_equal(world_heap(w, 1).state, HEAP_IDLE);
	assert_int_equal(world_status(w).windows_granted, 0);
}

static void watermarks_are_few_and_ahead(void **state)
{
	struct world *w = *state;
	unsigned reports = 0;
	uint64_t used = 0;

	/* A client that reports only when its watermark is crossed. */
	world_join(w, 1, "a", PAGE);
	while (!world_find(w, ACTION_LOOK, 0) && used < 1000) {
		const struct action *direct = world_find(w, ACTION_DIRECT, 1);

		world_until(w, w->now + 10 * MS);
		used++;
		if (direct && used >= direct->directive.watermark) {
			world_report(w, 1, used);
			reports++;
			assert_true(world_find(w, ACTION_DIRECT, 1)->directive.watermark >
				    used);
		}
	}
	assert_in_range(used, 800, 990);
	assert_in_range(reports, 2, 20);
}

static void first_figures_are_asked_for(void **state)
{
	struct world *w = *state;
	struct event e = {.type = EVENT_JOIN, .heap = 1};

	/* A runtime whose rule says the budget with its figures only. */
	e.join.hello = (struct wire_hello){.caps = PAGE, .kinds = 1 << WIRE_MAJOR};
	world_event(w, &e);
	assert_int_equal(world_find(w, ACTION_DIRECT, 1)->directive.watermark, 1);
	e = (struct event){.type = EVENT_REPORT, .heap = 1};
	e.report = (struct wire_report){.at = w->now, .used = 10, .allocated = 10};
	world_event(w, &e);
	assert_in_range(world_find(w, ACTION_DIRECT, 1)->directive.watermark, 11, 100);
	e.report = (struct wire_report){.at = w->now, .used = 10, .budget = 1000};
	world_event(w, &e);
	assert_in_range(world_find(w, ACTION_DIRECT, 1)->directive.watermark, 100, 500);
}

/* It connects nearly full and allocates no more: no watermark would ever be crossed. */
static void nearly_full_heap_of_unknown_rate_gets_a_window(void **state)
{
	struct world *w = *state;

	world_join(w, 1, "a", PAGE);
	world_report(w, 1, 990);
	world_until(w, w->now + SEC);
	assert_non_null(world_find(w, ACTION_OPEN, 1));
}

static void looks_before_it_decides(void **state)
{
	struct world *w = *state;
	const struct action *look;

	world_join(w, 1, "a", PAGE);
	world_report(w, 1, 100);
	world_until(w, w->now + SEC);
	world_report(w, 1, 500);
	/* At that rate it would be due in about a second; the page then says it stood
	 * still. */
	world_until(w, w->now + 2 * SEC);
	look = world_find(w, ACTION_LOOK, 1);
	assert_non_null(look);
	world_deinit(w);
	world_init(w, NULL, 0, 1);

	world_join(w, 1, "a", PAGE);
	world_report(w, 1, 100);
	world_until(w, w->now + SEC);
	world_report(w, 1, 500);
	while (!world_find(w, ACTION_LOOK, 1))
		world_until(w, w->now + MS);
	world_report(w, 1, 500);
	assert_null(world_find(w, ACTION_OPEN, 1));
	/* The next look finds it nearly full. */
	world_forget(w);
	while (!world_find(w, ACTION_LOOK, 1))
		world_until(w, w->now + MS);
	world_report(w, 1, 960);
	assert_non_null(world_find(w, ACTION_OPEN, 1));
}

/* It publishes with every 50 objects, and has not since: there are no more than that. */
static void silence_bounds_the_rate(void **state)
{
	struct world *w = *state;

	for (unsigned step = 0; step <= 50; step += 50) {
		struct event e = {.type = EVENT_REPORT, .heap = 1};

		world_join(w, 1, "a", PAGE);
		world_report(w, 1, 100);
		world_until(w, w->now + SEC);
		e.report = (struct wire_report){
			.at = w->now, .used = 500, .allocated = 500, .step = step};
		world_event(w, &e);
		assert_int_equal(world_heap(w, 1).alloc_rate_per_s, 400);
		/* Long after it should have been full. */
		for (unsigned i = 0; i < 200; i++) {
			world_until(w, w->now + 20 * MS);
			if (world_find(w, ACTION_LOOK, 1))
				world_event(w, &e);
			world_forget(w);
		}
		if (step) {
			assert_int_equal(world_status(w).windows_granted, 0);
			assert_in_range(world_heap(w, 1).alloc_rate_per_s, 10, 50);
			return;
		}
		assert_true(world_status(w).windows_granted > 0);
		world_deinit(w);
		world_init(w, NULL, 0, 1);
	}
}

static void unanswered_look_falls_back_to_extrapolation(void **state)
{
	struct world *w = *state;

	world_join(w, 1, "a", PAGE);
	world_report(w, 1, 100);
	world_until(w, w->now + SEC);
	world_report(w, 1, 500);
	world_until(w, w->now + 2 * SEC);
	assert_non_null(world_find(w, ACTION_LOOK, 1));
	assert_non_null(world_find(w, ACTION_OPEN, 1));
}

/* A burst at the start makes its budget last for less than a pause: it must not collect without end. */
static void nothing_is_collected_before_it_is_worth_it(void **state)
{
	struct world *w = *state;
	unsigned collections = 0;

	world_join(w, 1, "a", 0);
	world_report(w, 1, 0);
	for (int i = 0; i < 200; i++) {
		const struct action *open;

		world_until(w, w->now + 25 * MS);
		world_report(w, 1, world_heap(w, 1).used + 240);
		open = world_find(w, ACTION_OPEN, 1);
		if (!open)
			continue;
		assert_true(world_heap(w, 1).used >= 250);
		world_begin(w, 1, open->window.window, WIRE_IN_WINDOW);
		world_until(w, w->now + 300 * MS);
		world_end(w, 1, open->window.window, WIRE_IN_WINDOW, 300 * MS);
		world_forget(w);
		collections++;
	}
	assert_in_range(collections, 20, 70);
	/* The burst is over: at most the collection that is due already, then none for long. */
	for (int i = 0; i < 60; i++) {
		const struct action *open = world_find(w, ACTION_OPEN, 1);

		if (open) {
			world_begin(w, 1, open->window.window, WIRE_IN_WINDOW);
			world_end(w, 1, open->window.window, WIRE_IN_WINDOW, MS);
			world_forget(w);
			collections++;
		}
		world_until(w, w->now + SEC);
		world_report(w, 1, world_heap(w, 1).used + 1);
	}
	assert_in_range(world_heap(w, 1).collections[WIRE_MAJOR], collections,
			collections);
	assert_in_range(world_heap(w, 1).used, 50, 61);
}

/* ---- Slots ---- */

static void one_at_a_time(void **state)
{
	struct world *w = *state;
	const struct action *open;
	uint64_t first;

	for (uint64_t heap = 1; heap <= 3; heap++)
		world_join(w, heap, "a", 0);
	open = world_fill_until(w, 3, 100, ACTION_OPEN, 20 * SEC);
	first = open->heap;
	for (int i = 0; i < 3; i++) {
		uint64_t heap = open->heap, window = open->window.window;

		assert_int_equal(world_count(w, ACTION_OPEN), i + 1);
		assert_int_equal(world_status(w).windows_open, 1);
		assert_int_equal(world_begin(w, heap, window, WIRE_IN_WINDOW), 0);
		assert_int_equal(world_heap(w, heap).state, HEAP_COLLECTING);
		world_until(w, w->now + 5 * MS);
		assert_int_equal(world_end(w, heap, window, WIRE_IN_WINDOW, 5 * MS), 0);
		if (i < 2 && world_count(w, ACTION_OPEN) == (unsigned)i + 1)
			world_fill_until(w, 3, 1, ACTION_OPEN, SEC);
		open = world_find(w, ACTION_OPEN, 0);
		if (i == 0)
			assert_int_not_equal(open->heap, first);
	}
	assert_int_equal(world_status(w).paused_max, 1);
	assert_int_equal(world_status(w).over_limit, 0);
}

static void placement_moves_starts_up(void **state)
{
	struct world *w = *state;
	nsec_t earliest = NSEC_NEVER;

	for (uint64_t heap = 1; heap <= 6; heap++)
		world_join(w, heap, "a", 0);
	for (int i = 1; i <= 4; i++) {
		world_until(w, w->now + SEC);
		for (uint64_t heap = 1; heap <= 6; heap++)
			world_report(w, heap, (uint64_t)i * 50);
	}
	world_fill_until(w, 6, 50, ACTION_OPEN, 30 * SEC);
	for (uint64_t heap = 1; heap <= 6; heap++)
		earliest = nsec_min(earliest, world_heap(w, heap).latest_start);
	/* Six equal deadlines on one slot: the first must begin five pauses before. */
	assert_true(w->now + 5 * world_heap(w, 1).predicted[WIRE_MAJOR] <=
		    earliest + 60 * MS);
}

static void host_limit_binds_over_services(void **state)
{
	struct world *w = *state;

	for (uint64_t heap = 1; heap <= 4; heap++)
		world_join(w, heap, "wide", 0);
	world_fill_until(w, 4, 100, ACTION_OPEN, 20 * SEC);
	world_fill_until(w, 4, 20, ACTION_OPEN, SEC);
	world_until(w, w->now + 5 * MS);
	assert_in_range(world_status(w).windows_open, 1, 2);
	assert_int_equal(world_status(w).over_limit, 0);
}

static void memory_goes_before_the_limit(void **state)
{
	struct world *w = *state;
	const struct action *open;

	world_join(w, 1, "a", 0);
	world_join(w, 2, "a", 0);
	open = world_fill_until(w, 2, 100, ACTION_OPEN, 20 * SEC);
	world_begin(w, open->heap, open->window.window, WIRE_IN_WINDOW);
	world_forget(w);
	/* The holder does not end; the other one's own latest start comes. */
	open = world_fill_until(w, 2, 100, ACTION_OPEN, 3 * SEC);
	assert_int_equal(world_status(w).over_limit, 1);
	assert_true(world_explains(w, open->heap, REASON_OVER_LIMIT));
	assert_true(world_explains(w, open->heap, REASON_SLOT_BUSY));
	assert_true(world_heap(w, open->heap).used < 1000);
}

/* By CPython's rule: a quarter of what lives. */
static void report_by_rule(struct world *w, uint64_t heap, uint64_t used, uint64_t live)
{
	world_event(w, &(struct event){.type = EVENT_REPORT,
				       .heap = heap,
				       .report = {.at = w->now,
						  .used = used,
						  .allocated = w->allocated[heap] + used,
						  .live = live,
						  .budget = live / 4}});
}

/* Fills from `used` on, 500 in 50 ms, until it has its window. */
static uint64_t window_by_rule(struct world *w, uint64_t heap, uint64_t used,
			       uint64_t live)
{
	world_forget(w);
	for (unsigned i = 0; i < 100 && !world_find(w, ACTION_OPEN, heap); i++) {
		world_until(w, w->now + 50 * MS);
		report_by_rule(w, heap, used += 500, live);
	}
	assert_non_null(world_find(w, ACTION_OPEN, heap));
	return world_find(w, ACTION_OPEN, heap)->window.window;
}

static void who_found_nothing_does_not_break_the_limit(void **state)
{
	struct world *w = *state;
	uint64_t window, holder;

	for (uint64_t heap = 1; heap <= 2; heap++) {
		struct event join = {.type = EVENT_JOIN, .heap = heap};

		join.join.hello = (struct wire_hello){.version_min = 1,
						      .version_max = 1,
						      .unit = WIRE_OBJECTS,
						      .kinds = 1 << WIRE_MAJOR,
						      .service = "a",
						      .heap = "h"};
		world_event(w, &join);
	}
	window = window_by_rule(w, 1, 10000, 100000);
	world_begin(w, 1, window, WIRE_IN_WINDOW);
	world_event(w, &(struct event){.type = EVENT_END,
				       .heap = 1,
				       .end = {.window = window,
					       .begin = w->now,
					       .end = w->now,
					       .live = 100000,
					       .kind = WIRE_MAJOR}});
	w->allocated[1] = 25000;
	holder = window_by_rule(w, 2, 10000, 100000);
	world_begin(w, 2, holder, WIRE_IN_WINDOW);
	/* It has grown by half, and is due; its last call comes while the other one is at it. */
	for (uint64_t used = 30000; used <= 40000; used += 500) {
		report_by_rule(w, 1, used, 160000);
		world_until(w, w->now + 50 * MS);
	}
	assert_int_equal(world_status(w).over_limit, 0);
	assert_int_equal(world_heap(w, 1).state, HEAP_WANTING);
	assert_int_equal(world_heap(w, 1).budget, 80000);
	assert_true(world_explains(w, 1, REASON_LOW_YIELD));
	world_forget(w);
	world_end(w, 2, holder, WIRE_IN_WINDOW, 10 * MS);
	assert_non_null(world_find(w, ACTION_OPEN, 1));
	assert_int_equal(world_status(w).over_limit, 0);
}

static void max_defer_ends_the_wait(void **state)
{
	struct world *w = *state;
	const struct action *open;
	nsec_t asked;

	world_join(w, 1, "hasty", 0);
	world_join(w, 2, "hasty", 0);
	open = world_fill_until(w, 2, 20, ACTION_OPEN, 1000 * SEC);
	world_begin(w, open->heap, open->window.window, WIRE_IN_WINDOW);
	asked = w->now;
	world_forget(w);
	while (!world_find(w, ACTION_OPEN, 0)) {
		world_until(w, w->now + MS);
		assert_true(w->now < asked + 100 * SEC);
	}
	/* Its last call is seconds away at this rate: it is MaxDefer that lets it
	 * through. */
	assert_in_range(w->now - asked, 50 * MS, 150 * MS);
	assert_int_equal(world_status(w).over_limit, 1);
}

/* ---- Announce, drain, open ---- */

static const struct action *announced(struct world *w, const char *service, uint32_t caps)
{
	world_join(w, 1, service, caps);
	return world_fill_until(w, 1, 100, ACTION_ANNOUNCE, 20 * SEC);
}

static void quiet_opens_at_once(void **state)
{
	struct world *w = *state;
	const struct action *a = announced(w, "a", QUIET);
	uint64_t window = a->announce.window;

	assert_true(a->announce.drain);
	assert_null(world_find(w, ACTION_OPEN, 0));
	assert_int_equal(world_heap(w, 1).state, HEAP_DRAINING);
	assert_int_equal(world_event(w, &(struct event){.type = EVENT_QUIET,
							.heap = 1,
							.quiet = {.window = window}}),
			 0);
	assert_int_equal(world_find(w, ACTION_OPEN, 1)->window.window, window);
	assert_true(world_explains(w, 1, REASON_QUIET));
}

static void lead_runs_out(void **state)
{
	struct world *w = *state;
	const struct action *a = announced(w, "a", QUIET);
	nsec_t by = a->announce.opens_by;

	assert_true(by <= w->now + 200 * MS);
	world_until(w, by - 1);
	assert_null(world_find(w, ACTION_OPEN, 0));
	world_until(w, by);
	assert_non_null(world_find(w, ACTION_OPEN, 1));
	assert_true(world_explains(w, 1, REASON_LEAD_OVER));
}

static void quiet_for_another_window_is_refused(void **state)
{
	struct world *w = *state;
	const struct action *a = announced(w, "a", QUIET);
	struct event e = {.type = EVENT_QUIET, .heap = 1};

	e.quiet.window = a->announce.window + 1;
	assert_int_equal(world_event(w, &e), CORE_E_WINDOW);
	assert_null(world_find(w, ACTION_OPEN, 0));
}

static void every_drain_is_undone(void **state)
{
	struct world *w = *state;
	/* What may happen between the drain and the end of the window. */
	enum {
		ENDED,
		LEFT,
		LOST,
		DECLINED,
		EXPIRED,
		FORCED,
		UNDRAINABLE,
		CASES
	};

	for (int how = 0; how < CASES; how++) {
		const struct action *a = announced(w, "drained", QUIET);
		uint64_t window = a->announce.window;
		struct event e = {.heap = 1};

		assert_false(
			a->announce.drain); /* the balancer does it, not the client */
		e.type = EVENT_QUIET;
		e.quiet.window = window;
		assert_int_equal(world_event(w, &e), 0);
		assert_null(world_find(w, ACTION_OPEN, 0));
		assert_int_equal(world_count(w, ACTION_DRAIN), 1);
		assert_int_equal(world_find(w, ACTION_DRAIN, 1)->revoke.window, window);
		e.type = how == UNDRAINABLE ? EVENT_UNDRAINABLE : EVENT_DRAINED;
		e.window = window;
		if (how != LOST)
			assert_int_equal(world_event(w, &e), 0);
		assert_int_equal(world_count(w, ACTION_OPEN), how != LOST);
		assert_int_equal(world_count(w, ACTION_UNDRAIN), 0);
		if (how == ENDED || how == UNDRAINABLE) {
			world_begin(w, 1, window, WIRE_IN_WINDOW);
			world_end(w, 1, window, WIRE_IN_WINDOW, MS);
		} else if (how == LEFT) {
			world_leave(w, 1);
		} else if (how == LOST) {
			e.type = EVENT_LOST;
			world_event(w, &e);
		} else if (how == DECLINED) {
			e.type = EVENT_DECLINE;
			e.decline.window = window;
			assert_int_equal(world_event(w, &e), 0);
		} else if (how == EXPIRED) {
			world_until(w, world_find(w, ACTION_OPEN, 1)->window.closes);
		} else {
			world_begin(w, 1, 0, WIRE_FORCED);
			world_end(w, 1, 0, WIRE_FORCED, MS);
		}
		assert_int_equal(world_count(w, ACTION_UNDRAIN), 1);
		assert_int_equal(world_find(w, ACTION_UNDRAIN, 1)->revoke.window, window);
		assert_int_equal(world_status(w).windows_open, 0);
		if (how != LEFT)
			world_leave(w, 1);
		world_forget(w);
		memset(w->allocated, 0, sizeof(w->allocated));
	}
}

/* ---- Windows that come to nothing ---- */

static void expired_window_is_offered_again(void **state)
{
	struct world *w = *state;
	const struct action *open;
	nsec_t closes;

	world_join(w, 1, "a", 0);
	open = world_fill_until(w, 1, 20, ACTION_OPEN, 100 * SEC);
	closes = open->window.closes;
	world_forget(w);
	world_until(w, closes - 1);
	assert_null(world_find(w, ACTION_REVOKE, 1));
	world_until(w, closes);
	assert_non_null(world_find(w, ACTION_REVOKE, 1));
	assert_int_equal(world_heap(w, 1).expired, 1);
	assert_null(world_find(w, ACTION_OPEN, 1));
	world_until(w, closes + SEC);
	assert_non_null(world_find(w, ACTION_OPEN, 1));
}

static void late_frame_of_a_begin_in_time_is_believed(void **state)
{
	struct world *w = *state;
	const struct action *open;
	struct event e = {.type = EVENT_BEGIN, .heap = 1};

	world_join(w, 1, "a", 0);
	open = world_fill_until(w, 1, 100, ACTION_OPEN, 20 * SEC);
	e.begin = (struct wire_begin){
		.window = open->window.window, .at = w->now + MS, .kind = WIRE_MAJOR};
	world_until(w, open->window.closes);
	assert_int_equal(world_status(w).windows_open, 0);
	assert_int_equal(world_event(w, &e), 0);
	assert_int_equal(world_status(w).windows_open, 1);
	assert_int_equal(world_heap(w, 1).state, HEAP_COLLECTING);
	/* One that began after it closed is not. */
	world_end(w, 1, e.begin.window, WIRE_IN_WINDOW, MS);
	world_until(w, w->now + SEC);
	e.begin.at = w->now;
	assert_int_equal(world_event(w, &e), CORE_E_WINDOW);
	assert_int_equal(world_heap(w, 1).violations, 1);
}

/* The daemon has found its window moot, which it has not seen yet: what it begins is a pause, and is counted. */
static void begin_in_a_window_that_was_revoked_just_now(void **state)
{
	struct world *w = *state;
	const struct action *open;
	struct event e = {.type = EVENT_BEGIN, .heap = 1};

	world_join(w, 1, "a", 0);
	open = world_fill_until(w, 1, 100, ACTION_OPEN, 20 * SEC);
	e.begin = (struct wire_begin){
		.window = open->window.window, .at = w->now + 5 * MS, .kind = WIRE_MAJOR};
	assert_int_equal(world_end(w, 1, 0, WIRE_FORCED, MS), 0);
	assert_true(world_explains(w, 1, REASON_MOOT));
	assert_int_equal(world_status(w).windows_open, 0);
	world_until(w, w->now + 6 * MS);
	assert_int_equal(world_event(w, &e), 0);
	assert_int_equal(world_status(w).paused_now, 1);
	assert_int_equal(world_heap(w, 1).violations, 0);
}

static void overrun_keeps_its_slot_for_a_while(void **state)
{
	struct world *w = *state;
	const struct action *open;
	nsec_t closes;
	uint64_t window;

	world_join(w, 1, "a", 0);
	open = world_fill_until(w, 1, 100, ACTION_OPEN, 20 * SEC);
	closes = open->window.closes;
	window = open->window.window;
	world_begin(w, 1, window, WIRE_IN_WINDOW);
	world_until(w, closes + 500 * MS);
	assert_int_equal(world_status(w).windows_open, 1);
	assert_int_equal(world_end(w, 1, window, WIRE_IN_WINDOW, SEC), 0);
	assert_int_equal(world_status(w).overruns, 1);
	assert_int_equal(world_status(w).windows_open, 0);
}

static void stopped_holder_loses_its_slot(void **state)
{
	struct world *w = *state;
	const struct action *open;
	uint64_t window;

	world_join(w, 1, "a", 0);
	open = world_fill_until(w, 1, 100, ACTION_OPEN, 20 * SEC);
	window = open->window.window;
	world_begin(w, 1, window, WIRE_IN_WINDOW);
	world_until(w, w->now + 60 * SEC);
	assert_int_equal(world_status(w).windows_open, 0);
	assert_int_equal(world_status(w).paused_now, 0);
	assert_int_equal(world_status(w).overruns, 1);
	/* Its END is still taken: the pause was real. */
	assert_int_equal(world_end(w, 1, window, WIRE_IN_WINDOW, 60 * SEC), 0);
	assert_int_equal(world_heap(w, 1).collections[WIRE_MAJOR], 1);
}

/* ---- Collections outside windows ---- */

static void forced_and_uncoordinated_are_counted(void **state)
{
	struct world *w = *state;

	world_join(w, 1, "a", 0);
	world_report(w, 1, 10);
	assert_int_equal(world_begin(w, 1, 0, WIRE_FORCED), 0);
	assert_int_equal(world_status(w).paused_now, 1);
	assert_int_equal(world_end(w, 1, 0, WIRE_FORCED, MS), 0);
	/* Told after the fact: an END alone. */
	assert_int_equal(world_end(w, 1, 0, WIRE_UNCOORDINATED, MS), 0);
	assert_int_equal(world_status(w).forced, 1);
	assert_int_equal(world_status(w).uncoordinated, 1);
	assert_int_equal(world_status(w).paused_now, 0);
	assert_int_equal(world_heap(w, 1).collections[WIRE_MAJOR], 2);
}

static void collection_makes_a_waiting_window_moot(void **state)
{
	struct world *w = *state;
	const struct action *a = announced(w, "a", QUIET);
	uint64_t window = a->announce.window;

	world_end(w, 1, 0, WIRE_UNCOORDINATED, MS);
	assert_int_equal(world_find(w, ACTION_REVOKE, 1)->revoke.window, window);
	assert_int_equal(world_find(w, ACTION_REVOKE, 1)->revoke.reason, REASON_MOOT);
	assert_int_equal(world_status(w).windows_open, 0);
}

static void frames_out_of_order_cost_the_liar_only(void **state)
{
	struct world *w = *state;

	world_join(w, 1, "a", 0);
	assert_int_equal(world_end(w, 1, 77, WIRE_IN_WINDOW, MS), CORE_E_WINDOW);
	assert_int_equal(world_begin(w, 1, 77, WIRE_IN_WINDOW), CORE_E_WINDOW);
	assert_int_equal(world_begin(w, 1, 0, WIRE_IN_WINDOW), CORE_E_WINDOW);
	assert_int_equal(world_begin(w, 1, 0, WIRE_FORCED), 0);
	assert_int_equal(world_begin(w, 1, 0, WIRE_FORCED), CORE_E_ORDER);
	assert_int_equal(world_heap(w, 1).violations, 4);
	assert_int_equal(world_leave(w, 1), 0);
	assert_int_equal(world_leave(w, 1), CORE_E_HEAP);
	assert_int_equal(world_status(w).paused_now, 0);
}

/* ---- Death and return ---- */

static void death_frees_the_slot_at_once(void **state)
{
	struct world *w = *state;
	const struct action *open;

	world_join(w, 1, "a", 0);
	open = world_fill_until(w, 1, 100, ACTION_OPEN, 20 * SEC);
	world_begin(w, 1, open->window.window, WIRE_IN_WINDOW);
	world_leave(w, 1);
	assert_int_equal(world_status(w).windows_open, 0);
	assert_int_equal(world_status(w).paused_now, 0);
	assert_int_equal(world_status(w).heaps, 0);
	assert_int_equal(world_status(w).services, 0);
	assert_int_equal(supervisor_deadline(w->core), NSEC_NEVER);
}

static int rejoin(struct world *w, uint64_t heap, int32_t pid, uint64_t window,
		  nsec_t closes)
{
	struct event e = {.type = EVENT_JOIN, .heap = heap};

	e.join.uid = 1000;
	e.join.pid = pid;
	e.join.hello = (struct wire_hello){.unit = WIRE_OBJECTS,
					   .kinds = 1 << WIRE_MAJOR,
					   .budget = 1000,
					   .prev_epoch = 5,
					   .prev_window = window,
					   .prev_closes = closes};
	strcpy(e.join.hello.service, "a");
	strcpy(e.join.hello.heap, "again");
	return world_event(w, &e);
}

static void lost_holder_comes_back_with_its_slot(void **state)
{
	struct world *w = *state;
	const struct action *open;
	uint64_t window;

	world_join(w, 1, "a", 0);
	open = world_fill_until(w, 1, 100, ACTION_OPEN, 20 * SEC);
	window = open->window.window;
	world_begin(w, 1, window, WIRE_IN_WINDOW);
	world_event(w, &(struct event){.type = EVENT_LOST, .heap = 1});
	assert_int_equal(world_heap(w, 1).state, HEAP_LOST);
	assert_int_equal(world_status(w).windows_open, 1);
	assert_int_equal(rejoin(w, 2, 1, window, open->window.closes), 0);
	assert_int_equal(world_status(w).windows_open, 1);
	assert_int_equal(world_status(w).paused_now, 1);
	assert_int_equal(world_end(w, 2, window, WIRE_IN_WINDOW, 5 * MS), 0);
	assert_int_equal(world_status(w).windows_open, 0);
}

static void window_of_a_former_daemon_counts(void **state)
{
	struct world *w = *state;

	world_join(w, 1, "a", 0);
	assert_int_equal(rejoin(w, 2, 2, 12345, w->now + SEC), 0);
	assert_int_equal(world_status(w).windows_open, 1);
	assert_true(world_explains(w, 2, REASON_ADOPTED));
	/* The slot is taken: heap 1 waits for it. */
	for (int i = 0; i < 8; i++) {
		world_until(w, w->now + 100 * MS);
		world_report(w, 1, (uint64_t)i * 100);
	}
	assert_null(world_find(w, ACTION_OPEN, 1));
	world_end(w, 2, 12345, WIRE_IN_WINDOW, 5 * MS);
	assert_int_equal(world_status(w).overruns, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(opens_before_the_budget_is_used_up),
		T(quiet_heap_is_left_alone),
		T(watermarks_are_few_and_ahead),
		T(first_figures_are_asked_for),
		T(nearly_full_heap_of_unknown_rate_gets_a_window),
		T(looks_before_it_decides),
		T(silence_bounds_the_rate),
		T(unanswered_look_falls_back_to_extrapolation),
		T(nothing_is_collected_before_it_is_worth_it),
		T(one_at_a_time),
		T(placement_moves_starts_up),
		T(host_limit_binds_over_services),
		T(memory_goes_before_the_limit),
		T(who_found_nothing_does_not_break_the_limit),
		T(max_defer_ends_the_wait),
		T(quiet_opens_at_once),
		T(lead_runs_out),
		T(quiet_for_another_window_is_refused),
		T(every_drain_is_undone),
		T(expired_window_is_offered_again),
		T(late_frame_of_a_begin_in_time_is_believed),
		T(begin_in_a_window_that_was_revoked_just_now),
		T(overrun_keeps_its_slot_for_a_while),
		T(stopped_holder_loses_its_slot),
		T(forced_and_uncoordinated_are_counted),
		T(collection_makes_a_waiting_window_moot),
		T(frames_out_of_order_cost_the_liar_only),
		T(death_frees_the_slot_at_once),
		T(lost_holder_comes_back_with_its_slot),
		T(window_of_a_former_daemon_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
