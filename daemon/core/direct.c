/* SPDX-License-Identifier: MIT */
/*
 * What heaps are told to report when. The daemon does not poll: each heap has a watermark half-way
 * to where it will be due, and half again after that, so it reports O(log) times a collection
 * and a quiet heap costs nothing.
 */
#include "daemon/core/state.h"

/* Watermarks are at least this share of the budget apart, which bounds the reports. */
#define WATERMARK_SHARE 64

/* Amounts come from clients and may be absurd. */
static uint64_t add_amount(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t watermark(const struct heap *h, nsec_t due, uint64_t step, nsec_t now)
{
	uint64_t used = h->report.used, at_due = heap_budget(h) / 2, half;

	/* (It has been due for long: that it is full by now is mere extrapolation.) */
	if (due != NSEC_NEVER)
		at_due = nsec_min(heap_used_at(h, nsec_max(due, now)), heap_budget(h));
	half = at_due > used ? (at_due - used) / 2 : 0;
	return add_amount(used, half > step ? half : step);
}

void direct_heap(struct supervisor *s, struct heap *h, nsec_t now)
{
	uint64_t budget = heap_budget(h);
	/* (A raised budget needs no coarser look than the rule itself.) */
	uint64_t step =
		(yield_is_raised(h) ? yield_rule(h) : budget) / WATERMARK_SHARE + 1;
	uint64_t used = h->report.used;
	struct wire_directive d = {
		.watermark = UINT64_MAX,
		.report_by = NSEC_NEVER,
		/* (What it said itself it need not be told.) */
		.budget = heap_share(h)					? heap_share(h)
			  : h->own_budget || budget == h->report.budget ? 0
									: budget,
	};

	if (h->looked_at == 0) {
		d.watermark = 1; /* its first figures, and with them its budget */
	} else if (!budget) {
		d.watermark = add_amount(used, used + 1); /* its rule may find one yet */
	} else if (can_collect(h)) {
		nsec_t due = decide_start_of(s, h);

		d.watermark = watermark(h, due, step, now);
		/* However far off that is: has the heap grown? */
		if (yield_is_raised(h))
			d.watermark = nsec_min(d.watermark,
					       add_amount(used, yield_rule(h) / 2 + 1));
		d.want = (h->caps & WIRE_CAP_MARKS) && h->next != WIRE_SNAPSHOT &&
			 h->service->config.policy != POLICY_TOGETHER &&
			 used >= yield_slack_from(h);
		if (!(h->caps & WIRE_CAP_PAGE))
			d.report_by = due;
	}
	/* A watermark still ahead does its work as well as a slightly different one. */
	if (h->watermark > used && h->watermark < add_amount(d.watermark, step) &&
	    d.watermark < add_amount(h->watermark, step))
		d.watermark = h->watermark;
	if (d.watermark == h->watermark && d.report_by == h->report_by &&
	    d.budget == h->told_budget && d.want == h->want)
		return;
	h->watermark = d.watermark;
	h->report_by = d.report_by;
	h->told_budget = d.budget;
	h->want = d.want;
	action_add(s, h, ACTION_DIRECT);
}
