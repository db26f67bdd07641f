/* SPDX-License-Identifier: MIT */
#include "daemon/core/heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/wire/names.h"
#include "daemon/core/service.h"

/*
 * How long before exhaustion a collection must have begun: a tenth of the time one budget lasts,
 * because that is how far rates wander between two reports. Half of it may be spent waiting for
 * a slot before the limit gives way. The pause itself needs no room: while it lasts, nothing is allocated.
 * (Taking it off as well would have a heap that pauses longer than it takes to fill collect without end.)
 */
#define GUARD_MIN   (10 * NSEC_PER_MSEC)
#define GUARD_MAX   (10 * NSEC_PER_SEC)
#define GUARD_SHARE 10

/*
 * Those behind it allow for a pause of twice the usual length: one that is longer than predicted, or
 * siblings that fill faster because a drained one's traffic is theirs, must not make the next
 * one late. It costs nothing but that heaps in step begin earlier, and so fall out of step.
 */
#define WORK_PAUSES 2

/* After so many pauses the usual one is known. */
#define KNOWN_WELL 4

/* Below this share of the budget a collection frees too little to be worth any pause. */
#define WORTH_SHARE 4

int heap_new(uint64_t id, const struct event_join *join, nsec_t now, struct heap **ret)
{
	const struct wire_hello *hello = &join->hello;
	size_t name = strnlen(hello->heap, WIRE_NAME_MAX - 1) + 1;
	size_t runtime = strnlen(hello->runtime, WIRE_RUNTIME_MAX - 1) + 1;
	struct heap *h = calloc(1, sizeof(*h) + name + runtime);

	if (!h)
		return -ENOMEM;
	list_init(&h->all);
	list_init(&h->siblings);
	list_init(&h->in_line);
	list_init(&h->telling);
	h->id = id;
	h->pid = join->pid;
	h->caps = hello->caps & WIRE_CAPS_KNOWN;
	h->unit = hello->unit;
	h->kinds = hello->kinds;
	h->own_budget = hello->budget;
	h->deadline = NSEC_NEVER;
	h->wanting_since = NSEC_NEVER;
	h->report.at = now;
	h->watermark = UINT64_MAX;
	h->report_by = NSEC_NEVER;
	memcpy(h->names, hello->heap, name - 1);
	memcpy(h->names + name, hello->runtime, runtime - 1);
	*ret = h;
	return 0;
}

void heap_hello(const struct heap *h, struct wire_hello *ret)
{
	*ret = (struct wire_hello){
		.version_min = WIRE_VERSION_MIN,
		.version_max = WIRE_VERSION_MAX,
		.caps = h->caps,
		.unit = h->unit,
		.kinds = h->kinds,
		.budget = h->own_budget,
	};
	memcpy(ret->service, h->service->config.name, sizeof(ret->service));
	name_copy(ret->heap, sizeof(ret->heap), heap_name(h));
	name_copy(ret->runtime, sizeof(ret->runtime), heap_runtime(h));
}

const char *heap_runtime(const struct heap *h)
{
	return h->names + strlen(h->names) + 1;
}

const struct predict *heap_known(const struct heap *h, unsigned kind)
{
	for (const struct known *k = h->known; k; k = k->next)
		if (k->predict.of == kind)
			return &k->predict;
	return NULL;
}

struct predict *heap_to_know(struct heap *h, unsigned kind)
{
	struct known **link = &h->known;

	while (*link && (*link)->predict.of != kind)
		link = &(*link)->next;
	if (!*link) {
		*link = calloc(1, sizeof(**link));
		if (!*link)
			return NULL;
		(*link)->predict.of = (uint8_t)kind;
	}
	return &(*link)->predict;
}

static void forget_all(struct heap *h)
{
	for (struct known *k = h->known, *next; k; k = next) {
		next = k->next;
		free(k);
	}
}

struct heap *heap_free(struct heap *h)
{
	if (h) {
		list_unlink(&h->all);
		list_unlink(&h->siblings);
		list_unlink(&h->in_line);
		list_unlink(&h->telling);
		forget_all(h);
		history_deinit(&h->decisions);
		free(h->in_rivals);
		free(h->share);
	}
	free(h);
	return NULL;
}

