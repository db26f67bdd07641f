/* SPDX-License-Identifier: MIT */
/* Who makes room for whom in the history, and that those who look at it see all the rest. */
#include <stdlib.h>

#include "tests/unit/world.h"

#include "daemon/history.h"

#define MOST HISTORY_RECORDS

struct past {
	struct world *world;
	struct history *history;
};

static int setup(void **state)
{
	struct past *p = calloc(1, sizeof(*p));
	void *world;

	world_setup(&world);
	p->world = world;
	assert_int_equal(history_new(&p->history), 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct past *p = *state;
	void *world = p->world;

	history_free(p->history);
	world_teardown(&world);
	free(p);
	return 0;
}

/* A heap of that user; its id is the uid. */
static void join(struct past *p, uint32_t uid)
{
	struct event e = {
		.type = EVENT_JOIN, .heap = uid, .join = {.uid = uid, .pid = 1}};

	e.join.hello = (struct wire_hello){.version_min = 1,
					   .version_max = 1,
					   .kinds = 1 << WIRE_MAJOR,
					   .service = "a",
					   .heap = "h"};
	assert_int_equal(world_event(p->world, &e), 0);
}

static void leave(struct past *p, uint32_t uid)
{
	struct event e = {.type = EVENT_LEAVE, .heap = uid};

	assert_int_equal(world_event(p->world, &e), 0);
	world_forget(p->world);
}

static void pause_once(struct past *p, uint32_t uid)
{
	struct history_marks marks = {0};
	struct event e = {.type = EVENT_END, .heap = uid};

	e.end.kind = WIRE_MAJOR;
	e.end.cause = WIRE_FORCED;
	e.end.end = p->world->now;
	history_event(p->history, p->world->core, &e, p->world->now, &marks);
}

static void pauses(struct past *p, uint32_t uid, unsigned n)
{
	while (n-- > 0)
		pause_once(p, uid);
}

/* Of that user; of all of them (0), whose ids rise. *oldest: the first of these. */
static unsigned kept(const struct past *p, uint32_t uid, uint64_t *oldest)
{
	const struct history_record *r = history_after(p->history, 0);
	uint64_t before = 0;
	unsigned n = 0;

	for (; r; r = history_next(p->history, r)) {
		assert_true(r->id > before);
		before = r->id;
		if (uid && r->who.uid != uid)
			continue;
		if (n++ == 0 && oldest)
			*oldest = r->id;
	}
	return n;
}

static void alone_one_has_all(void **state)
{
	struct past *p = *state;
	uint64_t oldest;

	join(p, 1);
	pauses(p, 1, MOST + 5);
	assert_int_equal(kept(p, 1, &oldest), MOST);
	assert_int_equal(oldest, 6);
	assert_int_equal(history_dropped(p->history), 5);
	assert_int_equal(history_after(p->history, 3)->id, 6);
	assert_int_equal(history_after(p->history, MOST)->id, MOST + 1);
	assert_null(history_after(p->history, MOST + 5));
}

static void who_has_more_loses_his_oldest(void **state)
{
	struct past *p = *state;
	uint64_t oldest;

	join(p, 1);
	join(p, 2);
	pauses(p, 2, 10);
	pauses(p, 1, 3 * MOST);
	assert_int_equal(kept(p, 2, &oldest), 10);
	assert_int_equal(oldest, 1);
	assert_int_equal(kept(p, 1, &oldest), MOST - 10);
	assert_int_equal(oldest, 2 * MOST + 10 + 10 + 1);
	/* Whose share has grown takes it from him, up to a half. */
	pauses(p, 2, MOST);
	assert_in_range(kept(p, 1, NULL), MOST / 2 - 1, MOST / 2 + 1);
	assert_int_equal(kept(p, 0, NULL), MOST);
}

static void as_many_users_as_records(void **state)
{
	struct past *p = *state;
	uint64_t oldest;

	for (uint32_t uid = 1; uid <= MOST + 100; uid++) {
		join(p, uid);
		pauses(p, uid, 1);
		leave(p, uid);
	}
	assert_int_equal(kept(p, 0, &oldest), MOST);
	assert_int_equal(oldest, 101);
	assert_int_equal(history_dropped(p->history), 100);
	join(p, 1); /* forgotten, and there again */
	pauses(p, 1, MOST);
	assert_int_equal(kept(p, 0, NULL), MOST);
	assert_in_range(kept(p, 1, NULL), 1, 2);
}

/* What is under way is over where it was noted, unless its room was taken. */
static void marks_of_those_who_lost_their_room(void **state)
{
	struct past *p = *state;
	struct history_marks kept_marks = {0}, lost_marks = {0};
	struct event e = {.type = EVENT_BEGIN};
	const struct history_record *r;

	join(p, 1);
	join(p, 2);
	e.begin.kind = WIRE_MAJOR;
	e.begin.cause = WIRE_FORCED;
	e.heap = 1;
	history_event(p->history, p->world->core, &e, p->world->now, &lost_marks);
	e.heap = 2;
	history_event(p->history, p->world->core, &e, p->world->now, &kept_marks);
	pauses(p, 1, 2 * MOST);
	history_left(p->history, p->world->now, &kept_marks);
	history_left(p->history, p->world->now, &lost_marks);
	r = history_after(p->history, 0);
	assert_int_equal(r->id, 2);
	assert_int_equal(r->outcome, REASON_LEFT);
	for (r = history_next(p->history, r); r; r = history_next(p->history, r))
		assert_int_equal(r->outcome, REASON_ENDED);
}

#define P(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		P(alone_one_has_all),
		P(who_has_more_loses_his_oldest),
		P(as_many_users_as_records),
		P(marks_of_those_who_lost_their_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
