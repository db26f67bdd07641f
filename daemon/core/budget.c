/* SPDX-License-Identifier: MIT */
#include "daemon/core/budget.h"

#include <math.h>

#include "daemon/core/state.h"

/* Nobody gets less room than this share of what lives, however crowded the host. */
#define EXTRA_MIN_SHARE 16
/* Shares move only when they are off by more than this. */
#define HYSTERESIS 0.05

static double bytes_per_unit(const struct heap *h)
{
	if (h->unit == WIRE_BYTES)
		return 1;
	if (h->report.rss_bytes == 0 || h->report.live == 0)
		return 0; /* not known: it cannot be converted */
	return (double)h->report.rss_bytes / (double)h->report.live;
}

static struct budget_part part_of(const struct heap *h)
{
	double unit = bytes_per_unit(h),
	       pause = (double)h->predicted / (double)NSEC_PER_SEC;
	/* Objects are reported with the new ones among them, which may be garbage. */
	uint64_t new =
		h->unit == WIRE_OBJECTS ? nsec_min(h->report.used, h->report.live) : 0;

	if (unit == 0)
		return (struct budget_part){0};
	/* The part of the pause that room makes rarer: what walking the new ones costs stays. */
	if (h->report.live > 0)
		pause *= (double)(h->report.live - new) / (double)h->report.live;
	return (struct budget_part){
		.live_bytes = (double)(h->report.live - new) * unit,
		.weight = sqrt((heap_rate(h) * unit + 1) * pause),
	};
}

void budget_forget(struct supervisor *s, struct heap *h)
{
	s->pool.live_bytes -= h->part.live_bytes;
	s->pool.weight -= h->part.weight;
	h->part = (struct budget_part){0};
	h->assigned = 0;
}

void budget_update(struct supervisor *s, struct heap *h)
{
	const struct budget_pool *pool = &s->pool;
	struct budget_part part = part_of(h);
	double extra, least, units;

	if (pool->total_bytes == 0 || h->own_budget || part.weight == 0) {
		budget_forget(s, h);
		return;
	}
	s->pool.live_bytes += part.live_bytes - h->part.live_bytes;
	s->pool.weight += part.weight - h->part.weight;
	h->part = part;
	extra = (pool->total_bytes - pool->live_bytes) * part.weight / pool->weight;
	least = part.live_bytes / EXTRA_MIN_SHARE;
	if (!(extra > least))
		extra = least;
	/* Used counts everything where the unit is bytes, what is new where it is objects. */
	units = h->unit == WIRE_BYTES ? part.live_bytes + extra
				      : extra / bytes_per_unit(h);
	if (fabs(units - (double)h->assigned) > HYSTERESIS * (double)h->assigned)
		h->assigned = units < 1e18 ? (uint64_t)units + 1 : UINT64_C(1) << 60;
}
