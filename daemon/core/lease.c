/* SPDX-License-Identifier: MIT */
/*
 * The life of a window. Its slot is taken from the announcement on, because a drained
 *server is as absent as a paused one, and free again at the end.
 *
 *	announced ──drained, quiet or lead over──▶ open ──BEGIN──▶ in use ──END──▶ over
 *	    └────────── moot, declined, lost, expired ─────┴──────────────────────▶ over
 *
 * A snapshot in use that takes long gives its slot of pauses back, and what was drained for it, once its fork is over.
 */
#include <assert.h>

#include "daemon/core/state.h"

/*
 * How long an open window waits for the client to begin, beyond the pause itself.
 * Generous: a client begins at its next safe point, and nobody else can use the slot
 * better meanwhile.
 */
#define TOLERANCE_MIN (100 * NSEC_PER_MSEC)

/* A pause that outlives its window keeps its slot this much longer before it is written
 * off. */
#define GRACE_MIN    NSEC_PER_SEC
#define GRACE_MAX    (30 * NSEC_PER_SEC)
#define GRACE_PAUSES 10
/* A snapshot that takes that many times as long as a full collection is not drained for to its end. */
#define WHOLE_PAUSES 2
/* What it is drained for may take so many times as long as expected, and this. */
#define RUN_TIMES    2
#define DRAIN_MARGIN (20 * NSEC_PER_MSEC)

/* A client gives up a snapshot before that. */
#define RUN_GRACE_MIN (120 * NSEC_PER_SEC)

/* A client that has not begun by then does not mean to, however long its pause would be. */
#define BEGIN_MOST (30 * NSEC_PER_SEC)

/*
 * The client sees that its window is over later than `now`, which is as old as the turn of the loop in which
 * that was decided: what it began until it saw it is a pause, and is counted as one.
 */
#define TURN_MOST NSEC_PER_SEC

/* Back-off after windows that came to nothing. */
#define RETRY_FIRST	    (20 * NSEC_PER_MSEC)
#define RETRY_DOUBLINGS_MAX 6

/*
 * After windows in a row that it did not keep to, a heap gets the next one ever later: up to four
 * seconds, so that one that only stood still is soon well served again. Of a pause after three of them
 * that never ended, it waits ten times as long as it kept the slot.
 */
#define STRIKES_MAX	3
#define STRIKES_COUNTED 15 /* more is as much */
#define STRIKE_FIRST	(40 * NSEC_PER_MSEC)
#define STRIKE_MOST	(4 * NSEC_PER_SEC)
#define STRIKE_SHARE	10

nsec_t lease_span(nsec_t pause)
{
	return nsec_add(TOLERANCE_MIN, nsec_add(pause * 2, pause / 2));
}

static uint32_t run_ms(nsec_t run)
{
	return (uint32_t)nsec_min(run / NSEC_PER_MSEC, UINT32_MAX);
}

static void take_slot(struct supervisor *s, struct heap *h)
{
	h->lease.slot = h->service->config.policy != POLICY_OBSERVE;
	if (!h->lease.slot) {
		h->service->observed++;
		return;
	}
	if (h->lease.beside) {
		s->snapshots_taken++;
		return;
	}
	h->service->taken++;
	s->taken++;
	list_append(&s->holders, &h->in_line);
}

static void free_slot(struct supervisor *s, struct heap *h, nsec_t now)
{
	struct service *service = h->service;

	if (!h->lease.slot) {
		assert(service->observed > 0);
		service->observed--;
		return;
	}
	if (h->lease.beside) {
		assert(s->snapshots_taken > 0);
		s->snapshots_taken--;
		return;
	}
	assert(service->taken > 0 && s->taken > 0);
	service->taken--;
	s->taken--;
	list_unlink(&h->in_line);
	service->busy += nsec_sub(now, h->lease.announced);
}

/* Ends the window. With an action the client is told (REVOKE) or the edge alone (CLOSE).
 */
void lease_finish(struct supervisor *s, struct heap *h, enum action_type type,
		  enum reason reason, nsec_t now)
{
	struct lease *l = &h->lease;

	assert(l->state != LEASE_NONE);
	free_slot(s, h, now);
	h->over = l->id;
	h->over_reason = reason;
	action_add(s, h, type);
	if (l->draining)
		action_add(s, h, ACTION_UNDRAIN);
	round_answered(s, h);
	h->last_overran = reason == REASON_OVERRUN;
	/* Of one that was open a BEGIN in time may still be under way. */
	*l = (struct lease){
		.state = LEASE_NONE,
		.id = l->id,
		.closes = l->state == LEASE_OPEN && reason != REASON_DECLINED
				  ? nsec_min(l->closes, nsec_add(now, TURN_MOST))
				  : 0,
	};
}

