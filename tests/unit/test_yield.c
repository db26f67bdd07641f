/* SPDX-License-Identifier: MIT */
/* What follows from what collections free, without a core around it: each function, and where it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/core/heap.h"
#include "daemon/core/service.h"
#include "daemon/core/yield.h"

#define SEC   NSEC_PER_SEC
#define MS    NSEC_PER_MSEC
#define RULE  10000
#define LIVE  40000
#define BEGAN (100 * SEC)
#define NOW   (110 * SEC)

struct one {
	struct service service;
	struct heap *h;
};

/* A heap of objects with a runtime's rule for its budget, collected when nothing was used. */
static int setup(void **state)
{
	struct one *one = calloc(1, sizeof(*one));

	core_service_config_init(&one->service.config);
	one->service.config.min_yield_permille = 10;
	one->h = calloc(1, sizeof(*one->h) + 2);
	one->h->service = &one->service;
	one->h->unit = WIRE_OBJECTS;
	one->h->kinds = 1 << WIRE_MAJOR;
	one->h->report = (struct wire_report){.at = NOW, .live = LIVE, .budget = RULE};
	one->h->yield.base_live = LIVE;
	*state = one;
	return 0;
}

static int teardown(void **state)
{
	struct one *one = *state;

	free(one->h->known);
	free(one->h);
	free(one);
	return 0;
}

static void collected(struct heap *h, unsigned kind, uint64_t freed, uint64_t used)
{
	const struct wire_end end = {.begin = BEGAN,
				     .end = BEGAN + 10 * MS,
				     .freed = freed,
				     .used = used,
				     .live = LIVE,
				     .kind = (uint8_t)kind};

	yield_learn(h, &end, BEGAN, 10 * MS);
}

/* ---- What the next window is for ---- */

static void kinds_that_find_garbage(void **state)
{
	struct one *one = *state;
	struct core_service_config *config = &one->service.config;
	struct heap *h = one->h;

	assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
	h->kinds = 0;
	assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
	h->kinds = 1 << WIRE_SNAPSHOT;
	config->drain = DRAIN_EXTERNAL; /* it has no choice */
	assert_int_equal(yield_kind(h, NOW), WIRE_SNAPSHOT);
	h->kinds = 1 << WIRE_SNAPSHOT | 1 << WIRE_MAJOR;
	assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
	config->drain = DRAIN_NONE;
	assert_int_equal(yield_kind(h, NOW), WIRE_SNAPSHOT);
	config->policy = POLICY_TOGETHER;
	assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
}

static void a_freeze_instead(void **state)
{
	struct one *one = *state;
	struct core_service_config *config = &one->service.config;
	struct heap *h = one->h;

	h->kinds |= 1 << WIRE_FREEZE;
	h->yield.empty = 1;
	assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
	h->yield.empty = 2;
	assert_int_equal(yield_kind(h, NOW), WIRE_FREEZE);
	h->yield.useless = true;
	assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
	h->yield.useless = false;
	config->min_yield_permille = 0;
	assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
	config->min_yield_permille = 10;
	config->policy = POLICY_OBSERVE;
	assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
	config->policy = POLICY_IDLE;
	assert_int_equal(yield_kind(h, NOW), WIRE_FREEZE);
	h->kinds = 1 << WIRE_MAJOR;
	assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
}

/* Its budget lasts that long. */
static void rate_of(struct heap *h, uint64_t lasts_ms)
{
	h->rate.slow = (float)RULE * 1000 / (float)lasts_ms;
}

/* It collected, is predicted to take that long for a snapshot, and its budget lasts that long. */
static void ran(struct heap *h, unsigned kind, uint64_t run_ms, uint64_t lasts_ms)
{
	struct predict *runs = heap_to_know(h, HEAP_RUNS);

	*runs = (struct predict){.of = HEAP_RUNS,
				 .count = 1,
				 .typical = (float)(run_ms * MS) / (float)LIVE};
	rate_of(h, lasts_ms);
	collected(h, kind, LIVE, 0);
}

