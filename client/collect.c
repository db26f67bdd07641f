/* SPDX-License-Identifier: MIT */
/* What the application did: begin, end, record. */
#include <errno.h>
#include <sched.h>

#include "client/client.h"

#define LOCK_TRIES  2000 /* some tens of microseconds */
#define WINDOW_LOCK (500 * NSEC_PER_USEC)
/* Shorter ones are over before anybody's slice is. */
#define SLICE_FROM NSEC_PER_MSEC

static bool valid(enum rtgc_kind kind, enum rtgc_cause cause)
{
	return (unsigned)kind < WIRE_KINDS && (unsigned)cause < WIRE_CAUSES;
}

/*
 * The last look, under the lock, so that neither the connection nor the pages can change
 * before the daemon is told.
 */
static int look_again(struct rtgc *r, enum rtgc_kind kind, uint64_t id, nsec_t now,
		      struct page_window *ret)
{
	const struct page_header *header = &r->pages.window->header;
	struct wire_frame frame = {.type = WIRE_DECLINE};
	struct page_window w;
	int result;

	if (atomic_load(&r->alone) || id == atomic_load(&r->done) ||
	    atomic_load(&header->epoch) != r->epoch ||
	    !guard_fresh(atomic_load(&header->heartbeat), atomic_load(&r->stale_after),
			 now) ||
	    !page_slot_read(atomic_load(&r->slot), &w))
		return RTGC_E_CLOSED;
	result = guard_begin(&w, id, kind, now);
	if (result == RTGC_E_UNFIT) {
		/* It only gets shorter: somebody else can have the slot at once. */
		frame.decline.window = id;
		frame.decline.why = WIRE_DECLINE_UNFIT;
		link_send(&r->link, &frame);
		session_done(r, id);
	}
	if (result == 0)
		*ret = w;
	return result;
}

/*
 * true: the lock is had. A dispatcher that runs is through in some microseconds. One that was kept from
 * running may not be waited for: what was done is put down.
 */
static bool lock_soon(struct rtgc *r)
{
	for (int i = 0; i < LOCK_TRIES; i++)
		if (pthread_mutex_trylock(&r->lock) == 0)
			return true;
	return false;
}

/* For a window it is waited for a little, and then the window is given up for now. */
static bool lock_for_window(struct rtgc *r)
{
	nsec_t until = nsec_add(rtgc_now(), WINDOW_LOCK);

	while (!lock_soon(r)) {
		if (rtgc_now() >= until)
			return false;
		sched_yield();
	}
	return true;
}

/* Under the lock. */
static int begin(struct rtgc *r, const struct running *begun)
{
	struct wire_frame frame = {.type = WIRE_BEGIN};
	struct page_window w = {.window.closes = NSEC_NEVER};
	int ret = 0;

	if (r->running.active)
		ret = RTGC_E_RUNNING;
	else if (begun->cause == RTGC_IN_WINDOW)
		ret = look_again(r, begun->kind, begun->window, begun->begin, &w);
	if (ret != 0)
		return ret;
	r->running = *begun;
	r->running.closes = w.window.closes;
	r->running.predicted = w.window.predicted;
	frame.begin = (struct wire_begin){
		.window = begun->window,
		.at = begun->begin,
		.kind = (uint8_t)begun->kind,
		.cause = (uint8_t)begun->cause,
	};
	if (r->session == SESSION_UP)
		link_send(&r->link, &frame);
	if (begun->window) {
		window_opened(r, begun->window);
		r->windows_used++;
		session_done(r, begun->window);
	}
	return 0;
}

static int begin_soon(struct rtgc *r, struct running *begun)
{
	const struct late_op op = {.what = LATE_BEGIN, .begun = *begun};
	int ret;

	if (begun->cause == RTGC_IN_WINDOW) {
		if (!lock_for_window(r))
			return RTGC_E_CLOSED;
	} else if (!lock_soon(r)) {
		if (late_put(r, &op))
			return 0;
		pthread_mutex_lock(&r->lock);
	}
	late_do(r);
	begun->begin = rtgc_now();
	ret = begin(r, begun);
	begun->predicted = r->running.predicted;
	pthread_mutex_unlock(&r->lock);
	return ret;
}

/* Others may have the CPU first: but not who must be done in time. */
static void give_way(struct rtgc *r, enum rtgc_kind kind, nsec_t predicted)
{
	if (kind != RTGC_SNAPSHOT && predicted >= SLICE_FROM &&
	    atomic_load(&r->marks.deadline) == NSEC_NEVER)
		slice_lengthen(&r->slice);
}

int rtgc_begin(struct rtgc *r, enum rtgc_kind kind, enum rtgc_cause cause,
	       uint64_t window_id)
{
	struct running begun = {
		.active = true,
		.kind = kind,
		.cause = cause,
		.window = window_id,
		.begin = rtgc_now(),
	};
	int ret;

	if (!valid(kind, cause) || (cause != RTGC_IN_WINDOW && window_id != 0))
		return -EINVAL;
	if (atomic_exchange(&r->collecting, true))
		return RTGC_E_RUNNING;
	atomic_store(&r->collecting_kind, kind);
	ret = begin_soon(r, &begun);
	if (ret != 0)
		atomic_store(&r->collecting, false);
	else if (cause == RTGC_IN_WINDOW)
		give_way(r, kind, begun.predicted);
	return ret;
}

void collect_tell(struct rtgc *r)
{
	struct wire_frame frame = {.type = WIRE_BEGIN};

	if (!r->running.active || r->running.window != 0)
		return;
	frame.begin = (struct wire_begin){
		.at = r->running.begin,
		.kind = (uint8_t)r->running.kind,
		.cause = (uint8_t)r->running.cause,
	};
	link_send(&r->link, &frame);
}

