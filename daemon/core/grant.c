/* SPDX-License-Identifier: MIT */
/*
 * Who gets a slot now. Those that must: the most pressing of those that wait. One that may: its application
 * has declared slack that the predicted pause fits into, and nobody's latest start would be hurt.
 */
#include "daemon/core/state.h"

#define SLACK_MARGIN NSEC_PER_MSEC

/* Would a pause now end after the instant the application must respond, with time to spare? */
static bool better_after_deadline(const struct heap *h, nsec_t now)
{
	return h->deadline != NSEC_NEVER && h->deadline > now &&
	       h->deadline < nsec_add(now, h->predicted) &&
	       (h->asked ? h->deadline < h->last_call : h->deadline <= h->latest_start);
}

/* A round needs many slots: it keeps its turn while they are not free yet. */
static bool is_barred(const struct supervisor *s, const struct heap *h)
{
	return h->service->config.policy == POLICY_TOGETHER && !round_fits(s, h->service);
}

static enum reason why(const struct heap *h)
{
	return h->asked ? REASON_ASKED : REASON_DUE;
}

/* For others' snapshots to end, whatever slots of pauses there are. */
static bool waits_for_snapshots(const struct supervisor *s, const struct heap *h)
{
	return h->next == WIRE_SNAPSHOT && s->snapshots_taken >= s->snapshots_max;
}

static struct heap *most_pressing(const struct supervisor *s)
{
	struct heap *best = NULL;

	list_for_each (l, &s->eligible) {
		struct service *service = list_entry(l, struct service, eligible);
		struct heap *h = list_entry(service->waiting.next, struct heap, in_line);

		if (h->look_until || rivals_holder(s, service) ||
		    waits_for_snapshots(s, h))
			continue;
		if (!best || h->in_service.deadline < best->in_service.deadline)
			best = h;
	}
	return best;
}

bool grant_has_slot(const struct supervisor *s, const struct heap *h)
{
	const struct service *service = h->service;

	if (waits_for_snapshots(s, h))
		return false;
	if (heap_snapshots(h))
		return true;
	if (rivals_holder(s, service))
		return false;
	if (service->config.policy == POLICY_TOGETHER)
		return service->taken == 0 && round_fits(s, service);
	return service->taken < service->config.max_concurrent &&
	       s->taken < s->max_concurrent;
}

static struct heap *first_snapshot(const struct supervisor *s)
{
	list_for_each (l, &s->snapshots_waiting) {
		struct heap *h = list_entry(l, struct heap, in_line);

		if (!h->look_until && !h->service->held)
			return h;
	}
	return NULL;
}

static void dispatch_snapshots(struct supervisor *s, nsec_t now)
{
	struct heap *h;

	while (s->snapshots_taken < s->snapshots_max && (h = first_snapshot(s))) {
		if (better_after_deadline(h, now))
			h->retry_at = h->deadline;
		else
			lease_grant(s, h, why(h), false, now);
		decide_heap(s, h, now);
	}
}

static struct heap *first_waiting(const struct service *service)
{
	/* (It is not for want of a slot that an operator holds it back.) */
	if (service->held)
		return NULL;
	list_for_each (l, &service->waiting) {
		struct heap *h = list_entry(l, struct heap, in_line);

		if (!h->look_until)
			return h;
	}
	return NULL;
}

/* false: its round has not taken it along. */
static bool let_through(struct supervisor *s, struct heap *h, nsec_t now)
{
	struct service *service = h->service;
	bool over_limit = !grant_has_slot(s, h);

	if (service->config.policy == POLICY_TOGETHER && !heap_snapshots(h))
		round_start(s, service, over_limit, now);
	else
		lease_grant(s, h, REASON_GATES_OPEN, over_limit, now);
	decide_heap(s, h, now);
	return !heap_is_waiting(h);
}

/* The gates are open: all that wait, whoever holds the slots. One of them may bring others in. */
static void dispatch_all(struct supervisor *s, nsec_t now)
{
	struct heap *h;
	bool any;

	do {
		any = false;
		list_for_each (l, &s->services) {
			h = first_waiting(list_entry(l, struct service, all));
			any |= h && let_through(s, h, now);
		}
		h = first_snapshot(s);
		any |= h && let_through(s, h, now);
	} while (any);
}

void grant_dispatch(struct supervisor *s, nsec_t now)
{
	round_open_answered(s, now);
	if (s->canary.gates.open)
		dispatch_all(s, now);
	dispatch_snapshots(s, now);
	while (s->taken < s->max_concurrent && !list_empty(&s->eligible)) {
		struct heap *h = most_pressing(s);

		if (!h || is_barred(s, h))
			break; /* rivals hold the slots, or a round needs more of them */
		if (h->service->config.policy == POLICY_TOGETHER)
			round_start(s, h->service, false, now);
		else if (better_after_deadline(h, now))
			h->retry_at = h->deadline;
		else
			lease_grant(s, h, why(h), false, now);
		decide_heap(s, h, now);
	}
}

/* Too little would be freed for a pause, even in slack. */
static bool in_vain(struct supervisor *s, struct heap *h, nsec_t now)
{
	if (heap_used_at(h, now) >= yield_slack_from(h))
		return false;
	if (!h->yield.told) {
		h->yield.told = true;
		decide_record(s, h, REASON_LOW_YIELD, 0, now);
		heap_count(&h->declined);
	}
	return true;
}

void grant_slack(struct supervisor *s, struct heap *h, nsec_t now)
{
	struct service *service = h->service;
	nsec_t end = nsec_add(now, h->predicted), slack = h->slack_until;
	struct heap *first;

	/* Policy=idle takes an idle application at its word, however long that lasts. */
	if (slack == NSEC_NEVER && service->config.policy == POLICY_IDLE)
		slack = nsec_add(now, lease_span(h->predicted));

	/*
	 * A snapshot begins in the slack that comes anyway while its window is open. One of those in
	 * lockstep would make all others wait for it.
	 */
	if (!can_collect(h) || service->held || h->next == WIRE_SNAPSHOT ||
	    slack == NSEC_NEVER || service->config.policy == POLICY_TOGETHER ||
	    h->retry_at > now || slack < nsec_add(end, SLACK_MARGIN) ||
	    heap_used_at(h, now) < heap_budget(h) / HEAP_SLACK_SHARE ||
	    in_vain(s, h, now) || service->taken >= service->config.max_concurrent ||
	    s->taken >= s->max_concurrent || rivals_holder(s, service))
		return;
	first = most_pressing(s);
	if (first && is_barred(s, first))
		return;
	/* With h out of the way: could those that share its slots still start in time? */
	demand_remove(&service->demand, &h->in_service);
	demand_remove(&s->demand, &h->in_host);
	if (service->rivals)
		demand_remove(&service->rivals->demand, &h->in_rivals->node);
	if ((service->config.max_concurrent - service->taken >= 2 ||
	     demand_start_by(&service->demand) >= end) &&
	    (s->max_concurrent - s->taken >= 2 || demand_start_by(&s->demand) >= end) &&
	    (!service->rivals || demand_start_by(&service->rivals->demand) >= end))
		lease_grant_slack(s, h, slack, now);
	decide_heap(s, h, now);
}
