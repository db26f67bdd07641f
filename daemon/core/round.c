/* SPDX-License-Identifier: MIT */
/*
 * Policy=together: processes in lockstep (a barrier each step) lose one pause a round instead of
 * one for each of them. When a member is due, a window is announced to all that have something
 * to free. Each says QUIET when it next comes by its safe point, and works on. With the last answer all of them
 * have just passed the same barrier, or are about to: their windows open at one instant between two barriers, so that
 * every member sees its own open in the same step. Who does not answer holds them up for the lead and no longer; who does
 * not begin before they close has dropped out and is counted.
 */
#include "daemon/core/state.h"

/* The frames of one round reach the last member well within this time. */
#define AHEAD (2 * NSEC_PER_MSEC)
/*
 * Of the time from announcement to opening, which is a step or two: more than they leave a barrier apart, where
 * there are more of them than CPUs, and less than it takes to come by again.
 */
#define AHEAD_SHARE 4
#define AHEAD_MAX   (20 * NSEC_PER_MSEC)

/* From this share of its budget on a member has something to free. */
#define WORTH_SHARE 8

/*
 * A step is lost to all of them whoever pauses in it. So a member takes part that has filled little, or whose
 * budget was raised because it had nothing to free: else it would soon be due by itself, in another step.
 */
static bool takes_part(const struct heap *h, nsec_t now)
{
	uint64_t budget = yield_is_raised(h) ? yield_rule(h) : heap_budget(h);

	if (!can_collect(h) || heap_snapshots(h) || h->retry_at > now)
		return false;
	/* (It is due, whatever it has used: the round is for its sake.) */
	return heap_is_waiting(h) || heap_used_at(h, now) >= budget / WORTH_SHARE;
}

static void withdraw(struct supervisor *s, struct heap *h)
{
	demand_remove(&s->demand, &h->in_host);
	if (h->service->rivals)
		demand_remove(&h->service->rivals->demand, &h->in_rivals->node);
}

void round_place(struct supervisor *s, struct heap *h)
{
	struct service *service = h->service;
	const struct demand *d = &service->demand;
	const struct demand_node *node = demand_earliest(d);
	struct heap *first = node ? list_entry(node, struct heap, in_service) : NULL;
	nsec_t latest, span, work;

	if (h != first)
		withdraw(s, h);
	if (service->first && service->first != first)
		withdraw(s, service->first);
	service->first = first;
	if (!first)
		return;
	span = (nsec_t)node->span;
	latest = nsec_sub((nsec_t)node->deadline, span);
	work = (nsec_t)d->root->longest;
	demand_set(&s->demand, &first->in_host, latest, span, work, service->n_heaps,
		   node->role);
	if (service->rivals)
		demand_set(&service->rivals->demand, &first->in_rivals->node, latest,
			   span, work, service->n_heaps, node->role);
}

bool round_fits(const struct supervisor *s, const struct service *service)
{
	/* A round that is larger than the host gets it for itself. */
	return s->taken == 0 || s->taken + service->n_heaps <= s->max_concurrent;
}

void round_answered(struct supervisor *s, struct heap *h)
{
	struct service *service = h->service;

	if (!h->lease.owes)
		return;
	h->lease.owes = false;
	if (--service->owing == 0 && list_empty(&service->answered))
		list_append(&s->answered, &service->answered);
}

void round_quiet(struct supervisor *s, struct heap *h, nsec_t now)
{
	struct service *service = h->service;

	if (h->lease.owes)
		service->first_answer = nsec_min(service->first_answer, now);
	round_answered(s, h);
}

/*
 * All have answered: behind the same barrier? Then the first to answer was not much earlier than the last. Who had come
 * by the barrier before, just when the round was announced, has answered at once, and all others a step later.
 */
static bool is_one_barrier(const struct service *service, nsec_t announced, nsec_t now)
{
	return nsec_sub(now, service->first_answer) <=
	       nsec_sub(service->first_answer, announced);
}

static bool is_announced(const struct heap *h)
{
	return h->lease.state == LEASE_ANNOUNCED && h->lease.round;
}

void round_open(struct supervisor *s, struct service *service, nsec_t now)
{
	nsec_t announced = 0, longest = 0, by = 0, opens, closes, ahead = AHEAD;

	list_for_each (l, &service->heaps) {
		const struct heap *h = list_entry(l, struct heap, siblings);

		if (!is_announced(h))
			continue;
		announced = nsec_max(announced, h->lease.announced);
		by = nsec_max(by, h->lease.opens);
		longest = nsec_max(longest, h->lease.predicted);
	}
	/* Else those who answered first have yet to come by the barrier that the last one answered behind. */
	if (service->owing == 0 && !is_one_barrier(service, announced, now))
		ahead = nsec_min(nsec_max(ahead, service->drain_typical / AHEAD_SHARE),
				 AHEAD_MAX);
	opens = nsec_min(nsec_add(now, ahead), nsec_max(by, nsec_add(now, AHEAD)));
	if (by > announced)
		service_drained_in(service, nsec_sub(opens, announced));
	/* They come by again in about the time in which they have answered. */
	closes = nsec_add(opens, nsec_add(lease_span(longest), service->drain_typical));
	list_for_each (l, &service->heaps) {
		struct heap *h = list_entry(l, struct heap, siblings);

		if (is_announced(h))
			lease_open_together(s, h, opens, closes, now);
	}
}

void round_open_answered(struct supervisor *s, nsec_t now)
{
	list_for_each_safe (l, next, &s->answered) {
		struct service *service = list_entry(l, struct service, answered);

		list_unlink(l);
		if (service->owing == 0)
			round_open(s, service, now);
	}
}

void round_start(struct supervisor *s, struct service *service, bool over_limit,
		 nsec_t now)
{
	nsec_t opens_by = nsec_add(now, service->config.lead);

	service->first_answer = NSEC_NEVER;
	if (over_limit) {
		service->over_limit++;
		s->over_limit++;
	}
	list_for_each (l, &service->heaps) {
		struct heap *h = list_entry(l, struct heap, siblings);

		if (!takes_part(h, now))
			continue;
		/* Nobody waits for an answer beyond a last call. */
		opens_by = nsec_min(opens_by, nsec_max(now, h->last_call));
		lease_grant_together(s, h, over_limit, now);
	}
	if (opens_by == now || service->owing == 0) {
		round_open(s, service, now);
	} else {
		list_for_each (l, &service->heaps) {
			struct heap *h = list_entry(l, struct heap, siblings);

			if (is_announced(h) && !h->lease.opens)
				lease_announce(s, h, opens_by);
		}
	}
	list_for_each (l, &service->heaps)
		decide_heap(s, list_entry(l, struct heap, siblings), now);
}
