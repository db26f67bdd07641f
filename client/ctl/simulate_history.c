/* SPDX-License-Identifier: MIT */
/*
 * What a heap would do. How fast it allocates is a matter of how long its program runs, so
 * everything is told by "busy" time, in which its pauses are left out: another schedule moves
 * the pauses, not the work.
 */
#include <stdlib.h>

#include "client/ctl/ctl.h"
#include "client/ctl/simulate.h"

#define SLOPE_SPAN_MIN (20 * NSEC_PER_MSEC)

void delays_add(struct sim_delays *delays, enum sim_answer answer, nsec_t delay)
{
	struct sim_delay *d =
		sim_append(&delays->list, &delays->n, &delays->room, sizeof(*d));

	*d = (struct sim_delay){.answer = answer, .delay = delay};
}

static int by_delay(const void *a, const void *b)
{
	const struct sim_delay *x = a, *y = b;

	if (x->answer != y->answer)
		return x->answer < y->answer ? -1 : 1;
	return x->delay < y->delay ? -1 : x->delay > y->delay;
}

struct sim_delay delay_of(const struct sim_delays *own, const struct sim_delays *all,
			  size_t n, enum sim_answer otherwise)
{
	struct sim_delay *sorted, median = {.answer = otherwise};

	if (own->n > 0)
		return own->list[n % own->n];
	if (all->n == 0)
		return median;
	sorted = ctl_alloc(all->n * sizeof(*sorted));
	for (size_t i = 0; i < all->n; i++)
		sorted[i] = all->list[i];
	qsort(sorted, all->n, sizeof(*sorted), by_delay);
	median = sorted[all->n / 2];
	free(sorted);
	return median;
}

/* ---- The curve ------------------------------------------------------------------------- */

static bool collected_between(const struct sim_history *h, nsec_t from, nsec_t to)
{
	for (size_t i = 0; i < h->n_collections; i++)
		if (h->collections[i].end.end > from && h->collections[i].end.end <= to)
			return true;
	return false;
}

/*
 * Where nothing was collected the growth is what the reports say. Elsewhere it is what was
 * allocated, times the share of it that stays in use elsewhere.
 */
static void find_growth(struct sim_history *h)
{
	double used = 0, allocated = 0, live = 0, share;

	for (size_t i = 1; i < h->n_reports; i++) {
		const struct sim_report *a = &h->reports[i - 1], *b = a + 1;

		if (collected_between(h, a->at, b->at) || b->report.used < a->report.used)
			continue;
		used += (double)(b->report.used - a->report.used);
		allocated += (double)(b->report.allocated - a->report.allocated);
		if (b->report.live > a->report.live)
			live += (double)(b->report.live - a->report.live);
	}
	share = allocated > 0 ? used / allocated : 1;
	h->live_share = used > 0 ? live / used : 0;
	if (h->live_share > 1)
		h->live_share = 1;
	for (size_t i = 1; i < h->n_reports; i++) {
		struct sim_report *a = &h->reports[i - 1], *b = a + 1;

		b->grown = a->grown;
		if (collected_between(h, a->at, b->at))
			b->grown += share *
				    (double)(b->report.allocated - a->report.allocated);
		else
			b->grown += (double)b->report.used - (double)a->report.used;
	}
}

void history_finish(struct sim_history *h)
{
	const struct sim_report *first = h->reports;
	const struct sim_report *last = h->n_reports ? first + h->n_reports - 1 : first;
	double before = 0, used = h->n_reports ? (double)first->report.used : 0;

	find_growth(h);
	if (h->n_reports > 1 && last->busy - first->busy >= SLOPE_SPAN_MIN) {
		double span = (double)(last->busy - first->busy);

		h->slope = (last->grown - first->grown) / span;
		h->allocated_slope =
			(double)(last->report.allocated - first->report.allocated) / span;
	}
	for (size_t i = 0; i < h->n_collections; i++) {
		struct sim_collection *c = &h->collections[i];
		double grown = history_grown(h, c->busy);

		if (!sim_is_whole(c->end.kind))
			continue;
		c->grown = used + grown - before;
		before = grown;
		used = 0;
	}
}

