/* SPDX-License-Identifier: MIT */
/* The core as its edge sees it: slack, policies, and what it shows. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/world.h"

/* ---- Slack and deadlines ---- */

static void declared_slack_is_used_when_it_is_worth_it(void **state)
{
	struct world *w = *state;
	struct event idle = {.type = EVENT_IDLE, .heap = 1};
	nsec_t pause;

	world_join(w, 1, "a", WIRE_CAP_MARKS | PAGE);
	world_report(w, 1, 100);
	pause = world_heap(w, 1).predicted[WIRE_MAJOR];
	idle.idle.until = w->now + 10 * pause;
	world_event(w, &idle);
	assert_null(world_find(w, ACTION_OPEN, 1)); /* too little to free */
	world_report(w, 1, 600);
	assert_true(world_find(w, ACTION_DIRECT, 1)->directive.want);
	idle.idle.until = w->now + pause / 2;
	world_event(w, &idle);
	assert_null(world_find(w, ACTION_OPEN, 1)); /* too short */
	idle.idle.until = NSEC_NEVER;
	world_event(w, &idle);
	assert_null(world_find(w, ACTION_OPEN, 1)); /* no promise */
	idle.idle.until = w->now + 2 * pause;
	world_event(w, &idle);
	assert_non_null(world_find(w, ACTION_OPEN, 1));
	assert_false(world_find(w, ACTION_OPEN, 1)->window.must);
	assert_true(world_find(w, ACTION_OPEN, 1)->window.closes == idle.idle.until);
	assert_true(world_explains(w, 1, REASON_SLACK));
	assert_false(world_find(w, ACTION_DIRECT, 1)->directive.want);
}

static void due_collection_waits_for_the_deadline_to_pass(void **state)
{
	struct world *w = *state;
	struct event e = {.type = EVENT_DEADLINE, .heap = 1};
	const struct action *open;
	nsec_t pause, deadline;

	world_join(w, 1, "a", 0);
	world_report(w, 1, 10);
	world_until(w, w->now + SEC);
	world_report(w, 1, 30);
	while (world_heap(w, 1).reason != REASON_DUE && !world_find(w, ACTION_OPEN, 1)) {
		/* A control loop: each deadline is nearer than the pause is long. */
		pause = world_heap(w, 1).predicted[WIRE_MAJOR];
		deadline = w->now + pause / 2;
		e.deadline.at = deadline;
		world_event(w, &e);
		world_until(w, deadline - 1);
		assert_null(world_find(w, ACTION_OPEN, 1));
		world_until(w, deadline);
		if (world_find(w, ACTION_OPEN, 1))
			break;
		assert_true(w->now < 300 * SEC);
	}
	open = world_find(w, ACTION_OPEN, 1);
	assert_non_null(open);
	assert_true(open->window.opens >= deadline);
}

/* ---- Policies ---- */

static void rivals_never_pause_together(void **state)
{
	struct world *w = *state;
	const struct action *open;
	uint64_t first, second;

	world_join(w, 1, "leader", 0);
	world_join(w, 2, "follower", 0);
	open = world_fill_until(w, 2, 100, ACTION_OPEN, 20 * SEC);
	first = open->heap;
	second = 3 - first;
	world_begin(w, first, open->window.window, WIRE_IN_WINDOW);
	world_until(w, w->now + 100 * MS);
	assert_null(world_find(w, ACTION_OPEN, second));
	assert_true(world_explains(w, second, REASON_RIVAL_BUSY));
	world_end(w, first, open->window.window, WIRE_IN_WINDOW, 100 * MS);
	assert_non_null(world_find(w, ACTION_OPEN, second));
	assert_int_equal(world_status(w).over_limit, 0);
}

