/* SPDX-License-Identifier: MIT */
#include "daemon/core/budget.h"

#include <math.h>
#include <stdlib.h>

#include "daemon/core/state.h"

/* Nobody gets less room than this part of what lives, however crowded the host. */
#define FLOOR (1.0 / 16)
/* The room given is that share of what is due … */
#define ROOM_GIVEN 0.95
/* … and stays while it is neither less than that share of it nor more than the other: */
#define SHARE_LEAST 0.85
#define SHARE_MOST  1.15
/* of MemoryBudget, or of what is left by Budget. */
#define ROOM_LEAST 0.9
/* From that part of it on the room for all is taken: who has more than is due gives it back. */
#define CROWDED 0.98

/* A cycle shorter than that tells no rate. */
#define CYCLE_MIN NSEC_PER_SEC
/* How far what an object takes moves with each collection. */
#define UNIT_WEIGHT 0.5f
#define UNIT_FALL   0.9f
/* How far the most that was there falls with each. */
#define LIVE_FALL 0.25f
/* Others that run make single pauses longer, nothing makes them shorter. */
#define PAUSE_FALL 0.5f
#define PAUSE_RISE 1.05f
/* Of so many times as many objects it is told what they take beyond what was there before them. */
#define FIRST_SMALL 2

/* ---- Learning ------------------------------------------------------------------------------- */

static bool started_small(const struct budget_share *b, double live)
{
	return b->first_live > 0 && live >= FIRST_SMALL * (double)b->first_live;
}

static float unit_of(const struct budget_share *b, double rss, double live)
{
	if (started_small(b, live) && rss > (double)b->first_rss)
		return (float)((rss - (double)b->first_rss) /
			       (live - (double)b->first_live));
	return (float)(rss / live);
}

static void learn_sizes(struct budget_share *b, uint64_t rss_bytes, float live)
{
	if (!b->collected)
		b->bytes_per_unit = unit_of(b, (double)rss_bytes, (double)live);
	b->rss_most = nsec_max(b->rss_most, rss_bytes);
	if (b->live_most < live)
		b->live_most = live;
}

void budget_report(struct heap *h)
{
	struct budget_share *b = h->share;

	if (!b)
		return;
	if (b->since[0].at == 0 || h->report.allocated < b->since[1].allocated) {
		b->since[1].at = h->report.at;
		b->since[1].allocated = h->report.allocated;
		b->since[0] = b->since[1];
	}
	if (h->report.rss_bytes == 0 || h->report.live == 0)
		return;
	if (b->first_live == 0) {
		b->first_live = (float)h->report.live;
		b->first_rss = (float)h->report.rss_bytes;
	}
	learn_sizes(b, h->report.rss_bytes, (float)h->report.live);
}

static void learn_unit(struct budget_share *b)
{
	float unit;

	if (b->rss_most) {
		/* What is taken for less than it is makes the budget larger, and is not learned of for long. */
		unit = unit_of(b, (double)b->rss_most, (double)b->live_most);
		if (unit < b->bytes_per_unit * UNIT_FALL)
			unit = b->bytes_per_unit * UNIT_FALL;
		b->bytes_per_unit += (unit - b->bytes_per_unit) * UNIT_WEIGHT;
		b->collected = true;
	}
	b->rss_most = 0;
	/* The resident set stays what many objects have made it. */
	b->live_most -= b->live_most * LIVE_FALL;
}

static void learn_cost(struct budget_share *b, float sample)
{
	if (b->pause_per_unit > 0 && sample < b->pause_per_unit)
		sample = b->pause_per_unit + (sample - b->pause_per_unit) * PAUSE_FALL;
	else if (b->pause_per_unit > 0 && sample > b->pause_per_unit * PAUSE_RISE)
		sample = b->pause_per_unit * PAUSE_RISE;
	b->pause_per_unit = sample;
}

void budget_learn(struct heap *h, const struct wire_end *end, nsec_t pause)
{
	struct budget_share *b = h->share;
	float walked = (float)end->live + (float)end->freed;

	if (!b)
		return;
	b->since[0].at = nsec_add(b->since[0].at, b->since[0].at ? pause : 0);
	b->since[1].at = nsec_add(b->since[1].at, b->since[1].at ? pause : 0);
	if (end->kind != WIRE_MAJOR && end->kind != WIRE_SNAPSHOT)
		return;
	learn_unit(b);
	if (walked > 0)
		learn_cost(b, (float)pause / (float)NSEC_PER_SEC / walked);
	if (b->since[0].at == 0 || nsec_sub(h->report.at, b->since[1].at) < CYCLE_MIN)
		return;
	b->since[0] = b->since[1];
	b->since[1].at = nsec_add(h->report.at, pause);
	b->since[1].allocated = h->report.allocated;
}

