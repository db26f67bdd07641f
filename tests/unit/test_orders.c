/* SPDX-License-Identifier: MIT */
/* What an operator orders: a service held back, a heap that is to collect now. */
#include <string.h>

#include "tests/unit/world.h"

static int hold(struct world *w, uint64_t heap, bool held)
{
	struct event e = {.type = EVENT_HOLD, .heap = heap, .held = held};

	return world_event(w, &e);
}

static int collect(struct world *w, uint64_t heap)
{
	struct event e = {.type = EVENT_COLLECT, .heap = heap};

	return world_event(w, &e);
}

static int offer(struct world *w, uint64_t heap, unsigned kinds)
{
	struct event e = {.type = EVENT_OFFER, .heap = heap};

	e.offer.kinds = (uint8_t)kinds;
	return world_event(w, &e);
}

static struct core_service service(const struct world *w)
{
	struct core_service service;

	assert_true(supervisor_service(w->core, 0, w->now, &service));
	return service;
}

/* So that it is due, and its last call is seconds away. */
static void become_due(struct world *w, uint64_t heap)
{
	world_report(w, heap, 0);
	world_until(w, w->now + 100 * SEC);
	world_report(w, heap, 910);
}

/* ---- hold ---- */

static void held_heap_waits_for_release(void **state)
{
	struct world *w = *state;

	world_join(w, 1, "a", 0);
	assert_int_equal(hold(w, 1, true), 0);
	become_due(w, 1);
	world_until(w, w->now + SEC);
	assert_null(world_find(w, ACTION_OPEN, 0));
	assert_int_equal(world_heap(w, 1).state, HEAP_HELD);
	assert_true(world_heap(w, 1).held && service(w).held);
	assert_true(world_explains(w, 1, REASON_HELD));
	hold(w, 1, false);
	assert_non_null(world_find(w, ACTION_OPEN, 1));
	assert_true(world_explains(w, 1, REASON_DUE));
	assert_false(world_heap(w, 1).held || service(w).held);
}

static void holds_all_of_its_service_and_nobody_else(void **state)
{
	struct world *w = *state;

	world_join(w, 1, "wide", 0);
	world_join(w, 2, "wide", 0);
	world_join(w, 3, "b", 0);
	hold(w, 2, true);
	world_join(w, 4, "wide", 0); /* who comes later as well */
	for (uint64_t heap = 1; heap <= 4; heap++)
		world_report(w, heap, 0);
	world_until(w, w->now + 100 * SEC);
	for (uint64_t heap = 1; heap <= 4; heap++)
		world_report(w, heap, 910);
	assert_non_null(world_find(w, ACTION_OPEN, 3));
	assert_int_equal(world_count(w, ACTION_OPEN), 1);
	for (uint64_t heap = 1; heap <= 4; heap++)
		assert_int_equal(world_heap(w, heap).state == HEAP_HELD, heap != 3);
}

/* It waits in vain until its last call, then memory goes first: a slot is free, so the limit holds. */
static void last_call_ends_the_wait(void **state)
{
	struct world *w = *state;
	const struct action *open;

	world_join(w, 1, "a", 0);
	hold(w, 1, true);
	open = world_fill_until(w, 1, 20, ACTION_OPEN, 120 * SEC);
	assert_true(open->window.must);
	assert_in_range(world_heap(w, 1).used, 920, 999);
	assert_true(world_explains(w, 1, REASON_HELD));
	assert_true(world_explains(w, 1, REASON_LAST_CALL));
	assert_int_equal(world_status(w).over_limit, 0);
	assert_true(service(w).held);
}

static void last_call_without_a_slot_is_over_the_limit(void **state)
{
	struct world *w = *state;

	world_join(w, 1, "a", 0);
	world_join(w, 2, "a", 0);
	world_report(w, 2, 0);
	become_due(w, 1);
	world_begin(w, 1, world_find(w, ACTION_OPEN, 1)->window.window, WIRE_IN_WINDOW);
	hold(w, 2, true);
	world_report(w, 2, 999);
	world_until(w, w->now + MS);
	assert_non_null(world_find(w, ACTION_OPEN, 2));
	assert_int_equal(world_status(w).over_limit, 1);
	assert_true(world_explains(w, 2, REASON_OVER_LIMIT));
}

