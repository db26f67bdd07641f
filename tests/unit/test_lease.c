/* SPDX-License-Identifier: MIT */
/* Who does not keep to a window, or cannot say that it does: what that costs, and whom. */
#include <string.h>

#include "daemon/core/memory.h"
#include "tests/unit/world.h"

/* ---- Lost in an open window: it may be in use, and END cannot be told ---- */

static void is_held_for_the_grace(struct world *w, nsec_t closes)
{
	world_until(w, closes + MS);
	assert_int_equal(world_status(w).windows_open, 1);
	world_until(w, closes + 900 * MS);
	assert_int_equal(world_status(w).windows_open, 1);
	world_until(w, closes + 40 * SEC);
	assert_int_equal(world_status(w).windows_open, 0);
}

static void open_window_of_a_lost_heap_has_its_grace(void **state)
{
	struct world *w = *state;
	const struct action *open;
	nsec_t closes;

	world_join(w, 1, "a", 0);
	open = world_fill_until(w, 1, 100, ACTION_OPEN, 20 * SEC);
	closes = open->window.closes;
	world_event(w, &(struct event){.type = EVENT_LOST, .heap = 1});
	is_held_for_the_grace(w, closes);
}

static void open_window_of_a_former_run_has_its_grace(void **state)
{
	struct world *w = *state, after;
	const struct action *open;
	struct core_memory memory;
	struct core_window window;

	world_join(w, 1, "a", 0);
	open = world_fill_until(w, 1, 100, ACTION_OPEN, 20 * SEC);
	assert_true(supervisor_memory(w->core, 1, &memory));
	assert_int_equal(memory.held.hold, CORE_HOLDS_OPEN);
	world_init(&after, NULL, 0, 1);
	after.now = w->now + 10 * MS;
	assert_int_equal(supervisor_restore(after.core, 7, &memory, after.now), 0);
	assert_true(supervisor_window_after(after.core, 0, &window));
	assert_int_equal(window.id, open->window.window);
	is_held_for_the_grace(&after, memory.held.closes);
	world_deinit(&after);
}

/* ---- Windows that are not kept to ---- */

/* Heap 2 fills and collects as it should for so long; the longest it was kept waiting. */
struct honest {
	unsigned windows;
	nsec_t longest;
};

/* What heap 1 does when a window opens for it: nothing, or it begins and does not end. */
static void live(struct world *w, nsec_t until, bool begins, struct honest *ret,
		 nsec_t *ret_held)
{
	uint64_t used = 0, seen[2] = {0, 0};

	*ret = (struct honest){0};
	*ret_held = 0;
	while (w->now < until) {
		struct core_window win;

		world_until(w, w->now + 10 * MS);
		world_report(w, 1, 990); /* it is always full */
		used += 2;
		world_report(w, 2, used);
		for (uint64_t after = 0; supervisor_window_after(w->core, after, &win);
		     after = win.heap) {
			if (win.heap == 1)
				*ret_held += 10 * MS;
			if (win.state != WINDOW_OPEN || win.id == seen[win.heap - 1])
				continue;
			seen[win.heap - 1] = win.id;
			if (win.heap == 1 && begins)
				world_begin(w, 1, win.id, WIRE_IN_WINDOW);
			if (win.heap == 1)
				continue;
			if (win.wanted != NSEC_NEVER)
				ret->longest =
					nsec_max(ret->longest, w->now - win.wanted);
			world_begin(w, 2, win.id, WIRE_IN_WINDOW);
			world_until(w, w->now + 5 * MS);
			world_end(w, 2, win.id, WIRE_IN_WINDOW, 5 * MS);
			ret->windows++;
			used = 0;
		}
		world_forget(w);
	}
}

static void costs_the_liar_only(struct world *w, bool begins)
{
	struct honest honest;
	nsec_t held;

	world_join(w, 1, "a", 0);
	world_join(w, 2, "a", 0);
	live(w, w->now + 30 * SEC, begins, &honest, &held); /* until it is known for it */
	assert_true(world_heap(w, 1).strikes >= 3);
	live(w, w->now + 300 * SEC, begins, &honest, &held);
	/* A tenth of the slot at most, mostly far less. */
	assert_true(held <= 30 * SEC);
	assert_true(honest.windows >= 40);
	assert_int_equal(world_heap(w, 2).strikes, 0);
	assert_int_equal(world_heap(w, 2).forced, 0);
	assert_int_equal(world_heap(w, 2).overruns, 0);
	/* It is served all the same, once in MaxDefer at least. */
	assert_true(held > 0);
}

static void never_beginning_costs_the_liar_only(void **state)
{
	struct world *w = *state;

	costs_the_liar_only(w, false);
	assert_true(world_heap(w, 1).expired >= 8);
}

static void never_ending_costs_the_liar_only(void **state)
{
	struct world *w = *state;

	costs_the_liar_only(w, true);
	assert_true(world_heap(w, 1).overruns >= 4);
}

