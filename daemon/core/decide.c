/* SPDX-License-Identifier: MIT */
/*
 * Who must get a slot by when: when the latest start, moved up for those that share the slot
 * (demand.h), has come. When a heap's last call comes with every slot taken it is let through
 * over the limit: memory goes before latency, counted and explained.
 *
 * Every heap with a deadline in sight has a node in the demand of its service and of the host.
 * The first node of each that is not load yet has a timer. When it fires the heap is asked
 * for fresh figures, then waits (in order of deadline) or gets a slot; from then on its node
 * is work to the others. So an event costs the tree's O(log n), not a look at every heap.
 */
#include "daemon/core/state.h"

/* How long figures asked for by ACTION_LOOK may take before the extrapolation must do. */
#define LOOK_PATIENCE (20 * NSEC_PER_MSEC)
/* Figures younger than this need not be asked for again. */
#define LOOK_FRESH NSEC_PER_MSEC

nsec_t decide_start_of(const struct supervisor *s, const struct heap *h)
{
	nsec_t start = h->latest_start;

	if (h->among_snapshots)
		return h->in_service.linked
			       ? nsec_min(start,
					  demand_start_of(&s->snapshots, &h->in_service))
			       : start;
	/* (Its own deadline is not asked of a node that is load, so it is minded here.) */
	if (h->in_service.linked)
		start = nsec_min(start,
				 demand_start_of(&h->service->demand, &h->in_service));
	if (h->in_host.linked)
		start = nsec_min(start, demand_start_of(&s->demand, &h->in_host));
	if (h->service->rivals && h->in_rivals->node.linked)
		start = nsec_min(start, demand_start_of(&h->service->rivals->demand,
							&h->in_rivals->node));
	return start;
}

void decide_record(struct supervisor *s, struct heap *h, enum reason reason,
		   uint64_t holder, nsec_t now)
{
	const struct service *service = h->service;
	bool snapshot = heap_snapshots(h) || reason == REASON_SNAPSHOT_BUSY,
	     host = s->max_concurrent - nsec_min(s->taken, s->max_concurrent) <
		    service->config.max_concurrent -
			    nsec_min(service->taken, service->config.max_concurrent);
	struct core_decision d = {
		.at = now,
		.reason = reason,
		.window = h->lease.state == LEASE_NONE ? 0 : h->lease.id,
		.used = heap_used_at(h, now),
		.budget = heap_budget(h),
		.rate_per_s = heap_whole(heap_rate(h)),
		.exhaustion = h->exhaustion,
		.latest_start = h->latest_start,
		.contention_start = decide_start_of(s, h),
		.predicted = h->predicted,
		.slots_taken = snapshot ? s->snapshots_taken
			       : host	? s->taken
					: service->taken,
		.slots = snapshot ? s->snapshots_max
			 : host	  ? s->max_concurrent
				  : service->config.max_concurrent,
		.holder = holder,
	};

	s->decisions++;
	note_change(s, h);
	heap_record(h, &d);
}

bool can_collect(const struct heap *h)
{
	return !h->lost && !h->silent && !h->running && h->lease.state == LEASE_NONE &&
	       (h->kinds & 1 << h->next) && (heap_budget(h) > 0 || h->asked);
}

/* (Its place in line may be that of one which holds a slot.) */
static void stop_waiting(struct heap *h)
{
	if (heap_is_waiting(h))
		list_unlink(&h->in_line);
}

/* Due only because of those it shares slots with: there is nothing to free before then. 0: not so. */
static nsec_t worth_at(const struct heap *h)
{
	return h->early ? heap_worth_from(h) : 0;
}

static void displace(struct supervisor *s, struct heap *h)
{
	demand_remove(h->among_snapshots ? &s->snapshots : &h->service->demand,
		      &h->in_service);
	demand_remove(&s->demand, &h->in_host);
	if (h->service->rivals)
		demand_remove(&h->service->rivals->demand, &h->in_rivals->node);
	if (h->service->config.policy == POLICY_TOGETHER)
		round_place(s, h);
}