/* It does not end what its round was for. */
static void drop_out(const struct heap *h)
{
	if (h->service->config.policy == POLICY_TOGETHER)
		h->service->dropped_out++;
}

static void retry_later(struct heap *h, nsec_t now)
{
	unsigned doublings =
		h->retries < RETRY_DOUBLINGS_MAX ? h->retries : RETRY_DOUBLINGS_MAX;

	h->retry_at = nsec_add(now, RETRY_FIRST << doublings);
	h->retries += h->retries < RETRY_DOUBLINGS_MAX;
}

bool lease_distrusted(const struct heap *h)
{
	return h->strikes >= STRIKES_MAX;
}

/* Its slot was taken and nothing came of it, or it was not given back in time. */
static void strike(struct heap *h, nsec_t now)
{
	nsec_t held = nsec_sub(now, h->lease.announced);
	nsec_t wait = nsec_min(STRIKE_FIRST << h->strikes, STRIKE_MOST);

	h->strikes += h->strikes < STRIKES_COUNTED;
	if (lease_distrusted(h) && h->lease.state == LEASE_IN_USE)
		wait = nsec_max(wait, held * STRIKE_SHARE);
	h->retry_at = nsec_max(h->retry_at, nsec_add(now, wait));
}

static void start(struct supervisor *s, struct heap *h, enum reason reason, nsec_t now)
{
	assert(h->lease.state == LEASE_NONE);
	h->lease = (struct lease){
		.state = LEASE_ANNOUNCED,
		.id = ++s->window_seq,
		.kind = h->next,
		.announced = now,
		.predicted = h->predicted,
		.run_ms = run_ms(heap_run(h)),
		.reason = reason,
		.beside = heap_goes_beside(h),
		.whole = heap_run(h) <= WHOLE_PAUSES * heap_predict(h, WIRE_MAJOR),
	};
	list_unlink(&h->in_line);
	take_slot(s, h);
	s->canary.gates.ungated +=
		s->canary.gates.open && h->lease.slot && reason != REASON_ADOPTED;
}

void lease_announce(struct supervisor *s, struct heap *h, nsec_t opens_by)
{
	struct lease *l = &h->lease;

	l->opens = opens_by;
	l->closes = nsec_add(opens_by, lease_span(l->predicted));
	action_add(s, h, ACTION_ANNOUNCE);
	timers_arm(&s->timers, &h->timer, opens_by);
}

static void open_at(struct supervisor *s, struct heap *h, enum reason reason,
		    nsec_t opens, nsec_t now)
{
	struct lease *l = &h->lease;

	assert(l->state == LEASE_ANNOUNCED);
	if (!l->round && (reason == REASON_DRAINED || reason == REASON_QUIET ||
			  reason == REASON_LEAD_OVER))
		service_drained_in(h->service, nsec_sub(now, l->announced));
	l->state = LEASE_OPEN;
	l->opens = opens;
	if (l->must && l->closes < nsec_add(l->opens, lease_span(l->predicted)))
		l->closes = nsec_add(l->opens, lease_span(l->predicted));
	s->windows_granted++;
	h->service->windows++;
	decide_record(s, h, reason, 0, now);
	action_add(s, h, ACTION_OPEN);
	timers_arm(&s->timers, &h->timer, lease_deadline(h));
}

void lease_open(struct supervisor *s, struct heap *h, enum reason reason, nsec_t now)
{
	open_at(s, h, reason, now, now);
}

void lease_grant(struct supervisor *s, struct heap *h, enum reason reason,
		 bool over_limit, nsec_t now)
{
	struct lease *l = &h->lease;
	bool external = h->service->config.drain == DRAIN_EXTERNAL;
	nsec_t lead = heap_lead(h), opens_by;

	start(s, h, reason, now);
	l->must = true;
	l->over_limit = over_limit;
	if (over_limit) {
		h->service->over_limit++;
		s->over_limit++;
	}
	decide_record(s, h, reason, 0, now);
	/* Never drain past the heap's last call: after that its ceiling forces it. */
	opens_by = nsec_min(nsec_add(now, lead), nsec_max(now, h->last_call));
	if (opens_by == now) {
		lease_open(s, h, lead ? REASON_LEAD_OVER : REASON_NO_DRAIN, now);
		return;
	}
	lease_announce(s, h, opens_by);
	if (external) {
		l->draining = true;
		action_add(s, h, ACTION_DRAIN);
	}
}