static void one_that_keeps_to_its_window_is_believed_again(void **state)
{
	struct world *w = *state;
	const struct action *open;

	world_join(w, 1, "a", 0);
	for (int i = 0; i < 4; i++) {
		open = world_fill_until(w, 1, 100, ACTION_OPEN, 20 * SEC);
		world_until(w, open->window.closes);
		world_forget(w);
	}
	assert_int_equal(world_heap(w, 1).strikes, 4);
	open = world_fill_until(w, 1, 100, ACTION_OPEN, 40 * SEC);
	world_begin(w, 1, open->window.window, WIRE_IN_WINDOW);
	world_until(w, w->now + 5 * MS);
	world_end(w, 1, open->window.window, WIRE_IN_WINDOW, 5 * MS);
	assert_int_equal(world_heap(w, 1).strikes, 0);
}

/* A long pause that it claims to need does not keep the slot that it does not use. */
static void waits_for_no_begin_for_ever(void **state)
{
	struct world *w = *state;
	const struct action *open;
	nsec_t opens;

	world_join(w, 1, "a", 0);
	world_until(w, w->now + 280 * SEC);
	world_end(w, 1, 0, WIRE_UNCOORDINATED, 250 * SEC);
	open = world_fill_until(w, 1, 100, ACTION_OPEN, 40 * SEC);
	opens = open->window.opens;
	assert_true(open->window.closes > opens + 100 * SEC);
	world_until(w, opens + 31 * SEC);
	assert_int_equal(world_heap(w, 1).expired, 1);
}

/* ---- Windows that nobody gave ---- */

static void come_back(struct world *w, uint64_t heap, int32_t pid, uint64_t window)
{
	struct event e = {.type = EVENT_JOIN, .heap = heap};

	e.join.uid = 1000;
	e.join.pid = pid;
	e.join.hello = (struct wire_hello){.unit = WIRE_OBJECTS,
					   .kinds = 1 << WIRE_MAJOR,
					   .budget = 1000,
					   .prev_epoch = 5,
					   .prev_window = window,
					   .prev_closes = w->now + 20 * SEC};
	strcpy(e.join.hello.service, "a");
	strcpy(e.join.hello.heap, "again");
	assert_int_equal(world_event(w, &e), 0);
}

static void invented_window_takes_no_slot(void **state)
{
	struct world *w = *state;
	const struct action *open;
	uint64_t window;

	world_join(w, 1, "a", 0);
	world_until(w, w->now + 200 * SEC);
	come_back(w, 2, 2, 12345);
	assert_int_equal(world_status(w).windows_open, 0);
	assert_int_equal(world_heap(w, 2).violations, 1);
	/* One that was given is known again, whatever became of its connection. */
	open = world_fill_until(w, 1, 100, ACTION_OPEN, 20 * SEC);
	window = open->window.window;
	world_begin(w, 1, window, WIRE_IN_WINDOW);
	come_back(w, 3, 3, window); /* but of another process */
	assert_int_equal(world_status(w).windows_open, 1);
	assert_int_equal(world_heap(w, 3).violations, 1);
	world_event(w, &(struct event){.type = EVENT_LOST, .heap = 1});
	come_back(w, 4, 1, window);
	assert_int_equal(world_status(w).windows_open, 1);
	assert_int_equal(world_heap(w, 4).state, HEAP_COLLECTING);
	assert_int_equal(world_heap(w, 4).violations, 0);
}

/* ---- Figures that cannot be ---- */

static void absurd_figures_are_counted_and_dropped(void **state)
{
	struct world *w = *state;
	struct event report = {
		.type = EVENT_REPORT,
		.heap = 1,
		.report = {.at = w->now, .used = UINT64_MAX, .allocated = UINT64_MAX},
	};
	struct event end = {
		.type = EVENT_END,
		.heap = 1,
		.end = {.begin = 0,
			.end = UINT64_MAX,
			.live = UINT64_MAX,
			.kind = WIRE_MAJOR,
			.cause = WIRE_UNCOORDINATED},
	};

	world_join(w, 1, "a", 0);
	world_report(w, 1, 500);
	world_event(w, &report);
	assert_int_equal(world_heap(w, 1).absurd, 1);
	assert_int_equal(world_heap(w, 1).used, 500);
	world_event(w, &end);
	assert_int_equal(world_heap(w, 1).absurd, 2);
	assert_int_equal(world_heap(w, 1).last_pause, 0);
	assert_int_equal(world_heap(w, 1).collections[WIRE_MAJOR], 0);
	assert_int_equal(world_status(w).uncoordinated, 1);
	/* And an hour's pause in the middle of it. */
	world_until(w, w->now + 3600 * SEC);
	world_end(w, 1, 0, WIRE_FORCED, 3600 * SEC);
	assert_int_equal(world_heap(w, 1).absurd, 3);
	assert_int_equal(world_heap(w, 1).last_pause, 0);
	assert_int_equal(world_heap(w, 1).forced, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(open_window_of_a_lost_heap_has_its_grace),
		T(open_window_of_a_former_run_has_its_grace),
		T(never_beginning_costs_the_liar_only),
		T(never_ending_costs_the_liar_only),
		T(one_that_keeps_to_its_window_is_believed_again),
		T(waits_for_no_begin_for_ever),
		T(invented_window_takes_no_slot),
		T(absurd_figures_are_counted_and_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
