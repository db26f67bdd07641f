/* SPDX-License-Identifier: MIT */
#include "client/guard.h"

#include <errno.h>

static uint64_t get(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void set(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

void guard_init(struct guard *g, uint64_t own_budget)
{
	g->own = own_budget;
	atomic_init(&g->moved, 0);
	atomic_init(&g->outgrown, 0);
	atomic_init(&g->base, 0);
	atomic_init(&g->told, GUARD_NOTHING_TOLD);
}

/* The budget without the rule for heaps that outgrew it. */
static uint64_t base_budget(const struct guard *g, uint64_t directive)
{
	uint64_t moved = get(&g->moved);

	if (g->own)
		return g->own;
	if (directive)
		return directive;
	if (moved)
		return moved;
	/* The daemon heard of the raised budget, and has none of its own to tell meanwhile. */
	return get(&g->outgrown) ? get(&g->base) : 0;
}

uint64_t guard_budget(const struct guard *g, uint64_t directive)
{
	uint64_t base = base_budget(g, directive), outgrown = get(&g->outgrown);

	return base && outgrown > base ? outgrown : base;
}

uint64_t guard_ceiling(const struct guard *g, uint64_t directive, bool alone)
{
	if (!alone)
		return guard_budget(g, directive);
	return g->own ? guard_budget(g, 0) : 0;
}

uint64_t guard_reported_budget(const struct guard *g, uint64_t directive)
{
	uint64_t moved = get(&g->moved);

	/* That the heap outgrew its share of memory is no news of the runtime's rule. */
	if (!g->own && moved && directive)
		return moved;
	return g->own || moved || get(&g->outgrown) ? guard_budget(g, 0) : 0;
}

bool guard_crossed(struct guard *g, uint64_t used, uint64_t watermark)
{
	if (used < watermark || watermark == GUARD_NOTHING_TOLD)
		return false;
	if (get(&g->told) == watermark)
		return false;
	set(&g->told, watermark);
	return true;
}

void guard_collected(struct guard *g, enum rtgc_kind kind, uint64_t used,
		     uint64_t directive)
{
	uint64_t base = base_budget(g, directive);

	set(&g->told, GUARD_NOTHING_TOLD);
	/* The others leave old objects where they are, and say nothing about them. */
	if (kind != RTGC_MAJOR && kind != RTGC_SNAPSHOT)
		return;
	if (base && used > base - base / 8) {
		set(&g->base, base);
		set(&g->outgrown,
		    used > UINT64_MAX - used / 4 ? UINT64_MAX : used + used / 4);
	} else {
		set(&g->outgrown, 0);
	}
}

bool guard_fresh(nsec_t heartbeat, nsec_t stale_after, nsec_t now)
{
	return now <= nsec_add(heartbeat, stale_after);
}

enum rtgc_verdict guard_window(const struct page_window *w, nsec_t until, nsec_t now)
{
	nsec_t end = nsec_add(now, w->window.predicted);

	if (w->state == PAGE_ANNOUNCED)
		return RTGC_PREPARE;
	if (w->state != PAGE_OPEN || now >= w->window.closes || end > w->window.closes)
		return RTGC_RUN;
	if (now < w->window.opens)
		return RTGC_PREPARE;
	if (end > until)
		return RTGC_RUN;
	return w->window.must ? RTGC_MUST : RTGC_MAY;
}

int guard_begin(const struct page_window *w, uint64_t id, enum rtgc_kind kind, nsec_t now)
{
	if (w->state != PAGE_OPEN || w->window.window != id || id == 0)
		return RTGC_E_CLOSED;
	if (now < w->window.opens || now >= w->window.closes)
		return RTGC_E_CLOSED;
	if (w->window.kind != kind)
		return -EINVAL;
	if (nsec_add(now, w->window.predicted) > w->window.closes)
		return RTGC_E_UNFIT;
	return 0;
}
