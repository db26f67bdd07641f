/* SPDX-License-Identifier: MIT */
/*
 * The core under sequences of frames: the bytes choose a host, then who says what and when; clients
 * join, lie, vanish and come back, the daemon starts again with its memory or without. After each
 * step the invariants of the simulator are checked (tests/sim/invariants.c), and that each client was told
 * of exactly those windows which the core counts.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/core/memory.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/model.h"

#define CONNECTIONS 10
#define PROCESSES   5 /* pids; each may have several connections */
#define STEPS	    2000
#define TURNS	    50000 /* of the core between two steps */

static const char *const names[SIM_SERVICES_MAX] = {"s0", "s1", "s2", "s3"};

struct host {
	struct sim sim; /* its configuration is what must be kept to */
	struct core_config config;
	struct core_service_config services[SIM_SERVICES_MAX]; /* in force */
	struct fuzz_bytes in;
	/* Until when a BEGIN in the last window is believed, 0: not at all. */
	nsec_t expired[CONNECTIONS];
};

static void check(struct host *host)
{
	struct sim *sim = &host->sim;

	sim->steps++;
	sim_check(sim);
	if (sim->broken[0])
		fuzz_fail(__FILE__, __LINE__, "%s: %s", sim->broken, sim->detail);
}

/* ---- What the clients were told ---------------------------------------------------------- */

static void over(struct host *host, struct sim_heap *h, const struct action *a)
{
	fuzz_check(h->window == a->revoke.window);
	/* The client sees within a second that it is over. */
	host->expired[h - host->sim.heap] =
		a->revoke.reason != REASON_DECLINED && h->open && !h->in_use
			? nsec_min(h->closes, nsec_add(host->sim.now, NSEC_PER_SEC))
			: 0;
	h->last_window = h->window;
	h->window = h->in_use = 0;
	h->open = false;
}

static void told(struct host *host, struct sim_heap *h, const struct action *a)
{
	nsec_t now = host->sim.now;

	switch (a->type) {
	case ACTION_DIRECT:
	case ACTION_LOOK:
		break;
	case ACTION_ANNOUNCE:
		fuzz_check(!h->window && a->announce.window);
		fuzz_check(a->announce.opens_by >= now);
		h->window = a->announce.window;
		break;
	case ACTION_OPEN:
		fuzz_check(!h->window || (h->window == a->window.window && !h->open));
		fuzz_check(a->window.opens >= now && a->window.closes > a->window.opens);
		h->window = a->window.window;
		h->open = true;
		h->closes = a->window.closes;
		break;
	case ACTION_REVOKE:
	case ACTION_CLOSE:
		over(host, h, a);
		break;
	case ACTION_DRAIN:
		fuzz_check(!h->draining);
		h->draining = true;
		break;
	case ACTION_UNDRAIN:
		fuzz_check(h->draining);
		h->draining = false;
		break;
	}
}

static void take_actions(struct host *host)
{
	struct action a;

	while (supervisor_next_action(host->sim.core, &a)) {
		struct sim_heap *h = sim_by_id(&host->sim, a.heap);

		fuzz_check(h && a.heap);
		told(host, h, &a);
	}
}

/* I-3: the windows the core has are those which the clients know. */
static void check_windows(struct host *host)
{
	struct sim *sim = &host->sim;
	unsigned n = 0;
	struct core_window win;

	for (uint64_t after = 0; supervisor_window_after(sim->core, after, &win);
	     after = win.heap) {
		const struct sim_heap *h = sim_by_id(sim, win.heap);

		n++;
		fuzz_check(h && h->window == win.id);
		fuzz_check(h->open == (win.state != WINDOW_ANNOUNCED));
	}
	for (unsigned i = 0; i < sim->n_heaps; i++)
		n -= sim->heap[i].window != 0;
	fuzz_check(n == 0);
}