void lease_grant_observed(struct supervisor *s, struct heap *h, nsec_t now)
{
	start(s, h, REASON_OBSERVED, now);
	h->lease.must = true;
	lease_open(s, h, REASON_OBSERVED, now);
}

void lease_grant_together(struct supervisor *s, struct heap *h, bool over_limit,
			  nsec_t now)
{
	struct lease *l = &h->lease;

	start(s, h, REASON_TOGETHER, now);
	l->must = l->round = true;
	l->over_limit = over_limit;
	l->owes = heap_waits_for_quiet(h);
	h->service->owing += l->owes;
	decide_record(s, h, REASON_TOGETHER, 0, now);
}

void lease_open_together(struct supervisor *s, struct heap *h, nsec_t opens,
			 nsec_t closes, nsec_t now)
{
	enum reason reason = h->lease.owes	       ? REASON_LEAD_OVER
			     : heap_waits_for_quiet(h) ? REASON_QUIET
						       : REASON_NO_DRAIN;

	round_answered(s, h);
	h->lease.closes = closes;
	open_at(s, h, reason, opens, now);
}

void lease_grant_slack(struct supervisor *s, struct heap *h, nsec_t closes, nsec_t now)
{
	start(s, h, REASON_SLACK, now);
	h->lease.closes = nsec_min(closes, nsec_add(now, lease_span(h->predicted)));
	lease_open(s, h, REASON_SLACK, now);
}

static nsec_t grace(const struct lease *l)
{
	return nsec_min(nsec_max(l->predicted * GRACE_PAUSES, GRACE_MIN), GRACE_MAX);
}

/* A snapshot is at work beside the program, and may have to wait for a CPU or a safe point. */
static nsec_t run_grace(const struct lease *l)
{
	return nsec_max(l->run_ms * NSEC_PER_MSEC * GRACE_PAUSES, RUN_GRACE_MIN);
}

/*
 * What a snapshot's program is drained for is over by then, as far as one can know: the fork that stops it; and all of the
 * snapshot, where that is about what it would have been drained for a full collection. Beside its child its requests would be slower,
 * for the pages they must copy and the CPU it takes.
 */
static nsec_t drained_most(const struct lease *l)
{
	nsec_t most = l->whole ? l->run_ms * NSEC_PER_MSEC * RUN_TIMES : l->predicted;

	return nsec_add(DRAIN_MARGIN, most);
}

/* It works again, and is drained no longer; its snapshot goes on. */
static void go_on_beside(struct supervisor *s, struct heap *h, nsec_t now)
{
	struct lease *l = &h->lease;

	free_slot(s, h, now);
	l->beside = true;
	take_slot(s, h);
	if (!l->draining)
		return;
	l->draining = false;
	h->over = l->id;
	h->over_reason = REASON_BEGAN;
	action_add(s, h, ACTION_UNDRAIN);
}

void lease_put_in_use(struct supervisor *s, struct heap *h, nsec_t begin, nsec_t now)
{
	h->lease.state = LEASE_IN_USE;
	if (h->wanting_since != NSEC_NEVER)
		service_waited(h->service, nsec_sub(begin, h->wanting_since));
	h->wanting_since = NSEC_NEVER;
	h->retries = 0;
	run_start(s, h, h->lease.kind, begin, now);
	decide_record(s, h, REASON_BEGAN, 0, now);
	timers_arm(&s->timers, &h->timer, lease_deadline(h));
}

/* Its pause is a fact: whom it meets with every slot taken, it meets over the limit. */
static void count_over_limit(struct supervisor *s, struct heap *h)
{
	const struct service *service = h->service;

	if (!h->lease.slot || h->lease.beside ||
	    (service->taken <= service->config.max_concurrent &&
	     s->taken <= s->max_concurrent))
		return;
	h->lease.over_limit = true;
	h->service->over_limit++;
	s->over_limit++;
}

void lease_adopt(struct supervisor *s, struct heap *h, uint64_t window, uint8_t kind,
		 nsec_t closes, nsec_t now)
{
	nsec_t wait = h->wanting_since;

	if (h->running || h->lease.state != LEASE_NONE)
		return;
	heap_estimate(h, now);
	h->next =
		kind == WIRE_MINOR ? WIRE_MAJOR : kind; /* (There is none for minors.) */
	start(s, h, REASON_ADOPTED, now);
	h->lease.id = window;
	h->lease.opens = now;
	/* It may have closed meanwhile: the pause is still one, and gets its time to end. */
	h->lease.closes = nsec_min(nsec_max(closes, now), nsec_add(now, GRACE_MAX));
	count_over_limit(s, h);
	h->wanting_since = NSEC_NEVER; /* how long it had waited is not known */
	decide_record(s, h, REASON_ADOPTED, 0, now);
	lease_put_in_use(s, h, now, now);
	h->wanting_since = wait;
}