/* Puts what h demands, or holds, where those see it that share its slots. */
static void place(struct supervisor *s, struct heap *h, nsec_t now)
{
	enum demand_role role = heap_is_waiting(h)			 ? DEMAND_WAITING
				: h->retry_at > now || worth_at(h) > now ? DEMAND_LOAD
									 : DEMAND_FREE;
	nsec_t lead = nsec_sub(h->span, h->predicted);
	nsec_t latest = NSEC_NEVER;

	if (h->lease.state != LEASE_NONE) {
		role = DEMAND_LOAD;
		latest = h->lease.announced;
	} else if (can_collect(h) && h->latest_start != NSEC_NEVER) {
		latest = h->latest_start > lead ? h->latest_start - lead : 0;
	}
	if (heap_snapshots(h) != h->among_snapshots) {
		displace(s, h);
		h->among_snapshots = !h->among_snapshots;
	}
	if (h->among_snapshots) {
		demand_set(&s->snapshots, &h->in_service, latest, h->span, h->work, 1,
			   role);
		return;
	}
	demand_set(&h->service->demand, &h->in_service, latest, h->span, h->work, 1,
		   role);
	if (h->service->config.policy == POLICY_TOGETHER) {
		round_place(s, h);
		return;
	}
	demand_set(&s->demand, &h->in_host, latest, h->span, h->work, 1, role);
	if (h->service->rivals)
		demand_set(&h->service->rivals->demand, &h->in_rivals->node, latest,
			   h->span, h->work, 1, role);
}

static nsec_t deferred_at(const struct heap *h)
{
	return h->wanting_since == NSEC_NEVER
		       ? NSEC_NEVER
		       : nsec_add(h->wanting_since, h->service->config.max_defer);
}

/* From here on it is let through even over the limit. */
static nsec_t must_at(const struct heap *h)
{
	return nsec_min(h->last_call, deferred_at(h));
}

static void arm(struct supervisor *s, struct heap *h, nsec_t now)
{
	nsec_t at = NSEC_NEVER;

	if (h->lease.state != LEASE_NONE)
		at = lease_deadline(h);
	else if (!can_collect(h))
		at = NSEC_NEVER;
	else if (heap_is_waiting(h))
		at = h->look_until ? h->look_until : must_at(h);
	else if (h->retry_at > now || worth_at(h) > now)
		at = nsec_max(h->retry_at, worth_at(h));
	timers_arm(&s->timers, &h->timer, at == NSEC_NEVER ? at : nsec_max(at, now + 1));
}

static void check_eligible(struct supervisor *s, struct service *service)
{
	bool together = service->config.policy == POLICY_TOGETHER;
	bool eligible = !service->held && !list_empty(&service->waiting) &&
			service->taken < (together ? 1 : service->config.max_concurrent);

	if (eligible == !list_empty(&service->eligible))
		return;
	list_unlink(&service->eligible);
	if (eligible)
		list_append(&s->eligible, &service->eligible);
}

/* A heap that holds a slot of the same service or, failing that, of the host. */
static uint64_t slot_holder(const struct supervisor *s, const struct heap *h, bool host)
{
	list_for_each (l, &s->holders) {
		const struct heap *other = list_entry(l, struct heap, in_line);

		if (host || other->service == h->service)
			return other->id;
	}
	return 0;
}

/* Which slot of pauses it waits for, and who has it. */
static enum reason slot_busy(const struct supervisor *s, const struct heap *h,
			     uint64_t *ret_holder)
{
	const struct heap *rival = rivals_holder(s, h->service);

	if (h->service->taken >= h->service->config.max_concurrent) {
		*ret_holder = slot_holder(s, h, false);
		return REASON_SLOT_BUSY;
	}
	if (rival) {
		*ret_holder = rival->id;
		return REASON_RIVAL_BUSY;
	}
	if (s->taken >= s->max_concurrent) {
		*ret_holder = slot_holder(s, h, true);
		return REASON_HOST_BUSY;
	}
	return REASON_NONE;
}

