/* SPDX-License-Identifier: MIT */
/* Collections begin and end, in a window or not, and are learned from. */
#include <assert.h>

#include "daemon/core/state.h"

void run_start(struct supervisor *s, struct heap *h, unsigned kind, nsec_t at, nsec_t now)
{
	struct service *service = h->service;

	assert(!h->running);
	h->running = true;
	h->run_begin = at;
	h->paused = kind != WIRE_SNAPSHOT;
	if (!h->paused)
		return;
	contention_change(&s->contention, 1, now);
	h->run_area = contention_area(&s->contention, now);
	h->run_seen = now;
	if (++service->paused_now > service->paused_max)
		service->paused_max = service->paused_now;
	if (++s->paused_now > s->paused_max)
		s->paused_max = s->paused_now;
}

void run_stop(struct supervisor *s, struct heap *h, nsec_t now)
{
	if (!h->running)
		return;
	h->running = false;
	if (!h->paused)
		return;
	h->paused = false;
	contention_change(&s->contention, -1, now);
	h->service->paused_now--;
	s->paused_now--;
}

int run_begin(struct supervisor *s, struct heap *h, const struct wire_begin *begin,
	      nsec_t now)
{
	nsec_t at = nsec_min(begin->at, now);

	if (h->running) {
		heap_count(&h->violations);
		return CORE_E_ORDER;
	}
	if (begin->cause != WIRE_IN_WINDOW) {
		/* Counted at its end; a window that waits for the same thing is moot. */
		if (begin->kind != WIRE_MINOR && h->lease.state != LEASE_NONE)
			lease_revoke(s, h, REASON_MOOT, now);
		run_start(s, h, begin->kind, at, now);
		return 0;
	}
	if (h->lease.state == LEASE_OPEN && h->lease.id == begin->window &&
	    at < h->lease.closes) {
		lease_put_in_use(s, h, at, now);
		return 0;
	}
	/* It began in time, but the frame came after the expiry was handled. */
	if (h->lease.state == LEASE_NONE && begin->window != 0 &&
	    begin->window == h->lease.id && at < h->lease.closes) {
		lease_adopt(s, h, begin->window, begin->kind, h->lease.closes, now);
		return 0;
	}
	heap_count(&h->violations);
	return CORE_E_WINDOW;
}

static void count_end(struct supervisor *s, struct heap *h, const struct wire_end *end,
		      bool overrun, nsec_t now)
{
	enum reason reason = REASON_ENDED;
	bool outrun = yield_is_outrun(h);

	if (heap_believes(h, end))
		heap_learn(h, end, now);
	else
		heap_absurd(h);
	if (end->cause == WIRE_FORCED) {
		heap_count(&h->forced);
		h->service->forced++;
		s->forced++;
		reason = REASON_FORCED;
	} else if (end->cause == WIRE_UNCOORDINATED) {
		heap_count(&h->uncoordinated);
		s->uncoordinated++;
		reason = REASON_UNCOORDINATED;
	} else if (overrun) {
		heap_count(&h->overruns);
		s->overruns++;
		reason = REASON_OVERRUN;
	}
	decide_record(s, h, reason, 0, now);
	if (!outrun && yield_is_outrun(h))
		decide_record(s, h, REASON_OUTRUN, 0, now);
}

/* Later than its window allowed, and not counted before. */
static bool overran(const struct heap *h, const struct wire_end *end, bool mine,
		    nsec_t now)
{
	if (end->kind == WIRE_SNAPSHOT)
		return false; /* it was to begin in its window, no more */
	if (mine)
		return nsec_min(end->end, now) > h->lease.closes;
	return nsec_min(end->end, now) > h->lease.closes && !h->last_overran;
}

int run_end(struct supervisor *s, struct heap *h, const struct wire_end *end, nsec_t now)
{
	bool in_window = end->cause == WIRE_IN_WINDOW;
	bool mine = h->lease.state != LEASE_NONE && h->lease.id == end->window;
	bool late = h->lease.state == LEASE_NONE && end->window != 0 &&
		    end->window == h->lease.id;

	if (in_window && !(mine && h->lease.state >= LEASE_OPEN) && !late) {
		heap_count(&h->violations);
		return CORE_E_WINDOW;
	}
	if (end->end < end->begin) {
		heap_count(&h->violations);
		return CORE_E_ORDER;
	}
	count_end(s, h, end, overran(h, end, mine, now), now);
	if (in_window && mine) {
		/* It has kept to it. */
		if (h->lease.state == LEASE_IN_USE && now <= lease_deadline(h))
			h->strikes = 0;
		run_stop(s, h, now);
		lease_finish(s, h, ACTION_CLOSE, REASON_ENDED, now);
		h->wanting_since = NSEC_NEVER; /* whatever it was that ended */
	} else if (h->lease.state != LEASE_IN_USE) {
		/* (What is told after the fact does not end a collection under way.) */
		run_stop(s, h, now);
		if (end->kind != WIRE_MINOR)
			lease_revoke(s, h, REASON_MOOT, now);
	}
	if (end->kind != WIRE_MINOR) {
		h->asked = false;
		h->wanting_since = NSEC_NEVER;
		h->retries = 0;
		if (!lease_distrusted(h))
			h->retry_at = 0;
	}
	return 0;
}
