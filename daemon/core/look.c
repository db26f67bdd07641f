/* SPDX-License-Identifier: MIT */
/* What the control socket shows: copies, so that no caller can hold on to the state. */
#include <string.h>

#include "client/wire/names.h"
#include "daemon/core/admit.h"
#include "daemon/core/state.h"

static void admit_members(struct admit *host, const struct service *service)
{
	bool together = service->config.policy == POLICY_TOGETHER;
	struct admit round;

	admit_init(&round);
	list_for_each (l, &service->heaps)
		admit_add(together ? &round : host, list_entry(l, struct heap, siblings));
	if (together)
		admit_add_round(host, &round);
}

void supervisor_status(const struct supervisor *s, struct core_status *ret)
{
	struct admit admit;

	admit_init(&admit);
	list_for_each (l, &s->services)
		admit_members(&admit, list_entry(l, struct service, all));
	*ret = (struct core_status){
		.heaps = (unsigned)s->n_heaps,
		.services = (unsigned)s->n_services,
		.windows_open = s->taken + s->snapshots_taken,
		.paused_now = s->paused_now,
		.paused_max = s->paused_max,
		.max_concurrent = s->max_concurrent,
		.windows_granted = s->windows_granted,
		.forced = s->forced,
		.uncoordinated = s->uncoordinated,
		.overruns = s->overruns,
		.over_limit = s->over_limit,
		.decisions = s->decisions,
	};
	admit_answer(&admit, s->max_concurrent, &ret->admission);
}

unsigned supervisor_heaps(const struct supervisor *s)
{
	return (unsigned)s->n_heaps;
}

unsigned supervisor_services(const struct supervisor *s)
{
	return (unsigned)s->n_services;
}

void supervisor_gates(const struct supervisor *s, struct core_gates *ret)
{
	*ret = s->canary.gates;
}

/* Heaps are listed by rising id. Where the one before is still there, the next is its
 * neighbour. */
static const struct heap *heap_above(const struct supervisor *s, uint64_t after)
{
	const struct heap *before = supervisor_find_heap(s, after);
	const struct list *start = before ? &before->all : &s->heaps;

	for (const struct list *l = start->next; l != &s->heaps; l = l->next) {
		const struct heap *h = list_entry(l, const struct heap, all);

		if (h->id > after)
			return h;
	}
	return NULL;
}

static void show_heap(const struct heap *h, nsec_t now, struct core_heap *ret)
{
	*ret = (struct core_heap){
		.id = h->id,
		.pid = h->pid,
		.uid = h->service->uid,
		.state = heap_state(h),
		.held = h->service->held,
		.unit = h->unit,
		.used = h->report.used,
		.budget = heap_budget(h),
		.budget_from = heap_budget_from(h),
		.budget_bytes = budget_bytes(h),
		.live = h->report.live,
		.alloc_rate_per_s = heap_whole(heap_rate(h)),
		.rss_bytes = h->report.rss_bytes,
		.exhaustion = h->exhaustion,
		.latest_start = h->latest_start,
		.wanting_since = heap_is_waiting(h) ? h->wanting_since : NSEC_NEVER,
		.forced = h->forced,
		.uncoordinated = h->uncoordinated,
		.declined = h->declined,
		.expired = h->expired,
		.overruns = h->overruns,
		.violations = h->violations,
		.absurd = h->absurd,
		.strikes = h->strikes,
		.last_pause = heap_whole((double)h->last_pause),
		.pause_p50 = recent_quantile(&h->pauses, 500),
		.pause_p99 = recent_quantile(&h->pauses, 990),
		.pause_max = h->pauses.max,
		.predictions = h->accuracy.pauses,
		.prediction_coverage_permille = accuracy_coverage_permille(&h->accuracy),
		.over_prediction_p50_permille = accuracy_over_p50_permille(&h->accuracy),
		.yield_last = heap_whole((double)h->yield_last),
		.yield_per_s = heap_whole((double)h->yield.per_s),
		.reason = h->reason,
	};
	name_copy(ret->name, sizeof(ret->name), heap_name(h));
	memcpy(ret->service, h->service->config.name, sizeof(ret->service));
	name_copy(ret->runtime, sizeof(ret->runtime), heap_runtime(h));
	for (unsigned kind = 0; kind < WIRE_KINDS; kind++) {
		ret->collections[kind] = h->collections[kind];
		if (h->kinds & 1 << kind)
			ret->predicted[kind] = heap_predict(h, kind);
	}
}

