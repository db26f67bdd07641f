/* SPDX-License-Identifier: MIT */
/*
 * One heap in the replay: it behaves as libruntime's clients do, with what its history says of
 * its program. It reports when it is asked to, becomes quiet, begins in its window, pauses for as long as
 * its live data cost, and collects unasked when its budget is reached.
 */
#include "client/ctl/simulate.h"

#define PAUSE_MIN    NSEC_PER_USEC
#define PAUSE_MAX    (3600 * NSEC_PER_SEC)
#define NOTHING_TOLD UINT64_MAX

/* More than any heap has, and still a number that can be added to. */
static uint64_t amount(double units)
{
	return units < 0 ? 0 : units < 1e18 ? (uint64_t)units : (uint64_t)1e18;
}

static nsec_t busy_of(const struct sim_heap *heap, nsec_t now)
{
	nsec_t at = heap->collecting ? heap->begun : now;

	return nsec_sub(nsec_sub(at, heap->joined), heap->paused);
}

static double used_at(const struct sim_heap *heap, nsec_t now)
{
	double used = heap->used_base + history_grown(heap->h, busy_of(heap, now)) -
		      history_grown(heap->h, heap->busy_base) - heap->dropped;

	return used > 0 ? used : 0;
}

/* As libruntime sees it: the program's own, the daemon's, the runtime's rule. */
static uint64_t budget_of(const struct sim_heap *heap, nsec_t now)
{
	const struct sim_report *r = history_report(heap->h, busy_of(heap, now));
	uint64_t budget = heap->h->join.hello.budget;

	if (budget && r)
		budget = nsec_max(budget, r->report.budget);
	if (!budget)
		budget = heap->directive.budget;
	if (!budget && r)
		budget = r->report.budget;
	return budget && heap->outgrown > budget ? heap->outgrown : budget;
}

static bool knows_figures(const struct sim_heap *heap, nsec_t now)
{
	return history_report(heap->h, busy_of(heap, now)) != NULL;
}

bool sim_heap_report(struct sim_heap *heap, nsec_t now, struct event *ret)
{
	const struct sim_report *r = history_report(heap->h, busy_of(heap, now));
	double used = used_at(heap, now), grown = used - heap->used_base;

	if (!r || !heap->connected)
		return false;
	*ret = (struct event){.type = EVENT_REPORT, .heap = heap->h->heap};
	ret->report = (struct wire_report){
		.at = now,
		/* (Where it is asked for at an amount, rounding must not miss it.) */
		.used = amount(used + 0.01),
		.allocated = amount(history_allocated(heap->h, busy_of(heap, now))),
		.live = amount(heap->live_base +
			       (grown > 0 ? grown * heap->h->live_share : 0)),
		.rss_bytes = r->report.rss_bytes,
		.budget = r->report.budget,
		.step = r->report.step,
	};
	if (ret->report.budget || heap->h->join.hello.budget)
		ret->report.budget = nsec_max(ret->report.budget, heap->outgrown);
	return true;
}

/* ---- Collections ----------------------------------------------------------------------- */

static void begin_event(const struct sim_heap *heap, struct event *ret)
{
	*ret = (struct event){.type = EVENT_BEGIN, .heap = heap->h->heap};
	ret->begin = (struct wire_begin){
		.window = heap->end.window,
		.at = heap->end.begin,
		.kind = heap->end.kind,
		.cause = heap->end.cause,
	};
}

static nsec_t within_reason(nsec_t span)
{
	return nsec_min(nsec_max(span, PAUSE_MIN), PAUSE_MAX);
}

/* What a whole collection finds: all that was added since the last one that looked for it. */
static double grown_at(const struct sim_heap *heap, double used)
{
	bool first = heap->n_run[WIRE_MAJOR] + heap->n_run[WIRE_SNAPSHOT] == 0;
	double grown = heap->added + used - (first ? 0 : heap->used_base);

	return grown > 0 ? grown : 0;
}

static void begin_one(struct sim_heap *heap, enum wire_cause cause, nsec_t now,
		      struct event *ret)
{
	uint8_t kind = cause == WIRE_IN_WINDOW ? heap->kind : WIRE_MAJOR;
	nsec_t busy = busy_of(heap, now), stop, run;
	double used = used_at(heap, now), after, live, freed = 0;