static void slack_of_a_held_heap_is_not_used(void **state)
{
	struct world *w = *state;
	struct event e = {.type = EVENT_IDLE, .heap = 1};

	world_join(w, 1, "a", 0);
	world_report(w, 1, 700);
	hold(w, 1, true);
	e.idle.until = w->now + 10 * SEC;
	world_event(w, &e);
	assert_null(world_find(w, ACTION_OPEN, 0));
	hold(w, 1, false);
	e.idle.until = w->now + 10 * SEC;
	world_event(w, &e);
	assert_non_null(world_find(w, ACTION_OPEN, 1));
}

static void held_snapshots_wait_as_well(void **state)
{
	struct world *w = *state;

	world_join(w, 1, "a", 0);
	offer(w, 1, 1 << WIRE_SNAPSHOT);
	hold(w, 1, true);
	become_due(w, 1);
	assert_null(world_find(w, ACTION_OPEN, 0));
	assert_int_equal(world_heap(w, 1).state, HEAP_HELD);
	hold(w, 1, false);
	assert_int_equal(world_find(w, ACTION_OPEN, 1)->window.kind, WIRE_SNAPSHOT);
}

static void held_round_waits(void **state)
{
	struct world *w = *state;

	world_join(w, 1, "ranks", 0);
	world_join(w, 2, "ranks", 0);
	hold(w, 1, true);
	become_due(w, 1);
	world_report(w, 2, 500);
	assert_null(world_find(w, ACTION_OPEN, 0));
	hold(w, 2, false);
	assert_non_null(world_find(w, ACTION_OPEN, 1));
	assert_non_null(world_find(w, ACTION_OPEN, 2));
}

static void what_is_open_stays(void **state)
{
	struct world *w = *state;
	uint64_t window;

	world_join(w, 1, "a", 0);
	become_due(w, 1);
	window = world_find(w, ACTION_OPEN, 1)->window.window;
	hold(w, 1, true);
	assert_null(world_find(w, ACTION_REVOKE, 1));
	assert_int_equal(world_begin(w, 1, window, WIRE_IN_WINDOW), 0);
	assert_int_equal(world_end(w, 1, window, WIRE_IN_WINDOW, 5 * MS), 0);
}

/* ---- collect ---- */

static void asked_heap_collects_whatever_it_has_used(void **state)
{
	struct world *w = *state;
	uint64_t window;

	world_join(w, 1, "a", 0);
	world_report(w, 1, 3);
	assert_int_equal(collect(w, 1), 0);
	window = world_find(w, ACTION_OPEN, 1)->window.window;
	assert_int_equal(world_find(w, ACTION_OPEN, 1)->window.kind, WIRE_MAJOR);
	assert_true(world_explains(w, 1, REASON_ASKED));
	assert_int_equal(collect(w, 1), 0); /* it does already */
	world_begin(w, 1, window, WIRE_IN_WINDOW);
	assert_int_equal(collect(w, 1), 0);
	world_end(w, 1, window, WIRE_IN_WINDOW, 5 * MS);
	/* Once. */
	world_forget(w);
	world_report(w, 1, 4);
	world_until(w, w->now + 10 * SEC);
	assert_null(world_find(w, ACTION_OPEN, 0));
}

static void asked_heap_waits_for_its_slot(void **state)
{
	struct world *w = *state;
	uint64_t window;

	world_join(w, 1, "a", 0);
	world_join(w, 2, "a", 0);
	collect(w, 1);
	window = world_find(w, ACTION_OPEN, 1)->window.window;
	world_begin(w, 1, window, WIRE_IN_WINDOW);
	collect(w, 2);
	assert_null(world_find(w, ACTION_OPEN, 2));
	assert_int_equal(world_heap(w, 2).state, HEAP_WANTING);
	world_end(w, 1, window, WIRE_IN_WINDOW, 5 * MS);
	assert_non_null(world_find(w, ACTION_OPEN, 2));
	assert_int_equal(world_status(w).over_limit, 0);
}

static void asked_heap_respects_its_deadline(void **state)
{
	struct world *w = *state;
	struct event e = {.type = EVENT_DEADLINE, .heap = 1};

	world_join(w, 1, "a", 0);
	world_report(w, 1, 3);
	e.deadline.at = w->now + MS; /* shorter than any pause that is predicted */
	world_event(w, &e);
	assert_true(world_heap(w, 1).predicted[WIRE_MAJOR] > MS / 2);
	collect(w, 1);
	assert_null(world_find(w, ACTION_OPEN, 0));
	world_until(w, w->now + 100 * MS);
	assert_non_null(world_find(w, ACTION_OPEN, 1));
	assert_true(world_find(w, ACTION_OPEN, 1)->window.opens >= e.deadline.at);
}