static void rivals_start_early_enough_for_each_other(void **state)
{
	struct world *w = *state;
	nsec_t earliest = NSEC_NEVER, now;

	/* Six equal deadlines, three on each side: as if on one slot. */
	for (uint64_t heap = 1; heap <= 6; heap++)
		world_join(w, heap, heap % 2 ? "leader" : "follower", 0);
	world_report(w, 1, 0);
	world_fill_until(w, 6, 50, ACTION_OPEN, 30 * SEC);
	now = w->now;
	for (uint64_t heap = 1; heap <= 6; heap++)
		earliest = nsec_min(earliest, world_heap(w, heap).latest_start);
	assert_true(now + 5 * world_heap(w, 1).predicted[WIRE_MAJOR] <=
		    earliest + 60 * MS);
}

static void ranks_collect_together(void **state)
{
	struct world *w = *state;
	const struct action *open[5];

	for (uint64_t heap = 1; heap <= 4; heap++)
		world_join(w, heap, "ranks", 0);
	world_fill_until(w, 4, 100, ACTION_OPEN, 20 * SEC);
	assert_int_equal(world_count(w, ACTION_OPEN), 4);
	for (uint64_t heap = 1; heap <= 4; heap++) {
		open[heap] = world_find(w, ACTION_OPEN, heap);
		assert_true(open[heap]->window.opens == open[1]->window.opens);
		assert_true(open[heap]->window.closes == open[1]->window.closes);
		assert_true(open[heap]->window.opens > w->now - 50 * MS);
	}
	/* Three reach a safe point; the fourth was stopped: it drops out, nobody waits. */
	for (uint64_t heap = 1; heap <= 3; heap++) {
		assert_int_equal(
			world_begin(w, heap, open[heap]->window.window, WIRE_IN_WINDOW),
			0);
		world_end(w, heap, open[heap]->window.window, WIRE_IN_WINDOW, MS);
	}
	world_until(w, open[4]->window.closes);
	assert_int_equal(world_status(w).windows_open, 0);
	assert_int_equal(world_heap(w, 4).expired, 1);
	/* Its own memory is near the end: it gets another window, for itself. */
	world_forget(w);
	world_until(w, w->now + SEC);
	assert_non_null(world_find(w, ACTION_OPEN, 4));
	assert_null(world_find(w, ACTION_OPEN, 1));
}

static void say_quiet(struct world *w, uint64_t heap)
{
	struct event quiet = {.type = EVENT_QUIET, .heap = heap};

	quiet.quiet.window = world_find(w, ACTION_ANNOUNCE, heap)->announce.window;
	assert_int_equal(world_event(w, &quiet), 0);
}

/* All four are announced at one instant, and those that wait for quiet have not answered yet. */
static void announce_round(struct world *w, uint32_t caps_of_last)
{
	const struct action *first;

	for (uint64_t heap = 1; heap <= 4; heap++)
		world_join(w, heap, "ranks", heap < 4 ? QUIET : caps_of_last);
	first = world_fill_until(w, 4, 100, ACTION_ANNOUNCE, 20 * SEC);
	assert_int_equal(world_count(w, ACTION_ANNOUNCE), 4);
	assert_int_equal(world_count(w, ACTION_OPEN), 0);
	for (uint64_t heap = 1; heap <= 4; heap++)
		assert_true(world_find(w, ACTION_ANNOUNCE, heap)->announce.opens_by ==
			    first->announce.opens_by);
	assert_true(first->announce.opens_by > w->now);
}

/* Of those heaps, at one instant a little ahead; of nobody else. */
static void assert_opened(struct world *w, uint64_t from, uint64_t to)
{
	const struct action *first = world_find(w, ACTION_OPEN, from), *open;

	assert_int_equal(world_count(w, ACTION_OPEN), to - from + 1);
	for (uint64_t heap = from; heap <= to; heap++) {
		open = world_find(w, ACTION_OPEN, heap);
		assert_non_null(open);
		assert_true(open->window.opens == first->window.opens);
		assert_true(open->window.closes == first->window.closes);
	}
	assert_true(first->window.opens > w->now);
	assert_true(first->window.opens <= w->now + 20 * MS);
}