/* The last report not after that time; SIZE_MAX: there is none. */
static size_t report_at(const struct sim_history *h, nsec_t busy)
{
	size_t low = 0, high = h->n_reports;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (h->reports[middle].busy <= busy)
			low = middle + 1;
		else
			high = middle;
	}
	return low - 1;
}

const struct sim_report *history_report(const struct sim_history *h, nsec_t busy)
{
	size_t i = report_at(h, busy);

	return i == SIZE_MAX ? NULL : &h->reports[i];
}

/* Between a report and the next; share: how far, 0 … 1. */
static double share_of_way(const struct sim_report *a, nsec_t busy)
{
	nsec_t span = a[1].busy - a[0].busy;

	return span ? (double)(busy - a->busy) / (double)span : 0;
}

double history_grown(const struct sim_history *h, nsec_t busy)
{
	const struct sim_report *a = history_report(h, busy);

	if (!a)
		return 0;
	if (a + 1 == &h->reports[h->n_reports])
		return a->grown + h->slope * (double)(busy - a->busy);
	return a->grown + (a[1].grown - a->grown) * share_of_way(a, busy);
}

double history_allocated(const struct sim_history *h, nsec_t busy)
{
	const struct sim_report *a = history_report(h, busy);

	if (!a)
		return 0;
	if (a + 1 == &h->reports[h->n_reports])
		return (double)a->report.allocated +
		       h->allocated_slope * (double)(busy - a->busy);
	return (double)a->report.allocated +
	       (double)(a[1].report.allocated - a->report.allocated) *
		       share_of_way(a, busy);
}

static nsec_t later(nsec_t busy, double ns)
{
	return ns < 1e18 ? nsec_add(busy, (nsec_t)ns + 1) : NSEC_NEVER;
}

nsec_t history_grown_at(const struct sim_history *h, double grown, nsec_t busy)
{
	size_t i = report_at(h, busy);
	double from = history_grown(h, busy);

	if (h->n_reports == 0)
		return NSEC_NEVER;
	if (i == SIZE_MAX) { /* nothing is known before the first report */
		i = 0;
		busy = h->reports[0].busy;
		from = 0;
	}
	if (from >= grown)
		return busy;
	for (; i + 1 < h->n_reports; i++) {
		const struct sim_report *b = &h->reports[i + 1];

		if (b->grown >= grown)
			return later(busy, (grown - from) / (b->grown - from) *
						   (double)(b->busy - busy));
		busy = b->busy;
		from = b->grown;
	}
	return h->slope > 0 ? later(busy, (grown - from) / h->slope) : NSEC_NEVER;
}

/* ---- Collections ----------------------------------------------------------------------- */

/* Of a heap that was never seen to run one beside its program: rtgcd's own first guesses. */
#define SNAPSHOT_STOP_NS_PER_KIB 25.0
#define SNAPSHOT_RUN_MAJORS	 10

static bool is_like(unsigned kind, unsigned other)
{
	return sim_is_whole(kind) ? sim_is_whole(other) : kind == other;
}

/*
 * Those of that kind (whole ones are alike) around that time; the same one twice at either end.
 * false: there is none.
 */
static bool those_around(const struct sim_history *h, unsigned kind, nsec_t busy,
			 const struct sim_collection **ret_before,
			 const struct sim_collection **ret_after)
{
	*ret_before = *ret_after = NULL;
	for (size_t i = 0; i < h->n_collections; i++) {
		const struct sim_collection *c = &h->collections[i];

		if (!is_like(kind, c->end.kind))
			continue;
		if (c->busy <= busy || !*ret_before)
			*ret_before = c;
		*ret_after = c;
		if (c->busy > busy)
			break;
	}
	return *ret_before != NULL;
}

