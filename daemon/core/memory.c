/* SPDX-License-Identifier: MIT */
#include "daemon/core/memory.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/core/state.h"

/* ---- a heap ---- */

/* Without memory it learns anew. */
static void recall_predict(struct heap *h, const struct predict *from)
{
	struct predict *p = heap_to_know(h, from->of);

	if (p)
		*p = *from;
}

static void copy_learned(const struct heap *h, struct core_learned *ret)
{
	*ret = (struct core_learned){
		.forced = h->forced,
		.uncoordinated = h->uncoordinated,
		.declined = h->declined,
		.expired = h->expired,
		.overruns = h->overruns,
		.violations = h->violations,
		.absurd = h->absurd,
		.strikes = h->strikes,
		.yield_last = h->yield_last,
		.live = h->report.live,
		.rule = h->report.budget,
		.last_pause = h->last_pause,
		.pauses = h->pauses,
		.accuracy = h->accuracy,
		.met = h->met,
		.yield = h->yield,
		.rate = h->rate,
	};
	memcpy(ret->collections, h->collections, sizeof(ret->collections));
	for (const struct known *k = h->known; k; k = k->next)
		ret->known[ret->n_known++] = k->predict;
}

static void recall(struct heap *h, const struct core_learned *learned)
{
	h->forced = learned->forced;
	h->uncoordinated = learned->uncoordinated;
	h->declined = learned->declined;
	h->expired = learned->expired;
	h->overruns = learned->overruns;
	h->violations = learned->violations;
	h->absurd = learned->absurd;
	h->strikes = learned->strikes;
	h->yield_last = learned->yield_last;
	h->report.live = learned->live;
	h->report.budget = learned->rule;
	h->last_pause = learned->last_pause;
	h->pauses = learned->pauses;
	h->accuracy = learned->accuracy;
	h->met = learned->met;
	h->yield = learned->yield;
	h->rate = learned->rate;
	memcpy(h->collections, learned->collections, sizeof(h->collections));
	for (uint32_t i = 0; i < learned->n_known; i++)
		recall_predict(h, &learned->known[i]);
}

void heap_inherit(struct heap *h, const struct heap *former)
{
	struct core_learned learned;

	copy_learned(former, &learned);
	recall(h, &learned);
}

/* ---- its window ---- */

static struct core_held held_by(const struct heap *h)
{
	const struct lease *l = &h->lease;
	struct core_held held = {
		.kind = l->kind,
		.must = l->must,
		.over_limit = l->over_limit,
		.id = l->id,
		.announced = l->announced,
		.opens = l->opens,
		.closes = l->closes,
		.predicted = l->predicted,
		.run = l->run_ms * NSEC_PER_MSEC,
		.begin = h->run_begin,
	};

	switch (l->state) {
	case LEASE_NONE:
	case LEASE_ANNOUNCED: /* nobody may pause in it yet */
		held = (struct core_held){.hold = CORE_HOLDS_NOTHING};
		break;
	case LEASE_OPEN:
		held.hold = CORE_HOLDS_OPEN;
		break;
	case LEASE_IN_USE:
		held.hold = CORE_HOLDS_IN_USE;
		break;
	}
	return held;
}

/* ---- its service ---- */

static struct core_tally tally_of(const struct service *service)
{
	return (struct core_tally){
		.windows = service->windows,
		.forced = service->forced,
		.over_limit = service->over_limit,
		.would_wait = service->would_wait,
		.dropped_out = service->dropped_out,
		.paused_max = service->paused_max,
	};
}

static void raise_to(uint64_t *count, uint64_t least)
{
	if (*count < least)
		*count = least;
}

/* Each heap remembers its service as it was when the heap was last looked at: the latest counts. */
static void recall_tally(struct service *service, const struct core_tally *tally)
{
	raise_to(&service->windows, tally->windows);
	raise_to(&service->forced, tally->forced);
	raise_to(&service->over_limit, tally->over_limit);
	raise_to(&service->would_wait, tally->would_wait);
	raise_to(&service->dropped_out, tally->dropped_out);
	if (service->paused_max < tally->paused_max)
		service->paused_max = tally->paused_max;
}

/* ---- all ---- */

bool supervisor_memory(const struct supervisor *s, uint64_t heap, struct core_memory *ret)
{
	const struct heap *h = supervisor_find_heap(s, heap);

	if (!h)
		return false;
	ret->uid = h->service->uid;
	ret->pid = h->pid;
	heap_hello(h, &ret->hello);
	copy_learned(h, &ret->learned);
	ret->held = held_by(h);
	ret->tally = tally_of(h->service);
	return true;
}

int supervisor_restore(struct supervisor *s, uint64_t heap,
		       const struct core_memory *memory, nsec_t now)
{
	struct event event = {
		.type = EVENT_JOIN,
		.heap = heap,
		.join = {.uid = memory->uid, .pid = memory->pid, .hello = memory->hello},
	};
	int r = supervisor_handle(s, &event, now);
	struct heap *h;

	if (r < 0)
		return r;
	h = supervisor_find_heap(s, heap);
	recall(h, &memory->learned);
	recall_tally(h->service, &memory->tally);
	if (memory->held.hold != CORE_HOLDS_NOTHING)
		lease_restore(s, h, &memory->held, now);
	h->lost = true;
	decide_heap(s, h, now);
	return 0;
}

void supervisor_counters(const struct supervisor *s, struct core_counters *ret)
{
	*ret = (struct core_counters){
		.windows_granted = s->windows_granted,
		.forced = s->forced,
		.uncoordinated = s->uncoordinated,
		.overruns = s->overruns,
		.over_limit = s->over_limit,
		.decisions = s->decisions,
		.paused_max = s->paused_max,
		.slowing = s->contention.each,
		.slowing_evidence = s->contention.evidence,
	};
}

void supervisor_restore_counters(struct supervisor *s,
				 const struct core_counters *counters)
{
	s->windows_granted = counters->windows_granted;
	s->forced = counters->forced;
	s->uncoordinated = counters->uncoordinated;
	s->overruns = counters->overruns;
	s->over_limit = counters->over_limit;
	s->decisions = counters->decisions;
	s->paused_max = counters->paused_max;
	s->contention.each = counters->slowing;
	s->contention.evidence = counters->slowing_evidence;
}