static void round_opens_with_the_last_answer(void **state)
{
	struct world *w = *state;

	announce_round(w, QUIET);
	for (uint64_t heap = 4; heap >= 2; heap--) {
		say_quiet(w, heap);
		say_quiet(w, heap); /* once more does not count */
		world_until(w, w->now + 5 * MS);
		assert_int_equal(world_count(w, ACTION_OPEN), 0);
	}
	say_quiet(w, 1);
	assert_opened(w, 1, 4);
	for (uint64_t heap = 1; heap <= 4; heap++) {
		assert_true(world_explains(w, heap, REASON_TOGETHER));
		assert_true(world_explains(w, heap, REASON_QUIET));
		assert_false(world_explains(w, heap, REASON_LEAD_OVER));
	}
}

/* A stopped process, a dead one, one that has something else to do: the lead, and no longer. */
static void round_opens_without_one_that_is_silent(void **state)
{
	struct world *w = *state;
	nsec_t by;

	announce_round(w, QUIET);
	by = world_find(w, ACTION_ANNOUNCE, 1)->announce.opens_by;
	assert_true(by <= w->now + 200 * MS);
	for (uint64_t heap = 1; heap <= 3; heap++)
		say_quiet(w, heap);
	world_until(w, by - 1);
	assert_int_equal(world_count(w, ACTION_OPEN), 0);
	world_until(w, by);
	assert_opened(w, 1, 4);
	assert_true(world_explains(w, 1, REASON_QUIET));
	assert_true(world_explains(w, 4, REASON_LEAD_OVER));
}

static void round_opens_without_one_that_leaves(void **state)
{
	struct world *w = *state;
	struct core_service service;

	announce_round(w, QUIET);
	for (uint64_t heap = 1; heap <= 3; heap++)
		say_quiet(w, heap);
	world_leave(w, 4);
	assert_opened(w, 1, 3);
	assert_true(supervisor_service(w->core, 0, w->now, &service));
	assert_int_equal(service.dropped_out, 1);
}

static void round_opens_without_one_that_is_lost_or_declines(void **state)
{
	struct world *w = *state;
	struct event e = {.type = EVENT_LOST, .heap = 3};

	announce_round(w, QUIET);
	say_quiet(w, 1);
	say_quiet(w, 2);
	world_event(w, &e);
	assert_int_equal(world_count(w, ACTION_OPEN), 0);
	e = (struct event){.type = EVENT_DECLINE, .heap = 4};
	e.decline.window = world_find(w, ACTION_ANNOUNCE, 4)->announce.window;
	world_event(w, &e);
	assert_opened(w, 1, 2);
}

static void round_does_not_wait_for_who_cannot_answer(void **state)
{
	struct world *w = *state;

	announce_round(w, 0);
	for (uint64_t heap = 1; heap <= 3; heap++)
		say_quiet(w, heap);
	assert_opened(w, 1, 4);
}

static void round_opens_at_a_last_call(void **state)
{
	struct world *w = *state;
	nsec_t by;

	for (uint64_t heap = 1; heap <= 2; heap++)
		world_join(w, heap, "ranks", QUIET);
	for (uint64_t used = 0; used <= 600; used += 50) {
		world_until(w, w->now + 50 * MS);
		world_report(w, 1, used);
		world_report(w, 2, used);
	}
	assert_int_equal(world_count(w, ACTION_ANNOUNCE), 0);
	/* All at once it fills five times as fast. */
	world_until(w, w->now + 50 * MS);
	world_report(w, 1, 850);
	by = world_find(w, ACTION_ANNOUNCE, 1)->announce.opens_by;
	assert_true(by < w->now + 200 * MS);
	world_until(w, by);
	assert_opened(w, 1, 2);
	assert_int_equal(world_status(w).over_limit, 0);
}