void lease_restore(struct supervisor *s, struct heap *h, const struct core_held *held,
		   nsec_t now)
{
	struct lease *l = &h->lease;

	h->next = held->kind == WIRE_MINOR ? WIRE_MAJOR : held->kind;
	start(s, h, REASON_ADOPTED, now);
	l->state = LEASE_OPEN;
	l->id = held->id;
	l->run_ms = run_ms(held->run);
	l->must = held->must;
	l->over_limit = held->over_limit;
	l->announced = held->announced;
	l->opens = held->opens;
	l->closes = held->closes;
	l->predicted = held->predicted;
	decide_record(s, h, REASON_ADOPTED, 0, now);
	if (held->hold == CORE_HOLDS_IN_USE)
		lease_put_in_use(s, h, held->begin, now);
	else
		timers_arm(&s->timers, &h->timer, lease_deadline(h));
}

void lease_revoke(struct supervisor *s, struct heap *h, enum reason reason, nsec_t now)
{
	if (h->lease.state == LEASE_NONE)
		return;
	if (h->lease.state == LEASE_IN_USE)
		run_stop(s, h, now);
	decide_record(s, h, reason, 0, now);
	if (reason == REASON_DECLINED)
		heap_count(&h->declined);
	if (reason == REASON_EXPIRED) {
		heap_count(&h->expired);
		h->asked = false; /* it does not want to */
	}
	if (reason != REASON_MOOT)
		drop_out(h);
	/* It had its chance: if it wants another one, it waits from then on. */
	h->wanting_since = NSEC_NEVER;
	if (reason != REASON_MOOT)
		retry_later(h, now);
	if (reason == REASON_EXPIRED && !h->lost)
		strike(h, now);
	lease_finish(s, h, ACTION_REVOKE, reason, now);
}

void lease_drop(struct supervisor *s, struct heap *h, nsec_t now)
{
	run_stop(s, h, now);
	if (h->lease.state == LEASE_NONE)
		return;
	drop_out(h);
	lease_finish(s, h, ACTION_CLOSE, REASON_LEFT, now);
}

nsec_t lease_deadline(const struct heap *h)
{
	const struct lease *l = &h->lease;

	switch (l->state) {
	case LEASE_NONE:
		break;
	case LEASE_ANNOUNCED:
		return l->opens;
	case LEASE_OPEN:
		if (!h->lost)
			return nsec_min(l->closes, nsec_add(l->opens, BEGIN_MOST));
		/* It may have begun in it, and that is what could not be told. */
		return nsec_add(l->closes,
				l->kind == WIRE_SNAPSHOT ? run_grace(l) : grace(l));
	case LEASE_IN_USE:
		if (l->beside)
			return nsec_add(h->run_begin, run_grace(l));
		if (l->kind == WIRE_SNAPSHOT)
			return nsec_add(h->run_begin, drained_most(l));
		return nsec_add(l->closes, grace(l));
	}
	return NSEC_NEVER;
}

void lease_due(struct supervisor *s, struct heap *h, nsec_t now)
{
	switch (h->lease.state) {
	case LEASE_NONE:
		break;
	case LEASE_ANNOUNCED:
		if (h->lost) /* nobody is there to use it */
			lease_revoke(s, h, REASON_EXPIRED, now);
		else if (h->lease.round)
			round_open(s, h->service, now);
		else
			lease_open(s, h, REASON_LEAD_OVER, now);
		break;
	case LEASE_OPEN:
		lease_revoke(s, h, REASON_EXPIRED, now);
		break;
	case LEASE_IN_USE:
		if (h->lease.kind == WIRE_SNAPSHOT && !h->lease.beside) {
			go_on_beside(s, h, now);
			break;
		}
		/* Its END may still come; until then the pause is out of sight. */
		heap_count(&h->overruns);
		s->overruns++;
		decide_record(s, h, REASON_OVERRUN, 0, now);
		run_stop(s, h, now);
		h->silent = true;
		strike(h, now);
		drop_out(h);
		lease_finish(s, h, ACTION_CLOSE, REASON_OVERRUN, now);
		break;
	}
}