	history_after(heap->h, kind, busy, &after, &live);
	if (sim_is_whole(kind))
		freed = history_freed(heap->h, busy, grown_at(heap, used));
	stop = within_reason(history_pause(heap->h, kind, heap->n_run[kind]++, busy,
					   live + freed, &run));
	run = nsec_max(within_reason(run), stop);
	heap->end = (struct wire_end){
		.window = cause == WIRE_IN_WINDOW ? heap->window : 0,
		.begin = now,
		.end = nsec_add(now, run),
		.freed = amount(freed),
		.used = amount(after < used ? after : used),
		.live = amount(live),
		.stop = kind == WIRE_SNAPSHOT ? stop : 0,
		.kind = kind,
		.cause = (uint8_t)cause,
	};
	heap->begun = now;
	heap->resumes = nsec_add(now, stop);
	heap->collecting = true;
	begin_event(heap, ret);
}

/* The next collection that the runtime ran unasked, then as now. NULL: none to come. */
static const struct sim_collection *next_other(struct sim_heap *heap)
{
	const struct sim_history *h = heap->h;

	while (heap->n_others < h->n_collections) {
		const struct sim_collection *c = &h->collections[heap->n_others];

		if (c->end.cause == WIRE_UNCOORDINATED)
			return c;
		heap->n_others++;
	}
	return NULL;
}

static void begin_other(struct sim_heap *heap, const struct sim_collection *c, nsec_t now,
			struct event *ret)
{
	heap->end = c->end;
	heap->end.begin = now;
	heap->end.end = nsec_add(now, nsec_max(c->end.end - c->end.begin, PAUSE_MIN));
	heap->begun = now;
	heap->resumes = heap->end.end;
	begin_event(heap, ret);
	heap->n_run[c->end.kind]++;
	heap->collecting = true;
	heap->n_others++;
}

static void forget_window(struct sim_heap *heap)
{
	heap->window = 0;
	heap->open = false;
	heap->begin_at = heap->quiet_at = NSEC_NEVER;
}

/* See guard_collected() of libruntime: who keeps nearly all of it alive has outgrown it. */
static void outgrow(struct sim_heap *heap, nsec_t now)
{
	uint64_t budget = budget_of(heap, now), used = heap->end.used;

	heap->outgrown = 0;
	if (budget && used > budget - budget / 8)
		heap->outgrown = used + used / 4;
}

/* The program goes on, beside its snapshot. */
static void resume(struct sim_heap *heap)
{
	heap->paused += heap->resumes - heap->begun;
	heap->collecting = false;
	heap->snapshot = true;
}

/* What was added while a snapshot ran is there, and is none of what it found. */
static void outlived(struct sim_heap *heap, double before, nsec_t now)
{
	double after, live;

	history_after(heap->h, WIRE_SNAPSHOT, busy_of(heap, now), &after, &live);
	heap->end.used = amount(after < before ? after : before);
	heap->end.live = amount(live);
}

static void end_collection(struct sim_heap *heap, nsec_t now, struct event *ret)
{
	nsec_t busy = busy_of(heap, now);
	double before = used_at(heap, now);

	if (heap->snapshot)
		outlived(heap, before, now);
	*ret = (struct event){.type = EVENT_END, .heap = heap->h->heap, .end = heap->end};
	if (heap->end.kind == WIRE_MINOR) {
		double most = before - heap->used_base, freed = (double)heap->end.freed;

		heap->dropped += freed < most ? freed : most > 0 ? most : 0;
	} else {
		heap->added = sim_is_whole(heap->end.kind)
				      ? 0
				      : heap->added + before - heap->used_base;
		heap->used_base = (double)heap->end.used;
		heap->live_base = (double)heap->end.live;
		heap->busy_base = busy;
		heap->dropped = 0;
		outgrow(heap, now);
	}
	if (heap->collecting)
		heap->paused += now - heap->begun;
	heap->collecting = heap->snapshot = false;
	heap->told = NOTHING_TOLD;
	if (heap->end.window && heap->end.window == heap->window)
		forget_window(heap);
}

