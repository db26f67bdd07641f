/* SPDX-License-Identifier: MIT */
/* Events in: what each of them means to the heap it is of. */
#include "daemon/core/supervisor.h"

#include "daemon/core/state.h"

static int drained(struct supervisor *s, struct heap *h, uint64_t window,
		   enum reason reason, nsec_t now)
{
	if (h->lease.state == LEASE_NONE || h->lease.id != window)
		return CORE_E_WINDOW;
	/* At rest or not: while a balancer still sends to it, only the balancer's word counts. */
	if (reason == REASON_QUIET && !heap_waits_for_quiet(h))
		return 0;
	if (h->lease.round)
		round_quiet(s, h, now);
	else if (h->lease.state == LEASE_ANNOUNCED)
		lease_open(s, h, reason, now);
	return 0;
}

static int decline(struct supervisor *s, struct heap *h, uint64_t window, nsec_t now)
{
	if (h->lease.state == LEASE_NONE || h->lease.state == LEASE_IN_USE ||
	    h->lease.id != window)
		return CORE_E_WINDOW;
	lease_revoke(s, h, REASON_DECLINED, now);
	return 0;
}

/* All that share its slots, one after the other: in full, whatever it would have been next. */
static nsec_t turn_of(const struct supervisor *s, const struct heap *h)
{
	const struct service *service = h->service;
	uint64_t in_service = (service->n_heaps - 1) / service->config.max_concurrent;
	uint64_t on_host = (s->n_heaps - 1) / s->max_concurrent;
	nsec_t each = h->next == WIRE_FREEZE ? heap_work(h, WIRE_MAJOR) : h->work;

	if (service->config.policy == POLICY_TOGETHER)
		return 0;
	return nsec_max(in_service, on_host) * each;
}

static int apply(struct supervisor *s, struct heap *h, const struct event *event,
		 nsec_t now)
{
	h->silent = false;
	switch (event->type) {
	case EVENT_REPORT:
		heap_report(h, &event->report, now);
		if (yield_review(h))
			yield_lower(h, turn_of(s, h), now);
		h->looked_at = now;
		h->look_until = 0;
		return 0;
	case EVENT_IDLE:
		h->slack_until = event->idle.until;
		return 0;
	case EVENT_BUSY:
		h->slack_until = 0;
		return 0;
	case EVENT_DEADLINE:
		h->deadline = event->deadline.at;
		h->slack_until =
			event->deadline.at == NSEC_NEVER ? 0 : event->deadline.at;
		return 0;
	case EVENT_QUIET:
		return drained(s, h, event->quiet.window, REASON_QUIET, now);
	case EVENT_DRAINED:
		return drained(s, h, event->window, REASON_DRAINED, now);
	case EVENT_UNDRAINABLE:
		return drained(s, h, event->window, REASON_UNDRAINABLE, now);
	case EVENT_BEGIN:
		return run_begin(s, h, &event->begin, now);
	case EVENT_END:
		return run_end(s, h, &event->end, now);
	case EVENT_DECLINE:
		return decline(s, h, event->decline.window, now);
	case EVENT_OFFER:
		h->kinds = event->offer.kinds;
		return 0;
	case EVENT_LOST:
		members_lose(s, h, now);
		return 0;
	case EVENT_JOIN:
	case EVENT_LEAVE:
	case EVENT_HOLD:
	case EVENT_COLLECT:
		break;
	}
	return 0;
}

static void hold(struct supervisor *s, struct service *service, bool held, nsec_t now)
{
	if (service->held == held)
		return;
	service->held = held;
	decide_service(s, service, now);
}

/* Beside what it is told to do anyway; one that collects already does so. */
static int collect(struct supervisor *s, struct heap *h, nsec_t now)
{
	if (h->lost || !(h->kinds & (1 << WIRE_MAJOR | 1 << WIRE_SNAPSHOT)))
		return CORE_E_CANNOT;
	if (h->running || h->lease.state != LEASE_NONE)
		return 0;
	h->asked = true;
	h->retry_at = 0;
	decide_record(s, h, REASON_ASKED, 0, now);
	return 0;
}

int supervisor_handle(struct supervisor *s, const struct event *event, nsec_t now)
{
	struct heap *h = supervisor_find_heap(s, event->heap), *other;
	int r = 0;

	if (event->type == EVENT_JOIN) {
		r = members_join(s, event, now);
		if (r < 0)
			return r;
		h = supervisor_find_heap(s, event->heap);
	} else if (!h) {
		return CORE_E_HEAP;
	} else if (event->type == EVENT_LEAVE) {
		note_change(s, h);
		members_leave(s, h, now);
		h = NULL;
	} else if (event->type == EVENT_HOLD) {
		hold(s, h->service, event->held, now);
	} else if (event->type == EVENT_COLLECT) {
		r = collect(s, h, now);
	} else {
		r = apply(s, h, event, now);
	}
	if (h) {
		decide_heap(s, h, now);
		note_change(s, h);
	}
	other = budget_turn(s, now);
	if (other)
		decide_heap(s, other, now);
	grant_dispatch(s, now);
	if (event->type == EVENT_IDLE || event->type == EVENT_DEADLINE)
		grant_slack(s, h, now);
	return r;
}

static void timer_fired(struct supervisor *s, struct timer *timer, nsec_t now)
{
	struct heap *h;

	switch (timer->owner) {
	case TIMER_HEAP:
		h = list_entry(timer, struct heap, timer);
		lease_due(s, h, now);
		decide_timer(s, h, now);
		break;
	case TIMER_SERVICE:
		decide_due(s, list_entry(timer, struct service, timer), now);
		break;
	case TIMER_RIVALS:
		decide_due_rivals(s, list_entry(timer, struct rivals, timer), now);
		break;
	case TIMER_HOST:
		decide_due_host(s, now);
		break;
	case TIMER_SNAPSHOTS:
		decide_due_snapshots(s, now);
		break;
	case TIMER_GATES:
		canary_calm(&s->canary);
		break;
	}
}

void supervisor_tick(struct supervisor *s, nsec_t now)
{
	struct timer *timer;

	while ((timer = timers_pop(&s->timers, now)))
		timer_fired(s, timer, now);
	grant_dispatch(s, now);
}

void supervisor_strain(struct supervisor *s, const struct core_strain *strain, nsec_t now)
{
	nsec_t until = canary_take(&s->canary, strain, now);

	if (until == NSEC_NEVER)
		return;
	timers_arm(&s->timers, &s->canary.timer, until);
	grant_dispatch(s, now);
}

nsec_t supervisor_deadline(const struct supervisor *s)
{
	return timers_next(&s->timers);
}
