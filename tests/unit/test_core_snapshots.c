/* SPDX-License-Identifier: MIT */
/* Snapshots of programs that a balancer drains: for how long, and in which order. */
#include "tests/unit/world.h"

/* Of a long snapshot the fork alone is waited out: then the balancer has the server back. */
static void a_long_snapshot_is_drained_for_its_fork(void **state)
{
	struct world *w = *state;
	struct event e = {.type = EVENT_OFFER,
			  .offer = {.kinds = 1 << WIRE_SNAPSHOT | 1 << WIRE_MINOR}};
	const struct action *a;
	struct core_decision decisions[CORE_DECISIONS];
	uint64_t window;
	nsec_t predicted;
	unsigned n;

	for (e.heap = 1; e.heap <= 2; e.heap++) {
		world_join(w, e.heap, "drained", 0);
		world_event(w, &e);
	}
	a = world_fill_until(w, 2, 100, ACTION_ANNOUNCE, 20 * SEC);
	window = a->announce.window;
	e = (struct event){.type = EVENT_DRAINED, .heap = a->heap, .window = window};
	assert_int_equal(world_find(w, ACTION_DRAIN, e.heap)->revoke.window, window);
	assert_int_equal(world_event(w, &e), 0);
	a = world_find(w, ACTION_OPEN, e.heap);
	assert_int_equal(a->window.kind, WIRE_SNAPSHOT);
	predicted = a->window.predicted;
	e.type = EVENT_BEGIN;
	e.begin = (struct wire_begin){window, w->now, WIRE_SNAPSHOT, WIRE_IN_WINDOW};
	assert_int_equal(world_event(w, &e), 0);
	/* Due, and not so late that there is no time to drain. */
	world_report(w, 3 - e.heap, 862);
	world_until(w, e.begin.at + predicted + 20 * MS - 1);
	assert_int_equal(world_count(w, ACTION_UNDRAIN), 0);
	assert_null(world_find(w, ACTION_DRAIN, 3 - e.heap)); /* it waits */
	world_until(w, e.begin.at + predicted + 20 * MS);
	assert_int_equal(world_find(w, ACTION_UNDRAIN, e.heap)->revoke.window, window);
	/* Nor now: a snapshot needs a CPU, and one at a time runs on a host of two slots. */
	world_report(w, 3 - e.heap, 862);
	assert_null(world_find(w, ACTION_DRAIN, 3 - e.heap));
	n = supervisor_explain(w->core, 3 - e.heap, decisions);
	assert_int_equal(decisions[n - 1].reason, REASON_SNAPSHOT_BUSY);
	assert_int_equal(decisions[n - 1].slots_taken, 1); /* of snapshots */
	assert_int_equal(world_status(w).windows_open, 1);
	assert_int_equal(world_heap(w, e.heap).overruns, 0);
	e.type = EVENT_END;
	e.end = (struct wire_end){.window = window,
				  .begin = w->now - 90 * MS,
				  .end = w->now,
				  .stop = MS,
				  .kind = WIRE_SNAPSHOT,
				  .cause = WIRE_IN_WINDOW};
	assert_int_equal(world_event(w, &e), 0);
	assert_int_equal(world_count(w, ACTION_UNDRAIN), 1);
	assert_non_null(world_find(w, ACTION_DRAIN, 3 - e.heap));
	assert_int_equal(world_status(w).windows_open, 1);
}

/* The heap's next snapshot, drained for and begun. Returns its window. */
static uint64_t begin_drained(struct world *w)
{
	struct event e = {.heap = 1};

	world_forget(w);
	e.window =
		world_fill_until(w, 1, 100, ACTION_ANNOUNCE, 20 * SEC)->announce.window;
	e.type = EVENT_DRAINED;
	assert_int_equal(world_event(w, &e), 0);
	e.type = EVENT_BEGIN;
	e.begin = (struct wire_begin){e.window, w->now, WIRE_SNAPSHOT, WIRE_IN_WINDOW};
	assert_int_equal(world_event(w, &e), 0);
	return e.begin.window;
}

static void end_drained(struct world *w, uint64_t window, nsec_t begun)
{
	struct event e = {
		.type = EVENT_END,
		.heap = 1,
		.end = {.window = window,
			.begin = begun,
			.end = w->now,
			.stop = MS,
			.freed = 900,
			.live = 20000,
			.kind = WIRE_SNAPSHOT,
			.cause = WIRE_IN_WINDOW},
	};

	assert_int_equal(world_event(w, &e), 0);
}

