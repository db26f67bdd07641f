/* SPDX-License-Identifier: MIT */
#include "daemon/core/admit.h"

/* From the instant a collection is worth it (a quarter of T) to its latest start (nine tenths). */
#define ROOM 0.65

void admit_init(struct admit *a)
{
	*a = (struct admit){.shortest = NSEC_NEVER};
}

void admit_add(struct admit *a, const struct heap *h)
{
	/* Freezes do not go on for ever, and what follows them is as long as ever. */
	unsigned kind = h->next == WIRE_FREEZE ? WIRE_MAJOR : h->next;
	nsec_t drain = nsec_sub(h->span, h->predicted), pause, span;
	double rate = heap_rate(h);
	double period =
		rate > 0 ? (double)heap_budget(h) / rate * (double)NSEC_PER_SEC : 0;

	if (!heap_budget(h) || !(h->kinds & 1 << kind))
		return;
	if (heap_goes_beside(h)) {
		a->snapshots++;
		return;
	}
	a->heaps++;
	if (rate <= 0 || period > 1e18)
		return; /* it stands still: it asks for nothing */
	/* What a collection takes when it is due, whatever one would take now. */
	pause = heap_predict_full(h, kind);
	span = nsec_add(drain, pause);
	a->singles++;
	a->load += (double)span / period;
	a->longest = nsec_max(a->longest, span);
	a->pause = nsec_max(a->pause, pause);
	a->drain = nsec_max(a->drain, drain);
	a->shortest = nsec_min(a->shortest, (nsec_t)period);
}

void admit_add_round(struct admit *a, const struct admit *members)
{
	a->heaps += members->heaps;
	a->snapshots += members->snapshots;
	if (members->shortest == NSEC_NEVER)
		return;
	a->rounds++;
	a->load += (double)members->longest / (double)nsec_max(members->shortest, 1);
	a->longest = nsec_max(a->longest, members->longest);
	a->pause = nsec_max(a->pause, members->pause);
	a->drain = nsec_max(a->drain, members->drain);
	a->shortest = nsec_min(a->shortest, members->shortest);
}

/* How much of the room is taken on that many slots; 1 is all of it. */
static double taken(const struct admit *a, unsigned slots)
{
	double blocking = 2 * (double)a->longest / (double)nsec_max(a->shortest, 1);

	if (a->shortest == NSEC_NEVER)
		return 0;
	if (a->rounds && slots < a->heaps)
		slots = 1;
	if (slots >= a->heaps || (a->rounds == 1 && a->singles == 0))
		return (double)a->longest / (double)nsec_max(a->shortest, 1) * 0.5;
	return (a->load / slots + blocking) / ROOM;
}

void admit_answer(const struct admit *a, unsigned slots, struct core_admission *ret)
{
	double now = taken(a, slots);
	unsigned needs = slots;

	*ret = (struct core_admission){
		.heaps = a->heaps,
		.snapshots = a->snapshots,
		.pause = a->pause,
		.drain = a->drain,
		.period = a->shortest,
		.load_permille =
			(unsigned)nsec_min(heap_whole(a->load / slots * 1000), 1000000),
		.schedulable = now <= 1 || slots >= a->heaps,
		.rate_headroom_permille = now > 0.001 ? (unsigned)(1000 / now) : 1000000,
	};
	/* A little more than just enough: rates are never the same twice. */
	while (needs < a->heaps && taken(a, needs) > (needs > slots ? 0.7 : 1))
		needs++;
	while (needs > 1 && needs <= slots && taken(a, needs - 1) <= 0.7)
		needs--;
	ret->needs_concurrent = needs;
}
