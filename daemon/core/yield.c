/* SPDX-License-Identifier: MIT */
#include "daemon/core/yield.h"

#include "daemon/core/heap.h"
#include "daemon/core/service.h"

#define EMPTY_BEFORE_FREEZE 2
/* The budget is raised up to 2^5 times the rule, which for CPython's is eight times the heap. */
#define DOUBLINGS_MAX 5
/* Later than at 1 - 2^-4 of its budget no window in slack is declined. */
#define SLACK_DOUBLINGS_MAX 3

/* The heap has grown since it was looked at as a whole: by half … */
#define GROWN_PERCENT 150
/* … or so many times its objects were made anew, whatever became of them; twice that after each such look in vain. */
#define TURNOVERS_MIN	    8
#define TURNOVERS_DOUBLINGS 3

/*
 * A snapshot is outrun that usually runs for more than a half of what a budget lasts. After two in a row
 * (a burst is soon over) there are majors for as long as it would run for more than a quarter, and until there
 * were so many, because the machine may have been busy then.
 */
#define OUTRUN_SHARE	   2
#define OUTRUN_SHARE_ENDED 4
#define OUTRUN_ENOUGH	   2
#define OUTRUN_MAJORS	   32

/* An allocation rate that is another one; twice that after each change that meant nothing. */
#define RATE_CHANGE   2
#define RATE_SPAN_MIN NSEC_PER_SEC
#define ALARMS_MAX    3

/* Room for a collection that is due to wait for its slot. */
static uint64_t barely_above(uint64_t used)
{
	return used < UINT64_MAX / 2 ? used + used / 9 + 1 : used;
}

/* And until the others have had theirs: what one has noticed may hold for all at the same time. */
static uint64_t above_for(const struct heap *h, nsec_t turn, nsec_t now)
{
	return heap_used_at(h, now) < UINT64_MAX / 2
		       ? barely_above(heap_used_at(h, nsec_add(now, turn)))
		       : UINT64_MAX / 2;
}

static bool is_heeded(const struct heap *h)
{
	return h->service->config.min_yield_permille > 0 &&
	       h->service->config.policy != POLICY_OBSERVE;
}

/* (A rule in bytes may be a limit that the runtime dies of.) */
static bool can_raise(const struct heap *h)
{
	return h->unit == WIRE_OBJECTS && heap_budget_from(h) == BUDGET_RUNTIME;
}

bool yield_rule_is_wide(const struct heap *h)
{
	return h->service->config.policy == POLICY_TOGETHER && can_raise(h) &&
	       h->report.budget < UINT64_MAX / 2;
}

uint64_t yield_rule(const struct heap *h)
{
	uint64_t rule = h->report.budget;

	return yield_rule_is_wide(h) ? rule + rule / (YIELD_WIDE_GUARD - 1) : rule;
}

/* So many were empty in a row, as far as that is still believed. */
static unsigned empties(const struct heap *h)
{
	return h->yield.doubt ? 0 : h->yield.empty;
}

static unsigned doublings(const struct heap *h)
{
	unsigned n = empties(h) ? empties(h) + h->yield.freezes : 0;

	return n < DOUBLINGS_MAX ? n : DOUBLINGS_MAX;
}

static uint64_t times(uint64_t amount, unsigned doublings)
{
	return amount > UINT64_MAX >> doublings ? UINT64_MAX : amount << doublings;
}

static unsigned turnovers(const struct heap *h)
{
	unsigned more =
		empties(h) > EMPTY_BEFORE_FREEZE ? empties(h) - EMPTY_BEFORE_FREEZE : 0;

	return TURNOVERS_MIN << (more < TURNOVERS_DOUBLINGS ? more : TURNOVERS_DOUBLINGS);
}

/* May there be garbage again that would be seen only by looking at the whole heap? */
static bool has_grown(const struct heap *h)
{
	const struct yield *y = &h->yield;
	const struct wire_report *now = &h->report;

	if (now->allocated > y->base_allocated &&
	    (double)((now->allocated - y->base_allocated) / turnovers(h)) >
		    (double)y->base_live)
		return true;
	/* The resident set tells garbage from what was freed by itself; a count does not. */
	if (y->base_rss > 0 && now->rss_bytes)
		return (double)now->rss_bytes * 100 > (double)y->base_rss * GROWN_PERCENT;
	return (double)now->live * 100 > (double)y->base_live * GROWN_PERCENT;
}