/* Four that pause for as long as 200 units take, on two slots: as far ahead as for one of them. */
static void ranks_do_not_make_room_for_each_other(void **state)
{
	struct world *w = *state;
	nsec_t opens;

	for (uint64_t heap = 1; heap <= 4; heap++)
		world_join(w, heap, "ranks", QUIET);
	for (unsigned round = 0; round < 4; round++) {
		world_fill_until(w, 4, 500, ACTION_ANNOUNCE, 20 * SEC);
		for (uint64_t heap = 1; round > 0 && heap <= 4; heap++)
			assert_true(world_heap(w, heap).used >= 850);
		for (uint64_t heap = 1; heap <= 4; heap++)
			say_quiet(w, heap);
		opens = world_find(w, ACTION_OPEN, 1)->window.opens;
		world_until(w, opens + 400 * MS);
		for (uint64_t heap = 1; heap <= 4; heap++) {
			uint64_t window = world_find(w, ACTION_OPEN, heap)->window.window;

			w->now -= 400 * MS;
			world_begin(w, heap, window, WIRE_IN_WINDOW);
			w->now += 400 * MS;
			world_end(w, heap, window, WIRE_IN_WINDOW, 400 * MS);
		}
		world_forget(w);
	}
	assert_int_equal(world_status(w).over_limit, 0);
}

/* How long answers take is learned: the round is announced by so much earlier. */
static void rounds_are_announced_early_enough(void **state)
{
	struct world *w = *state;
	uint64_t used[2];

	for (uint64_t heap = 1; heap <= 2; heap++)
		world_join(w, heap, "ranks", QUIET);
	for (unsigned round = 0; round < 2; round++) {
		world_fill_until(w, 2, 100, ACTION_ANNOUNCE, 30 * SEC);
		used[round] = world_heap(w, 1).used;
		world_until(w, w->now + (round ? 150 : 10) * MS);
		for (uint64_t heap = 1; heap <= 2; heap++)
			say_quiet(w, heap);
		assert_opened(w, 1, 2);
		for (uint64_t heap = 1; heap <= 2; heap++) {
			uint64_t window = world_find(w, ACTION_OPEN, heap)->window.window;

			w->now += 5 * MS;
			world_begin(w, heap, window, WIRE_IN_WINDOW);
			w->now += MS;
			world_end(w, heap, window, WIRE_IN_WINDOW, MS);
		}
		world_forget(w);
	}
	/* At first the whole lead was allowed for, 20 units. */
	assert_true(used[1] >= used[0] + 10);
}

/* One slot is left, and a round needs both: nobody less pressing takes it first, in slack or not. */
static void round_that_does_not_fit_keeps_its_turn(void **state)
{
	struct world *w = *state;
	struct event idle = {.type = EVENT_IDLE, .heap = 5};
	uint64_t window = 0;

	for (uint64_t heap = 1; heap <= 5; heap++)
		world_join(w, heap,
			   heap == 1   ? "a"
			   : heap <= 3 ? "ranks"
			   : heap == 4 ? "b"
				       : "c",
			   WIRE_CAP_MARKS);
	/* All but one fill up, the ranks a little ahead; that one holds a slot when they are due. */
	for (unsigned i = 1; world_heap(w, 2).state != HEAP_WANTING; i++) {
		world_until(w, w->now + 50 * MS);
		for (uint64_t heap = 2; heap <= 5; heap++)
			world_report(w, heap, (heap <= 3 ? 11 : 10) * i);
		if (i == 74) {
			world_report(w, 1, 990);
			window = world_find(w, ACTION_OPEN, 1)->window.window;
			world_begin(w, 1, window, WIRE_IN_WINDOW);
			world_forget(w);
		}
		assert_true(i < 100);
		assert_null(world_find(w, ACTION_OPEN, 0));
	}
	for (uint64_t heap = 2; heap <= 3; heap++)
		assert_null(world_find(w, ACTION_OPEN, heap));
	for (unsigned i = 0; i < 2; i++) {
		idle.idle.until = w->now + 10 * SEC;
		world_event(w, &idle);
		assert_null(world_find(w, ACTION_OPEN, 5));
		world_until(w, w->now + MS);
	}
	assert_null(world_find(w, ACTION_OPEN, 4));
	world_end(w, 1, window, WIRE_IN_WINDOW, MS);
	assert_non_null(world_find(w, ACTION_OPEN, 2));
	assert_non_null(world_find(w, ACTION_OPEN, 3));
	assert_int_equal(world_status(w).over_limit, 0);
}