enum core_budget heap_budget_from(const struct heap *h)
{
	if (h->own_budget)
		return BUDGET_OWN;
	if (heap_share(h))
		return h->share->from;
	if (h->report.budget)
		return BUDGET_RUNTIME;
	if (h->unit == WIRE_BYTES && h->service->config.budget_bytes)
		return BUDGET_SERVICE;
	return BUDGET_NONE;
}

uint64_t heap_budget(const struct heap *h)
{
	switch (heap_budget_from(h)) {
	case BUDGET_NONE:
		break;
	case BUDGET_OWN:
		/* A heap that outgrew it says so: its client has raised the ceiling. */
		return nsec_max(h->own_budget, h->report.budget);
	case BUDGET_SHARED:
		return heap_share(h);
	case BUDGET_RUNTIME:
		return yield_budget(h);
	case BUDGET_SERVICE:
		return heap_share(h) ? heap_share(h) : h->service->config.budget_bytes;
	}
	return 0;
}

double heap_rate(const struct heap *h)
{
	return rate_upper(&h->rate);
}

uint64_t heap_whole(double units)
{
	return units < 1e18 ? (uint64_t)units : UINT64_C(1) << 60;
}

static bool is_amount(uint64_t amount)
{
	return amount <= HEAP_AMOUNT_MOST;
}

void heap_report(struct heap *h, const struct wire_report *report, nsec_t now)
{
	struct wire_report r = *report;

	if (!is_amount(r.used) || !is_amount(r.allocated) || !is_amount(r.live) ||
	    !is_amount(r.rss_bytes) || !is_amount(r.budget)) {
		heap_absurd(h);
		return;
	}
	r.at = nsec_min(r.at, now); /* nobody reports from the future */
	if (r.at < h->report.at)
		return;
	rate_sample(&h->rate, r.allocated, r.at);
	rate_silence(&h->rate, r.step, nsec_sub(now, r.at));
	h->report = r;
	budget_report(h);
}

uint64_t heap_used_at(const struct heap *h, nsec_t now)
{
	double grown;

	if (now <= h->report.at)
		return h->report.used;
	grown = heap_rate(h) * (double)(now - h->report.at) / (double)NSEC_PER_SEC;
	if (grown >= (double)(UINT64_MAX / 2 - h->report.used / 2))
		return UINT64_MAX / 2;
	return h->report.used + (uint64_t)grown;
}

/* How long it takes `amount` units to be allocated; NSEC_NEVER if it never happens. */
static nsec_t time_to_allocate(const struct heap *h, uint64_t amount)
{
	double rate = heap_rate(h), ns;

	if (amount == 0)
		return 0;
	if (rate <= 0)
		return NSEC_NEVER;
	ns = (double)amount / rate * (double)NSEC_PER_SEC;
	return ns < (double)(INT64_MAX / 2) ? (nsec_t)ns : NSEC_NEVER;
}

nsec_t heap_lasts(const struct heap *h)
{
	uint64_t budget = heap_budget(h);

	return budget ? time_to_allocate(h, budget) : NSEC_NEVER;
}

/* A pause of that length, were it alone, among as many as it is to meet. */
static nsec_t slowed(const struct heap *h, nsec_t pause)
{
	const struct contention *c = h->service->contention;
	double others = c->running - (h->paused ? 1 : 0);
	/* What it met before, as far as the limit allows it still; those that run now do. */
	double met = h->met < (float)c->limit ? (double)h->met : c->limit;

	if (met < 1 + others)
		met = 1 + others;
	return (nsec_t)((double)pause * contention_slow(c, met));
}

static nsec_t predict_at(const struct heap *h, unsigned kind, uint64_t live)
{
	if (kind == WIRE_SNAPSHOT)
		return predict_stop(heap_known(h, kind), h->unit, h->report.rss_bytes,
				    live);
	/* Setting a heap aside walks nothing. */
	return slowed(h, predict_pause(heap_known(h, kind), h->unit,
				       kind == WIRE_FREEZE ? 0 : live));
}

nsec_t heap_predict(const struct heap *h, unsigned kind)
{
	return predict_at(h, kind, h->report.live);
}

nsec_t heap_predict_full(const struct heap *h, unsigned kind)
{
	uint64_t live = h->report.live, left = nsec_sub(heap_budget(h), h->report.used);

	/* (Bytes that are new are none of those that live.) */
	if (h->unit == WIRE_OBJECTS)
		live = nsec_add(live, left);
	return predict_at(h, kind, live);
}