static double seconds(nsec_t from, nsec_t to)
{
	return (double)nsec_sub(to, from) / (double)NSEC_PER_SEC;
}

/*
 * Over the cycle before and as much as there is of this one: single bursts do not move shares. While
 * nothing is heard of it, it has allocated no more than to its watermark.
 */
static double cycle_rate(const struct heap *h, nsec_t now)
{
	const struct budget_share *b = h->share;
	double allocated = (double)(h->report.allocated - b->since[0].allocated);
	double rate = heap_rate(h), most;

	if (nsec_sub(h->report.at, b->since[0].at) >= CYCLE_MIN)
		rate = allocated / seconds(b->since[0].at, h->report.at);
	if (h->watermark == UINT64_MAX || h->watermark <= h->report.used ||
	    nsec_sub(now, b->since[0].at) < CYCLE_MIN)
		return rate;
	most = (allocated + (double)(h->watermark - h->report.used)) /
	       seconds(b->since[0].at, now);
	return rate < most ? rate : most;
}

/* ---- Budgets -------------------------------------------------------------------------------- */

/* Of a heap with a share; 0: not known, and nothing can be converted. */
static double bytes_per_unit(const struct heap *h)
{
	return h->unit == WIRE_BYTES ? 1 : h->share->bytes_per_unit;
}

/* What so many units take. */
static double bytes_of(const struct heap *h, double units)
{
	const struct budget_share *b = h->share;

	if (h->unit == WIRE_BYTES || !started_small(b, units))
		return units * bytes_per_unit(h);
	return (double)b->first_rss + (units - (double)b->first_live) * bytes_per_unit(h);
}

static enum core_budget source_of(const struct supervisor *s, const struct heap *h)
{
	if (h->own_budget)
		return BUDGET_NONE;
	if (s->pool.total_bytes > 0)
		return BUDGET_SHARED;
	if (h->unit == WIRE_OBJECTS && h->service->config.budget_bytes)
		return BUDGET_SERVICE;
	return BUDGET_NONE;
}

/* What of a budget is for what lives: used counts everything where the unit is bytes, what is new where it is objects. */
static double lives_in(const struct heap *h, const struct budget_part *part)
{
	return h->unit == WIRE_BYTES ? (double)part->live_bytes : 0;
}

static double given_to(const struct heap *h, const struct budget_part *part)
{
	double room = (double)h->share->budget - lives_in(h, part);

	return room > 0 ? room * bytes_per_unit(h) : 0;
}

static struct budget_part part_of(const struct heap *h, nsec_t now)
{
	/* (Freezes find nothing; what room makes rarer is what finds garbage.) */
	unsigned kind = h->next == WIRE_SNAPSHOT ? WIRE_SNAPSHOT : WIRE_MAJOR;
	double pause = (double)heap_predict(h, kind) / (double)NSEC_PER_SEC;
	/* Objects are reported with the new ones among them, which may be garbage. */
	uint64_t new =
		h->unit == WIRE_OBJECTS ? nsec_min(h->report.used, h->report.live) : 0;
	double old = (double)(h->report.live - new);

	/* The part of the pause that room makes rarer: what walking the new ones costs stays. */
	if (h->share->pause_per_unit > 0)
		pause = (double)h->share->pause_per_unit * old;
	else if (h->report.live > 0)
		pause *= old / (double)h->report.live;
	return (struct budget_part){
		.live_bytes = (float)bytes_of(h, old),
		.weight =
			(float)sqrt((cycle_rate(h, now) * bytes_per_unit(h) + 1) * pause),
	};
}

static void take_part(struct supervisor *s, struct heap *h,
		      const struct budget_part *part)
{
	struct budget_part *known = &h->share->part;

	s->pool.live_bytes += (double)part->live_bytes - (double)known->live_bytes;
	s->pool.weight += (double)part->weight - (double)known->weight;
	s->pool.given_bytes += (double)part->given_bytes - (double)known->given_bytes;
	*known = *part;
}

static void take_back(struct supervisor *s, struct heap *h)
{
	take_part(s, h, &(struct budget_part){0});
	h->share->budget = 0;
	h->share->from = BUDGET_NONE;
}

void budget_forget(struct supervisor *s, struct heap *h)
{
	if (s->pool.turn == &h->all)
		s->pool.turn = h->all.next;
	if (!h->share)
		return;
	take_back(s, h);
	free(h->share);
	h->share = NULL;
}

/* (Out of memory: it has its runtime's own rule until its next event.) */
static bool has_share(struct heap *h)
{
	if (h->share)
		return true;
	h->share = calloc(1, sizeof(*h->share));
	if (h->share && h->looked_at)
		budget_report(h);
	return h->share;
}