/* What was learned of empty collections does not count when somebody asks. */
static void asked_heap_is_not_frozen(void **state)
{
	struct world *w = *state;

	world_join(w, 1, "a", 0);
	offer(w, 1, 1 << WIRE_MAJOR | 1 << WIRE_FREEZE);
	for (int i = 0; i < 8; i++) {
		const struct action *open;

		world_report(w, 1, 950);
		world_until(w, w->now + 10 * SEC);
		open = world_find(w, ACTION_OPEN, 1);
		if (open && open->window.kind == WIRE_FREEZE)
			break;
		assert_non_null(open);
		world_begin(w, 1, open->window.window, WIRE_IN_WINDOW);
		world_end(w, 1, open->window.window, WIRE_IN_WINDOW, 5 * MS);
		world_forget(w);
	}
	assert_int_equal(world_find(w, ACTION_OPEN, 1)->window.kind, WIRE_FREEZE);
	world_until(w, w->now + 100 * SEC); /* unused */
	world_forget(w);
	collect(w, 1);
	assert_int_equal(world_find(w, ACTION_OPEN, 1)->window.kind, WIRE_MAJOR);
}

static void heap_without_a_budget_can_be_asked(void **state)
{
	struct world *w = *state;
	struct event e = {.type = EVENT_JOIN, .heap = 1};

	e.join.hello = (struct wire_hello){.kinds = 1 << WIRE_MAJOR};
	strcpy(e.join.hello.service, "a");
	world_event(w, &e);
	assert_int_equal(world_heap(w, 1).budget, 0);
	assert_int_equal(collect(w, 1), 0);
	assert_non_null(world_find(w, ACTION_OPEN, 1));
}

static void refused_where_nothing_would_come_of_it(void **state)
{
	struct world *w = *state;
	struct event lost = {.type = EVENT_LOST, .heap = 1};

	assert_int_equal(collect(w, 1), CORE_E_HEAP);
	assert_int_equal(hold(w, 1, true), CORE_E_HEAP);
	world_join(w, 1, "a", 0);
	offer(w, 1, 1 << WIRE_MINOR);
	assert_int_equal(collect(w, 1), CORE_E_CANNOT);
	offer(w, 1, 1 << WIRE_MAJOR);
	world_event(w, &lost);
	assert_int_equal(collect(w, 1), CORE_E_CANNOT);
}

/* A client that lets the window pass is not asked again and again. */
static void who_does_not_want_to_is_not_pressed(void **state)
{
	struct world *w = *state;

	world_join(w, 1, "a", 0);
	world_report(w, 1, 3);
	collect(w, 1);
	world_until(w, w->now + 600 * SEC);
	assert_int_equal(world_count(w, ACTION_OPEN), 1);
	assert_int_equal(world_heap(w, 1).expired, 1);
}

/* ---- what another core is told ---- */

static void snapshot_holds_both(void **state)
{
	struct world *w = *state;
	struct core_snapshot snapshot;
	unsigned seen = 0;

	world_join(w, 1, "a", 0);
	world_join(w, 2, "a", 0);
	become_due(w, 1);
	hold(w, 1, true);
	collect(w, 2);
	assert_true(supervisor_snapshot_after(w->core, 1, w->now, &snapshot));
	for (unsigned i = 0; i < snapshot.n; i++)
		seen |= 1u << snapshot.events[i].type;
	assert_true(seen & 1u << EVENT_HOLD && seen & 1u << EVENT_COLLECT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(held_heap_waits_for_release),
		T(holds_all_of_its_service_and_nobody_else),
		T(last_call_ends_the_wait),
		T(last_call_without_a_slot_is_over_the_limit),
		T(slack_of_a_held_heap_is_not_used),
		T(held_snapshots_wait_as_well),
		T(held_round_waits),
		T(what_is_open_stays),
		T(asked_heap_collects_whatever_it_has_used),
		T(asked_heap_waits_for_its_slot),
		T(asked_heap_respects_its_deadline),
		T(asked_heap_is_not_frozen),
		T(heap_without_a_budget_can_be_asked),
		T(refused_where_nothing_would_come_of_it),
		T(who_does_not_want_to_is_not_pressed),
		T(snapshot_holds_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
