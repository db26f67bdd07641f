/* SPDX-License-Identifier: MIT */
/* Budgets in bytes for heaps that count objects: Budget= of a service, shares of MemoryBudget=. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/world.h"

#define MIB (UINT64_C(1) << 20)

static void configure(struct world *w, uint64_t memory, uint64_t budget)
{
	struct core_service_config a;
	struct core_config config = {.max_concurrent = 8,
				     .memory_budget = memory,
				     .services = &a,
				     .n_services = 1};

	core_service_config_init(&config.defaults);
	core_service_config_init(&a);
	strcpy(a.name, "a");
	a.max_concurrent = 8;
	a.budget_bytes = budget;
	world_forget(w);
	assert_int_equal(supervisor_configure(w->core, &config, w->now), 0);
	/* (An event of nobody takes the actions off the queue.) */
	world_event(w, &(struct event){.type = EVENT_BUSY, .heap = 999});
}

static void join(struct world *w, uint64_t heap, unsigned unit, uint64_t own_budget)
{
	struct event e = {.type = EVENT_JOIN, .heap = heap};

	e.join.hello = (struct wire_hello){.unit = (uint8_t)unit,
					   .kinds = 1 << WIRE_MAJOR,
					   .caps = PAGE,
					   .budget = own_budget};
	strcpy(e.join.hello.service, "a");
	strcpy(e.join.hello.heap, "h");
	world_event(w, &e);
}

static void report(struct world *w, uint64_t heap, struct wire_report r)
{
	r.at = w->now;
	world_event(w, &(struct event){.type = EVENT_REPORT, .heap = heap, .report = r});
}

static void ended(struct world *w, uint64_t heap, uint64_t live, uint64_t freed,
		  nsec_t pause)
{
	w->now += pause;
	world_event(w, &(struct event){.type = EVENT_END,
				       .heap = heap,
				       .end = {.begin = w->now - pause,
					       .end = w->now,
					       .freed = freed,
					       .live = live,
					       .kind = WIRE_MAJOR,
					       .cause = WIRE_UNCOORDINATED}});
}

static void assert_budget(struct world *w, uint64_t heap, enum core_budget from,
			  double least, double most)
{
	struct core_heap h = world_heap(w, heap);

	if (h.budget_from != from || (double)h.budget < least || (double)h.budget > most)
		fail_msg("heap %u: budget %.0f (%s), not %.0f to %.0f (%s)",
			 (unsigned)heap, (double)h.budget,
			 core_budget_name(h.budget_from), least, most,
			 core_budget_name(from));
}

/* 100,000 objects of 1 KiB each, and a rule of a quarter. */
#define OBJECTS                \
	((struct wire_report){ \
		.live = 100000, .rss_bytes = 100000 * UINT64_C(1024), .budget = 25000})

static void budget_of_a_service_is_told_in_objects(void **state)
{
	struct world *w = *state;

	configure(w, 0, 0);
	join(w, 1, WIRE_OBJECTS, 0);
	report(w, 1, OBJECTS);
	assert_budget(w, 1, BUDGET_RUNTIME, 25000, 25000);
	configure(w, 0, 150000 * UINT64_C(1024));
	assert_budget(w, 1, BUDGET_SERVICE, 45000, 50000);
	assert_true(world_find(w, ACTION_DIRECT, 1)->directive.budget ==
		    world_heap(w, 1).budget);
	/* Less than what lives: a sixteenth of that. */
	configure(w, 0, 50000 * UINT64_C(1024));
	assert_budget(w, 1, BUDGET_SERVICE, 5600, 6250);
	configure(w, 0, 0);
	assert_budget(w, 1, BUDGET_RUNTIME, 25000, 25000);
	assert_true(world_find(w, ACTION_DIRECT, 1)->directive.budget == 0);
}

static void budget_of_a_service_stands_however_little_is_freed(void **state)
{
	struct world *w = *state;
	uint64_t budget;

	configure(w, 0, 150000 * UINT64_C(1024));
	join(w, 1, WIRE_OBJECTS, 0);
	report(w, 1, OBJECTS);
	budget = world_heap(w, 1).budget;
	for (unsigned i = 1; i <= 8; i++) {
		struct wire_report r = OBJECTS;

		w->now += SEC;
		r.used = budget;
		r.allocated = i * budget;
		r.live += r.used;
		r.rss_bytes += r.used * 1024;
		report(w, 1, r);
		world_until(w, w->now + SEC);
		ended(w, 1, 100000 + budget, 0, MS);
		ended(w, 1, 100000, budget, MS); /* the program drops them itself */
		assert_int_equal(world_heap(w, 1).declined, 0);
		assert_budget(w, 1, BUDGET_SERVICE, 30000, 50000);
	}
}