static void majors_where_snapshots_are_outrun(void **state)
{
	struct one *one = *state;
	struct heap *h = one->h;

	h->kinds = 1 << WIRE_SNAPSHOT | 1 << WIRE_MAJOR;
	/* Twice in a row. */
	ran(h, WIRE_SNAPSHOT, 1000, 1900);
	assert_int_equal(yield_kind(h, NOW), WIRE_SNAPSHOT);
	ran(h, WIRE_SNAPSHOT, 1000, 2100);
	assert_int_equal(yield_kind(h, NOW), WIRE_SNAPSHOT);
	ran(h, WIRE_SNAPSHOT, 1000, 1900);
	assert_int_equal(yield_kind(h, NOW), WIRE_SNAPSHOT);
	ran(h, WIRE_MINOR, 1000, 1900);
	assert_int_equal(yield_kind(h, NOW), WIRE_SNAPSHOT);
	ran(h, WIRE_SNAPSHOT, 1000, 1900);
	assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
	assert_true(yield_is_outrun(h));
	/* Not by every change of the rate. */
	ran(h, WIRE_MAJOR, 1000, 3900);
	assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
	/* Who can do no majors has no choice, nor who can do nothing else. */
	h->kinds = 1 << WIRE_SNAPSHOT;
	assert_int_equal(yield_kind(h, NOW), WIRE_SNAPSHOT);
	assert_false(yield_is_outrun(h));
	h->kinds = 1 << WIRE_MAJOR;
	assert_false(yield_is_outrun(h));
	h->kinds = 1 << WIRE_SNAPSHOT | 1 << WIRE_MAJOR;
	ran(h, WIRE_MAJOR, 1000, 4100);
	assert_int_equal(yield_kind(h, NOW), WIRE_SNAPSHOT);
	/* Without a rate, or a budget, nothing is outrun. */
	h->rate.slow = 0;
	collected(h, WIRE_SNAPSHOT, LIVE, 0);
	collected(h, WIRE_SNAPSHOT, LIVE, 0);
	assert_int_equal(yield_kind(h, NOW), WIRE_SNAPSHOT);
	h->report.budget = 0;
	ran(h, WIRE_SNAPSHOT, 1000, 1);
	ran(h, WIRE_SNAPSHOT, 1000, 1);
	assert_int_equal(yield_kind(h, NOW), WIRE_SNAPSHOT);
}

/* Where the program filled its heap, and is calm now: its next window is not one for a pause. */
static void a_calm_heap_is_not_outrun(void **state)
{
	struct one *one = *state;
	struct heap *h = one->h;

	h->kinds = 1 << WIRE_SNAPSHOT | 1 << WIRE_MAJOR;
	ran(h, WIRE_SNAPSHOT, 1000, 500);
	ran(h, WIRE_SNAPSHOT, 1000, 500);
	assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
	rate_of(h, 3900);
	assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
	rate_of(h, 4100);
	assert_int_equal(yield_kind(h, NOW), WIRE_SNAPSHOT);
	assert_false(yield_is_outrun(h));
	/* A burst in between is none of many. */
	rate_of(h, 500);
	assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
	ran(h, WIRE_SNAPSHOT, 1000, 4100);
	rate_of(h, 500);
	assert_int_equal(yield_kind(h, NOW), WIRE_SNAPSHOT);
}