/* Usually, by what is known of it. */
static nsec_t snapshot_run(const struct heap *h)
{
	return predict_typical(heap_known(h, HEAP_RUNS), h->unit, h->report.live);
}

static bool was_outrun(const struct heap *h)
{
	const unsigned both = 1 << WIRE_SNAPSHOT | 1 << WIRE_MAJOR;

	return (h->kinds & both) == both && h->yield.outrun >= OUTRUN_ENOUGH;
}

bool yield_is_outrun(const struct heap *h)
{
	return was_outrun(h) && snapshot_run(h) >= heap_lasts(h) / OUTRUN_SHARE_ENDED;
}

/*
 * Of the kinds that find garbage. A pause that nobody notices is the cheaper one: of a heap that is
 * drained for it, or of a group that pauses together.
 */
static uint8_t full_kind(const struct heap *h)
{
	const struct core_service_config *config = &h->service->config;

	if (!(h->kinds & 1 << WIRE_SNAPSHOT))
		return WIRE_MAJOR;
	if (!(h->kinds & 1 << WIRE_MAJOR))
		return WIRE_SNAPSHOT;
	return config->drain == DRAIN_NONE && config->policy != POLICY_TOGETHER &&
			       !yield_is_outrun(h)
		       ? WIRE_SNAPSHOT
		       : WIRE_MAJOR;
}

uint8_t yield_kind(const struct heap *h, nsec_t now)
{
	const struct yield *y = &h->yield;

	if (!h->asked && (h->kinds & 1 << WIRE_FREEZE) && is_heeded(h) &&
	    empties(h) >= EMPTY_BEFORE_FREEZE && !y->useless && !has_grown(h))
		return WIRE_FREEZE;
	return full_kind(h);
}

uint64_t yield_budget(const struct heap *h)
{
	uint64_t rule = yield_rule(h);

	return can_raise(h) ? nsec_max(rule, h->yield.raised) : rule;
}

bool yield_is_raised(const struct heap *h)
{
	return can_raise(h) && h->yield.raised > yield_rule(h);
}

static bool rate_has_changed(const struct heap *h)
{
	const struct yield *y = &h->yield;
	double span = (double)nsec_sub(h->report.at, y->since) / (double)NSEC_PER_SEC;
	double rate, change;

	/* Over a representative part of a cycle: what comes in bursts has one rate. */
	if (y->base_rate <= 0 || span < (double)RATE_SPAN_MIN / (double)NSEC_PER_SEC ||
	    h->report.used < yield_rule(h) / 2 || h->report.allocated < y->allocated)
		return false;
	rate = (double)(h->report.allocated - y->allocated) / span;
	change = RATE_CHANGE << y->alarms;
	return rate > change * (double)y->base_rate ||
	       rate * change < (double)y->base_rate;
}

bool yield_review(struct heap *h)
{
	struct yield *y = &h->yield;

	if (empties(h) && rate_has_changed(h)) {
		y->doubt = true;
		y->useless = false;
	}
	return !y->at_once && yield_is_raised(h) &&
	       (doublings(h) == 0 || has_grown(h) || !is_heeded(h));
}

void yield_lower(struct heap *h, nsec_t turn, nsec_t now)
{
	h->yield.raised = nsec_min(h->yield.raised, above_for(h, turn, now));
	h->yield.at_once = true;
}

bool yield_gives_way(const struct heap *h)
{
	return can_raise(h) && is_heeded(h) &&
	       times(yield_rule(h), doublings(h)) > heap_budget(h);
}

bool yield_declines(const struct heap *h)
{
	return yield_gives_way(h) && !has_grown(h);
}

void yield_raise(struct heap *h)
{
	h->yield.raised = times(yield_rule(h), doublings(h));
}

/* From so much on a collection is expected to free MinYield of the heap, if what was used last is a measure. */
static uint64_t enough_used(const struct heap *h)
{
	double enough =
		(double)h->report.live * h->service->config.min_yield_permille / 1000;

	return h->yield.of_used > 0 ? heap_whole(enough / (double)h->yield.of_used) : 0;
}