/* What a client brought along, or began just in time, the core may have taken up again. */
static void adopted(struct host *host, struct sim_heap *h)
{
	struct core_window win;

	if (!supervisor_window_after(host->sim.core, h->id - 1, &win) ||
	    win.heap != h->id || h->window)
		return;
	fuzz_check(win.state == WINDOW_IN_USE && win.reason == REASON_ADOPTED);
	h->window = h->in_use = win.id;
	h->open = true;
	h->closes = win.closes;
}

/* ---- Events -------------------------------------------------------------------------------- */

static int send_event(struct host *host, struct sim_heap *h, const struct event *e)
{
	int r = supervisor_handle(host->sim.core, e, host->sim.now);

	fuzz_check(r >= 0);
	take_actions(host);
	if (e->type == EVENT_JOIN || (e->type == EVENT_BEGIN && r == 0))
		adopted(host, h);
	return r;
}

static void leave(struct host *host, struct sim_heap *h)
{
	struct event e = {.type = EVENT_LEAVE, .heap = h->id};

	send_event(host, h, &e);
	fuzz_check(!h->window && !h->draining);
	*h = (struct sim_heap){.id = 0};
}

static void join(struct host *host, struct sim_heap *h, const struct wire_hello *hello)
{
	struct sim *sim = &host->sim;
	unsigned index = (unsigned)(h - sim->heap);
	struct event e = {.type = EVENT_JOIN, .heap = ++sim->next_id};

	e.join.uid = 1000;
	e.join.pid = (int32_t)(index % PROCESSES) + 1;
	e.join.hello = *hello;
	/* One that the same process has lost, by the same name: as the edge finds it. */
	for (unsigned i = index % PROCESSES; i < CONNECTIONS; i += PROCESSES)
		if (sim->heap[i].id && sim->heap[i].lost)
			e.join.former = sim->heap[i].id;
	*h = (struct sim_heap){.id = e.heap};
	for (unsigned i = 0; i < SIM_SERVICES_MAX; i++)
		if (strcmp(names[i], hello->service) == 0)
			h->spec.service = i;
	send_event(host, h, &e);
}

/* As the edge does it: a frame of this client as an event. false: there is none for it. */
static bool event_of(const struct wire_frame *frame, nsec_t now, struct event *e)
{
	switch (frame->type) {
	case WIRE_REPORT:
		e->type = EVENT_REPORT;
		e->report = frame->report;
		e->report.at = nsec_min(frame->report.at, now);
		return true;
	case WIRE_DEADLINE:
		e->type = EVENT_DEADLINE;
		e->deadline = frame->deadline;
		return true;
	case WIRE_IDLE:
		e->type = EVENT_IDLE;
		e->idle = frame->idle;
		return true;
	case WIRE_BUSY:
		e->type = EVENT_BUSY;
		return true;
	case WIRE_QUIET:
		e->type = EVENT_QUIET;
		e->quiet = frame->quiet;
		return true;
	case WIRE_BEGIN:
		e->type = EVENT_BEGIN;
		e->begin = frame->begin;
		return true;
	case WIRE_END:
		e->type = EVENT_END;
		e->end = frame->end;
		return true;
	case WIRE_DECLINE:
		e->type = EVENT_DECLINE;
		e->decline = frame->decline;
		return true;
	case WIRE_OFFER:
		e->type = EVENT_OFFER;
		e->offer = frame->offer;
		return true;
	}
	return false;
}

/* I-5: in a window that was open at that instant, or not at all. */
static void check_begin(struct host *host, struct sim_heap *h, const struct wire_begin *b,
			bool open, uint64_t window, nsec_t closes)
{
	nsec_t at = nsec_min(b->at, host->sim.now);
	nsec_t expired = host->expired[h - host->sim.heap];

	if (b->cause != WIRE_IN_WINDOW)
		return;
	if (window) {
		fuzz_check(open && b->window == window && at < closes);
		h->in_use = window;
	} else {
		fuzz_check(b->window == h->last_window && at < expired);
	}
}