/* Says once why it must wait. */
static void explain_wait(struct supervisor *s, struct heap *h, nsec_t now)
{
	enum reason busy = REASON_NONE;
	uint64_t holder = 0;

	if (h->service->held)
		busy = REASON_HELD;
	else if (h->next == WIRE_SNAPSHOT && s->snapshots_taken >= s->snapshots_max)
		busy = REASON_SNAPSHOT_BUSY;
	else if (!heap_snapshots(h))
		busy = slot_busy(s, h, &holder);
	if (busy != REASON_NONE && h->reason != busy && !h->look_until)
		decide_record(s, h, busy, holder, now);
}

static int64_t deadline_of(const struct heap *h)
{
	return h->in_service.deadline;
}

static void wait_in_order(struct supervisor *s, struct heap *h, nsec_t now)
{
	struct list *head =
		heap_snapshots(h) ? &s->snapshots_waiting : &h->service->waiting;
	struct list *at = head;

	/* From the end: those that come to wait have later deadlines than most that do. */
	while (at->prev != head &&
	       deadline_of(list_entry(at->prev, struct heap, in_line)) > deadline_of(h))
		at = at->prev;
	list_append(at, &h->in_line);
	if (h->wanting_since == NSEC_NEVER)
		h->wanting_since = now;
	check_eligible(s, h->service);
	explain_wait(s, h, now);
}

/* Figures may be old when a heap seems due: a page can be read at once. */
static bool needs_look(const struct heap *h, nsec_t now)
{
	return (h->caps & WIRE_CAP_PAGE) && nsec_add(h->looked_at, LOOK_FRESH) < now;
}

/* Policy=observe: what would have been decided, then the window all the same. */
static void observe(struct supervisor *s, struct heap *h, nsec_t now)
{
	struct service *service = h->service;

	if (service->observed >= service->config.max_concurrent) {
		service->would_wait++;
		decide_record(s, h, REASON_WOULD_WAIT, 0, now);
	}
	h->wanting_since = now;
	lease_grant_observed(s, h, now);
}

/* Not worth its pause, and the budget may give way. The client must hear of that before it is full. */
static void decline(struct supervisor *s, struct heap *h, nsec_t now)
{
	decide_record(s, h, REASON_LOW_YIELD, 0, now);
	heap_count(&h->declined);
	yield_raise(h);
	heap_estimate(h, now);
	direct_heap(s, h, now);
}

static void become_due(struct supervisor *s, struct heap *h, nsec_t now)
{
	/* It has its window, of a round that begins in this instant; its place did not say so yet. */
	if (!can_collect(h)) {
		place(s, h, now);
		return;
	}
	if (!h->asked && heap_worth_from(h) > now) {
		h->early = true;
	} else if (needs_look(h, now)) {
		/* It keeps its turn meanwhile: nobody less pressing gets ahead of it. */
		h->look_until = nsec_add(now, LOOK_PATIENCE);
		action_add(s, h, ACTION_LOOK);
		wait_in_order(s, h, now);
	} else if (!h->asked && yield_declines(h)) {
		decline(s, h, now);
	} else if (h->service->config.policy == POLICY_OBSERVE) {
		observe(s, h, now);
	} else {
		wait_in_order(s, h, now);
	}
	place(s, h, now);
	arm(s, h, now);
}

static struct heap *by_service(struct demand_node *node)
{
	return list_entry(node, struct heap, in_service);
}

static struct heap *by_host(struct demand_node *node)
{
	return list_entry(node, struct heap, in_host);
}

static struct heap *by_rivals(struct demand_node *node)
{
	return list_entry(node, struct rival, node)->heap;
}

static void settle(struct supervisor *s, struct demand *d, struct timer *timer,
		   struct heap *(*heap_of)(struct demand_node *node), nsec_t now)
{
	nsec_t start = demand_start_by(d);

	while (start <= now) {
		become_due(s, heap_of(demand_first(d)), now);
		start = demand_start_by(d);
	}
	timers_arm(&s->timers, timer, start);
}

