/* SPDX-License-Identifier: MIT */
/*
 * A core with a clock of its own and a record of the actions it asked for: what the tests
 * of the core drive. Time is an argument, so no test waits.
 */
#ifndef RTGCD_TESTS_UNIT_WORLD_H
#define RTGCD_TESTS_UNIT_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/core/supervisor.h"

#define MS	      NSEC_PER_MSEC
#define SEC	      NSEC_PER_SEC
#define PAGE	      WIRE_CAP_PAGE
#define QUIET	      WIRE_CAP_QUIET
#define WORLD_ACTIONS 4096
#define WORLD_HEAPS   64

struct world {
	struct supervisor *core;
	nsec_t now;
	struct action
		actions[WORLD_ACTIONS]; /* in order, since the last world_forget() */
	size_t n_actions;
	uint64_t allocated[WORLD_HEAPS]; /* by heap id */
};

void world_init(struct world *w, const struct core_service_config *services, size_t n,
		unsigned max_concurrent);
void world_deinit(struct world *w);
void world_forget(struct world *w);

/* Each of these drains the actions afterwards and returns supervisor_handle()'s result.
 */
int world_event(struct world *w, const struct event *event);
int world_join(struct world *w, uint64_t heap, const char *service, uint32_t caps);
int world_leave(struct world *w, uint64_t heap);
/* used counts against a budget of 1000 objects; allocated grows with used. */
int world_report(struct world *w, uint64_t heap, uint64_t used);
int world_begin(struct world *w, uint64_t heap, uint64_t window, unsigned cause);
int world_end(struct world *w, uint64_t heap, uint64_t window, unsigned cause,
	      nsec_t pause);
/* Runs timers up to that instant, each at its own time. */
void world_until(struct world *w, nsec_t at);
/*
 * The same while the heaps 1 … n fill at `rate` objects a second and report every 50 ms;
 * stops when an action of that type appears and returns it (the test fails if none does).
 */
const struct action *world_fill_until(struct world *w, unsigned n, uint64_t rate,
				      enum action_type type, nsec_t at_most);

/* The latest action of that type for that heap (0: any heap), or NULL. */
const struct action *world_find(const struct world *w, enum action_type type,
				uint64_t heap);
unsigned world_count(const struct world *w, enum action_type type);
struct core_status world_status(const struct world *w);
struct core_heap world_heap(const struct world *w, uint64_t heap);
/* The reason of the heap's latest recorded decision of that kind exists in its ring. */
bool world_explains(const struct world *w, uint64_t heap, enum reason reason);

/*
 * For cmocka: *state is a world with two slots and the services drained (at a balancer), wide (four
 * slots), hasty (MaxDefer=100ms), leader and follower (never together), ranks (together), observed,
 * lazy (idle); any other name is a service of its own with one slot.
 */
int world_setup(void **state);
int world_teardown(void **state);
#define T(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

#endif
