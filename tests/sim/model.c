/* SPDX-License-Identifier: MIT */
#include "tests/sim/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- A heap's own life ------------------------------------------------------------------------ */

static void change_rate(struct sim *sim, struct sim_heap *h)
{
	const struct sim_heap_spec *spec = &h->spec;

	h->rate = spec->rate;
	h->rate_until = NSEC_NEVER;
	if (spec->profile == SIM_BURSTY) {
		bool burst = sim_random(sim, 10) == 0;

		h->rate = burst ? spec->rate * 5 : spec->rate * 0.5;
		h->rate_until = sim->now + SEC / 10 + sim_random(sim, SEC);
	} else if (spec->profile == SIM_IDLE) {
		h->rate = spec->rate / 50;
	}
}

/* Brings a heap's figures up to now; a paused or stopped program allocates nothing. */
static void advance(struct sim *sim, struct sim_heap *h)
{
	double span = (double)(sim->now - h->at) / (double)SEC;

	if (sim->now > h->at && sim_allocates(h)) {
		h->used += h->rate * span;
		h->allocated += h->rate * span;
		h->trash += h->rate * span * h->spec.garbage;
		if (h->spec.profile == SIM_LEAKING)
			h->live += h->rate * span * 0.01;
		if (h->spec.profile == SIM_SAWTOOTH)
			h->live = (double)h->spec.live *
				  (1 + 0.5 * fmod((double)sim->now / (20.0 * (double)SEC),
						  1));
	}
	h->at = sim->now;
}

static nsec_t when_used_reaches(const struct sim_heap *h, double amount)
{
	double ns;

	if (!sim_allocates(h))
		return NSEC_NEVER;
	if (h->used >= amount)
		return h->at;
	if (h->rate <= 0)
		return NSEC_NEVER;
	ns = ceil((amount - h->used) / h->rate * (double)SEC);
	return ns < 1e18 ? h->at + (nsec_t)ns : NSEC_NEVER;
}

static void drain_actions(struct sim *sim);

static int send_event(struct sim *sim, const struct event *e)
{
	int r = supervisor_handle(sim->core, e, sim->now);

	drain_actions(sim);
	return r;
}

static void fill_report(const struct sim_heap *h, struct wire_report *report)
{
	*report = (struct wire_report){.at = h->at,
				       .used = (uint64_t)h->used,
				       .allocated = (uint64_t)h->allocated,
				       .live = (uint64_t)(h->live + h->used),
				       .rss_bytes = (uint64_t)(h->live + h->trash),
				       .budget = h->spec.budget};
}

static void report(struct sim *sim, struct sim_heap *h)
{
	struct event e = {.type = EVENT_REPORT, .heap = h->id};

	if (!h->id || h->lost)
		return;
	fill_report(h, &e.report);
	send_event(sim, &e);
}

/* Until the daemon says. */
static uint64_t own_rule(const struct sim_heap *h)
{
	return h->spec.live / 4 + 1;
}

static void forget_window(struct sim_heap *h)
{
	if (h->window)
		h->last_window = h->window;
	h->window = 0;
	h->open = h->drain_asked = false;
	h->quiet_at = h->begin_at = NSEC_NEVER;
}

static void join(struct sim *sim, struct sim_heap *h, uint64_t prev_window,
		 nsec_t prev_closes)
{
	const struct sim_heap_spec *spec = &h->spec;
	struct event e = {.type = EVENT_JOIN, .heap = ++sim->next_id};
	unsigned index = (unsigned)(h - sim->heap);

	e.join.uid = 1000;
	e.join.pid = (int32_t)index + 1;
	e.join.hello = (struct wire_hello){.caps = spec->caps,
					   .unit = WIRE_OBJECTS,
					   .kinds = 1 << WIRE_MAJOR | spec->kinds,
					   .prev_epoch = prev_window ? 1 : 0,
					   .prev_window = prev_window,
					   .prev_closes = prev_closes};
	memcpy(e.join.hello.service, sim->services[spec->service].name, WIRE_NAME_MAX);
	snprintf(e.join.hello.heap, WIRE_NAME_MAX, "h%u", index);
	h->id = e.heap;
	h->lost = false;
	h->watermark = UINT64_MAX;
	h->report_by = NSEC_NEVER;
	h->draining = false;
	forget_window(h);
	send_event(sim, &e);
}

