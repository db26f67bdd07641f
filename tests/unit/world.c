/* SPDX-License-Identifier: MIT */
#include "tests/unit/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void drain_actions(struct world *w)
{
	struct action a;

	while (supervisor_next_action(w->core, &a)) {
		assert_true(w->n_actions < WORLD_ACTIONS);
		w->actions[w->n_actions++] = a;
	}
}

void world_init(struct world *w, const struct core_service_config *services, size_t n,
		unsigned max_concurrent)
{
	struct core_config config = {
		.max_concurrent = max_concurrent, .services = services, .n_services = n};

	memset(w, 0, sizeof(*w));
	core_service_config_init(&config.defaults);
	w->now = 100 * SEC;
	assert_int_equal(supervisor_new(&config, w->now, &w->core), 0);
}

void world_deinit(struct world *w)
{
	w->core = supervisor_free(w->core);
}

void world_forget(struct world *w)
{
	w->n_actions = 0;
}

int world_event(struct world *w, const struct event *event)
{
	int r = supervisor_handle(w->core, event, w->now);

	drain_actions(w);
	return r;
}

int world_join(struct world *w, uint64_t heap, const char *service, uint32_t caps)
{
	struct event e = {.type = EVENT_JOIN, .heap = heap};

	e.join.uid = 1000;
	e.join.pid = (int32_t)heap;
	e.join.hello = (struct wire_hello){
		.version_min = 1,
		.version_max = 1,
		.caps = caps,
		.unit = WIRE_OBJECTS,
		.kinds = 1 << WIRE_MAJOR,
		.budget = 1000,
	};
	snprintf(e.join.hello.service, WIRE_NAME_MAX, "%s", service);
	snprintf(e.join.hello.heap, WIRE_NAME_MAX, "heap-%u", (unsigned)heap);
	return world_event(w, &e);
}

int world_leave(struct world *w, uint64_t heap)
{
	return world_event(w, &(struct event){.type = EVENT_LEAVE, .heap = heap});
}

int world_report(struct world *w, uint64_t heap, uint64_t used)
{
	struct core_heap before = world_heap(w, heap);

	if (used > before.used)
		w->allocated[heap] += used - before.used;
	return world_event(w, &(struct event){.type = EVENT_REPORT,
					      .heap = heap,
					      .report = {.at = w->now,
							 .used = used,
							 .allocated = w->allocated[heap],
							 .live = 20000}});
}

int world_begin(struct world *w, uint64_t heap, uint64_t window, unsigned cause)
{
	return world_event(w, &(struct event){.type = EVENT_BEGIN,
					      .heap = heap,
					      .begin = {.window = window,
							.at = w->now,
							.kind = WIRE_MAJOR,
							.cause = (uint8_t)cause}});
}

int world_end(struct world *w, uint64_t heap, uint64_t window, unsigned cause,
	      nsec_t pause)
{
	return world_event(w, &(struct event){.type = EVENT_END,
					      .heap = heap,
					      .end = {.window = window,
						      .begin = w->now - pause,
						      .end = w->now,
						      .freed = 100,
						      .used = 0,
						      .live = 20000,
						      .kind = WIRE_MAJOR,
						      .cause = (uint8_t)cause}});
}

void world_until(struct world *w, nsec_t at)
{
	while (supervisor_deadline(w->core) <= at) {
		nsec_t due = supervisor_deadline(w->core);

		w->now = nsec_max(w->now, due);
		supervisor_tick(w->core, w->now);
		drain_actions(w);
		assert_true(supervisor_deadline(w->core) > w->now);
	}
	w->now = at;
}

const struct action *world_fill_until(struct world *w, unsigned n, uint64_t rate,
				      enum action_type type, nsec_t at_most)
{
	nsec_t end = w->now + at_most;

	while (w->now < end) {
		world_until(w, w->now + 50 * MS);
		for (uint64_t heap = 1; heap <= n; heap++)
			world_report(w, heap, world_heap(w, heap).used + rate / 20);
		if (world_find(w, type, 0))
			return world_find(w, type, 0);
	}
	fail_msg("no action of type %d within the time", (int)type);
	return NULL;
}

const struct action *world_find(const struct world *w, enum action_type type,
				uint64_t heap)
{
	for (size_t i = w->n_actions; i-- > 0;)
		if (w->actions[i].type == type && (!heap || w->actions[i].heap == heap))
			return &w->actions[i];
	return NULL;
}

unsigned world_count(const struct world *w, enum action_type type)
{
	unsigned n = 0;

	for (size_t i = 0; i < w->n_actions; i++)
		n += w->actions[i].type == type;
	return n;
}

struct core_status world_status(const struct world *w)
{
	struct core_status status;

	supervisor_status(w->core, &status);
	return status;
}

struct core_heap world_heap(const struct world *w, uint64_t heap)
{
	struct core_heap h;

	assert_true(supervisor_heap_after(w->core, heap - 1, w->now, &h));
	assert_int_equal(h.id, heap);
	return h;
}

bool world_explains(const struct world *w, uint64_t heap, enum reason reason)
{
	struct core_decision decisions[CORE_DECISIONS];
	unsigned n = supervisor_explain(w->core, heap, decisions);

	for (unsigned i = 0; i < n; i++)
		if (decisions[i].reason == reason)
			return true;
	return false;
}

int world_setup(void **state)
{
	struct core_service_config services[8];

	for (size_t i = 0; i < 8; i++)
		core_service_config_init(&services[i]);
	strcpy(services[0].name, "drained");
	services[0].drain = DRAIN_EXTERNAL;
	strcpy(services[1].name, "wide");
	services[1].max_concurrent = 4;
	strcpy(services[2].name, "hasty");
	services[2].max_defer = 100 * MS;
	strcpy(services[3].name, "leader");
	strcpy(services[3].never_with[0], "follower");
	strcpy(services[4].name, "follower");
	strcpy(services[5].name, "ranks");
	services[5].policy = POLICY_TOGETHER;
	strcpy(services[6].name, "observed");
	services[6].policy = POLICY_OBSERVE;
	strcpy(services[7].name, "lazy");
	services[7].policy = POLICY_IDLE;
	*state = calloc(1, sizeof(struct world));
	world_init(*state, services, 8, 2);
	return 0;
}

int world_teardown(void **state)
{
	world_deinit(*state);
	free(*state);
	return 0;
}