static void frame(struct host *host, struct sim_heap *h)
{
	uint64_t window = h->window;
	bool open = h->open && !h->in_use;
	nsec_t closes = h->closes;
	struct wire_frame f;
	struct event e = {.heap = h->id};

	fuzz_frame(&host->in, host->sim.now, window ? window : h->last_window, names,
		   SIM_SERVICES_MAX, &f);
	if (f.type == WIRE_HELLO && !h->id)
		join(host, h, &f.hello);
	else if (!h->id || h->lost)
		return;
	else if (f.type == WIRE_BYE)
		leave(host, h);
	else if (event_of(&f, host->sim.now, &e) && send_event(host, h, &e) == 0 &&
		 f.type == WIRE_BEGIN)
		check_begin(host, h, &f.begin, open, window, closes);
}

static void edge_event(struct host *host, struct sim_heap *h)
{
	struct event e = {.heap = h->id, .window = h->window};

	if (!h->id)
		return;
	switch (fuzz_below(&host->in, 6)) {
	case 0:
		leave(host, h);
		return;
	case 1:
	case 2:
		if (h->lost)
			return;
		e.type = EVENT_LOST;
		h->lost = h->stopped = true;
		break;
	case 3:
		e.type = EVENT_UNDRAINABLE;
		break;
	case 5:
		e.type = fuzz_below(&host->in, 2) ? EVENT_HOLD : EVENT_COLLECT;
		e.held = fuzz_below(&host->in, 2);
		break;
	default:
		e.type = EVENT_DRAINED;
		break;
	}
	send_event(host, h, &e);
}

/* ---- Time ------------------------------------------------------------------------------------ */

static void pass(struct host *host, nsec_t span)
{
	struct sim *sim = &host->sim;
	nsec_t to = sim->now + span;
	unsigned turns = 0;

	while (supervisor_deadline(sim->core) <= to) {
		sim->now = nsec_max(sim->now, supervisor_deadline(sim->core));
		supervisor_tick(sim->core, sim->now);
		take_actions(host);
		fuzz_check(supervisor_deadline(sim->core) > sim->now);
		fuzz_check(++turns < TURNS);
		check(host);
	}
	sim->now = to;
}

/* ---- The daemon ------------------------------------------------------------------------------ */

static void start(struct host *host)
{
	struct sim *sim = &host->sim;

	fuzz_check(supervisor_new(&host->config, sim->now, &sim->core) == 0);
}

/* What outlives it is there again as connections that were lost, or nothing is. */
static void restart(struct host *host, bool keep)
{
	static struct core_memory memory[CONNECTIONS];
	struct sim *sim = &host->sim;
	bool known[CONNECTIONS];

	for (unsigned i = 0; i < CONNECTIONS; i++)
		known[i] = keep && sim->heap[i].id &&
			   supervisor_memory(sim->core, sim->heap[i].id, &memory[i]);
	supervisor_free(sim->core);
	start(host);
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		struct sim_heap *h = &sim->heap[i];
		bool held = known[i] && memory[i].held.hold != CORE_HOLDS_NOTHING;
		uint64_t window = h->window;

		host->expired[i] = 0;
		h->draining = false;
		h->lost = h->stopped = true;
		h->id = known[i] ? ++sim->next_id : 0;
		h->window = h->in_use = 0;
		h->open = false;
		if (!known[i]) {
			*h = (struct sim_heap){.last_window = window};
			continue;
		}
		fuzz_check(supervisor_restore(sim->core, h->id, &memory[i], sim->now) ==
			   0);
		if (held) {
			h->window = window;
			h->open = true;
			h->closes = memory[i].held.closes;
			if (memory[i].held.hold == CORE_HOLDS_IN_USE)
				h->in_use = window;
		}
		take_actions(host);
	}
}

/* Windows in force stay when a limit is lowered: it is kept to once all of them are over. */
static void limits(struct host *host, bool at_once)
{
	struct sim *sim = &host->sim;

	if (at_once || sim->config.max_concurrent < host->config.max_concurrent)
		sim->config.max_concurrent = host->config.max_concurrent;
	for (unsigned i = 0; i < SIM_SERVICES_MAX; i++)
		if (at_once ||
		    sim->services[i].max_concurrent < host->services[i].max_concurrent)
			sim->services[i].max_concurrent =
				host->services[i].max_concurrent;
}