static nsec_t pause_of(struct sim *sim, const struct sim_heap *h)
{
	double cost = sim_runs_beside(h) ? h->spec.run_cost : h->spec.cost;
	double ns = (h->live + h->used) * cost * (0.9 + 0.2 * sim_share(sim));

	return h->kind == WIRE_FREEZE ? MS / 10 : (nsec_t)ns + MS / 10;
}

static void start_pause(struct sim *sim, struct sim_heap *h)
{
	unsigned paused = 0;

	advance(sim, h);
	h->collecting = true;
	h->began = sim->now;
	h->began_used = h->used;
	h->began_trash = h->trash;
	h->end_at = sim->now + pause_of(sim, h);
	h->begin_at = h->quiet_at = NSEC_NEVER;
	for (unsigned i = 0; i < sim->n_heaps; i++)
		paused += sim->heap[i].collecting && !sim_runs_beside(&sim->heap[i]);
	if (paused > sim->paused_max)
		sim->paused_max = paused;
}

static void begin(struct sim *sim, struct sim_heap *h, bool forced)
{
	struct event e = {.type = EVENT_BEGIN, .heap = h->id};
	int r;

	if (forced)
		h->kind = WIRE_MAJOR;
	e.begin = (struct wire_begin){.window = forced ? 0 : h->window,
				      .at = sim->now,
				      .kind = h->kind,
				      .cause = forced ? WIRE_FORCED : WIRE_IN_WINDOW};
	h->in_use = e.begin.window;
	start_pause(sim, h);
	if (forced) {
		h->forced++;
		sim->forced++;
	} else {
		h->windows_used++;
		sim->in_window++;
	}
	if (!h->id || h->lost)
		return;
	r = send_event(sim, &e);
	if (r != 0)
		sim_break(sim, "I-5", "an honest begin of heap %u was refused (%d)",
			  (unsigned)h->id, r);
}

static void end(struct sim *sim, struct sim_heap *h)
{
	struct event e = {.type = EVENT_END, .heap = h->id};
	/* A freeze sets it aside, a whole collection takes that back first. */
	bool failed = h->kind == WIRE_SNAPSHOT && h->spec.snapshots_fail;
	bool beside = sim_runs_beside(h);
	double freed = h->kind == WIRE_FREEZE || failed ? 0
		       : beside				? h->began_trash
							: h->trash;

	h->trash -= freed;
	h->collections[h->kind]++;
	h->freed += freed;
	sim->gc_time += sim->now - h->began;
	h->collecting = false;
	h->at = sim->now;
	if (!failed && (h->kind != WIRE_FREEZE || !h->spec.freezes_in_vain))
		h->used = beside ? h->used - h->began_used : 0;
	e.end = (struct wire_end){.window = h->in_use,
				  .begin = h->began,
				  .end = sim->now,
				  .freed = (uint64_t)freed,
				  .used = (uint64_t)h->used,
				  .live = (uint64_t)(h->live + h->trash),
				  .stop = beside ? MS : 0,
				  .kind = h->kind,
				  .cause = h->in_use ? WIRE_IN_WINDOW : WIRE_FORCED,
				  .failed = failed};
	h->end_at = NSEC_NEVER;
	if (h->in_use && h->in_use == h->window)
		forget_window(h);
	if (h->id && !h->lost)
		send_event(sim, &e);
	h->in_use = 0;
}

/* It has outgrown its budget by half: what it runs beside is not waited for. */
static void void_snapshot(struct sim *sim, struct sim_heap *h)
{
	bool fail = h->spec.snapshots_fail;

	h->spec.snapshots_fail = true;
	end(sim, h);
	h->spec.snapshots_fail = fail;
}

/* ---- What the core asks for ----------------------------------------------------------------- */

static void on_open(struct sim *sim, struct sim_heap *h, const struct wire_window *w)
{
	if (h->window != w->window)
		sim_count_ungated(sim, h);
	if (w->opens > sim->now + 20 * MS || w->closes <= sim->now)
		sim_break(sim, "I-5", "a window opens at a wrong time");
	if (h->window && h->window != w->window)
		sim_break(sim, "I-3", "heap %u got a window before the last one was over",
			  (unsigned)h->id);
	sim->granted++;
	h->window = w->window;
	h->kind = w->kind;
	h->open = true;
	h->opens = w->opens;
	h->closes = w->closes;
	h->predicted = w->predicted;
	h->quiet_at = NSEC_NEVER;
	h->begin_at = h->stopped || h->lost ? NSEC_NEVER : w->opens + h->spec.safe_point;
}