void decide_due_host(struct supervisor *s, nsec_t now)
{
	settle(s, &s->demand, &s->timer, by_host, now);
}

void decide_due_snapshots(struct supervisor *s, nsec_t now)
{
	settle(s, &s->snapshots, &s->snapshots_timer, by_service, now);
}

void decide_due_rivals(struct supervisor *s, struct rivals *rivals, nsec_t now)
{
	settle(s, &rivals->demand, &rivals->timer, by_rivals, now);
}

void decide_due(struct supervisor *s, struct service *service, nsec_t now)
{
	settle(s, &service->demand, &service->timer, by_service, now);
	if (service->rivals)
		decide_due_rivals(s, service->rivals, now);
	decide_due_host(s, now);
}

void decide_heap(struct supervisor *s, struct heap *h, nsec_t now)
{
	uint8_t next = h->next;

	heap_estimate(h, now);
	if (budget_update(s, h, now))
		heap_estimate(h, now);
	/* Whether it must wait is found out anew, with the latest figures. */
	if (!h->look_until || !can_collect(h) || h->next != next) {
		stop_waiting(h);
		h->look_until = 0;
	}
	h->early = false;
	place(s, h, now);
	decide_due(s, h->service, now);
	decide_due_snapshots(s, now);
	/* (One that cannot collect, because it is away or offers no kind, does not wait meanwhile.) */
	if (!heap_is_waiting(h) && !h->running && h->lease.state == LEASE_NONE &&
	    h->retry_at <= now)
		h->wanting_since = NSEC_NEVER;
	if (!heap_is_waiting(h) && can_collect(h) && h->retry_at <= now &&
	    h->reason == REASON_NONE)
		h->reason = REASON_NOT_DUE;
	check_eligible(s, h->service);
	direct_heap(s, h, now);
	arm(s, h, now);
}

void decide_forget(struct supervisor *s, struct heap *h, nsec_t now)
{
	stop_waiting(h);
	budget_forget(s, h);
	displace(s, h);
	timers_arm(&s->timers, &h->timer, NSEC_NEVER);
	check_eligible(s, h->service);
	decide_due(s, h->service, now);
	decide_due_snapshots(s, now);
}

void decide_service(struct supervisor *s, struct service *service, nsec_t now)
{
	demand_resize(&service->demand, service_width(&service->config));
	service->first = NULL;
	list_for_each (l, &service->heaps)
		decide_heap(s, list_entry(l, struct heap, siblings), now);
}

/* It would break the limit, and its last one freed nothing: it has more room to wait for a slot. */
static bool gives_way(const struct heap *h, nsec_t now)
{
	return deferred_at(h) > now && !h->service->held &&
	       h->service->config.policy != POLICY_TOGETHER && yield_gives_way(h);
}

static void give_way(struct supervisor *s, struct heap *h, nsec_t now)
{
	decline(s, h, now);
	h->yield.at_once = true;
}

static void let_through(struct supervisor *s, struct heap *h, nsec_t now)
{
	/* (Who is not held back, and waits for its last call, does so for a slot.) */
	bool over_limit = !h->service->held || !grant_has_slot(s, h);
	enum reason reason = h->last_call > now ? REASON_DEFERRED
			     : over_limit	? REASON_OVER_LIMIT
						: REASON_LAST_CALL;

	if (h->service->config.policy == POLICY_TOGETHER && !heap_snapshots(h)) {
		round_start(s, h->service, over_limit, now);
		return;
	}
	lease_grant(s, h, reason, over_limit, now);
	check_eligible(s, h->service);
}

void decide_timer(struct supervisor *s, struct heap *h, nsec_t now)
{
	if (h->look_until && h->look_until <= now) {
		/* No answer: the extrapolation must do, and counts as fresh. */
		h->look_until = 0;
		h->looked_at = now;
	}
	if (heap_is_waiting(h) && must_at(h) <= now) {
		if (gives_way(h, now))
			give_way(s, h, now);
		else
			let_through(s, h, now);
	}
	decide_heap(s, h, now);
}