static void slack_of_one_rank_is_not_used(void **state)
{
	struct world *w = *state;
	struct event idle = {.type = EVENT_IDLE, .heap = 1};

	for (uint64_t heap = 1; heap <= 2; heap++) {
		world_join(w, heap, "ranks", WIRE_CAP_MARKS | PAGE);
		world_report(w, heap, 600);
	}
	idle.idle.until = w->now + 10 * SEC;
	world_event(w, &idle);
	assert_null(world_find(w, ACTION_OPEN, 0));
	assert_false(world_find(w, ACTION_DIRECT, 1)->directive.want);
}

/* One that shares the host with a round is early enough for it: it may have to wait for all of it. */
static void others_make_room_for_a_round(void **state)
{
	struct world *w = *state;
	nsec_t now, pause;

	for (uint64_t heap = 1; heap <= 5; heap++)
		world_join(w, heap, heap < 5 ? "ranks" : "alone", 0);
	world_fill_until(w, 5, 50, ACTION_OPEN, 30 * SEC);
	now = w->now;
	pause = world_heap(w, 1).predicted[WIRE_MAJOR];
	for (uint64_t heap = 1; heap <= 5; heap++)
		assert_true(now + pause <= world_heap(w, heap).latest_start + 60 * MS);
}

static void round_waits_for_the_host(void **state)
{
	struct world *w = *state;
	const struct action *open;

	world_join(w, 1, "a", 0);
	open = world_fill_until(w, 1, 100, ACTION_OPEN, 20 * SEC);
	world_begin(w, 1, open->window.window, WIRE_IN_WINDOW);
	world_forget(w);
	for (uint64_t heap = 2; heap <= 3; heap++) {
		world_join(w, heap, "ranks", 0);
		for (int i = 0; i <= 8; i++) {
			world_until(w, w->now + 50 * MS);
			world_report(w, heap, (uint64_t)i * 100);
		}
	}
	world_end(w, 1, open->window.window, WIRE_IN_WINDOW, MS);
	world_until(w, w->now + SEC);
	assert_true(world_count(w, ACTION_OPEN) >= 2);
}

static void observed_services_are_let_go(void **state)
{
	struct world *w = *state;
	struct core_service service;

	for (uint64_t heap = 1; heap <= 3; heap++)
		world_join(w, heap, "observed", QUIET);
	world_fill_until(w, 3, 100, ACTION_OPEN, 20 * SEC);
	world_fill_until(w, 3, 100, ACTION_OPEN, 20 * SEC);
	world_until(w, w->now + 20 * MS);
	assert_int_equal(world_count(w, ACTION_ANNOUNCE), 0);
	assert_int_equal(world_count(w, ACTION_OPEN), 3);
	/* They hold no slot, and it is known who would have had to wait. */
	assert_int_equal(world_status(w).windows_open, 0);
	assert_int_equal(world_status(w).over_limit, 0);
	assert_true(supervisor_service(w->core, 0, w->now, &service));
	assert_int_equal(service.would_wait, 2);
	assert_int_equal(service.windows, 3);
}

static void idle_policy_takes_any_idleness(void **state)
{
	struct world *w = *state;
	struct event idle = {.type = EVENT_IDLE, .heap = 1, .idle = {NSEC_NEVER}};

	world_join(w, 1, "lazy", WIRE_CAP_MARKS);
	world_report(w, 1, 100);
	world_event(w, &idle);
	assert_null(world_find(w, ACTION_OPEN, 1));
	world_report(w, 1, 600);
	world_event(w, &idle);
	assert_non_null(world_find(w, ACTION_OPEN, 1));
	assert_false(world_find(w, ACTION_OPEN, 1)->window.must);
}

/* ---- Budgets that were raised ---- */