static void count(struct rtgc *r, enum rtgc_cause cause, nsec_t pause)
{
	switch (cause) {
	case RTGC_IN_WINDOW:
		r->in_window++;
		break;
	case RTGC_FORCED:
		r->forced++;
		break;
	case RTGC_UNCOORDINATED:
		r->uncoordinated++;
		break;
	}
	r->last_pause = pause;
	r->max_pause = nsec_max(r->max_pause, pause);
}

/* The heap is smaller now: what the ceiling and the daemon look at says so at once. */
static void take_figures(struct rtgc *r, const struct wire_end *end)
{
	uint64_t directive = atomic_load(&atomic_load(&r->slot)->budget), ceiling;
	struct wire_report report = {0};

	guard_collected(&r->guard, (enum rtgc_kind)end->kind, end->used, directive);
	figures_changed(r);
	if (figures_read(r, &report) && report.at > end->end)
		return; /* recorded late: newer ones have been published */
	ceiling = guard_ceiling(&r->guard, directive, atomic_load(&r->alone));
	client_full(r, ceiling && end->used >= ceiling);
	report.at = end->end;
	report.used = end->used;
	report.live = end->live;
	report.budget = guard_reported_budget(&r->guard, directive);
	figures_write(r, &report);
}

/*
 * The window that waits for the same thing is moot: the daemon will say so, and gives its slot away in
 * that instant.
 */
static void forgo_window(struct rtgc *r)
{
	struct page_window w;

	if (page_slot_read(atomic_load(&r->slot), &w) && w.state != PAGE_NONE)
		session_done(r, w.window.window);
}

static void fill(struct rtgc *r, struct wire_end *end, const struct rtgc_result *result)
{
	struct wire_report report = {0};

	if (result) {
		end->freed = result->freed;
		end->used = result->used;
		end->live = result->live;
		end->stop = result->stop_ns;
		end->failed = result->failed;
	} else {
		figures_read(r, &report);
		end->used = report.used;
		end->live = report.live;
	}
}

/* Under the lock. */
static void over(struct rtgc *r, const struct wire_end *end, bool tell)
{
	struct wire_frame frame = {.type = WIRE_END, .end = *end};

	count(r, (enum rtgc_cause)end->cause,
	      end->stop ? end->stop : nsec_sub(end->end, end->begin));
	if (!tell)
		return;
	link_send(&r->link, &frame);
	if (end->cause != WIRE_IN_WINDOW && end->kind != WIRE_MINOR)
		forgo_window(r);
}

/* Under the lock. */
static int end_running(struct rtgc *r, struct wire_end *end)
{
	if (!r->running.active)
		return RTGC_E_NO_BEGIN;
	end->window = r->running.window;
	end->begin = r->running.begin;
	end->cause = (uint8_t)r->running.cause;
	over(r, end,
	     r->session == SESSION_UP ||
		     (r->session == SESSION_GREETING && r->running.adopted));
	r->running.active = false;
	return 0;
}

void collect_late(struct rtgc *r, const struct late_op *op)
{
	struct wire_end end = op->end;

	/* (Nobody is told any more of what was wrong with it.) */
	if (op->what == LATE_BEGIN)
		begin(r, &op->begun);
	else if (op->what == LATE_END)
		end_running(r, &end);
	else
		over(r, &end, r->session == SESSION_UP);
}

/* LATE_END or LATE_RECORD, now if the lock can be had. The figures are what they are at once. */
static int tell_soon(struct rtgc *r, struct late_op *op, const struct rtgc_result *result)
{
	int ret = 0;

	fill(r, &op->end, result);
	take_figures(r, &op->end);
	if (!lock_soon(r)) {
		if (late_put(r, op))
			return 0;
		pthread_mutex_lock(&r->lock);
	}
	late_do(r);
	if (op->what == LATE_END)
		ret = end_running(r, &op->end);
	else
		over(r, &op->end, r->session == SESSION_UP);
	pthread_mutex_unlock(&r->lock);
	return ret;
}

int rtgc_end(struct rtgc *r, const struct rtgc_result *result)
{
	struct late_op op = {.what = LATE_END, .end.end = rtgc_now()};
	int ret;

	if (!atomic_load(&r->collecting))
		return RTGC_E_NO_BEGIN;
	op.end.kind = (uint8_t)atomic_load(&r->collecting_kind);
	ret = tell_soon(r, &op, result);
	slice_restore(&r->slice);
	atomic_store(&r->collecting, false);
	return ret;
}

int rtgc_record(struct rtgc *r, enum rtgc_kind kind, enum rtgc_cause cause,
		uint64_t begin_ns, uint64_t end_ns, const struct rtgc_result *result)
{
	struct late_op op = {
		.what = LATE_RECORD,
		.end =
			{
				.begin = begin_ns,
				.end = end_ns,
				.kind = (uint8_t)kind,
				.cause = (uint8_t)cause,
			},
	};

	if (!valid(kind, cause) || cause == RTGC_IN_WINDOW || begin_ns > end_ns)
		return -EINVAL;
	return tell_soon(r, &op, result);
}

int rtgc_offer(struct rtgc *r, uint32_t kinds)
{
	struct wire_frame frame = {.type = WIRE_OFFER};

	if (kinds >> WIRE_KINDS)
		return -EINVAL;
	frame.offer.kinds = (uint8_t)kinds;
	pthread_mutex_lock(&r->lock);
	r->options.hello.kinds = (uint8_t)kinds;
	/* (While it greets, what HELLO said is put right at once.) */
	if (r->session == SESSION_UP || r->session == SESSION_GREETING)
		link_send(&r->link, &frame);
	pthread_mutex_unlock(&r->lock);
	return 0;
}