/* ---- Life -------------------------------------------------------------------------------- */

void sim_heap_join(struct sim_heap *heap, nsec_t now, struct event *ret)
{
	const struct sim_history *h = heap->h;

	*ret = (struct event){.type = EVENT_JOIN, .heap = h->heap, .join = h->join};
	heap->connected = true;
	heap->joined = now;
	heap->directive.watermark = NOTHING_TOLD;
	heap->directive.report_by = NSEC_NEVER;
	heap->told = NOTHING_TOLD;
	heap->begin_at = heap->quiet_at = NSEC_NEVER;
	if (h->n_reports > 0) {
		heap->used_base = (double)h->reports[0].report.used;
		heap->live_base = (double)h->reports[0].report.live;
	}
	if (h->running) {
		heap->collecting = true;
		heap->begun = now;
		heap->end = h->collections[0].end;
		heap->resumes = nsec_max(heap->end.end, now);
		heap->window = heap->end.window;
		heap->n_run[heap->end.kind] = heap->n_others = 1;
	}
}

static void told_open(struct sim_heap *heap, const struct wire_window *w, nsec_t wanted,
		      nsec_t now)
{
	heap->window = w->window;
	heap->kind = w->kind;
	heap->open = true;
	heap->opens = nsec_max(w->opens, now);
	heap->closes = w->closes;
	heap->wanted = wanted;
	heap->quiet_at = NSEC_NEVER;
	heap->answer = delay_of(&heap->h->to_begin, &heap->log->to_begin,
				heap->n_opened++, SIM_BEGINS);
	heap->begin_at = nsec_add(heap->opens, heap->answer.delay);
	if (heap->answer.answer == SIM_IGNORES || heap->begin_at >= heap->closes)
		heap->begin_at = NSEC_NEVER;
}

static void asked_to_rest(struct sim_heap *heap, nsec_t now)
{
	heap->calm = delay_of(&heap->h->to_quiet, &heap->log->to_quiet,
			      heap->n_announced++, SIM_IGNORES);
	heap->quiet_at = heap->calm.answer == SIM_IGNORES
				 ? NSEC_NEVER
				 : nsec_add(now, heap->calm.delay);
}

void sim_heap_told(struct sim_heap *heap, const struct action *a, nsec_t wanted,
		   nsec_t now)
{
	switch (a->type) {
	case ACTION_DIRECT:
		heap->told_by = heap->told_by &&
				heap->directive.report_by == a->directive.report_by;
		heap->directive = a->directive;
		break;
	case ACTION_ANNOUNCE:
		heap->window = a->announce.window;
		heap->open = false;
		heap->drain = false;
		if (a->announce.drain)
			asked_to_rest(heap, now);
		break;
	case ACTION_DRAIN:
		heap->drain = true;
		asked_to_rest(heap, now);
		break;
	case ACTION_OPEN:
		told_open(heap, &a->window, wanted, now);
		break;
	case ACTION_REVOKE:
	case ACTION_CLOSE:
		if (a->revoke.window == heap->window)
			forget_window(heap);
		break;
	case ACTION_UNDRAIN:
	case ACTION_LOOK: /* the replay has it report */
		break;
	}
}

/* ---- What it does next ------------------------------------------------------------------- */

/* When so much is used, at `now` or later. */
static nsec_t used_reaches(const struct sim_heap *heap, uint64_t amount, nsec_t now)
{
	nsec_t busy = busy_of(heap, now), at;
	double grown = (double)amount - heap->used_base + heap->dropped +
		       history_grown(heap->h, heap->busy_base);

	at = history_grown_at(heap->h, grown, busy);
	return at == NSEC_NEVER ? at : nsec_add(now, nsec_sub(at, busy));
}

static bool wants_to_report(const struct sim_heap *heap)
{
	return heap->directive.watermark != NOTHING_TOLD &&
	       heap->told != heap->directive.watermark;
}

static nsec_t first_figures(const struct sim_heap *heap, nsec_t now)
{
	nsec_t busy = busy_of(heap, now);

	if (heap->h->n_reports == 0)
		return NSEC_NEVER;
	return nsec_add(now, nsec_sub(heap->h->reports[0].busy, busy));
}