static void on_over(struct sim *sim, struct sim_heap *h, const struct action *a)
{
	if (h->window != a->revoke.window && h->in_use != a->revoke.window)
		sim_break(sim, "I-3", "a window of heap %u ended that it did not have",
			  (unsigned)h->id);
	if (a->type == ACTION_REVOKE && h->open && a->revoke.reason == REASON_EXPIRED)
		h->expired++;
	if (h->window == a->revoke.window)
		forget_window(h);
}

static void apply(struct sim *sim, struct sim_heap *h, const struct action *a)
{
	switch (a->type) {
	case ACTION_DIRECT:
		h->watermark = a->directive.watermark;
		advance(sim, h);
		h->budget = a->directive.budget ? a->directive.budget
			    : h->spec.budget	? h->spec.budget
						: own_rule(h);
		h->report_by = a->directive.report_by;
		break;
	case ACTION_ANNOUNCE:
		if (h->window)
			sim_break(sim, "I-3", "heap %u got two windows", (unsigned)h->id);
		sim_count_ungated(sim, h);
		h->window = a->announce.window;
		h->drain_asked = a->announce.drain;
		if (h->drain_asked && !h->stopped)
			h->quiet_at = sim->now + h->spec.rest;
		break;
	case ACTION_OPEN:
		on_open(sim, h, &a->window);
		break;
	case ACTION_REVOKE:
	case ACTION_CLOSE:
		on_over(sim, h, a);
		break;
	case ACTION_DRAIN:
		if (h->draining)
			sim_break(sim, "I-3", "heap %u drained twice", (unsigned)h->id);
		h->draining = true;
		h->quiet_at = sim->now + h->spec.rest;
		break;
	case ACTION_UNDRAIN:
		if (!h->draining)
			sim_break(sim, "I-3", "heap %u undrained twice", (unsigned)h->id);
		h->draining = false;
		break;
	case ACTION_LOOK:
		h->look = h->spec.caps & WIRE_CAP_PAGE;
		break;
	}
}

static void take_actions(struct sim *sim)
{
	struct action a;

	while (supervisor_next_action(sim->core, &a)) {
		struct sim_heap *h = sim_by_id(sim, a.heap);

		if (!h && a.heap == sim->former)
			continue; /* of the connection that is being replaced */
		if (!h) {
			sim_break(sim, "I-7", "an action for a heap that is gone");
			return;
		}
		apply(sim, h, &a);
	}
}

static struct sim_heap *next_look(struct sim *sim)
{
	for (unsigned i = 0; i < sim->n_heaps; i++)
		if (sim->heap[i].look)
			return &sim->heap[i];
	return NULL;
}

/* All of one event's before the next: pages are read when there is nothing left to do. */
static void drain_actions(struct sim *sim)
{
	struct sim_heap *h;

	take_actions(sim);
	while ((h = next_look(sim))) {
		struct event e = {.type = EVENT_REPORT, .heap = h->id};

		h->look = false;
		advance(sim, h);
		fill_report(h, &e.report);
		supervisor_handle(sim->core, &e, sim->now);
		take_actions(sim);
	}
}

/* ---- Faults ----------------------------------------------------------------------------------- */

static void leave(struct sim *sim, struct sim_heap *h)
{
	struct event e = {.type = EVENT_LEAVE, .heap = h->id};

	send_event(sim, &e);
	if (h->draining || h->window)
		sim_break(sim, h->draining ? "I-7" : "I-3",
			  "heap %u left, its window or drain did not", (unsigned)h->id);
	h->id = 0;
}

static void die_and_start_again(struct sim *sim, struct sim_heap *h)
{
	struct sim_heap_spec spec = h->spec;

	if (h->id)
		leave(sim, h);
	*h = (struct sim_heap){.spec = spec, .at = sim->now, .live = (double)spec.live};
	h->quiet_at = h->begin_at = h->end_at = h->resume_at = NSEC_NEVER;
	h->budget = spec.budget ? spec.budget : own_rule(h);
	change_rate(sim, h);
	join(sim, h, 0, 0);
	report(sim, h);
}