/* The machine may have been busy when they ran. */
static void a_snapshot_is_tried_again(void **state)
{
	struct one *one = *state;
	struct heap *h = one->h;

	h->kinds = 1 << WIRE_SNAPSHOT | 1 << WIRE_MAJOR;
	ran(h, WIRE_SNAPSHOT, 1000, 1000);
	ran(h, WIRE_SNAPSHOT, 1000, 1000);
	for (unsigned again = 0; again < 3; again++) {
		for (unsigned i = 0; i < 32; i++) {
			assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
			ran(h, WIRE_MAJOR, 1000, 1000);
		}
		assert_int_equal(yield_kind(h, NOW), WIRE_SNAPSHOT);
		ran(h, WIRE_SNAPSHOT, 1000, 1000);
	}
	assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
	for (unsigned i = 0; i < 32; i++)
		ran(h, WIRE_MAJOR, 1000, 1000);
	ran(h, WIRE_SNAPSHOT, 100, 1000);
	ran(h, WIRE_SNAPSHOT, 1000, 1000);
	assert_int_equal(yield_kind(h, NOW), WIRE_SNAPSHOT);
}

/* A heap that has grown is looked at as a whole: by its resident set, else by its count, or by turnover. */
static void until_it_has_grown(void **state)
{
	struct one *one = *state;
	struct heap *h = one->h;

	h->kinds |= 1 << WIRE_FREEZE;
	h->yield.empty = 2;
	h->report.live = LIVE * 3 / 2;
	assert_int_equal(yield_kind(h, NOW), WIRE_FREEZE);
	h->report.live++;
	assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
	/* A count does not tell garbage from what was freed by itself, the resident set does. */
	h->yield.base_rss = 1000;
	h->report.rss_bytes = 1500;
	assert_int_equal(yield_kind(h, NOW), WIRE_FREEZE);
	h->report.rss_bytes = 1501;
	assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
	h->report.rss_bytes = 1000;
	h->yield.base_allocated = 7;
	h->report.allocated = 7 + 8 * LIVE;
	assert_int_equal(yield_kind(h, NOW), WIRE_FREEZE);
	h->report.allocated += 8;
	assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
	/* Each look that was in vain makes that twice as many, to an end. */
	for (unsigned more = 1; more < 6; more++) {
		unsigned times = 8u << (more < 3 ? more : 3);

		h->yield.empty = (uint8_t)(2 + more);
		h->report.allocated = 7 + (uint64_t)times * LIVE;
		assert_int_equal(yield_kind(h, NOW), WIRE_FREEZE);
		h->report.allocated += times;
		assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
	}
	h->report.allocated = 0; /* (It counts anew.) */
	assert_int_equal(yield_kind(h, NOW), WIRE_FREEZE);
}

/* ---- Budgets ---- */

static void the_rule(void **state)
{
	struct one *one = *state;
	struct heap *h = one->h;

	assert_int_equal(yield_rule(h), RULE);
	assert_int_equal(yield_budget(h), RULE);
	/* Ranks get what their guard takes. */
	one->service.config.policy = POLICY_TOGETHER;
	assert_true(yield_rule_is_wide(h));
	assert_int_equal(yield_rule(h), RULE + RULE / 4);
	assert_int_equal(yield_budget(h), RULE + RULE / 4);
	h->report.budget = UINT64_MAX;
	assert_true(yield_rule(h) == UINT64_MAX);
	assert_false(yield_rule_is_wide(h));
	h->report.budget = RULE;
	h->own_budget = 5000; /* its user has said it */
	assert_int_equal(yield_rule(h), RULE);
	h->own_budget = 0;
	h->unit = WIRE_BYTES; /* a limit that the runtime may die of */
	assert_int_equal(yield_rule(h), RULE);
}

static void raised_by_doublings(void **state)
{
	static const struct {
		uint8_t empty, freezes;
		unsigned times;
	} cases[] = {{0, 0, 1}, {0, 3, 1},  {1, 0, 2},	{2, 0, 4},
		     {1, 2, 8}, {5, 0, 32}, {5, 5, 32}, {255, 5, 32}};
	struct one *one = *state;
	struct heap *h = one->h;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		h->yield.empty = cases[i].empty;
		h->yield.freezes = cases[i].freezes;
		h->yield.raised = 0;
		assert_false(yield_is_raised(h));
		assert_int_equal(yield_declines(h), cases[i].times > 1);
		yield_raise(h);
		assert_int_equal(yield_budget(h), RULE * cases[i].times);
		assert_int_equal(yield_is_raised(h), cases[i].times > 1);
		/* Once for each empty collection. */
		assert_false(yield_declines(h));
	}
	h->report.budget = UINT64_MAX / 2;
	yield_raise(h);
	assert_true(yield_budget(h) == UINT64_MAX);
	h->report.budget = 64 * RULE; /* the rule itself has overtaken it */
	h->yield.raised = 32 * RULE;
	assert_false(yield_is_raised(h));
	assert_int_equal(yield_budget(h), 64 * RULE);
}