void sim_heap_plan(struct sim_heap *heap, nsec_t now)
{
	const struct sim_collection *other = next_other(heap);
	nsec_t first, next = nsec_min(heap->begin_at, heap->quiet_at);
	uint64_t budget;

	heap->next = NSEC_NEVER;
	if (!heap->connected)
		return;
	if (heap->collecting) {
		heap->next = nsec_max(heap->resumes, now);
		return;
	}
	if (heap->snapshot)
		next = nsec_min(next, heap->end.end);
	else if (other)
		next = nsec_min(next,
				nsec_add(now, nsec_sub(other->busy, busy_of(heap, now))));
	first = first_figures(heap, now);
	if (first != NSEC_NEVER) {
		if (wants_to_report(heap))
			next = nsec_min(
				next,
				nsec_max(first,
					 used_reaches(heap, heap->directive.watermark,
						      now)));
		if (!heap->told_by)
			next = nsec_min(next, nsec_max(first, heap->directive.report_by));
		budget = budget_of(heap, nsec_max(first, now));
		if (budget && !heap->snapshot)
			next = nsec_min(next,
					nsec_max(first, used_reaches(heap, budget, now)));
	}
	heap->next = next == NSEC_NEVER ? next : nsec_max(next, now);
}

static bool answer_window(struct sim_heap *heap, nsec_t now, struct event *ret)
{
	heap->begin_at = NSEC_NEVER;
	if (!heap->open || now >= heap->closes || heap->snapshot)
		return false;
	if (heap->answer.answer == SIM_DECLINES) {
		*ret = (struct event){.type = EVENT_DECLINE, .heap = heap->h->heap};
		ret->decline.window = heap->window;
		ret->decline.why = WIRE_DECLINE_APP;
		return true;
	}
	begin_one(heap, WIRE_IN_WINDOW, now, ret);
	return true;
}

static void answer_announcement(struct sim_heap *heap, struct event *ret)
{
	heap->quiet_at = NSEC_NEVER;
	*ret = (struct event){.heap = heap->h->heap};
	if (!heap->drain) {
		ret->type = EVENT_QUIET;
		ret->quiet.window = heap->window;
		return;
	}
	ret->type =
		heap->calm.answer == SIM_UNDRAINABLE ? EVENT_UNDRAINABLE : EVENT_DRAINED;
	ret->window = heap->window;
}

static bool report_if_due(struct sim_heap *heap, nsec_t now, struct event *ret)
{
	bool by_amount = wants_to_report(heap) &&
			 used_reaches(heap, heap->directive.watermark, now) <= now;
	bool by_time = !heap->told_by && heap->directive.report_by <= now;

	if (!knows_figures(heap, now) || (!by_amount && !by_time))
		return false;
	if (by_amount)
		heap->told = heap->directive.watermark;
	heap->told_by = heap->told_by || by_time;
	return sim_heap_report(heap, now, ret);
}

bool sim_heap_act(struct sim_heap *heap, nsec_t now, struct event *ret)
{
	const struct sim_collection *other = next_other(heap);
	uint64_t budget = budget_of(heap, now);

	if (!heap->connected)
		return false;
	if (heap->collecting && heap->resumes > now)
		return false;
	if (heap->collecting && heap->end.end > heap->resumes)
		resume(heap);
	if ((heap->collecting || heap->snapshot) && heap->end.end <= now) {
		end_collection(heap, now, ret);
		return true;
	}
	if (!heap->snapshot && other && other->busy <= busy_of(heap, now)) {
		begin_other(heap, other, now, ret);
		return true;
	}
	if (budget && !heap->snapshot && knows_figures(heap, now) &&
	    used_reaches(heap, budget, now) <= now) {
		/* A window that fits is better than none; nothing else is. */
		bool fits = heap->open && heap->opens <= now && now < heap->closes;

		begin_one(heap, fits ? WIRE_IN_WINDOW : WIRE_FORCED, now, ret);
		return true;
	}
	if (heap->begin_at <= now && answer_window(heap, now, ret))
		return true;
	if (heap->quiet_at <= now) {
		answer_announcement(heap, ret);
		return true;
	}
	return report_if_due(heap, now, ret);
}
