/* SPDX-License-Identifier: MIT */
/*
 * The core under random events, honest and not, with the invariants checked after every
 * one. A failure prints the seed; RTGC_SEED=n runs that one alone.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/world.h"

#define SEEDS  300
#define EVENTS 2000
#define MAJOR  (1 << WIRE_MAJOR)
#define SNAPS  (1 << WIRE_SNAPSHOT)
#define HEAPS  40 /* ids 1 … HEAPS are alive or not; an id is used once */

struct random_world {
	struct supervisor *core;
	nsec_t now;
	uint64_t rng, next_id;
	uint64_t id[HEAPS],
		open[HEAPS]; /* id 0: no heap; open: the window it was last given */
	uint64_t used[HEAPS], allocated[HEAPS];
	bool draining[HEAPS], lost[HEAPS];
	unsigned limits[2], host_limit; /* of the services */
	bool external[2];		/* they are drained at a balancer */
	bool snapshots;			/* some run beside their programs */
	unsigned over_limit_seen;
};

static uint64_t rnd(struct random_world *w, uint64_t below)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return w->rng % below;
}

static int slot_of(const struct random_world *w, uint64_t id)
{
	for (int i = 0; i < HEAPS; i++)
		if (w->id[i] == id)
			return i;
	return -1;
}

static void take_actions(struct random_world *w)
{
	struct action a;

	while (supervisor_next_action(w->core, &a)) {
		int i = slot_of(w, a.heap);

		if (a.type == ACTION_UNDRAIN && i < 0)
			continue; /* its heap has left in this very event */
		if (i < 0) {
			assert_int_equal(a.type, ACTION_CLOSE);
			continue;
		}
		switch (a.type) {
		case ACTION_OPEN:
			assert_true(a.window.closes > w->now);
			assert_true(a.window.opens >= w->now);
			w->open[i] = a.window.window;
			break;
		case ACTION_ANNOUNCE:
			assert_true(a.announce.opens_by >= w->now);
			w->open[i] = a.announce.window;
			break;
		case ACTION_DRAIN:
			assert_false(w->draining[i]);
			w->draining[i] = true;
			break;
		case ACTION_UNDRAIN:
			assert_true(w->draining[i]);
			w->draining[i] = false;
			break;
		case ACTION_DIRECT:
			assert_true(a.directive.watermark > 0);
			break;
		case ACTION_REVOKE:
		case ACTION_CLOSE:
		case ACTION_LOOK:
			break;
		}
	}
}

/* I-2 and the book-keeping: what the core counts is what its windows are. */
static void check(struct random_world *w)
{
	unsigned windows = 0, paused_or_due = 0, over = 0, paused = 0;
	unsigned per_service[2] = {0};
	struct core_window win;
	struct core_status status;
	struct core_service service;
	struct core_heap heap;
	uint64_t after = 0;

	supervisor_status(w->core, &status);
	while (supervisor_window_after(w->core, after, &win)) {
		after = win.heap;
		windows++;
		over += win.over_limit || win.reason == REASON_ADOPTED;
		/* They have slots of their own. (One that is drained for its fork is a pause like others until then.) */
		if (win.kind == WIRE_SNAPSHOT &&
		    (!w->external[win.service[0] == 'b'] || win.state == WINDOW_IN_USE))
			continue;
		paused_or_due++;
		per_service[win.service[0] == 'b']++;
	}
	assert_int_equal(windows, status.windows_open);
	assert_true(paused_or_due <= w->host_limit + over);
	assert_true(per_service[0] <= w->limits[0] + over);
	assert_true(per_service[1] <= w->limits[1] + over);
	for (after = 0; supervisor_heap_after(w->core, after, w->now, &heap);
	     after = heap.id)
		paused += heap.state == HEAP_COLLECTING && heap.state != HEAP_LOST;
	/* (A lost one may be collecting still.) */
	assert_true(w->snapshots || paused <= status.paused_now);
	for (unsigned i = 0; supervisor_service(w->core, i, w->now, &service); i++)
		assert_true(service.paused_now <= service.heaps);
	assert_true(status.over_limit >= w->over_limit_seen);
	w->over_limit_seen = (unsigned)status.over_limit;
	if (status.heaps == 0) {
		assert_int_equal(status.windows_open, 0);
		assert_int_equal(status.paused_now, 0);
		assert_int_equal(status.services, 0);
		assert_true(supervisor_deadline(w->core) == NSEC_NEVER);
	}
}

