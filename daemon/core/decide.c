/* SPDX-License-Identifier: MIT */
/*
 * Who must get a slot by when, and who gets one now.
 *
 * Must: the latest start, moved up by the placement for those that share the slot, has
 * come. May: the application has declared slack that the predicted pause fits into, and
 * nobody's latest start would be hurt. When a heap's own latest start comes with every
 * slot taken it is let through over the limit: memory goes before latency, counted and
 * explained.
 */
#include "daemon/core/state.h"

/* How long the figures asked for by ACTION_LOOK may take before the extrapolation must
 * do. */
#define LOOK_PATIENCE (20 * NSEC_PER_MSEC)
/* Figures younger than this need not be asked for again. */
#define LOOK_FRESH NSEC_PER_MSEC
/* A collection in slack is worth it from this share of the budget on. */
#define SLACK_SHARE 2
/* Watermarks are at least this share of the budget apart, which bounds the reports. */
#define WATERMARK_SHARE 64
#define SLACK_MARGIN	NSEC_PER_MSEC

void decide_record(struct supervisor *s, struct heap *h, enum reason reason,
		   uint64_t holder, nsec_t now)
{
	const struct service *service = h->service;
	bool host = s->max_concurrent - nsec_min(s->taken, s->max_concurrent) <
		    service->config.max_concurrent -
			    nsec_min(service->taken, service->config.max_concurrent);
	struct core_decision d = {
		.at = now,
		.reason = reason,
		.window = h->lease.id,
		.used = heap_used_at(h, now),
		.budget = heap_budget(h),
		.rate_per_s = (uint64_t)heap_rate(h),
		.exhaustion = h->exhaustion,
		.latest_start = h->latest_start,
		.contention_start = h->contention_start,
		.predicted = h->predicted,
		.slots_taken = host ? s->taken : service->taken,
		.slots = host ? s->max_concurrent : service->config.max_concurrent,
		.holder = holder,
	};

	s->decisions++;
	heap_record(h, &d);
}

static bool can_collect(const struct heap *h)
{
	return !h->lost && !h->silent && !h->running && h->lease.state == LEASE_NONE &&
	       (h->kinds & 1 << WIRE_MAJOR) && heap_budget(h) > 0;
}

static size_t add_jobs(struct placement_job *jobs, size_t n, struct service *service)
{
	list_for_each (l, &service->heaps) {
		struct heap *h = list_entry(l, struct heap, siblings);
		nsec_t lead = nsec_sub(h->span, h->predicted);

		if (!can_collect(h) || h->latest_start == NSEC_NEVER)
			continue;
		jobs[n++] = (struct placement_job){
			.latest = h->latest_start > lead ? h->latest_start - lead : 0,
			.span = h->span,
			.owner = h,
		};
	}
	return n;
}

static void apply_jobs(const struct placement_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct heap *h = jobs[i].owner;

		h->contention_start = nsec_min(h->contention_start, jobs[i].start);
	}
}

/* The host's limit can only bind when the services together have more slots. */
static bool host_contended(const struct supervisor *s)
{
	uint64_t slots = 0;

	list_for_each (l, &s->services) {
		const struct service *service = list_entry(l, struct service, all);

		slots += nsec_min(service->config.max_concurrent, service->n_heaps);
	}
	return slots > s->max_concurrent;
}

static void place_service(struct supervisor *s, struct service *service)
{
	size_t n;

	list_for_each (l, &service->heaps) {
		struct heap *h = list_entry(l, struct heap, siblings);

		heap_estimate(h);
		h->contention_start = h->latest_start;
	}
	n = add_jobs(s->jobs, 0, service);
	placement_backward(s->jobs, n, s->slot_scratch, service->config.max_concurrent);
	apply_jobs(s->jobs, n);
	if (!host_contended(s))
		return;
	n = 0;
	list_for_each (l, &s->services)
		n = add_jobs(s->jobs, n, list_entry(l, struct service, all));
	placement_backward(s->jobs, n, s->slot_scratch, s->max_concurrent);
	apply_jobs(s->jobs, n);
}