bool supervisor_heap_after(const struct supervisor *s, uint64_t after, nsec_t now,
			   struct core_heap *ret)
{
	const struct heap *h = heap_above(s, after);

	if (!h)
		return false;
	show_heap(h, now, ret);
	return true;
}

bool supervisor_who(const struct supervisor *s, uint64_t heap, nsec_t now,
		    struct core_who *ret)
{
	const struct heap *h = supervisor_find_heap(s, heap);

	if (!h)
		return false;
	*ret = (struct core_who){
		.heap = h->id,
		.pid = h->pid,
		.uid = h->service->uid,
		.unit = h->unit,
		.used = heap_used_at(h, now),
		.budget = heap_budget(h),
		.latest_start = h->latest_start,
	};
	name_copy(ret->name, sizeof(ret->name), heap_name(h));
	memcpy(ret->service, h->service->config.name, sizeof(ret->service));
	return true;
}

static void show_window(const struct heap *h, struct core_window *ret)
{
	const struct lease *l = &h->lease;

	*ret = (struct core_window){
		.id = l->id,
		.heap = h->id,
		.state = l->state == LEASE_ANNOUNCED ? WINDOW_ANNOUNCED
			 : l->state == LEASE_OPEN    ? WINDOW_OPEN
						     : WINDOW_IN_USE,
		.kind = l->kind,
		.must = l->must,
		.over_limit = l->over_limit,
		.slot = l->slot,
		.announced = l->announced,
		.opens = l->opens,
		.closes = l->closes,
		.predicted = l->predicted,
		.begin = l->state == LEASE_IN_USE ? h->run_begin : 0,
		.wanted = h->wanting_since,
		.reason = l->reason,
	};
	name_copy(ret->heap_name, sizeof(ret->heap_name), heap_name(h));
	memcpy(ret->service, h->service->config.name, sizeof(ret->service));
}

bool supervisor_window_after(const struct supervisor *s, uint64_t after,
			     struct core_window *ret)
{
	const struct heap *h = heap_above(s, after);

	while (h && h->lease.state == LEASE_NONE)
		h = heap_above(s, h->id);
	if (!h)
		return false;
	show_window(h, ret);
	return true;
}

bool supervisor_window_of(const struct supervisor *s, uint64_t heap,
			  struct core_window *ret)
{
	const struct heap *h = supervisor_find_heap(s, heap);

	if (!h || h->lease.state == LEASE_NONE)
		return false;
	show_window(h, ret);
	return true;
}

static struct event *add_event(struct core_snapshot *ret, enum event_type type)
{
	struct event *event = &ret->events[ret->n++];

	*event = (struct event){.type = type, .heap = ret->heap};
	return event;
}

static void add_join(struct core_snapshot *ret, const struct heap *h)
{
	struct event_join *join = &add_event(ret, EVENT_JOIN)->join;
	bool in_use = h->lease.state == LEASE_IN_USE;

	join->uid = h->service->uid;
	join->pid = h->pid;
	heap_hello(h, &join->hello);
	join->hello.prev_window = in_use ? h->lease.id : 0;
	join->hello.prev_closes = in_use ? h->lease.closes : 0;
	join->hello.prev_kind = in_use ? h->lease.kind : 0;
}

/* Figures older than the JOIN would be dropped: these are of now, at the present rate. */
static void add_report(struct core_snapshot *ret, const struct heap *h, nsec_t now)
{
	struct wire_report *report = &add_event(ret, EVENT_REPORT)->report;

	*report = h->report;
	report->at = now;
	report->used = heap_used_at(h, now);
	report->allocated += report->used - h->report.used;
}

bool supervisor_snapshot_after(const struct supervisor *s, uint64_t after, nsec_t now,
			       struct core_snapshot *ret)
{
	const struct heap *h = heap_above(s, after);

	if (!h)
		return false;
	ret->heap = h->id;
	ret->n = 0;
	add_join(ret, h);
	if (h->looked_at)
		add_report(ret, h, now);
	if (h->deadline != NSEC_NEVER)
		add_event(ret, EVENT_DEADLINE)->deadline.at = h->deadline;
	if (h->slack_until && h->slack_until != h->deadline)
		add_event(ret, EVENT_IDLE)->idle.until = h->slack_until;
	/* (Why it collects is told at its end.) */
	if (h->running && h->lease.state != LEASE_IN_USE)
		add_event(ret, EVENT_BEGIN)->begin = (struct wire_begin){
			.at = h->run_begin,
			.kind = h->paused ? WIRE_MAJOR : WIRE_SNAPSHOT,
			.cause = WIRE_FORCED};
	if (h->service->held)
		add_event(ret, EVENT_HOLD)->held = true;
	if (h->asked)
		add_event(ret, EVENT_COLLECT);
	if (h->lost)
		add_event(ret, EVENT_LOST);
	return true;
}