/* It never collected: what it never had less of is what stays. */
static void least_used(const struct sim_history *h, double *ret_used, double *ret_live)
{
	double least = -1, live = 0;

	for (size_t i = 0; i < h->n_reports; i++) {
		double used = (double)h->reports[i].report.used;

		if (least < 0 || used < least) {
			least = used;
			live = (double)h->reports[i].report.live;
		}
	}
	*ret_used = least < 0 ? 0 : least;
	*ret_live = live;
}

void history_after(const struct sim_history *h, unsigned kind, nsec_t busy,
		   double *ret_used, double *ret_live)
{
	const struct sim_collection *a, *b;
	double share = 0;

	if (!those_around(h, kind, busy, &a, &b)) {
		*ret_used = *ret_live = 0; /* all of it is set aside */
		if (sim_is_whole(kind))
			least_used(h, ret_used, ret_live);
		return;
	}
	if (b->busy > a->busy && busy > a->busy && busy < b->busy)
		share = (double)(busy - a->busy) / (double)(b->busy - a->busy);
	else if (busy >= b->busy)
		share = 1;
	*ret_used =
		(double)a->end.used + ((double)b->end.used - (double)a->end.used) * share;
	*ret_live =
		(double)a->end.live + ((double)b->end.live - (double)a->end.live) * share;
}

double history_freed(const struct sim_history *h, nsec_t busy, double grown)
{
	const struct sim_collection *before, *after;

	if (!those_around(h, WIRE_MAJOR, busy, &before, &after) || before->grown <= 1)
		return grown;
	return (double)before->end.freed / before->grown * grown;
}

static nsec_t span_of(double ns)
{
	return ns < 1e18 ? (nsec_t)ns : (nsec_t)1e18;
}

/* The n-th of that very kind, in order and from the first again. NULL: there is none. */
static const struct sim_collection *nth(const struct sim_history *h, unsigned kind,
					size_t n)
{
	size_t all = 0;

	for (size_t i = 0; i < h->n_collections; i++)
		all += h->collections[i].end.kind == kind;
	if (all == 0)
		return NULL;
	n %= all;
	for (size_t i = 0;; i++)
		if (h->collections[i].end.kind == kind && n-- == 0)
			return &h->collections[i];
}

/* A kind that it never ran. */
static nsec_t guess(const struct sim_history *h, unsigned kind, nsec_t busy,
		    double walked, nsec_t *ret_run)
{
	const struct sim_collection *snapshot = nth(h, WIRE_SNAPSHOT, 0);
	const struct sim_report *r = history_report(h, busy);
	double major = h->cost * walked;

	*ret_run = 0;
	if (kind == WIRE_FREEZE) /* it walks nothing */
		return 0;
	if (kind == WIRE_SNAPSHOT) {
		history_pause(h, WIRE_MAJOR, 0, busy, walked, ret_run);
		*ret_run = span_of((double)*ret_run * SNAPSHOT_RUN_MAJORS);
		return span_of(SNAPSHOT_STOP_NS_PER_KIB *
			       (r ? (double)r->report.rss_bytes / 1024 : 0));
	}
	if (h->cost <= 0 && snapshot)
		major = (double)snapshot->run / SNAPSHOT_RUN_MAJORS;
	return *ret_run = span_of(major);
}

nsec_t history_pause(const struct sim_history *h, unsigned kind, size_t n, nsec_t busy,
		     double walked, nsec_t *ret_run)
{
	const struct sim_collection *c = nth(h, kind, n);
	double then, times;

	if (!c)
		return guess(h, kind, busy, walked, ret_run);
	then = (double)c->end.live + (double)c->end.freed;
	times = sim_is_whole(kind) && then >= 1 ? walked / then : 1;
	*ret_run = span_of((double)c->run * times);
	return span_of((double)nsec_sub(c->end.end, c->end.begin) * times);
}
