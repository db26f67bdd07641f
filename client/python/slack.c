/* SPDX-License-Identifier: MIT */
#include "client/python/slack.h"

#include "client/python/answer.h"
#include "client/python/collector.h"
#include "client/python/gcstate.h"
#include "client/python/heap.h"
#include "client/python/helper.h"
#include "client/python/rest.h"
#include "client/python/snapshot.h"
#include "client/python/young.h"

#define PERIOD_MAX_NS 1000000000ULL /* what comes more seldom is not waited for */
#define MARGIN_NS     250000ULL	    /* the loop has to wake up in time */

/* Two periods, because the last one may have been a short one. */
static struct {
	uint64_t at_ns, period_ns[2];
} slack;

static uint64_t period(void)
{
	return slack.period_ns[0] > slack.period_ns[1] ? slack.period_ns[0]
						       : slack.period_ns[1];
}

static void note(uint64_t now)
{
	slack.period_ns[1] = slack.period_ns[0];
	slack.period_ns[0] = slack.at_ns ? now - slack.at_ns : 0;
	slack.at_ns = now;
}

bool slack_comes(void)
{
	uint64_t p = period();

	return p > 0 && p <= PERIOD_MAX_NS && rtgc_now() < slack.at_ns + 2 * p;
}

/* The window's last moment comes before the next slack does. */
static bool is_last(struct rtgc *r, uint64_t now)
{
	struct rtgc_window window;

	return rtgc_check(r, RTGC_NEVER, &window) == RTGC_MUST &&
	       now + 2 * period() >= heap_latest(&window);
}

static bool collect(struct rtgc *r, uint64_t until_ns)
{
	if (heap.snapshot_soon && !gcstate_collecting())
		return collector_begin_promised();
	if (!rtgc_pending(r))
		return false;
	if (heap_checkpoint(until_ns))
		return true;
	if (until_ns != RTGC_NEVER) {
		rest_wait_announced(r, until_ns);
		if (PyErr_Occurred())
			return false;
		if (heap_checkpoint(until_ns))
			return true;
	}
	return heap.rtgc == r && is_last(r, slack.at_ns) && heap_checkpoint(RTGC_NEVER);
}

/* Steps of a snapshot for as long as nothing is due: the last one ends in time. */
static void go_on(uint64_t until_ns)
{
	for (;;) {
		uint64_t need = snapshot_need_ns() + MARGIN_NS;

		if (!snapshot_due() || rtgc_now() + need > until_ns ||
		    !snapshot_step(until_ns - MARGIN_NS))
			return;
	}
}

bool slack_use(uint64_t until_ns)
{
	struct rtgc *r = heap.rtgc;
	bool collected;

	note(rtgc_now());
	atomic_store_explicit(&heap.hooked, true, memory_order_relaxed);
	rtgc_idle(r, until_ns);
	collected = collect(r, until_ns);
	if (PyErr_Occurred())
		return collected;
	go_on(until_ns);
	if (heap.rtgc == r && until_ns != RTGC_NEVER &&
	    young_due(until_ns > MARGIN_NS ? until_ns - MARGIN_NS : 0, true))
		young_collect();
	if (heap.rtgc != r)
		return collected;
	/* What is left of it is the helper's, when a window opens while the program sleeps. */
	atomic_store(&heap.rest_until, until_ns);
	atomic_store(&heap.rest, HEAP_RESTS_UNTIL);
	if (answer_wanted())
		helper_kick();
	return collected;
}