static bool is_known(const struct sim *sim, const struct sim_heap *h, uint64_t window)
{
	struct core_window win;

	return supervisor_window_after(sim->core, h->id - 1, &win) && win.heap == h->id &&
	       win.id == window;
}

static void reconnect(struct sim *sim, struct sim_heap *h)
{
	struct event e = {.type = EVENT_LOST, .heap = h->id};
	uint64_t running = h->collecting ? h->in_use : 0, former = h->id;
	nsec_t closes = h->closes;

	send_event(sim, &e);
	/* The process itself knows its windows by the page only while connected. */
	forget_window(h);
	h->draining = false;
	h->id = 0;
	sim->former = former;
	e = (struct event){.type = EVENT_LEAVE, .heap = former};
	/* Its former connection is cleared away before or after it is back. */
	if (sim_random(sim, 2)) {
		send_event(sim, &e);
		join(sim, h, running, closes);
	} else {
		join(sim, h, running, closes);
		send_event(sim, &e);
	}
	/* A daemon that has forgotten the heap meanwhile does not believe in its window. */
	if (running && is_known(sim, h, running))
		h->window = running;
	report(sim, h);
}

static void stop(struct sim *sim, struct sim_heap *h)
{
	advance(sim, h);
	h->stopped = true;
	h->resume_at = sim->now + MS + sim_random(sim, 3 * SEC);
	h->quiet_at = h->begin_at = NSEC_NEVER;
	if (h->collecting)
		h->end_at = nsec_max(h->end_at, h->resume_at);
}

static void resume(struct sim *sim, struct sim_heap *h)
{
	h->stopped = false;
	h->at = sim->now;
	h->resume_at = NSEC_NEVER;
	/* Looks at its page: what is still in force can still be used. */
	if (h->open && !h->collecting)
		h->begin_at = sim->now + h->spec.safe_point;
	else if (h->drain_asked && !h->collecting)
		h->quiet_at = sim->now + h->spec.rest;
}

#define FAULTS 12 /* the first is the daemon's: it starts again */

static uint64_t absurd(struct sim *sim)
{
	static const uint64_t numbers[] = {0, 1, INT64_MAX, UINT64_MAX - 1, UINT64_MAX};

	return numbers[sim_random(sim, 5)];
}

/* It woke up late and collects under a window that is over. */
static void late_begin(struct sim *sim, struct sim_heap *h)
{
	struct event e = {.type = EVENT_BEGIN, .heap = h->id};

	if (!h->id || !h->closes || h->window || h->collecting || sim->now <= h->closes)
		return;
	e.begin = (struct wire_begin){.window = h->last_window,
				      .at = sim->now,
				      .kind = WIRE_MAJOR,
				      .cause = WIRE_IN_WINDOW};
	if (send_event(sim, &e) == 0)
		sim_break(sim, "I-5", "heap %u began in a window that was over",
			  (unsigned)h->id);
}

static void lie(struct sim *sim, struct sim_heap *h)
{
	struct event e = {.heap = h->id};

	h->lies++;
	switch (sim_random(sim, 6)) {
	case 5:
		late_begin(sim, h);
		return;
	case 0:
		e.type = EVENT_REPORT;
		e.report = (struct wire_report){.at = absurd(sim),
						.used = absurd(sim),
						.allocated = absurd(sim),
						.live = absurd(sim),
						.budget = h->spec.budget};
		break;
	case 1:
		e.type = EVENT_QUIET;
		e.quiet.window = absurd(sim);
		break;
	case 2:
		e.type = EVENT_BEGIN;
		e.begin = (struct wire_begin){absurd(sim) | 1, absurd(sim), WIRE_MAJOR,
					      WIRE_IN_WINDOW};
		break;
	case 3:
		e.type = EVENT_END;
		e.end = (struct wire_end){.window = absurd(sim) | 1,
					  .begin = absurd(sim),
					  .end = absurd(sim),
					  .freed = absurd(sim),
					  .live = absurd(sim)};
		break;
	default:
		e.type = EVENT_IDLE;
		e.idle.until = absurd(sim);
		break;
	}
	send_event(sim, &e);
}

