/* SPDX-License-Identifier: MIT */
#include "daemon/core/budget.h"

#include <math.h>
#include <stdlib.h>

#include "daemon/core/state.h"

/* Nobody gets less room than this share of what lives, however crowded the host. */
#define EXTRA_MIN_SHARE 16
/* The room given is that share of what is due, and stays while it is no less than the other. */
#define ROOM_GIVEN 0.95
#define ROOM_LEAST 0.9

/* A cycle shorter than that tells no rate. */
#define CYCLE_MIN NSEC_PER_SEC
/* How far what an object takes moves with each collection. */
#define UNIT_WEIGHT 0.5
/* And the pause for each: single ones are longer because others run. */
#define PAUSE_WEIGHT 0.25

/* ---- Learning ------------------------------------------------------------------------------- */

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
	b->rss_most = nsec_max(b->rss_most, h->report.rss_bytes);
	if (!b->collected && h->report.rss_bytes && h->report.live)
		b->bytes_per_unit = (double)h->report.rss_bytes / (double)h->report.live;
}

void budget_learn(struct heap *h, const struct wire_end *end, nsec_t pause)
{
	struct budget_share *b = h->share;
	double walked = (double)end->live + (double)end->freed, sample;

	if (!b)
		return;
	b->since[0].at = nsec_add(b->since[0].at, b->since[0].at ? pause : 0);
	b->since[1].at = nsec_add(b->since[1].at, b->since[1].at ? pause : 0);
	if (end->kind != WIRE_MAJOR && end->kind != WIRE_SNAPSHOT)
		return;
	if (b->rss_most && walked > 0) {
		sample = (double)b->rss_most / walked;
		b->bytes_per_unit +=
			(sample - b->bytes_per_unit) * (b->collected ? UNIT_WEIGHT : 1);
		b->collected = true;
	}
	if (walked > 0) {
		sample = (double)pause / (double)NSEC_PER_SEC / walked;
		b->pause_per_unit += (sample - b->pause_per_unit) *
				     (b->pause_per_unit > 0 ? PAUSE_WEIGHT : 1);
	}
	b->rss_most = 0;
	if (b->since[0].at == 0 || nsec_sub(h->report.at, b->since[1].at) < CYCLE_MIN)
		return;
	b->since[0] = b->since[1];
	b->since[1].at = nsec_add(h->report.at, pause);
	b->since[1].allocated = h->report.allocated;
}

/* Over the cycle before and as much as there is of this one: single bursts do not move shares. */
static double cycle_rate(const struct heap *h)
{
	const struct budget_share *b = h->share;
	double span =
		(double)nsec_sub(h->report.at, b->since[0].at) / (double)NSEC_PER_SEC;

	if (span < (double)CYCLE_MIN / (double)NSEC_PER_SEC)
		return heap_rate(h);
	return (double)(h->report.allocated - b->since[0].allocated) / span;
}

/* ---- Budgets -------------------------------------------------------------------------------- */

/* Of a heap with a share; 0: not known, and nothing can be converted. */
static double bytes_per_unit(const struct heap *h)
{
	return h->unit == WIRE_BYTES ? 1 : h->share->bytes_per_unit;
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

static struct budget_part part_of(const struct heap *h)
{
	/* (Freezes find nothing; what room makes rarer is what finds garbage.) */
	unsigned kind = h->next == WIRE_SNAPSHOT ? WIRE_SNAPSHOT : WIRE_MAJOR;
	double unit = bytes_per_unit(h),
	       pause = (double)heap_predict(h, kind) / (double)NSEC_PER_SEC;
	/* Objects are reported with the new ones among them, which may be garbage. */
	uint64_t new =
		h->unit == WIRE_OBJECTS ? nsec_min(h->report.used, h->report.live) : 0;

	/* The part of the pause that room makes rarer: what walking the new ones costs stays. */
	if (h->share->pause_per_unit > 0)
		pause = h->share->pause_per_unit * (double)(h->report.live - new);
	else if (h->report.live > 0)
		pause *= (double)(h->report.live - new) / (double)h->report.live;
	return (struct budget_part){
		.live_bytes = (double)(h->report.live - new) * unit,
		.weight = sqrt((cycle_rate(h) * unit + 1) * pause),
	};
}

static void take_part(struct supervisor *s, struct heap *h,
		      const struct budget_part *part)
{
	struct budget_part *known = &h->share->part;

	s->pool.live_bytes += part->live_bytes - known->live_bytes;
	s->pool.weight += part->weight - known->weight;
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

static bool assign(struct heap *h, enum core_budget from, const struct budget_part *part,
		   double extra)
{
	double unit = bytes_per_unit(h), least = part->live_bytes / EXTRA_MIN_SHARE;
	/* Used counts everything where the unit is bytes, what is new where it is objects. */
	double lives = h->unit == WIRE_BYTES ? part->live_bytes : 0, room, now, units;

	room = (extra > least ? extra : least) / unit;
	now = (double)h->share->budget - lives;
	if (h->share->from == from && now >= room * ROOM_LEAST && now <= room)
		return false;
	units = lives + room * ROOM_GIVEN;
	h->share->from = from;
	h->share->budget = units < 1	  ? 1
			   : units < 1e18 ? (uint64_t)units
					  : UINT64_C(1) << 60;
	return true;
}

bool budget_update(struct supervisor *s, struct heap *h)
{
	const struct budget_pool *pool = &s->pool;
	enum core_budget from = source_of(s, h);
	uint64_t before = heap_share(h);
	struct budget_part part;

	if (from == BUDGET_NONE) {
		budget_forget(s, h);
		return before > 0;
	}
	if (!has_share(h))
		return false;
	part = bytes_per_unit(h) > 0 ? part_of(h) : (struct budget_part){0};
	if (part.weight == 0) {
		take_back(s, h);
		return before > 0;
	}
	if (from == BUDGET_SHARED) {
		take_part(s, h, &part);
		return assign(h, from, &part,
			      (pool->total_bytes - pool->live_bytes) * part.weight /
				      pool->weight);
	}
	take_part(s, h, &(struct budget_part){0});
	return assign(h, from, &part,
		      (double)h->service->config.budget_bytes - part.live_bytes);
}