/* As CPython does: by its own rule, every 100 objects. */
static void report_by_rule(struct world *w, uint64_t heap, uint64_t used)
{
	struct event e = {.type = EVENT_REPORT, .heap = heap};

	w->allocated[heap] += used - world_heap(w, heap).used;
	e.report = (struct wire_report){.at = w->now,
					.used = used,
					.allocated = w->allocated[heap],
					.live = 20000,
					.budget = 1000,
					.step = 100};
	world_event(w, &e);
}

static void fill_by_rule(struct world *w, uint64_t heap, nsec_t each)
{
	world_until(w, w->now + each);
	report_by_rule(w, heap, world_heap(w, heap).used + 100);
}

/* It would be set aside next, which takes no time; what it was raised by goes, and it is collected after others. */
static void lowered_with_room_for_full_collections(void **state)
{
	struct world *w = *state;
	struct event join = {.type = EVENT_JOIN, .heap = 1};
	struct core_heap h;

	join.join.hello = (struct wire_hello){.version_min = 1,
					      .version_max = 1,
					      .unit = WIRE_OBJECTS,
					      .kinds = 1 << WIRE_MAJOR | 1 << WIRE_FREEZE,
					      .service = "shop"};
	join.join.uid = 1000;
	world_event(w, &join);
	world_join(w, 2, "shop", 0);
	for (unsigned i = 0; i < 2; i++) {
		world_forget(w);
		while (!world_find(w, ACTION_OPEN, 1))
			fill_by_rule(w, 1, SEC);
		world_begin(w, 1, world_find(w, ACTION_OPEN, 1)->window.window,
			    WIRE_IN_WINDOW);
		world_until(w, w->now + 100 * MS);
		world_end(w, 1, world_find(w, ACTION_OPEN, 1)->window.window,
			  WIRE_IN_WINDOW, 100 * MS);
	}
	while (world_heap(w, 1).used < 1500)
		fill_by_rule(w, 1, SEC);
	assert_int_equal(world_heap(w, 1).budget, 4000);
	world_forget(w);
	do {
		fill_by_rule(w, 1, 100 * MS);
		h = world_heap(w, 1);
	} while (h.budget == 4000);
	/* The other one's pause, at a thousand a second, and a tenth that is the guard. */
	assert_true(h.budget - h.budget / 10 >= h.used + 100);
	assert_true(h.budget < 4000);
}

/* ---- Looking ---- */

static void heaps_and_windows_are_paged_by_id(void **state)
{
	struct world *w = *state;
	struct core_heap h;
	struct core_window win;
	struct core_service service;
	uint64_t after = 0;
	unsigned n = 0;

	for (uint64_t heap = 1; heap <= 40; heap++)
		world_join(w, heap, heap % 2 ? "odd" : "even", 0);
	world_leave(w, 7);
	while (supervisor_heap_after(w->core, after, w->now, &h)) {
		assert_true(h.id > after && h.id != 7);
		after = h.id;
		n++;
	}
	assert_int_equal(n, 39);
	assert_false(supervisor_window_after(w->core, 0, &win));
	assert_true(supervisor_service(w->core, 0, w->now, &service));
	assert_string_equal(service.name, "odd");
	assert_int_equal(service.heaps, 19);
	assert_true(supervisor_service(w->core, 1, w->now, &service));
	assert_false(supervisor_service(w->core, 2, w->now, &service));
}

static void services_of_two_users_are_two(void **state)
{
	struct world *w = *state;
	struct event e = {.type = EVENT_JOIN, .heap = 2};

	world_join(w, 1, "a", 0);
	e.join.uid = 1001;
	e.join.hello = (struct wire_hello){.kinds = 1 << WIRE_MAJOR, .budget = 1};
	strcpy(e.join.hello.service, "a");
	world_event(w, &e);
	assert_int_equal(world_status(w).services, 2);
}