/* The daemon dies and another one takes its place: clients come back one by one. */
static void restart_daemon(struct sim *sim)
{
	struct core_status status;

	supervisor_status(sim->core, &status);
	sim->over_limit += status.over_limit;
	sim->restarts++;
	supervisor_free(sim->core);
	sim->core = NULL;
	sim->strained_until = sim->gates_opened = sim->ungated = 0;
	if (supervisor_new(&sim->config, sim->now, &sim->core) < 0)
		abort();
	for (unsigned i = 0; i < sim->n_heaps; i++) {
		struct sim_heap *h = &sim->heap[i];
		uint64_t running = h->collecting ? h->in_use : 0;

		h->id = 0;
		h->draining = false;
		join(sim, h, running, h->closes);
		h->window = running ? running : h->window;
		advance(sim, h);
		report(sim, h);
	}
}

/* An operator holds a service back, lets it go again, or has a heap collect. */
static void order(struct sim *sim, struct sim_heap *h)
{
	struct event e = {.heap = h->id};

	e.type = sim_random(sim, 2) ? EVENT_HOLD : EVENT_COLLECT;
	e.held = sim_random(sim, 2);
	if (h->id)
		send_event(sim, &e);
}

static void fault(struct sim *sim, unsigned which)
{
	struct sim_heap *h = &sim->heap[sim_random(sim, sim->n_heaps)];

	sim->calm_since = sim->now;
	advance(sim, h);
	if (sim->orders && sim_random(sim, 3) == 0) {
		order(sim, h);
		return;
	}
	if (sim->strains && sim_random(sim, 3) == 0) {
		sim_strain(sim);
		drain_actions(sim);
		return;
	}
	switch (which) {
	case 0:
		restart_daemon(sim);
		break;
	case 1:
	case 2:
		if (!h->stopped)
			stop(sim, h);
		break;
	case 3:
	case 4:
		reconnect(sim, h);
		break;
	case 5:
	case 6:
	case 7:
		lie(sim, h);
		break;
	default:
		sim->deaths++;
		die_and_start_again(sim, h);
		break;
	}
}

/* ---- Steps ------------------------------------------------------------------------------------- */

enum what {
	NOTHING,
	CORE,
	RATE,
	WATERMARK,
	CEILING,
	QUIET,
	BEGIN,
	END,
	RESUME
};

static void earlier(nsec_t at, enum what what, struct sim_heap *h, nsec_t *best,
		    enum what *ret_what, struct sim_heap **ret)
{
	if (at < *best) {
		*best = at;
		*ret_what = what;
		*ret = h;
	}
}

static double ceiling(const struct sim_heap *h)
{
	return (double)h->budget * (sim_runs_beside(h) ? 1.5 : 1);
}

static nsec_t next_event(struct sim *sim, enum what *ret_what, struct sim_heap **ret)
{
	nsec_t best = supervisor_deadline(sim->core);

	*ret_what = best == NSEC_NEVER ? NOTHING : CORE;
	for (unsigned i = 0; i < sim->n_heaps; i++) {
		struct sim_heap *h = &sim->heap[i];

		earlier(h->rate_until, RATE, h, &best, ret_what, ret);
		if (h->watermark != UINT64_MAX)
			earlier(when_used_reaches(h, (double)h->watermark), WATERMARK, h,
				&best, ret_what, ret);
		if (!h->stopped)
			earlier(h->report_by, WATERMARK, h, &best, ret_what, ret);
		earlier(when_used_reaches(h, ceiling(h)), CEILING, h, &best, ret_what,
			ret);
		earlier(h->quiet_at, QUIET, h, &best, ret_what, ret);
		earlier(h->begin_at, BEGIN, h, &best, ret_what, ret);
		earlier(h->end_at, END, h, &best, ret_what, ret);
		earlier(h->resume_at, RESUME, h, &best, ret_what, ret);
	}
	return best;
}

/*
 * L-1: who reaches its ceiling had at least been due. L-2: so it is again, five calm seconds after
 * the last fault. (A heap without a page may burst between two reports.)
 */
static void check_forced(struct sim *sim, const struct sim_heap *h)
{
	struct core_heap info;

	if (!(h->spec.caps & WIRE_CAP_PAGE) || h->lies ||
	    sim->now < sim->calm_since + 5 * SEC)
		return;
	if (supervisor_heap_after(sim->core, h->id - 1, sim->now, &info) &&
	    info.id == h->id && info.state == HEAP_IDLE &&
	    !(info.strikes >= 3 && info.overruns)) /* it keeps to no window */
		sim_break(sim, sim->calm_since ? "L-2" : "L-1",
			  "heap %u was forced and nobody had minded", (unsigned)h->id);
}

