/* SPDX-License-Identifier: MIT */
/* What the application may do: check, quiet, decline. */
#include "client/client.h"

/*
 * Any thread, no lock. false: there is nothing in the slot that this heap may still use.
 */
static bool read_window(const struct rtgc *r, struct page_window *ret)
{
	const struct page_slot *slot = atomic_load(&r->slot);
	struct page_window w;

	if (atomic_load_explicit(&slot->state, memory_order_relaxed) == PAGE_NONE ||
	    !page_slot_read(slot, &w) || w.state == PAGE_NONE ||
	    w.window.window == atomic_load(&r->done))
		return false;
	*ret = w;
	return true;
}

static bool is_fresh(const struct rtgc *r, nsec_t now)
{
	return guard_fresh(atomic_load(&r->pages.window->header.heartbeat),
			   atomic_load(&r->stale_after), now);
}

/* (By itself: its registers would be saved as well where nothing is due.) */
static enum rtgc_verdict __attribute__((noinline))
check(struct rtgc *r, uint64_t until_ns, struct rtgc_window *ret)
{
	bool alone = atomic_load_explicit(&r->alone, memory_order_acquire);
	bool full = atomic_load_explicit(&r->full, memory_order_relaxed);
	enum rtgc_verdict verdict = RTGC_RUN;
	struct page_window w;
	nsec_t now;

	if (!alone && read_window(r, &w)) {
		now = rtgc_now();
		if (is_fresh(r, now))
			verdict = guard_window(&w, until_ns, now);
		else
			alone = true;
	}
	if (full && !(alone && r->guard.own == 0)) {
		/* A window that fits is better than none; nothing else is. */
		if (verdict < RTGC_MAY)
			return RTGC_CEILING;
		verdict = RTGC_MUST;
	}
	if (verdict == RTGC_RUN)
		return alone ? RTGC_ALONE : RTGC_RUN;
	if (ret)
		*ret = (struct rtgc_window){
			.id = w.window.window,
			.opens_ns = w.window.opens,
			.closes_ns = w.window.closes,
			.predicted_ns = w.window.predicted,
			.kind = w.window.kind,
			.must = verdict == RTGC_MUST || w.window.must,
		};
	return verdict;
}

enum rtgc_verdict rtgc_check(struct rtgc *r, uint64_t until_ns, struct rtgc_window *ret)
{
	if (rtgc_pending(r))
		return check(r, until_ns, ret);
	return atomic_load_explicit(&r->alone, memory_order_acquire) ? RTGC_ALONE
								     : RTGC_RUN;
}

void window_opened(struct rtgc *r, uint64_t id)
{
	if (id <= r->opened)
		return;
	r->opened = id;
	r->windows_opened++;
}

void window_tell_quiet(struct rtgc *r)
{
	struct wire_frame frame = {.type = WIRE_QUIET};
	struct page_window w;

	if (atomic_load(&r->alone) || !read_window(r, &w))
		return;
	frame.quiet.window = w.window.window;
	/* A process that is drained elsewhere would open its window too early. */
	if (w.state == PAGE_ANNOUNCED && w.drain && r->quieted != w.window.window &&
	    (atomic_load(&r->caps) & WIRE_CAP_QUIET)) {
		r->quieted = w.window.window;
		link_send(&r->link, &frame);
	}
}

int rtgc_quiet(struct rtgc *r)
{
	struct page_window w;

	if (atomic_load(&r->alone) || !read_window(r, &w))
		return RTGC_E_NO_WINDOW;
	figures_tell(r, DUE_QUIET);
	return 0;
}

int rtgc_decline(struct rtgc *r)
{
	struct wire_frame frame = {.type = WIRE_DECLINE};
	struct page_window w;
	int ret = RTGC_E_NO_WINDOW;

	/* (Who has none does not wait for the lock to hear so.) */
	if (atomic_load(&r->alone) || !read_window(r, &w))
		return ret;
	pthread_mutex_lock(&r->lock);
	if (!atomic_load(&r->alone) && read_window(r, &w)) {
		frame.decline.window = w.window.window;
		frame.decline.why = WIRE_DECLINE_APP;
		link_send(&r->link, &frame);
		session_done(r, w.window.window);
		ret = 0;
	}
	pthread_mutex_unlock(&r->lock);
	return ret;
}