static nsec_t work_of(const struct heap *h, unsigned kind, nsec_t lead, nsec_t predicted)
{
	uint64_t walked = kind == WIRE_FREEZE ? 0 : h->report.live;
	nsec_t typical = slowed(h, predict_typical(heap_known(h, kind), h->unit, walked));

	return nsec_add(lead, nsec_max(predicted, typical * WORK_PAUSES));
}

nsec_t heap_work(const struct heap *h, unsigned kind)
{
	return work_of(h, kind, heap_typical_lead(h), heap_predict(h, kind));
}

nsec_t heap_run(const struct heap *h)
{
	return h->next == WIRE_SNAPSHOT
		       ? predict_run(heap_known(h, HEAP_RUNS), h->unit, h->report.live)
		       : 0;
}

void heap_estimate(struct heap *h, nsec_t now)
{
	uint64_t budget = heap_budget(h);
	nsec_t guard, lead, run;

	h->next = yield_kind(h, now);
	lead = heap_typical_lead(h);
	h->predicted = heap_predict(h, h->next);
	run = heap_run(h);
	h->span = nsec_add(lead, h->predicted);
	h->work = work_of(h, h->next, lead, h->predicted);
	if (heap_goes_beside(h))
		h->span = h->work = run;
	else /* Those behind it wait for its snapshot, too. */
		h->work = nsec_add(h->work, run);
	if (!budget) {
		h->exhaustion = h->latest_start = h->last_call = NSEC_NEVER;
		if (h->asked)
			h->latest_start = h->report.at;
		return;
	}
	h->exhaustion = h->report.used >= budget
				? h->report.at
				: nsec_add(h->report.at,
					   time_to_allocate(h, budget - h->report.used));
	guard = heap_lasts(h) / GUARD_SHARE;
	guard = nsec_min(nsec_max(guard, GUARD_MIN), GUARD_MAX);
	if (yield_rule_is_wide(h))
		guard = nsec_max(guard, heap_lasts(h) / YIELD_WIDE_GUARD);
	/* At an unknown rate, nearly full is as good as full. */
	if (heap_rate(h) <= 0 && h->report.used >= budget - budget / GUARD_SHARE)
		h->exhaustion = nsec_add(h->report.at, guard);
	/* The program goes on allocating while a snapshot runs, and writes to pages it shares. */
	h->latest_start = nsec_sub(h->exhaustion, nsec_add(guard, run));
	if (h->yield.at_once || h->asked)
		h->latest_start = nsec_min(h->latest_start, h->report.at);
	h->last_call = nsec_sub(h->exhaustion, nsec_add(guard / 2, run));
}

nsec_t heap_worth_from(const struct heap *h)
{
	uint64_t enough = heap_budget(h) / WORTH_SHARE;

	if (h->report.used >= enough)
		return 0;
	return nsec_add(h->report.at, time_to_allocate(h, enough - h->report.used));
}

/* Of its window, if it has one; else what would be predicted now. */
static nsec_t predicted_for(const struct heap *h, const struct wire_end *end)
{
	if (end->cause == WIRE_IN_WINDOW && h->lease.state != LEASE_NONE &&
	    h->lease.id == end->window)
		return h->lease.predicted;
	return heap_predict(h, end->kind);
}

bool heap_believes(const struct heap *h, const struct wire_end *end)
{
	return is_amount(end->freed) && is_amount(end->used) && is_amount(end->live) &&
	       (end->kind == WIRE_SNAPSHOT || end->end - end->begin <= HEAP_PAUSE_MOST);
}

/* How many pauses there were at once meanwhile; learns what they cost each other. */
static double learn_contention(struct heap *h, uint64_t walked, const struct predict *p,
			       nsec_t pause, nsec_t now)
{
	struct contention *c = h->service->contention;
	double met = 1;
	nsec_t usual;

	if (h->paused)
		met = contention_met(c, h->run_area, nsec_sub(now, h->run_seen), now);
	/* Only of pauses that are known well, and long enough to be told from the least one. */
	usual = p && p->count >= KNOWN_WELL ? predict_typical(p, h->unit, walked) : 0;
	if (usual > 2 * NSEC_PER_MSEC)
		contention_learn(c, met, (double)pause / (double)usual);
	h->met = h->met < (float)met ? (float)met : h->met - (h->met - (float)met) / 8;
	return met;
}