static void who_is_not_declined(void **state)
{
	struct one *one = *state;
	struct heap *h = one->h;

	h->yield.empty = 1;
	assert_true(yield_declines(h));
	h->own_budget = RULE;
	assert_false(yield_declines(h));
	assert_false(yield_is_raised(h));
	h->own_budget = 0;
	h->unit = WIRE_BYTES;
	h->yield.raised = 2 * RULE;
	assert_false(yield_declines(h));
	assert_false(yield_is_raised(h));
	assert_int_equal(yield_budget(h), RULE);
	h->unit = WIRE_OBJECTS;
	h->yield.raised = 0;
	one->service.config.min_yield_permille = 0;
	assert_false(yield_declines(h));
	one->service.config.min_yield_permille = 10;
	one->service.config.policy = POLICY_OBSERVE;
	assert_false(yield_declines(h));
	one->service.config.policy = POLICY_STAGGER;
	h->report.live = 2 * LIVE;
	assert_false(yield_declines(h));
}

/* ---- Figures have come in ---- */

/* After one empty collection at BEGAN, in a cycle of 1,000 objects a second. */
static void review(struct heap *h, nsec_t turn, nsec_t now)
{
	if (yield_review(h))
		yield_lower(h, turn, now);
}

static void one_empty(struct heap *h)
{
	h->yield.empty = 1;
	h->yield.since = BEGAN;
	h->yield.base_rate = 1000;
	yield_raise(h);
	h->report.used = RULE;
}

static bool is_forgotten(struct heap *h, nsec_t span, uint64_t allocated)
{
	h->yield.doubt = false;
	h->report.at = BEGAN + span;
	h->report.allocated = allocated;
	review(h, 0, h->report.at);
	return h->yield.doubt;
}

static void another_rate_is_another_program(void **state)
{
	struct one *one = *state;
	struct heap *h = one->h;

	one_empty(h);
	assert_false(is_forgotten(h, 10 * SEC, 20000));
	assert_true(is_forgotten(h, 10 * SEC, 20001));
	assert_false(is_forgotten(h, 10 * SEC, 5000));
	assert_true(is_forgotten(h, 10 * SEC, 4999));
	/* A burst is no rate, nor is what it does before half of the rule is used. */
	assert_false(is_forgotten(h, SEC - 1, 20001));
	assert_true(is_forgotten(h, SEC, 20001));
	h->report.used = RULE / 2 - 1;
	assert_false(is_forgotten(h, 10 * SEC, 20001));
	h->report.used = RULE / 2;
	assert_true(is_forgotten(h, 10 * SEC, 20001));
	/* It counts anew; nothing was known. */
	h->yield.allocated = 30000;
	assert_false(is_forgotten(h, 10 * SEC, 20001));
	h->yield.allocated = 0;
	h->yield.base_rate = 0;
	assert_false(is_forgotten(h, 10 * SEC, 20001));
}

