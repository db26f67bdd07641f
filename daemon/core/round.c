/* SPDX-License-Identifier: MIT */
/*
 * Policy=together: processes in lockstep (a barrier each step) lose one pause a round instead of
 * one for each of them. When a member is due, one window opens for all that have something to
 * free, at one instant a little ahead, so that every member sees it open in the same step. Who
 * does not begin before it closes has dropped out and is counted; nobody waits for anybody.
 */
#include "daemon/core/state.h"

/* The frames of one round reach the last member well within this time. */
#define AHEAD (2 * NSEC_PER_MSEC)

static bool takes_part(const struct heap *h, nsec_t now)
{
	return can_collect(h) && !heap_snapshots(h) && h->retry_at <= now &&
	       heap_worth_from(h) <= now;
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

void round_start(struct supervisor *s, struct service *service, bool over_limit,
		 nsec_t now)
{
	nsec_t opens = nsec_add(now, AHEAD), longest = 0;

	if (over_limit) {
		service->over_limit++;
		s->over_limit++;
	}
	list_for_each (l, &service->heaps) {
		const struct heap *h = list_entry(l, struct heap, siblings);

		if (takes_part(h, now))
			longest = nsec_max(longest, h->predicted);
	}
	list_for_each (l, &service->heaps) {
		struct heap *h = list_entry(l, struct heap, siblings);

		if (!takes_part(h, now))
			continue;
		lease_grant_together(s, h, opens, nsec_add(opens, lease_span(longest)),
				     over_limit, now);
		decide_heap(s, h, now);
	}
}