/* From here on it is let through even over the limit. */
static nsec_t must_at(const struct heap *h)
{
	nsec_t deferred =
		h->wanting_since == NSEC_NEVER
			? NSEC_NEVER
			: nsec_add(h->wanting_since, h->service->config.max_defer);

	return nsec_min(h->last_call, deferred);
}

static void wait_in_order(struct supervisor *s, struct heap *h, nsec_t now)
{
	struct list *at = &s->waiting;

	list_unlink(&h->waiting);
	list_for_each (l, &s->waiting) {
		if (list_entry(l, struct heap, waiting)->contention_start >
		    h->contention_start) {
			at = l;
			break;
		}
	}
	list_append(at, &h->waiting);
	if (h->wanting_since == NSEC_NEVER)
		h->wanting_since = now;
}

/* Amounts come from clients and may be absurd. */
static uint64_t add_amount(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static void direct(struct supervisor *s, struct heap *h, nsec_t now)
{
	uint64_t budget = heap_budget(h), step = budget / WATERMARK_SHARE + 1;
	uint64_t used = h->report.used;
	bool told_idle = (h->caps & WIRE_CAP_MARKS) && can_collect(h);
	struct wire_directive d = {
		.watermark = UINT64_MAX,
		.report_by = NSEC_NEVER,
		.budget = h->report.budget || h->own_budget ? 0 : budget,
		.want = told_idle && used >= budget / SLACK_SHARE,
	};

	if (h->looked_at == 0)
		d.watermark = 1; /* its first figures, and with them its budget */
	else if (!budget)
		d.watermark = add_amount(used, used + 1); /* its rule may find one yet */
	if (h->looked_at && can_collect(h)) {
		uint64_t at_due =
			h->contention_start == NSEC_NEVER
				? budget / 2
				: heap_used_at(h, nsec_max(h->contention_start, now));
		uint64_t half = at_due > used ? (at_due - used) / 2 : 0;

		d.watermark = add_amount(used, half > step ? half : step);
		if (!(h->caps & WIRE_CAP_PAGE))
			d.report_by = h->contention_start;
	}
	/* A watermark still ahead does its work as well as a slightly different one. */
	if (h->directive.watermark > used &&
	    h->directive.watermark < add_amount(d.watermark, step) &&
	    d.watermark < add_amount(h->directive.watermark, step))
		d.watermark = h->directive.watermark;
	if (d.watermark == h->directive.watermark &&
	    d.report_by == h->directive.report_by && d.budget == h->directive.budget &&
	    d.want == h->directive.want)
		return;
	h->directive = d;
	list_unlink(&h->directing);
	list_append(&s->directing, &h->directing);
}

void decide_flush(struct supervisor *s)
{
	list_for_each_safe (l, next, &s->directing) {
		struct heap *h = list_entry(l, struct heap, directing);

		list_unlink(l);
		action_append(s, ACTION_DIRECT, h)->directive = h->directive;
	}
}

static void arm(struct supervisor *s, struct heap *h, nsec_t now)
{
	nsec_t at;

	if (h->lease.state != LEASE_NONE)
		at = lease_deadline(h);
	else if (!can_collect(h))
		at = NSEC_NEVER;
	else if (!list_empty(&h->waiting))
		at = must_at(h);
	else if (h->look_until)
		at = h->look_until;
	else
		at = nsec_max(h->contention_start, h->retry_at);
	timers_arm(&s->timers, &h->timer, at == NSEC_NEVER ? at : nsec_max(at, now + 1));
}

/* Figures may be old when a heap seems due: a page can be read at once. */
static bool needs_look(const struct heap *h, nsec_t now)
{
	return (h->caps & WIRE_CAP_PAGE) && h->look_until == 0 &&
	       nsec_add(h->looked_at, LOOK_FRESH) < now && list_empty(&h->waiting);
}

static bool is_due(const struct heap *h, nsec_t now)
{
	return can_collect(h) && h->contention_start <= now && h->retry_at <= now;
}

static void settle(struct supervisor *s, struct heap *h, nsec_t now)
{
	if (!is_due(h, now)) {
		list_unlink(&h->waiting);
		h->look_until = 0;
		if (can_collect(h) && h->contention_start > now) {
			h->wanting_since = NSEC_NEVER;
			if (h->reason == REASON_NONE)
				h->reason = REASON_NOT_DUE;
		}
	} else if (needs_look(h, now)) {
		h->look_until = nsec_add(now, LOOK_PATIENCE);
		action_append(s, ACTION_LOOK, h);
	} else if (h->look_until <= now) {
		h->look_until = 0;
		wait_in_order(s, h, now);
	}
	direct(s, h, now);
	arm(s, h, now);
}

void decide_service(struct supervisor *s, struct service *service, nsec_t now)
{
	place_service(s, service);
	list_for_each (l, &service->heaps)
		settle(s, list_entry(l, struct heap, siblings), now);
}

/* A heap that holds a slot of the same service or, failing that, of the host. */
static uint64_t slot_holder(const struct supervisor *s, const struct heap *h, bool host)
{
	list_for_each (l, &s->heaps) {
		const struct heap *other = list_entry(l, struct heap, all);

		if (other->lease.state != LEASE_NONE &&
		    (host || other->service == h->service))
			return other->id;
	}
	return 0;
}

/* Would a pause now end after the instant the application must respond, with time to
 * spare? */
static bool better_after_deadline(const struct heap *h, nsec_t now)
{
	return h->deadline != NSEC_NEVER && h->deadline > now &&
	       h->deadline < nsec_add(now, h->predicted) &&
	       h->deadline <= h->latest_start;
}

static void try_grant(struct supervisor *s, struct heap *h, nsec_t now)
{
	struct service *service = h->service;
	bool deferred = must_at(h) <= now && h->last_call > now;
	enum reason busy = REASON_NONE;

	if (service->taken >= service->config.max_concurrent)
		busy = REASON_SLOT_BUSY;
	else if (s->taken >= s->max_concurrent)
		busy = REASON_HOST_BUSY;

	if (busy == REASON_NONE && better_after_deadline(h, now)) {
		h->retry_at = h->deadline;
		list_unlink(&h->waiting);
		arm(s, h, now);
	} else if (busy == REASON_NONE) {
		lease_grant(s, h, deferred ? REASON_DEFERRED : REASON_DUE, false, now);
		direct(s, h, now);
	} else if (must_at(h) <= now) {
		lease_grant(s, h, REASON_OVER_LIMIT, true, now);
		direct(s, h, now);
	} else if (h->reason != busy) {
		decide_record(s, h, busy, slot_holder(s, h, busy == REASON_HOST_BUSY),
			      now);
	}
}

void decide_dispatch(struct supervisor *s, nsec_t now)
{
	list_for_each_safe (l, next, &s->waiting)
		try_grant(s, list_entry(l, struct heap, waiting), now);
}

static bool hurts_others(const struct supervisor *s, const struct heap *h, nsec_t until)
{
	const struct service *service = h->service;

	if (service->config.max_concurrent - service->taken >= 2 &&
	    s->max_concurrent - s->taken >= 2)
		return false;
	list_for_each (l, &s->heaps) {
		const struct heap *other = list_entry(l, struct heap, all);

		if (other != h && can_collect(other) && other->contention_start < until)
			return true;
	}
	return false;
}

void decide_slack(struct supervisor *s, struct heap *h, nsec_t now)
{
	nsec_t slack = h->slack_until;

	if (!can_collect(h) || slack == NSEC_NEVER || h->retry_at > now ||
	    slack < nsec_add(nsec_add(now, h->predicted), SLACK_MARGIN) ||
	    heap_used_at(h, now) < heap_budget(h) / SLACK_SHARE ||
	    h->service->taken >= h->service->config.max_concurrent ||
	    s->taken >= s->max_concurrent ||
	    hurts_others(s, h, nsec_add(now, h->predicted)))
		return;
	lease_grant_slack(s, h, slack, now);
	direct(s, h, now);
}