/* Rates go up and down: one collection for each change, and ever fewer. */
static void a_change_that_meant_nothing(void **state)
{
	struct one *one = *state;
	struct heap *h = one->h;
	uint64_t most = 20000;

	h->kinds |= 1 << WIRE_FREEZE;
	one_empty(h);
	h->yield.empty = 4;
	for (unsigned alarms = 0; alarms < 5; alarms++) {
		assert_int_equal(yield_kind(h, NOW), WIRE_FREEZE);
		assert_true(yield_gives_way(h) || yield_budget(h) > RULE);
		assert_false(is_forgotten(h, 10 * SEC, most));
		assert_true(is_forgotten(h, 10 * SEC, most + 1));
		/* It is looked at by the rule, all of it. */
		assert_int_equal(yield_kind(h, NOW), WIRE_MAJOR);
		assert_false(yield_declines(h));
		assert_int_equal(yield_slack_from(h), yield_budget(h) / 2);
		collected(h, WIRE_MAJOR, 0, 0);
		assert_int_equal(h->yield.empty, 5 + alarms);
		h->yield.since = BEGAN;
		h->yield.base_rate = 1000;
		h->yield.allocated = h->yield.base_allocated = 0;
		h->report.used = RULE;
		yield_raise(h);
		if (most < 160000)
			most *= 2;
	}
	/* Where it meant something it is heeded as ever. */
	collected(h, WIRE_MAJOR, LIVE, 0);
	one_empty(h);
	h->yield.allocated = 0;
	assert_true(is_forgotten(h, 10 * SEC, 20001));
}

static void a_raised_budget_is_lowered(void **state)
{
	struct one *one = *state;
	struct heap *h = one->h;

	one_empty(h);
	h->report.used = 12000;
	h->report.allocated = 10000; /* at the rate it had */
	review(h, 0, NOW);
	assert_int_equal(yield_budget(h), 2 * RULE);
	assert_false(h->yield.at_once);
	/* It has grown: what is used is the limit, with room to wait for a slot. */
	h->report.live = 2 * LIVE;
	review(h, 0, NOW);
	assert_int_equal(yield_budget(h), 12000 + 12000 / 9 + 1);
	assert_true(h->yield.at_once);

	h->report.live = LIVE;
	h->yield.at_once = false;
	yield_raise(h);
	one->service.config.min_yield_permille = 0;
	review(h, 0, NOW);
	assert_int_equal(yield_budget(h), 12000 + 12000 / 9 + 1);
	assert_true(h->yield.at_once);

	one->service.config.min_yield_permille = 10;
	h->yield.at_once = false;
	yield_raise(h);
	h->yield.empty = 0;
	h->report.used = 500; /* below the rule, which then holds */
	review(h, 0, NOW);
	assert_int_equal(yield_budget(h), RULE);
	assert_true(h->yield.at_once);
	/* Never up. */
	h->yield.at_once = false;
	h->report.used = 5 * RULE;
	h->yield.raised = 2 * RULE;
	review(h, 0, NOW);
	assert_int_equal(h->yield.raised, 2 * RULE);
}

/* Three heaps notice at the same time that they must be looked at: two of them wait. */
static void a_lowered_budget_has_room_for_its_turn(void **state)
{
	struct one *one = *state;
	struct heap *h = one->h;

	one_empty(h);
	h->yield.raised = 8 * RULE;
	h->report.used = 12000;
	h->report.live = 2 * LIVE;
	h->rate.slow = 1000;
	review(h, 3 * SEC, NOW);
	assert_int_equal(yield_budget(h), 15000 + 15000 / 9 + 1);
	assert_true(h->yield.at_once);
	/* It stays due with that, whatever is found meanwhile, until it has collected. */
	h->report.live = 4 * LIVE;
	review(h, SEC, NOW + SEC);
	assert_int_equal(yield_budget(h), 15000 + 15000 / 9 + 1);
	h->yield.at_once = false;
	review(h, SEC, NOW);
	assert_int_equal(yield_budget(h), 13000 + 13000 / 9 + 1);
	h->yield.at_once = false;
	review(h, UINT64_MAX / 2, NOW);
	assert_int_equal(yield_budget(h), 13000 + 13000 / 9 + 1);
}