uint64_t yield_slack_from(const struct heap *h)
{
	unsigned n = empties(h) < SLACK_DOUBLINGS_MAX ? empties(h) : SLACK_DOUBLINGS_MAX;
	uint64_t budget = heap_budget(h), from;

	if (!is_heeded(h) || has_grown(h))
		return budget / HEAP_SLACK_SHARE;
	if (can_raise(h))
		return nsec_max(times(yield_rule(h), doublings(h)), budget) /
		       HEAP_SLACK_SHARE;
	if (h->next == WIRE_FREEZE)
		return budget / HEAP_SLACK_SHARE;
	from = nsec_max(budget - (budget / HEAP_SLACK_SHARE >> n),
			empties(h) ? 0 : enough_used(h));
	return nsec_min(from,
			budget - (budget / HEAP_SLACK_SHARE >> SLACK_DOUBLINGS_MAX));
}

/* ---- Learning ------------------------------------------------------------------------------- */

static void frozen(struct heap *h, const struct wire_end *end, uint64_t used)
{
	struct yield *y = &h->yield;

	if (end->used <= used / 2) {
		y->freezes += y->freezes < DOUBLINGS_MAX;
	} else {
		y->useless = true;
	}
}

static void looked_at_whole(struct heap *h, const struct wire_end *end, uint64_t used,
			    nsec_t begin)
{
	struct yield *y = &h->yield;
	double span = (double)nsec_sub(begin, y->since) / (double)NSEC_PER_SEC;

	y->of_used = used ? (float)((double)end->freed / (double)used) : 0;
	y->base_rate =
		y->since && span > 0 && h->report.allocated >= y->allocated
			? (float)((double)(h->report.allocated - y->allocated) / span)
			: 0;
	y->base_allocated = h->report.allocated;
	y->base_live = (float)end->live;
	y->base_rss = (float)h->report.rss_bytes;
}

static void collected(struct heap *h, const struct wire_end *end, uint64_t used,
		      nsec_t begin, nsec_t pause)
{
	double walked = (double)end->live + (double)end->freed;
	struct yield *y = &h->yield;

	y->per_s = (float)((double)end->freed * (double)NSEC_PER_SEC /
			   (double)nsec_max(pause, 1));
	if (walked <= 0)
		return; /* it tells no figures */
	if ((double)end->freed * 1000 >= walked * h->service->config.min_yield_permille) {
		y->empty = y->freezes = 0;
		y->useless = y->doubt = false;
		y->alarms = 0;
	} else if (!end->failed) {
		y->empty += y->empty < UINT8_MAX;
		y->alarms += y->doubt && y->alarms < ALARMS_MAX;
		y->doubt = false;
	}
	if (!end->failed)
		looked_at_whole(h, end, used, begin);
}

/* Before the budget it ran in is replaced. */
static void note_run(struct heap *h, unsigned kind)
{
	nsec_t run = snapshot_run(h), lasts = heap_lasts(h);
	struct yield *y = &h->yield;

	if (kind == WIRE_SNAPSHOT) {
		if (run <= lasts / OUTRUN_SHARE)
			y->outrun = 0;
		else
			y->outrun += y->outrun < OUTRUN_ENOUGH;
	} else if (kind == WIRE_MAJOR && was_outrun(h)) {
		if (!yield_is_outrun(h))
			y->outrun = 0;
		else if (++y->outrun == OUTRUN_ENOUGH + OUTRUN_MAJORS)
			y->outrun = OUTRUN_ENOUGH - 1;
	}
}

void yield_learn(struct heap *h, const struct wire_end *end, nsec_t begin, nsec_t pause)
{
	struct yield *y = &h->yield;
	uint64_t used = heap_used_at(h, begin);

	if (end->kind == WIRE_MINOR)
		return;
	note_run(h, end->kind);
	if (end->kind == WIRE_FREEZE)
		frozen(h, end, used);
	else
		collected(h, end, used, begin, pause);
	y->allocated = h->report.allocated;
	y->since = nsec_add(begin, pause);
	y->told = y->at_once = false;

	/* Never below what is used now: the ceiling would force a collection at once. */
	y->raised = y->raised ? barely_above(end->used) : 0;
}