static void others_keep_their_own(void **state)
{
	struct world *w = *state;
	struct wire_report r = {.used = 1000, .live = 1000};

	configure(w, 0, 5000);
	join(w, 1, WIRE_OBJECTS, 777);
	report(w, 1, OBJECTS);
	assert_budget(w, 1, BUDGET_OWN, 25000, 25000); /* outgrown */
	/* In bytes nothing needs to be converted, and a limit of the runtime goes first. */
	join(w, 2, WIRE_BYTES, 0);
	report(w, 2, r);
	assert_budget(w, 2, BUDGET_SERVICE, 5000, 5000);
	r.budget = 3000;
	report(w, 2, r);
	assert_budget(w, 2, BUDGET_RUNTIME, 3000, 3000);
	/* Objects of unknown size cannot be converted. */
	join(w, 3, WIRE_OBJECTS, 0);
	report(w, 3, (struct wire_report){.live = 1000, .budget = 250});
	assert_budget(w, 3, BUDGET_RUNTIME, 250, 250);
}

static void one_alone_is_not_over(void **state)
{
	struct world *w = *state;

	configure(w, 64 * MIB, 0);
	join(w, 1, WIRE_BYTES, 0);
	report(w, 1, (struct wire_report){.used = MIB, .live = MIB});
	assert_budget(w, 1, BUDGET_SHARED, 0.9 * 64 * MIB, 64 * MIB);
}

/* ---- Shares of heaps that run ---- */

#define RUNNING	  4
#define STEP	  (50 * MS)
#define COST	  200  /* nanoseconds for each object walked */
#define BYTES	  1000 /* of each object */
#define MEMORY	  UINT64_C(2000000000)
#define LEARNED_S 60
#define RUN_S	  120

struct running {
	uint64_t live, rate, used, allocated, before, least_seen, most_seen;
};

/* Reports, and collects when nine tenths are used. The resident set shrinks a cycle later. */
static void step(struct world *w, uint64_t id, struct running *h, uint64_t burst)
{
	uint64_t more = h->rate * burst / 20, budget = world_heap(w, id).budget;

	h->used += more;
	h->allocated += more;
	report(w, id,
	       (struct wire_report){
		       .used = h->used,
		       .allocated = h->allocated,
		       .live = h->live + h->used,
		       .rss_bytes = (h->live + nsec_max(h->used, h->before)) * BYTES,
		       .budget = h->live / 4});
	if (!budget || h->used < budget / 10 * 9)
		return;
	ended(w, id, h->live, h->used, (h->live + h->used) * COST);
	h->before = h->used;
	h->used = 0;
}

static void note(struct world *w, uint64_t id, struct running *h)
{
	uint64_t budget = world_heap(w, id).budget;

	if (!h->least_seen || budget < h->least_seen)
		h->least_seen = budget;
	if (budget > h->most_seen)
		h->most_seen = budget;
}

/* Twenty times between what lives in the smallest and in the largest, and as much between rates. */
static void shares_follow_the_rule_and_do_not_swing(void **state)
{
	struct running heap[RUNNING] = {
		{.live = 1000000, .rate = 20000},
		{.live = 300000, .rate = 200000},
		{.live = 100000, .rate = 40000},
		{.live = 50000, .rate = 10000},
	};
	double roots = 0, live = 0, sum = 0, extra;
	struct world *w = *state;
	nsec_t start = w->now;

	configure(w, MEMORY, 0);
	for (unsigned i = 0; i < RUNNING; i++)
		join(w, i + 1, WIRE_OBJECTS, 0);
	for (unsigned n = 0; w->now < start + RUN_S * SEC; n++) {
		world_until(w, w->now + STEP);
		/* Some of them in bursts: nothing for a while, and then as much at once. */
		for (unsigned i = 0; i < RUNNING; i++)
			step(w, i + 1, &heap[i], i % 2 == 0 ? 1 : n % 8 == 0 ? 8 : 0);
		for (unsigned i = 0; i < RUNNING && w->now > start + LEARNED_S * SEC; i++)
			note(w, i + 1, &heap[i]);
		world_forget(w);
	}
	for (unsigned i = 0; i < RUNNING; i++) {
		live += (double)heap[i].live * BYTES;
		roots += sqrt((double)heap[i].live * (double)heap[i].rate);
	}
	extra = MEMORY - live;
	for (unsigned i = 0; i < RUNNING; i++) {
		double due = extra / BYTES / roots *
			     sqrt((double)heap[i].live * (double)heap[i].rate);

		/* (What an object takes, the rates and the pauses are measured, not known.) */
		assert_budget(w, i + 1, BUDGET_SHARED, due * 0.8, due * 1.2);
		sum += (double)world_heap(w, i + 1).budget;
		if ((double)heap[i].most_seen > 1.2 * (double)heap[i].least_seen)
			fail_msg("heap %u: its share swings from %.0f to %.0f", i + 1,
				 (double)heap[i].least_seen, (double)heap[i].most_seen);
	}
	assert_true(live + sum * BYTES <= MEMORY);
	assert_true(live + sum * BYTES >= 0.85 * MEMORY);
}