static void add_heap(const struct heap *h, struct core_service *ret)
{
	uint64_t budget = heap_budget(h);
	double full = budget ? (double)h->report.used / (double)budget * 1000 : 0;

	ret->lost += h->lost;
	ret->rss_bytes += h->report.rss_bytes;
	ret->exhaustion = nsec_min(ret->exhaustion, h->exhaustion);
	if (full > ret->fullest_permille)
		ret->fullest_permille = full < UINT32_MAX ? (unsigned)full : UINT32_MAX;
}

static void look_at_heaps(const struct service *service, struct core_service *ret)
{
	unsigned slots = service->config.max_concurrent;
	bool together = service->config.policy == POLICY_TOGETHER;
	struct admit admit;

	admit_init(&admit);
	ret->exhaustion = NSEC_NEVER;
	list_for_each (l, &service->heaps) {
		const struct heap *h = list_entry(l, const struct heap, siblings);

		admit_add(&admit, h);
		add_heap(h, ret);
	}
	/* In a round nobody waits for a slot of the service. */
	admit_answer(&admit, together ? (unsigned)nsec_max(service->n_heaps, 1) : slots,
		     &ret->admission);
	if (together)
		ret->admission.needs_concurrent = slots;
}

bool supervisor_service(const struct supervisor *s, unsigned index, nsec_t now,
			struct core_service *ret)
{
	list_for_each (l, &s->services) {
		const struct service *service = list_entry(l, struct service, all);
		double slots = (double)service->config.max_concurrent *
			       (double)nsec_max(nsec_sub(now, service->since), 1);

		if (index-- > 0)
			continue;
		*ret = (struct core_service){
			.uid = service->uid,
			.policy = service->config.policy,
			.held = service->held,
			.max_concurrent = service->config.max_concurrent,
			.heaps = service->n_heaps,
			.paused_now = service->paused_now,
			.paused_max = service->paused_max,
			.windows = service->windows,
			.forced = service->forced,
			.over_limit = service->over_limit,
			.would_wait = service->would_wait,
			.dropped_out = service->dropped_out,
			.waited = service->waited,
			.pauses = service->pauses,
			.wait_p99 = histogram_quantile(&service->waits, 990),
			.predictions = service->accuracy.pauses,
			.prediction_coverage_permille =
				accuracy_coverage_permille(&service->accuracy),
			.over_prediction_p50_permille =
				accuracy_over_p50_permille(&service->accuracy),
			.utilization_permille =
				(unsigned)((double)service->busy / slots * 1000),
		};
		memcpy(ret->name, service->config.name, sizeof(ret->name));
		look_at_heaps(service, ret);
		return true;
	}
	return false;
}

/* ---- what has changed ---- */

uint64_t supervisor_changes(const struct supervisor *s)
{
	return s->changes;
}

uint64_t supervisor_services_gone(const struct supervisor *s)
{
	return s->services_gone;
}

bool supervisor_changed_heap(const struct supervisor *s, uint64_t since, nsec_t now,
			     uint64_t *at, unsigned *looks, struct core_who *ret)
{
	const struct heap *h;

	while (*looks > 0 && (h = heap_above(s, *at))) {
		*at = h->id;
		(*looks)--;
		if (since == 0 || h->changed > since)
			return supervisor_who(s, h->id, now, ret);
	}
	return false;
}

bool supervisor_changed_service(const struct supervisor *s, uint64_t since, unsigned *at,
				unsigned *looks, struct core_who *ret)
{
	unsigned i = 0;

	list_for_each (l, &s->services) {
		const struct service *service = list_entry(l, struct service, all);

		if (i++ < *at)
			continue;
		if (*looks == 0)
			return false;
		*at = i;
		(*looks)--;
		if (since && service->changed <= since)
			continue;
		*ret = (struct core_who){.uid = service->uid};
		memcpy(ret->service, service->config.name, sizeof(ret->service));
		return true;
	}
	return false;
}

unsigned supervisor_explain(const struct supervisor *s, uint64_t heap,
			    struct core_decision ret[CORE_DECISIONS])
{
	const struct heap *h = supervisor_find_heap(s, heap);

	return h ? history_read(&h->decisions, ret) : 0;
}