static void quiet(struct sim *sim, struct sim_heap *h)
{
	struct event e = {.type = h->draining ? EVENT_DRAINED : EVENT_QUIET,
			  .heap = h->id};

	h->quiet_at = NSEC_NEVER;
	if (h->draining)
		e.window = h->window;
	else
		e.quiet.window = h->window;
	if (h->id && !h->lost && h->window)
		send_event(sim, &e);
}

static void safe_point(struct sim *sim, struct sim_heap *h)
{
	h->begin_at = NSEC_NEVER;
	/* The last look before it begins: still open, and does the pause fit? */
	if (!h->open || h->collecting || h->lost || sim->now >= h->closes ||
	    sim->now + h->predicted > h->closes)
		return;
	begin(sim, h, false);
}

static void do_event(struct sim *sim, enum what what, struct sim_heap *h)
{
	switch (what) {
	case NOTHING:
		break;
	case CORE:
		supervisor_tick(sim->core, sim->now);
		drain_actions(sim);
		if (supervisor_deadline(sim->core) <= sim->now)
			sim_break(sim, "L-1", "the core's deadline does not move on");
		break;
	case RATE:
		change_rate(sim, h);
		break;
	case WATERMARK:
		h->report_by = NSEC_NEVER;
		h->used = ceil(h->used);
		report(sim, h);
		if (h->watermark <= (uint64_t)h->used)
			h->watermark = UINT64_MAX;
		break;
	case CEILING:
		check_forced(sim, h);
		if (h->collecting)
			void_snapshot(sim, h);
		begin(sim, h, true);
		break;
	case QUIET:
		quiet(sim, h);
		break;
	case BEGIN:
		safe_point(sim, h);
		break;
	case END:
		end(sim, h);
		break;
	case RESUME:
		resume(sim, h);
		break;
	}
}

bool sim_step(struct sim *sim)
{
	struct sim_heap *h = NULL;
	enum what what;
	nsec_t at = next_event(sim, &what, &h);

	sim->steps++;
	if (what == NOTHING) {
		sim_break(sim, "L-1", "nothing will ever happen again");
		return false;
	}
	if (at > sim->now)
		sim->now = at;
	if (sim->faults && sim_random(sim, 40) == 0) {
		unsigned which = (unsigned)sim_random(sim, FAULTS);

		fault(sim, which);
	} else {
		if (h)
			advance(sim, h);
		do_event(sim, what, h);
	}
	sim_check(sim);
	return !sim->broken[0];
}

bool sim_churn(struct sim *sim)
{
	fault(sim, 1 + (unsigned)sim_random(sim, FAULTS - 1));
	sim_check(sim);
	return !sim->broken[0];
}

bool sim_restart(struct sim *sim)
{
	fault(sim, 0);
	sim_check(sim);
	return !sim->broken[0];
}

bool sim_run_until(struct sim *sim, nsec_t at)
{
	struct sim_heap *h;
	enum what what;

	while (next_event(sim, &what, &h) <= at)
		if (!sim_step(sim))
			return false;
	sim->now = at;
	return true;
}

/* ---- Start and end ----------------------------------------------------------------------------- */

void sim_start(struct sim *sim)
{
	if (supervisor_new(&sim->config, sim->now, &sim->core) < 0)
		abort();
	for (unsigned i = 0; i < sim->n_heaps; i++)
		die_and_start_again(sim, &sim->heap[i]);
}

void sim_configure(struct sim *sim)
{
	if (supervisor_configure(sim->core, &sim->config, sim->now) < 0)
		abort();
	drain_actions(sim);
}

bool sim_finish(struct sim *sim)
{
	struct core_status status;

	for (unsigned i = 0; i < sim->n_heaps; i++)
		if (sim->heap[i].id)
			leave(sim, &sim->heap[i]);
	supervisor_status(sim->core, &status);
	sim->over_limit += status.over_limit;
	if (status.heaps || status.services || status.windows_open || status.paused_now ||
	    supervisor_deadline(sim->core) != NSEC_NEVER)
		sim_break(sim, "I-7", "something is left over when all have left");
	sim->core = supervisor_free(sim->core);
	return !sim->broken[0];
}