/* ---- Sums ---- */

#define SHARING 3

/* What all of them may reach: what lives, and the rooms. */
static double reach(struct world *w, const struct running heap[], unsigned n)
{
	double sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += ((double)heap[i].live + (double)world_heap(w, i + 1).budget) *
		       BYTES;
	return sum;
}

/* The others of all do nothing, and are heard of only when they are looked at. */
static void go_on(struct world *w, struct running heap[], unsigned n, unsigned all,
		  unsigned steps)
{
	while (steps--) {
		world_until(w, w->now + STEP);
		for (unsigned i = 0; i < all; i++)
			if (i < n || world_find(w, ACTION_LOOK, i + 1))
				step(w, i + 1, &heap[i], i < n);
		world_forget(w);
	}
}

/* Nothing is heard of one that has stopped, and its room is the others' after a while. */
static void who_falls_silent_gives_back(void **state)
{
	struct running heap[SHARING] = {
		{.live = 100000, .rate = 10000},
		{.live = 100000, .rate = 10000},
		{.live = 100000, .rate = 100000},
	};
	struct world *w = *state;
	uint64_t loud, other;

	configure(w, MEMORY / 4, 0);
	for (unsigned i = 0; i < SHARING; i++)
		join(w, i + 1, WIRE_OBJECTS, 0);
	go_on(w, heap, SHARING, SHARING, 1200);
	loud = world_heap(w, 3).budget;
	other = world_heap(w, 1).budget;
	assert_true(loud > 2 * other);
	go_on(w, heap, SHARING - 1, SHARING, 2400);
	assert_true(world_heap(w, 3).budget < loud / 2);
	assert_true((double)world_heap(w, 1).budget > 1.2 * (double)other);
	assert_true((double)world_heap(w, 2).budget > 1.2 * (double)other);
	assert_true(world_find(w, ACTION_DIRECT, 3) == NULL);
	assert_true(reach(w, heap, SHARING) <= MEMORY / 4);
}

/* One after the other joins and loads its data; as one loads the others have what they had until they are looked at. */
static void shares_never_exceed_the_whole(void **state)
{
	struct running heap[RUNNING] = {
		{.live = 50000, .rate = 20000},
		{.live = 50000, .rate = 200000},
		{.live = 50000, .rate = 40000},
		{.live = 50000, .rate = 10000},
	};
	struct world *w = *state;

	configure(w, MEMORY, 0);
	for (unsigned n = 1; n <= RUNNING; n++) {
		join(w, n, WIRE_OBJECTS, 0);
		for (unsigned i = 0; i < 200; i++) {
			heap[n - 1].live += 2000;
			go_on(w, heap, n, n, 1);
			/* (While it loads an object that was not there yet counts for what is used.) */
			assert_true(reach(w, heap, n) <= MEMORY * 1.02);
		}
		go_on(w, heap, n, n, 400);
		assert_true(reach(w, heap, n) <= MEMORY);
	}
	/* Hardly more than what lives: there is little to share, and everybody has a little. */
	configure(w, UINT64_C(1950000) * BYTES, 0);
	go_on(w, heap, RUNNING, RUNNING, 400);
	assert_true(reach(w, heap, RUNNING) <= 1950000.0 * BYTES);
	for (unsigned i = 0; i < RUNNING; i++)
		assert_true(world_heap(w, i + 1).budget > 0);
}

