/* SPDX-License-Identifier: MIT */
/*
 * scale N: a core with N heaps, ten a service, then 1,000 reports that decide nothing and 1,000
 * collections from due to END. test_scale.py counts the instructions of both parts.
 * scale: prints how much memory a heap takes.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/core/state.h"

#define ROUNDS	  1000
#define A_SERVICE 10

void report_many(struct supervisor *s, unsigned n, nsec_t now);
void collect_many(struct supervisor *s, unsigned n, nsec_t *now);

static void drop_actions(struct supervisor *s)
{
	struct action a;

	while (supervisor_next_action(s, &a))
		;
}

static void send_event(struct supervisor *s, const struct event *e, nsec_t now)
{
	if (supervisor_handle(s, e, now) < 0)
		abort();
	drop_actions(s);
}

static void report(struct supervisor *s, uint64_t heap, uint64_t used, nsec_t now)
{
	struct event e = {.type = EVENT_REPORT, .heap = heap};

	e.report = (struct wire_report){.at = now,
					.used = used,
					.allocated = used,
					.live = 100000,
					.budget = 1000000000};
	send_event(s, &e, now);
}

static void join(struct supervisor *s, uint64_t heap, nsec_t now)
{
	struct event e = {.type = EVENT_JOIN, .heap = heap};

	e.join.hello = (struct wire_hello){
		.caps = WIRE_CAP_PAGE, .unit = WIRE_OBJECTS, .kinds = 1 << WIRE_MAJOR};
	snprintf(e.join.hello.service, WIRE_NAME_MAX, "service-%u",
		 (unsigned)(heap / A_SERVICE));
	snprintf(e.join.hello.heap, WIRE_NAME_MAX, "heap-%u", (unsigned)heap);
	snprintf(e.join.hello.runtime, WIRE_RUNTIME_MAX, "CPython 3.11.2");
	send_event(s, &e, now);
}

/* Heaps all over the place, none of them near its budget. */
void __attribute__((noinline)) report_many(struct supervisor *s, unsigned n, nsec_t now)
{
	for (uint64_t i = 0; i < ROUNDS; i++)
		report(s, 1 + i * 7919 % n, 2000 + i, now);
}

/* The heap is full, gets its window, begins and ends. */
static void collect(struct supervisor *s, uint64_t heap, nsec_t *now)
{
	struct event e = {.type = EVENT_REPORT, .heap = heap};
	uint64_t window = 0;
	struct action a;

	*now += NSEC_PER_MSEC;
	e.report =
		(struct wire_report){.at = *now,
				     .used = 999999999,
				     .allocated = 4000, /* slowly: not due again soon */
				     .live = 100000,
				     .budget = 1000000000};
	supervisor_handle(s, &e, *now);
	while (supervisor_next_action(s, &a)) {
		if (a.type == ACTION_OPEN && a.heap == heap)
			window = a.window.window;
	}
	e = (struct event){.type = EVENT_BEGIN, .heap = heap};
	e.begin = (struct wire_begin){window, *now, WIRE_MAJOR, WIRE_IN_WINDOW};
	send_event(s, &e, *now);
	e = (struct event){.type = EVENT_END, .heap = heap};
	e.end = (struct wire_end){.window = window,
				  .begin = *now,
				  .end = *now + NSEC_PER_MSEC,
				  .freed = 100000, /* worth it again next time */
				  .live = 100000,
				  .kind = WIRE_MAJOR};
	*now += NSEC_PER_MSEC;
	supervisor_handle(s, &e, *now);
	drop_actions(s);
}

/* One heap after the other. */
void __attribute__((noinline)) collect_many(struct supervisor *s, unsigned n, nsec_t *now)
{
	for (uint64_t i = 0; i < ROUNDS; i++)
		collect(s, 1 + i * 104729 % n, now);
}

static size_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static size_t of_services(const struct supervisor *s)
{
	size_t bytes = 0;

	list_for_each (l, &s->services)
		bytes += malloc_usable_size(list_entry(l, struct service, all)) +
			 sizeof(size_t);
	return bytes;
}

#define HEAPS 8200

/* What the allocator gave for each heap since then: tables just grown and all, but not the services. */
static size_t a_heap(const struct supervisor *s, size_t before)
{
	return (allocated() - before - of_services(s)) / HEAPS;
}

/* After their first collections, then with as many decisions behind them as are kept. */
static void print_memory(struct supervisor *s, nsec_t now)
{
	size_t before = allocated();

	for (uint64_t heap = 1; heap <= HEAPS; heap++) {
		join(s, heap, now);
		report(s, heap, 1000, now);
		collect(s, heap, &now);
	}
	printf("struct heap: %zu bytes\n", sizeof(struct heap));
	printf("%zu bytes a heap after its first collection\n", a_heap(s, before));
	for (unsigned i = 0; i < CORE_DECISIONS; i++)
		for (uint64_t heap = 1; heap <= HEAPS; heap++)
			collect(s, heap, &now);
	printf("%zu bytes a heap at the most\n", a_heap(s, before));
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
	struct core_config config = {.max_concurrent = 8};
	struct core_status status;
	struct supervisor *s;
	nsec_t now = 1000 * NSEC_PER_SEC;

	core_service_config_init(&config.defaults);
	if (supervisor_new(&config, now, &s) < 0)
		return 1;
	if (argc == 1) {
		print_memory(s, now);
		supervisor_free(s);
		return 0;
	}
	for (uint64_t heap = 1; heap <= n; heap++)
		join(s, heap, now);
	now += NSEC_PER_SEC;
	for (uint64_t heap = 1; heap <= n; heap++)
		report(s, heap, heap % 1000, now);
	now += NSEC_PER_SEC;
	report_many(s, n, now);
	collect_many(s, n, &now);
	supervisor_status(s, &status);
	printf("%u heaps, %llu windows\n", status.heaps,
	       (unsigned long long)status.windows_granted);
	supervisor_free(s);
	return 0;
}