static void reload_changes_limits_at_once(void **state)
{
	struct world *w = *state;
	struct core_service_config a;
	struct core_config config = {
		.max_concurrent = 4, .services = &a, .n_services = 1};
	struct core_service service;

	core_service_config_init(&config.defaults);
	core_service_config_init(&a);
	strcpy(a.name, "a");
	a.max_concurrent = 3;
	world_join(w, 1, "a", 0);
	assert_int_equal(supervisor_configure(w->core, &config, w->now), 0);
	assert_true(supervisor_service(w->core, 0, w->now, &service));
	assert_int_equal(service.max_concurrent, 3);
	assert_string_equal(service.name, "a");
	assert_int_equal(world_status(w).max_concurrent, 4);
}

static nsec_t admitted_pause(struct world *w, uint64_t used)
{
	struct core_service service;

	w->now += SEC;
	w->allocated[1] += used;
	world_event(w, &(struct event){.type = EVENT_REPORT,
				       .heap = 1,
				       .report = {.at = w->now,
						  .used = used,
						  .allocated = w->allocated[1],
						  .live = 20000 + used}});
	assert_true(supervisor_service(w->core, 0, w->now, &service));
	return service.admission.pause;
}

/* Admission is about the collections that will be due, not about one that nobody wants just now. */
static void admission_is_the_same_however_full_a_heap_is(void **state)
{
	struct world *w = *state;
	struct event e = {.type = EVENT_JOIN, .heap = 1};
	nsec_t empty, full;

	e.join.hello = (struct wire_hello){
		.unit = WIRE_OBJECTS, .kinds = 1 << WIRE_MAJOR, .budget = 20000};
	strcpy(e.join.hello.service, "one");
	strcpy(e.join.hello.heap, "h");
	world_event(w, &e);
	for (unsigned i = 0; i < 10; i++)
		world_end(w, 1, 0, WIRE_UNCOORDINATED, 100 * MS);
	admitted_pause(w, 1); /* (A rate takes two.) */
	empty = admitted_pause(w, 100);
	full = admitted_pause(w, 15000);
	assert_true(world_heap(w, 1).predicted[WIRE_MAJOR] < full);
	assert_in_range(full, 2 * 100 * MS, 3 * 100 * MS);
	assert_in_range(empty, full - MS, full + MS);
}

static void admission_knows_of_snapshots(void **state)
{
	struct world *w = *state;
	struct event e = {.type = EVENT_JOIN};
	struct core_service service;

	for (e.heap = 1; e.heap <= 3; e.heap++) {
		e.join.hello = (struct wire_hello){
			.unit = WIRE_OBJECTS,
			.kinds = 1 << WIRE_MAJOR | (e.heap > 1) << WIRE_SNAPSHOT,
			.budget = 20000,
			.service = "plain",
			.heap = "h"};
		world_event(w, &e);
	}
	assert_true(supervisor_service(w->core, 0, w->now, &service));
	assert_int_equal(service.admission.heaps, 1);
	assert_int_equal(service.admission.snapshots, 2);
	assert_int_equal(world_status(w).admission.snapshots, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(declared_slack_is_used_when_it_is_worth_it),
		T(due_collection_waits_for_the_deadline_to_pass),
		T(rivals_never_pause_together),
		T(rivals_start_early_enough_for_each_other),
		T(ranks_collect_together),
		T(round_opens_with_the_last_answer),
		T(round_opens_without_one_that_is_silent),
		T(round_opens_without_one_that_leaves),
		T(round_opens_without_one_that_is_lost_or_declines),
		T(round_does_not_wait_for_who_cannot_answer),
		T(round_opens_at_a_last_call),
		T(ranks_do_not_make_room_for_each_other),
		T(rounds_are_announced_early_enough),
		T(round_that_does_not_fit_keeps_its_turn),
		T(lowered_with_room_for_full_collections),
		T(slack_of_one_rank_is_not_used),
		T(others_make_room_for_a_round),
		T(round_waits_for_the_host),
		T(observed_services_are_let_go),
		T(idle_policy_takes_any_idleness),
		T(heaps_and_windows_are_paged_by_id),
		T(services_of_two_users_are_two),
		T(reload_changes_limits_at_once),
		T(admission_is_the_same_however_full_a_heap_is),
		T(admission_knows_of_snapshots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