/* Twice the rule for each that freed nothing, but never more than once. */
static void gives_way_as_far_as_it_would_be_raised(void **state)
{
	struct one *one = *state;
	struct heap *h = one->h;

	assert_false(yield_gives_way(h));
	h->yield.empty = 2;
	assert_true(yield_gives_way(h));
	h->report.live = 2 * LIVE; /* it has grown, and is not declined for that */
	assert_true(yield_gives_way(h));
	assert_false(yield_declines(h));
	yield_raise(h);
	assert_int_equal(yield_budget(h), 4 * RULE);
	assert_false(yield_gives_way(h));
	h->yield.raised = 0;
	one->service.config.min_yield_permille = 0;
	assert_false(yield_gives_way(h));
	one->service.config.min_yield_permille = 10;
	h->unit = WIRE_BYTES;
	assert_false(yield_gives_way(h));
}

/* ---- In slack ---- */

static void worth_a_window_in_slack(void **state)
{
	struct one *one = *state;
	struct heap *h = one->h;

	/* Of a budget that can be raised half of what it would be raised to. */
	assert_int_equal(yield_slack_from(h), RULE / 2);
	h->yield.empty = 2;
	assert_int_equal(yield_slack_from(h), 4 * RULE / 2);
	h->yield.raised = 8 * RULE;
	assert_int_equal(yield_slack_from(h), 8 * RULE / 2);
	h->report.live = 2 * LIVE;
	assert_int_equal(yield_slack_from(h), 8 * RULE / 2);
	h->report.live = LIVE;
	h->yield.raised = 0;
	/* Of every other one the later part, the later the more were empty. */
	h->own_budget = 1600;
	h->report.budget = 0;
	h->yield.empty = 0;
	assert_int_equal(yield_slack_from(h), 800);
	h->yield.empty = 1;
	assert_int_equal(yield_slack_from(h), 1200);
	h->yield.empty = 3;
	assert_int_equal(yield_slack_from(h), 1500);
	h->yield.empty = 255;
	assert_int_equal(yield_slack_from(h), 1500);
	h->next = WIRE_FREEZE;
	assert_int_equal(yield_slack_from(h), 800);
	h->next = WIRE_MAJOR;
	one->service.config.min_yield_permille = 0;
	assert_int_equal(yield_slack_from(h), 800);
	one->service.config.policy = POLICY_OBSERVE;
	assert_int_equal(yield_slack_from(h), 800);
}

/* What the last one freed of what was used says how much is enough: 1 % of the heap here. */
static void enough_is_used(void **state)
{
	struct one *one = *state;
	struct heap *h = one->h;

	h->own_budget = 1600;
	h->report.budget = 0;
	h->yield.of_used = 1;
	assert_int_equal(yield_slack_from(h), 800);
	h->yield.of_used = 1 / 2.5f;
	assert_in_range(yield_slack_from(h), 999, 1000);
	h->yield.of_used = 1e-9f; /* not beyond the last of it */
	assert_int_equal(yield_slack_from(h), 1500);
}

/* ---- Learning ---- */

static void what_is_empty(void **state)
{
	struct one *one = *state;
	struct heap *h = one->h;
	struct wire_end end = {.kind = WIRE_MAJOR};

	/* 1 % of what was walked is enough, however little that is in all. */
	collected(h, WIRE_MAJOR, 404, 0);
	assert_int_equal(h->yield.empty, 1);
	collected(h, WIRE_MAJOR, 405, 0);
	assert_int_equal(h->yield.empty, 0);
	collected(h, WIRE_SNAPSHOT, 0, 0);
	assert_int_equal(h->yield.empty, 1);
	/* It tells no figures, or came to nothing. */
	yield_learn(h, &end, BEGAN, MS);
	assert_int_equal(h->yield.empty, 1);
	end.failed = true;
	end.live = LIVE;
	yield_learn(h, &end, BEGAN, MS);
	assert_int_equal(h->yield.empty, 1);
	collected(h, WIRE_MINOR, 0, 0);
	assert_int_equal(h->yield.empty, 1);
	for (unsigned i = 0; i < 300; i++)
		collected(h, WIRE_MAJOR, 0, 0);
	assert_int_equal(h->yield.empty, 255);
	one->service.config.min_yield_permille = 0;
	collected(h, WIRE_MAJOR, 0, 0);
	assert_int_equal(h->yield.empty, 0);
}