static void assign(struct heap *h, enum core_budget from, const struct budget_part *part,
		   double room)
{
	double units = lives_in(h, part) + room / bytes_per_unit(h);

	h->share->from = from;
	h->share->budget = units < 1 ? 1 : heap_whole(units);
}

static void assign_own(struct heap *h, const struct budget_part *part)
{
	double room = (double)h->service->config.budget_bytes - (double)part->live_bytes,
	       given = given_to(h, part);

	room = fmax(room, (double)part->live_bytes * FLOOR);
	if (h->share->from != BUDGET_SERVICE || given < room * ROOM_LEAST || given > room)
		assign(h, BUDGET_SERVICE, part, room * ROOM_GIVEN);
}

/* Of the room for all. The floor takes little of it where there is much. */
static double due_to(const struct budget_pool *pool, const struct budget_part *part,
		     double room)
{
	double floor = FLOOR;

	if (room > pool->live_bytes * FLOOR)
		floor *= pool->live_bytes * FLOOR / room;
	return (double)part->live_bytes * floor +
	       fmax(room - pool->live_bytes * floor, 0) * (double)part->weight /
		       pool->weight;
}

/* Its part is in the sums already, with what it was given up to now. */
static void assign_share(const struct budget_pool *pool, struct heap *h)
{
	double room = pool->total_bytes - pool->live_bytes,
	       due = due_to(pool, &h->share->part, room), want = due * ROOM_GIVEN,
	       given = (double)h->share->part.given_bytes,
	       left = room - (pool->given_bytes - given);
	bool crowded = pool->given_bytes > room * CROWDED,
	     has = h->share->from == BUDGET_SHARED;

	if (has && given >= due * SHARE_LEAST &&
	    given <= due * (crowded ? 1 : SHARE_MOST))
		return;
	if (given < due)
		want = fmin(want, fmax(left, given));
	/* (One that has just come has to begin with something.) */
	if (!has)
		want = fmax(want, (double)h->share->part.live_bytes * FLOOR * FLOOR);
	assign(h, BUDGET_SHARED, &h->share->part, want);
}

/* One that uses more than it is left with is due at once, not beyond its ceiling at once. */
static void spare_used(struct heap *h, uint64_t before)
{
	uint64_t used = h->report.used;

	if (h->share->budget < before && h->share->budget <= used)
		h->share->budget = nsec_min(before, used + used / 9 + 1);
}

bool budget_update(struct supervisor *s, struct heap *h, nsec_t now)
{
	enum core_budget from = source_of(s, h);
	struct budget_part part = {0};
	uint64_t before = heap_share(h);

	if (from == BUDGET_NONE) {
		budget_forget(s, h);
		return before != 0;
	}
	if (!has_share(h))
		return false;
	if (bytes_per_unit(h) > 0)
		part = part_of(h, now);
	if (part.weight == 0) {
		take_back(s, h);
		return before != 0;
	}
	if (from == BUDGET_SERVICE) {
		assign_own(h, &part);
		take_part(s, h, &(struct budget_part){0});
		return h->share->budget != before;
	}
	if (h->share->from == BUDGET_SHARED)
		part.given_bytes = (float)given_to(h, &part);
	take_part(s, h, &part);
	assign_share(&s->pool, h);
	spare_used(h, before);
	part.given_bytes = (float)given_to(h, &part);
	take_part(s, h, &part);
	return h->share->budget != before;
}

void budget_sum_up(struct supervisor *s, nsec_t now)
{
	list_for_each (l, &s->heaps) {
		struct heap *h = list_entry(l, struct heap, all);
		struct budget_part part;

		if (source_of(s, h) != BUDGET_SHARED || !has_share(h) ||
		    bytes_per_unit(h) == 0)
			continue;
		part = part_of(h, now);
		part.given_bytes = h->share->part.given_bytes;
		take_part(s, h, &part);
	}
}

struct heap *budget_turn(struct supervisor *s, nsec_t now)
{
	struct list *turn = s->pool.turn ? s->pool.turn : &s->heaps;
	struct heap *h;

	if (s->pool.total_bytes <= 0 || list_empty(&s->heaps))
		return NULL;
	if (turn == &s->heaps)
		turn = turn->next;
	s->pool.turn = turn->next;
	h = list_entry(turn, struct heap, all);
	return heap_budget_from(h) == BUDGET_SHARED && budget_update(s, h, now) ? h
										: NULL;
}

uint64_t budget_bytes(const struct heap *h)
{
	if (!h->share || h->share->from != BUDGET_SHARED)
		return 0;
	return heap_whole((double)h->share->part.live_bytes +
			  given_to(h, &h->share->part));
}