static void send_event(struct random_world *w, const struct event *e)
{
	assert_true(supervisor_handle(w->core, e, w->now) >= 0);
	take_actions(w);
	check(w);
}

static void join(struct random_world *w, int i)
{
	static const uint32_t kinds[10] = {0,	  MAJOR, MAJOR, MAJOR,	       MAJOR,
					   MAJOR, MAJOR, SNAPS, SNAPS | MAJOR, SNAPS};
	struct event e = {.type = EVENT_JOIN, .heap = ++w->next_id};

	e.join.uid = 1;
	e.join.pid = i + 1;
	e.join.hello = (struct wire_hello){
		.caps = (uint32_t)rnd(w, 8),
		.unit = (uint8_t)rnd(w, 2),
		.kinds = kinds[rnd(w, w->snapshots ? 10 : 7)],
		.budget = rnd(w, 10) ? 1 + rnd(w, 1000000) : 0,
		.prev_window = rnd(w, 10) ? 0 : rnd(w, 5) + 1,
		.prev_closes = w->now + rnd(w, SEC),
	};
	strcpy(e.join.hello.service, rnd(w, 2) ? "a" : "b");
	strcpy(e.join.hello.heap, "h");
	w->id[i] = e.heap;
	w->used[i] = w->allocated[i] = 0;
	w->draining[i] = w->lost[i] = false;
	w->open[i] = e.join.hello.prev_window;
	send_event(w, &e);
}

static uint64_t any_number(struct random_world *w)
{
	static const uint64_t special[] = {0, 1, UINT64_MAX, UINT64_MAX - 1, INT64_MAX};

	return rnd(w, 3) ? rnd(w, 1000000) : special[rnd(w, 5)];
}

static void report(struct random_world *w, int i, struct event *e)
{
	bool liar = rnd(w, 20) == 0;
	uint64_t grown = rnd(w, 20000);

	w->used[i] += grown;
	w->allocated[i] += grown;
	e->type = EVENT_REPORT;
	e->report = (struct wire_report){
		.at = liar ? any_number(w) : w->now,
		.used = liar ? any_number(w) : w->used[i],
		.allocated = liar ? any_number(w) : w->allocated[i],
		.live = liar ? any_number(w) : 100000,
		.budget = liar ? any_number(w) : 0,
	};
}

static uint8_t any_kind(struct random_world *w)
{
	return w->snapshots && rnd(w, 2) ? WIRE_SNAPSHOT : WIRE_MAJOR;
}

static void step(struct random_world *w)
{
	int i = (int)rnd(w, HEAPS);
	struct event e = {.heap = w->id[i]};
	uint64_t window = rnd(w, 10) ? w->open[i] : any_number(w);
	uint8_t cause = rnd(w, 5) ? WIRE_IN_WINDOW : (uint8_t)rnd(w, WIRE_CAUSES);

	if (!w->id[i]) {
		join(w, i);
		return;
	}
	switch (rnd(w, 16)) {
	default:
		report(w, i, &e);
		break;
	case 0:
		e.type = rnd(w, 3) ? EVENT_LEAVE : EVENT_LOST;
		break;
	case 1:
		e.type = EVENT_IDLE;
		e.idle.until = rnd(w, 2) ? w->now + rnd(w, SEC) : any_number(w);
		break;
	case 2:
		e.type = rnd(w, 2) ? EVENT_BUSY : EVENT_DEADLINE;
		e.deadline.at = rnd(w, 2) ? w->now + rnd(w, SEC) : any_number(w);
		break;
	case 3:
		e.type = EVENT_QUIET;
		e.quiet.window = window;
		break;
	case 4:
		e.type = rnd(w, 4) ? EVENT_DRAINED : EVENT_UNDRAINABLE;
		e.window = window;
		break;
	case 5:
	case 6:
		e.type = EVENT_BEGIN;
		e.begin = (struct wire_begin){window, w->now - rnd(w, MS), any_kind(w),
					      cause};
		break;
	case 7:
	case 8:
		e.type = EVENT_END;
		e.end = (struct wire_end){.window = window,
					  .begin = w->now - rnd(w, SEC),
					  .end = rnd(w, 20) ? w->now : any_number(w),
					  .freed = rnd(w, 20) ? 10 : any_number(w),
					  .used = rnd(w, 20) ? 0 : any_number(w),
					  .live = rnd(w, 20) ? 100000 : any_number(w),
					  .kind = rnd(w, 5) ? any_kind(w) : WIRE_MINOR,
					  .cause = cause};
		w->used[i] = 0;
		break;
	case 9:
		e.type = EVENT_DECLINE;
		e.decline.window = window;
		break;
	case 10:
		e.type = rnd(w, 2) ? EVENT_HOLD : EVENT_COLLECT;
		e.held = rnd(w, 2);
		break;
	}
	if (e.type == EVENT_LEAVE)
		w->id[i] = 0;
	send_event(w, &e);
	if (e.type == EVENT_LOST)
		w->lost[i] = true;
}