/* Of one that takes about as long as a full collection would, the end is waited for, but not for ever. */
static void a_short_snapshot_is_drained_for_to_its_end(void **state)
{
	struct world *w = *state;
	struct event e = {
		.type = EVENT_OFFER, .heap = 1, .offer = {.kinds = 1 << WIRE_SNAPSHOT}};
	uint64_t window;
	nsec_t begun;

	world_join(w, 1, "drained", 0);
	world_event(w, &e);
	for (int i = 0; i < 3; i++) { /* it is learned how long they take */
		window = begin_drained(w);
		begun = w->now;
		world_until(w, begun + 10 * MS);
		end_drained(w, window, begun);
	}
	window = begin_drained(w);
	begun = w->now;
	/* (Its fork takes 1 ms, and is over by 21.) */
	world_until(w, begun + 30 * MS);
	assert_int_equal(world_count(w, ACTION_UNDRAIN), 0);
	end_drained(w, window, begun);
	assert_int_equal(world_find(w, ACTION_UNDRAIN, 1)->revoke.window, window);
	assert_int_equal(world_count(w, ACTION_UNDRAIN), 1);
	assert_int_equal(world_status(w).windows_open, 0);

	window = begin_drained(w);
	begun = w->now;
	world_until(w, begun + 200 * MS);
	assert_int_equal(world_find(w, ACTION_UNDRAIN, 1)->revoke.window, window);
	assert_int_equal(world_status(w).windows_open, 1);
	end_drained(w, window, begun);
	assert_int_equal(world_count(w, ACTION_UNDRAIN), 1);
	assert_int_equal(world_heap(w, 1).overruns, 0);
}

/* What three drained programs that fill at the same time would do: fork for 5 ms, look for garbage for 0.6 s. */
static void snapshot_when_drained(struct world *w, nsec_t until)
{
	nsec_t begun[4] = {0};
	struct core_window win;
	uint64_t after;

	while (w->now < until) {
		world_until(w, w->now + 50 * MS);
		for (uint64_t heap = 1; heap <= 3; heap++)
			world_report(w, heap, world_heap(w, heap).used + 5);
		for (after = 0; supervisor_window_after(w->core, after, &win);
		     after = win.heap) {
			struct event e = {.heap = win.heap};

			if (win.state == WINDOW_ANNOUNCED) {
				e.type = EVENT_DRAINED;
				e.window = win.id;
			} else if (win.state == WINDOW_OPEN) {
				e.type = EVENT_BEGIN;
				e.begin = (struct wire_begin){
					win.id, w->now, WIRE_SNAPSHOT, WIRE_IN_WINDOW};
				begun[win.heap] = w->now;
			} else if (w->now >= begun[win.heap] + 600 * MS) {
				e.type = EVENT_END;
				e.end = (struct wire_end){.window = win.id,
							  .begin = begun[win.heap],
							  .end = w->now,
							  .stop = 5 * MS,
							  .freed = 1000,
							  .live = 1000,
							  .kind = WIRE_SNAPSHOT,
							  .cause = WIRE_IN_WINDOW};
			} else {
				continue;
			}
			assert_int_equal(world_event(w, &e), 0);
		}
	}
}

/* One at a time runs: who waits for a drain begins early enough to wait for the others' snapshots, too. */
static void drained_snapshots_make_room_for_each_other(void **state)
{
	struct world *w = *state;
	struct event e = {.type = EVENT_OFFER, .offer = {.kinds = 1 << WIRE_SNAPSHOT}};
	uint64_t learned, granted;

	for (e.heap = 1; e.heap <= 3; e.heap++) {
		world_join(w, e.heap, "drained", 0);
		world_event(w, &e);
	}
	snapshot_when_drained(w, w->now + 30 * SEC);
	learned = world_status(w).over_limit;
	granted = world_status(w).windows_granted;
	snapshot_when_drained(w, w->now + 100 * SEC);
	assert_int_equal(world_status(w).over_limit, learned);
	assert_in_range(world_status(w).windows_granted - granted, 3 * 8, 3 * 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_long_snapshot_is_drained_for_its_fork),
		T(a_short_snapshot_is_drained_for_to_its_end),
		T(drained_snapshots_make_room_for_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