static void configure(struct host *host)
{
	struct sim *sim = &host->sim;
	struct core_service_config *service =
		&host->services[fuzz_below(&host->in, SIM_SERVICES_MAX)];

	host->config.max_concurrent = 1 + fuzz_below(&host->in, 4);
	host->config.memory_budget =
		fuzz_below(&host->in, 2) ? fuzz_number(&host->in) : 0;
	service->max_concurrent = 1 + fuzz_below(&host->in, 3);
	service->drain = (enum core_drain)fuzz_below(&host->in, 3);
	service->budget_bytes = fuzz_below(&host->in, 2) ? fuzz_number(&host->in) : 0;
	limits(host, false);
	fuzz_check(supervisor_configure(sim->core, &host->config, sim->now) == 0);
	take_actions(host);
}

static void settle_limits(struct host *host)
{
	struct core_status status;

	supervisor_status(host->sim.core, &status);
	if (status.windows_open == 0)
		limits(host, true);
}

static void set_up(struct host *host)
{
	struct sim *sim = &host->sim;
	struct fuzz_bytes *in = &host->in;

	sim_init(sim, 0);
	sim->n_heaps = CONNECTIONS;
	sim->config.n_services = SIM_SERVICES_MAX;
	sim->config.max_concurrent = 1 + fuzz_below(in, 4);
	for (unsigned i = 0; i < SIM_SERVICES_MAX; i++) {
		struct core_service_config *service = &sim->services[i];

		service->policy = (enum core_policy)fuzz_below(in, 4);
		service->drain = (enum core_drain)fuzz_below(in, 3);
		service->max_concurrent = 1 + fuzz_below(in, 3);
		service->lead = nsec_min(fuzz_span(in), 60 * NSEC_PER_SEC);
		if (fuzz_below(in, 2))
			service->max_defer = fuzz_span(in) + 1;
		service->min_yield_permille = fuzz_below(in, 2) ? 10 : 0;
		if (fuzz_below(in, 3) == 0)
			snprintf(service->never_with[0], WIRE_NAME_MAX, "%s",
				 names[(i + 1 + fuzz_below(in, 3)) % SIM_SERVICES_MAX]);
	}
	host->config = sim->config;
	memcpy(host->services, sim->services, sizeof(host->services));
	host->config.services = host->services;
	start(host);
}

static void step(struct host *host)
{
	unsigned what = fuzz_below(&host->in, 16);
	struct sim_heap *h = &host->sim.heap[fuzz_below(&host->in, CONNECTIONS)];

	switch (what) {
	case 0:
		edge_event(host, h);
		break;
	case 1:
	case 2:
	case 3:
		pass(host, nsec_min(fuzz_span(&host->in), 600 * NSEC_PER_SEC));
		break;
	case 4:
		configure(host);
		break;
	case 5:
		if (fuzz_below(&host->in, 4) == 0)
			restart(host, fuzz_below(&host->in, 4) != 0);
		break;
	default:
		frame(host, h);
		break;
	}
	check(host);
	check_windows(host);
	settle_limits(host);
}

/* I-7: when all have left, nothing is left over. */
static void finish(struct host *host)
{
	struct sim *sim = &host->sim;

	for (unsigned i = 0; i < CONNECTIONS; i++)
		if (sim->heap[i].id)
			leave(host, &sim->heap[i]);
	if (!sim_finish(sim))
		fuzz_fail(__FILE__, __LINE__, "%s: %s", sim->broken, sim->detail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct host host;

	memset(&host, 0, sizeof(host));
	host.in = (struct fuzz_bytes){data, size};
	set_up(&host);
	for (unsigned i = 0; i < STEPS && host.in.left > 0; i++)
		step(&host);
	finish(&host);
	return 0;
}