/* A budget that is lowered below what is used: it collects at once, in a window, and nothing is forced. */
static void who_uses_more_than_is_left_is_due(void **state)
{
	struct running heap[2] = {{.live = 300000, .rate = 10000},
				  {.live = 300000, .rate = 10000}};
	struct world *w = *state;
	uint64_t used;

	configure(w, MEMORY / 2, 0);
	join(w, 1, WIRE_OBJECTS, 0);
	step(w, 1, &heap[0], 1);
	while (heap[0].used < 200000)
		go_on(w, heap, 1, 1, 1);
	used = heap[0].used;
	join(w, 2, WIRE_OBJECTS, 0);
	report(w, 2,
	       (struct wire_report){.allocated = 1,
				    .live = 600000,
				    .rss_bytes = UINT64_C(600000) * BYTES,
				    .budget = 150000});
	report(w, 1,
	       (struct wire_report){.used = used,
				    .allocated = heap[0].allocated,
				    .live = heap[0].live + used,
				    .rss_bytes = (heap[0].live + used) * BYTES,
				    .budget = 75000});
	assert_true(world_heap(w, 1).budget > used);
	assert_true(world_heap(w, 1).latest_start <= w->now + SEC);
}

/* ---- What is measured is rough ---- */

/* A small one, among others that make pauses long by chance; its process is larger than its objects. */
static void share_of_a_small_heap_is_steady(void **state)
{
	static const unsigned long_by[] = {1, 4, 1, 2, 3, 1, 1, 5};
	struct running heap[2] = {{.live = 600000, .rate = 60000},
				  {.live = 30000, .rate = 20000}};
	struct world *w = *state;
	unsigned collections = 0;

	configure(w, MEMORY / 2, 0);
	for (unsigned i = 0; i < 2; i++)
		join(w, i + 1, WIRE_OBJECTS, 0);
	report(w, 2,
	       (struct wire_report){.live = 4000, .rss_bytes = 12000000, .budget = 2500});
	for (unsigned n = 0; n < 3000; n++) {
		struct running *h = &heap[1];
		uint64_t budget;

		world_until(w, w->now + STEP);
		step(w, 1, &heap[0], 1);
		h->used += h->rate / 20;
		h->allocated += h->rate / 20;
		budget = world_heap(w, 2).budget;
		report(w, 2,
		       (struct wire_report){
			       .used = h->used,
			       .allocated = h->allocated,
			       .live = h->live + h->used,
			       /* (Once grown it hardly shrinks.) */
			       .rss_bytes = 12000000 + (h->live + budget) * BYTES,
			       .budget = h->live / 4});
		if (h->used >= budget / 10 * 9 || collections % 5 == 4) {
			ended(w, 2, h->live, h->used,
			      (h->live + h->used) * COST * long_by[collections % 8]);
			h->used = 0;
			collections++;
		}
		if (n > 1000)
			note(w, 2, h);
		world_forget(w);
	}
	assert_true(collections > 20);
	if ((double)heap[1].most_seen > 1.5 * (double)heap[1].least_seen)
		fail_msg("its share swings from %.0f to %.0f", (double)heap[1].least_seen,
			 (double)heap[1].most_seen);
}

/* The interpreter's own memory is none of the objects'. */
static void process_is_larger_than_its_objects(void **state)
{
	struct world *w = *state;

	configure(w, 0, 40000000);
	join(w, 1, WIRE_OBJECTS, 0);
	report(w, 1,
	       (struct wire_report){.live = 4000, .rss_bytes = 12000000, .budget = 2500});
	report(w, 1,
	       (struct wire_report){
		       .live = 24000, .rss_bytes = 22000000, .budget = 6000});
	/* 500 bytes each; 18 MB are left. */
	assert_budget(w, 1, BUDGET_SERVICE, 0.9 * 36000, 36000);
}

/* A collection walks more than was ever reported with a resident set: that tells nothing of what an object takes. */
static void figures_may_be_older_than_the_collection(void **state)
{
	struct world *w = *state;

	configure(w, 0, 312000000);
	join(w, 1, WIRE_OBJECTS, 0);
	report(w, 1,
	       (struct wire_report){.live = 4000, .rss_bytes = 12000000, .budget = 2500});
	report(w, 1,
	       (struct wire_report){
		       .live = 24000, .rss_bytes = 22000000, .budget = 6000});
	ended(w, 1, 404000, 0, 40 * MS);
	report(w, 1,
	       (struct wire_report){
		       .live = 404000, .rss_bytes = 212000000, .budget = 101000});
	/* 500 bytes each; 100 MB are left. */
	assert_budget(w, 1, BUDGET_SERVICE, 0.85 * 200000, 200000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(budget_of_a_service_is_told_in_objects),
		T(budget_of_a_service_stands_however_little_is_freed),
		T(others_keep_their_own),
		T(one_alone_is_not_over),
		T(shares_follow_the_rule_and_do_not_swing),
		T(who_falls_silent_gives_back),
		T(shares_never_exceed_the_whole),
		T(who_uses_more_than_is_left_is_due),
		T(share_of_a_small_heap_is_steady),
		T(process_is_larger_than_its_objects),
		T(figures_may_be_older_than_the_collection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