/* (Out of memory: the next one is guessed once more.) */
static void learn(struct heap *h, unsigned kind, uint64_t walked, uint64_t left,
		  nsec_t span, bool inside)
{
	struct predict *p = heap_to_know(h, kind);

	if (p)
		predict_learn(p, walked, left, span, inside);
}

static void learn_pause(struct heap *h, const struct wire_end *end, uint64_t walked,
			nsec_t pause, nsec_t now)
{
	nsec_t predicted = predicted_for(h, end);
	double met = learn_contention(h, walked, heap_known(h, end->kind), pause, now);

	if (end->kind != WIRE_MINOR) {
		recent_add(&h->pauses, pause);
		tally_add(&h->service->pauses, pause);
		h->last_pause = (float)pause;
	}
	if (end->kind == WIRE_MAJOR || end->kind == WIRE_SNAPSHOT) {
		accuracy_add(&h->accuracy, predicted, pause);
		accuracy_add(&h->service->accuracy, predicted, pause);
	}
	learn(h, end->kind, walked, end->live,
	      (nsec_t)((double)pause / contention_slow(h->service->contention, met)),
	      pause <= predicted);
}

void heap_learn(struct heap *h, const struct wire_end *end, nsec_t now)
{
	nsec_t begin = nsec_min(end->begin, now), finish = nsec_min(end->end, now);
	nsec_t pause = nsec_sub(finish, begin);
	/* What was live before, which is what is left and what was freed. A freeze walks nothing. */
	uint64_t walked = end->kind == WIRE_FREEZE		? 0
			  : end->live > UINT64_MAX - end->freed ? UINT64_MAX
								: end->live + end->freed;

	if (end->kind == WIRE_SNAPSHOT)
		learn(h, HEAP_RUNS, walked, end->live, pause, true);
	if (end->stop)
		pause = nsec_min(pause, end->stop);
	learn_pause(h, end, walked, pause, now);
	yield_learn(h, end, begin, pause);
	budget_learn(h, end, pause);
	heap_count(&h->collections[end->kind]);
	if (end->kind == WIRE_MAJOR || end->kind == WIRE_SNAPSHOT)
		h->yield_last = (float)end->freed;
	/* Nothing was allocated meanwhile: the pause does not make the rate any lower. */
	if (h->rate.at)
		h->rate.at = nsec_min(nsec_add(h->rate.at, pause), now);
	if (finish >= h->report.at) {
		h->report.at = finish;
		h->report.used = end->used;
		h->report.live = end->live;
	}
}

void heap_record(struct heap *h, const struct core_decision *decision)
{
	history_add(&h->decisions, decision);
	h->reason = decision->reason;
}

enum core_state heap_state(const struct heap *h)
{
	if (h->lost)
		return HEAP_LOST;
	if (h->running || h->lease.state == LEASE_IN_USE)
		return HEAP_COLLECTING;
	if (h->lease.state == LEASE_OPEN)
		return HEAP_GRANTED;
	if (h->lease.state == LEASE_ANNOUNCED)
		return HEAP_DRAINING;
	if (!heap_is_waiting(h))
		return HEAP_IDLE;
	return h->service->held ? HEAP_HELD : HEAP_WANTING;
}

const char *core_budget_name(enum core_budget budget)
{
	static const char *const names[] = {
		[BUDGET_NONE] = "none",	      [BUDGET_OWN] = "own",
		[BUDGET_SHARED] = "shared",   [BUDGET_RUNTIME] = "runtime",
		[BUDGET_SERVICE] = "service",
	};

	return (unsigned)budget < sizeof(names) / sizeof(*names) ? names[budget]
								 : "unknown";
}

const char *core_state_name(enum core_state state)
{
	static const char *const names[] = {
		[HEAP_IDLE] = "idle",
		[HEAP_WANTING] = "wanting",
		[HEAP_DRAINING] = "draining",
		[HEAP_GRANTED] = "granted",
		[HEAP_COLLECTING] = "collecting",
		[HEAP_HELD] = "held",
		[HEAP_LOST] = "lost",
	};

	return (unsigned)state < sizeof(names) / sizeof(*names) ? names[state]
								: "unknown";
}