static void freezes_that_help(void **state)
{
	struct one *one = *state;
	struct heap *h = one->h;

	h->yield.empty = 2;
	h->report.used = 1000;
	collected(h, WIRE_FREEZE, 0, 500);
	assert_int_equal(h->yield.freezes, 1);
	assert_false(h->yield.useless);
	collected(h, WIRE_FREEZE, 0, 501);
	assert_int_equal(h->yield.freezes, 1);
	assert_true(h->yield.useless);
	assert_int_equal(h->yield.empty, 2);
	for (unsigned i = 0; i < 10; i++)
		collected(h, WIRE_FREEZE, 0, 0);
	assert_int_equal(h->yield.freezes, 5);
	/* A collection that frees enough ends all that. */
	collected(h, WIRE_MAJOR, LIVE, 0);
	assert_int_equal(h->yield.empty, 0);
	assert_int_equal(h->yield.freezes, 0);
	assert_false(h->yield.useless);
}

static void a_new_cycle(void **state)
{
	struct one *one = *state;
	struct heap *h = one->h;

	h->report.used = 1000;
	h->report.allocated = 5000;
	h->report.rss_bytes = 77;
	h->yield.told = h->yield.at_once = true;
	collected(h, WIRE_MINOR, 500, 0); /* is none */
	assert_true(h->yield.told);
	collected(h, WIRE_MAJOR, 500, 90);
	assert_false(h->yield.told);
	assert_false(h->yield.at_once);
	assert_true(h->yield.since == BEGAN + 10 * MS);
	assert_int_equal(h->yield.allocated, 5000);
	assert_int_equal(h->yield.base_allocated, 5000);
	assert_true(h->yield.base_live == LIVE && h->yield.base_rss == 77);
	assert_true(h->yield.of_used == 0.5f);
	assert_true(h->yield.per_s == 500 * 100);
	assert_true(h->yield.base_rate == 0); /* of the first one nobody knows */
	assert_int_equal(h->yield.raised, 0);
	/* 4,000 objects in the two seconds before the next. */
	h->yield.since = BEGAN - 2 * SEC;
	h->report.allocated = 9000;
	h->yield.raised = 2 * RULE;
	collected(h, WIRE_MAJOR, 500, 90);
	assert_true(h->yield.base_rate == 2000);
	/* Nobody who is above the rule at once is forced at once. */
	assert_int_equal(h->yield.raised, 90 + 10 + 1);
	/* After a freeze the heap's own figures stay those of when all of it was looked at. */
	h->report.allocated = 20000;
	collected(h, WIRE_FREEZE, 0, UINT64_MAX);
	assert_int_equal(h->yield.base_allocated, 9000);
	assert_int_equal(h->yield.allocated, 20000);
	assert_true(h->yield.raised == UINT64_MAX);
}

int main(void)
{
#define Y(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		Y(kinds_that_find_garbage),
		Y(a_freeze_instead),
		Y(majors_where_snapshots_are_outrun),
		Y(a_calm_heap_is_not_outrun),
		Y(a_snapshot_is_tried_again),
		Y(until_it_has_grown),
		Y(the_rule),
		Y(raised_by_doublings),
		Y(who_is_not_declined),
		Y(another_rate_is_another_program),
		Y(a_change_that_meant_nothing),
		Y(a_raised_budget_is_lowered),
		Y(gives_way_as_far_as_it_would_be_raised),
		Y(a_lowered_budget_has_room_for_its_turn),
		Y(worth_a_window_in_slack),
		Y(enough_is_used),
		Y(what_is_empty),
		Y(freezes_that_help),
		Y(a_new_cycle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