static void pass_time(struct random_world *w)
{
	nsec_t to = w->now + rnd(w, rnd(w, 50) ? 20 * MS : 5 * SEC);
	unsigned turns = 0;

	while (supervisor_deadline(w->core) <= to) {
		w->now = nsec_max(w->now, supervisor_deadline(w->core));
		supervisor_tick(w->core, w->now);
		take_actions(w);
		check(w);
		assert_true(supervisor_deadline(w->core) > w->now);
		/* The core must not busy itself: a bounded number of turns a heap and
		 * second. */
		assert_true(++turns < 100 * HEAPS * 6);
	}
	w->now = to;
}

static void run(uint64_t seed)
{
	struct random_world w = {.rng = seed * 0x9E3779B97F4A7C15 + 1, .now = 1000 * SEC};
	struct core_service_config services[2];
	struct core_config config = {.services = services, .n_services = 2};

	for (int i = 0; i < 20; i++)
		rnd(&w, 2);
	w.snapshots = rnd(&w, 2);
	core_service_config_init(&config.defaults);
	for (int i = 0; i < 2; i++) {
		core_service_config_init(&services[i]);
		services[i].name[0] = i ? 'b' : 'a';
		services[i].max_concurrent = w.limits[i] = 1 + (unsigned)rnd(&w, 4);
		services[i].drain = (enum core_drain)rnd(&w, 3);
		w.external[i] = services[i].drain == DRAIN_EXTERNAL;
		services[i].max_defer = rnd(&w, 3) ? 30 * SEC : rnd(&w, SEC);
		services[i].lead = rnd(&w, 500 * MS);
	}
	config.max_concurrent = w.host_limit = 1 + (unsigned)rnd(&w, 6);
	assert_int_equal(supervisor_new(&config, w.now, &w.core), 0);
	for (int n = 0; n < EVENTS; n++) {
		step(&w);
		pass_time(&w);
	}
	for (int i = 0; i < HEAPS; i++) {
		struct event leave = {.type = EVENT_LEAVE, .heap = w.id[i]};

		if (w.id[i]) {
			w.id[i] = 0;
			send_event(&w, &leave);
		}
	}
	check(&w);
	supervisor_free(w.core);
}

static uint64_t present_seed;

/* Whatever fails, an assertion of cmocka or of the core: the seed is the first thing
 * needed. */
static void print_seed(void)
{
	if (present_seed)
		fprintf(stderr, "seed %llu\n", (unsigned long long)present_seed);
}

static int print_seed_after(void **state)
{
	print_seed();
	return 0;
}

static void on_abort(int signal_number)
{
	print_seed();
}

static void invariants_hold_under_random_events(void **state)
{
	const char *one = getenv("RTGC_SEED");

	if (one) {
		run(strtoull(one, NULL, 10));
		return;
	}
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		present_seed = seed;
		run(seed);
	}
	present_seed = 0;
	print_message("%u seeds, %u events each\n", SEEDS, EVENTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(invariants_hold_under_random_events,
					  print_seed_after),
	};

	signal(SIGABRT, on_abort);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
