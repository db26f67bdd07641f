/* SPDX-License-Identifier: MIT */
/* The replay: the daemon's own core, the heaps of a log, and a clock that jumps. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/ctl.h"
#include "client/ctl/simulate.h"

/* More than any log that was recorded needs: absurd figures must not keep us for ever. */
#define STEPS_MIN    1000000
#define STEPS_A_LINE 1000

struct run {
	const struct sim_log *log;
	sim_config_fn change;
	void *userdata;
	struct supervisor *core;
	struct sim_figures *figures;
	nsec_t now;
	struct sim_heap *heaps;	 /* as the histories */
	struct sim_heap **queue; /* those that do something, the next first */
	size_t n_queued;
	struct sim_heap **looks; /* those that are to report at once */
	size_t n_looks;
};

/* ---- The queue --------------------------------------------------------------------------- */

static bool before(const struct sim_heap *a, const struct sim_heap *b)
{
	return a->next != b->next ? a->next < b->next : a->h->heap < b->h->heap;
}

static void put(struct run *run, size_t index, struct sim_heap *heap)
{
	run->queue[index] = heap;
	heap->index = index;
}

static void sift(struct run *run, size_t index)
{
	struct sim_heap *heap = run->queue[index];
	size_t child;

	while (index > 0 && before(heap, run->queue[(index - 1) / 2])) {
		put(run, index, run->queue[(index - 1) / 2]);
		index = (index - 1) / 2;
	}
	while ((child = 2 * index + 1) < run->n_queued) {
		if (child + 1 < run->n_queued &&
		    before(run->queue[child + 1], run->queue[child]))
			child++;
		if (!before(run->queue[child], heap))
			break;
		put(run, index, run->queue[child]);
		index = child;
	}
	put(run, index, heap);
}

static void plan(struct run *run, struct sim_heap *heap)
{
	struct sim_heap *last;
	size_t index = heap->index;

	sim_heap_plan(heap, run->now);
	if (heap->next != NSEC_NEVER) {
		if (index == SIZE_MAX)
			put(run, index = run->n_queued++, heap);
		sift(run, index);
	} else if (index != SIZE_MAX) {
		heap->index = SIZE_MAX;
		last = run->queue[--run->n_queued];
		if (last != heap) {
			put(run, index, last);
			sift(run, index);
		}
	}
}

/* ---- The core ---------------------------------------------------------------------------- */

static int by_heap(const void *key, const void *item)
{
	uint64_t id = *(const uint64_t *)key;
	const struct sim_heap *heap = item;

	return id < heap->h->heap ? -1 : id > heap->h->heap;
}

static struct sim_heap *find(const struct run *run, uint64_t id)
{
	return bsearch(&id, run->heaps, run->log->n_histories, sizeof(*run->heaps),
		       by_heap);
}

static nsec_t count_window(struct run *run, const struct action *action)
{
	struct core_window w;

	run->figures->windows++;
	if (!supervisor_window_after(run->core, action->heap - 1, &w) ||
	    w.id != action->window.window)
		return NSEC_NEVER;
	run->figures->over_limit += w.over_limit;
	return w.wanted;
}

static void take_actions(struct run *run)
{
	struct action action;

	while (supervisor_next_action(run->core, &action)) {
		struct sim_heap *heap = find(run, action.heap);
		nsec_t wanted = NSEC_NEVER;

		if (action.type == ACTION_OPEN)
			wanted = count_window(run, &action);
		if (heap == NULL || !heap->connected)
			continue;
		if (action.type == ACTION_LOOK &&
		    (heap->h->join.hello.caps & WIRE_CAP_PAGE) &&
		    run->n_looks < run->log->n_histories)
			run->looks[run->n_looks++] = heap;
		sim_heap_told(heap, &action, wanted, run->now);
		plan(run, heap);
	}
}

/* Pages that the core wants to be read. */
static int look(struct run *run)
{
	struct event event;
	int r = 0;

	while (run->n_looks > 0 && r >= 0) {
		struct sim_heap *heap = run->looks[--run->n_looks];

		if (!sim_heap_report(heap, run->now, &event))
			continue;
		r = supervisor_handle(run->core, &event, run->now);
		take_actions(run);
	}
	return r < 0 ? r : 0;
}

static int tell(struct run *run, const struct event *event)
{
	int r = supervisor_handle(run->core, event, run->now);

	if (r < 0)
		return r;
	take_actions(run);
	return look(run);
}

/* ---- Steps -------------------------------------------------------------------------------- */

static void count(struct run *run, const struct sim_heap *heap, const struct event *event)
{
	if (event->type == EVENT_BEGIN && event->begin.cause == WIRE_IN_WINDOW &&
	    heap->wanted != NSEC_NEVER)
		figures_wait(run->figures, nsec_sub(run->now, heap->wanted));
	if (event->type == EVENT_END && event->end.kind != WIRE_MINOR) {
		nsec_t end = event->end.stop ? nsec_add(event->end.begin, event->end.stop)
					     : event->end.end;

		figures_pause(run->figures, event->end.begin, end);
		run->figures->forced += event->end.cause == WIRE_FORCED;
	}
}

static int act(struct run *run, struct sim_heap *heap)
{
	struct event event;
	int r = 0;

	if (sim_heap_act(heap, run->now, &event)) {
		count(run, heap, &event);
		r = tell(run, &event);
	} else if (heap->next <= run->now) {
		/* A rounding: it is not quite there yet. */
		run->now++;
	}
	plan(run, heap);
	return r;
}

static int configure(struct run *run, const struct core_config *config)
{
	struct core_config changed = *config;
	int r = 0;

	if (run->change)
		r = run->change(run->userdata, config, &changed);
	if (r < 0)
		return r;
	r = run->core ? supervisor_configure(run->core, &changed, run->now)
		      : supervisor_new(&changed, run->now, &run->core);
	if (run->change)
		free((struct core_service_config *)changed.services);
	if (r == 0)
		take_actions(run);
	return r;
}

static int do_item(struct run *run, const struct sim_item *item)
{
	struct sim_heap *heap;
	struct event event = item->event;
	int r;

	if (item->history == NULL)
		return configure(run, &item->config);
	heap = find(run, item->history->heap);
	if (event.type == EVENT_JOIN)
		sim_heap_join(heap, run->now, &event);
	else if (!heap->connected && event.type != EVENT_LEAVE)
		return 0;
	else if (event.type == EVENT_BEGIN && !heap->collecting)
		return 0; /* whose end is not in the log */
	if (event.type == EVENT_LEAVE || event.type == EVENT_LOST)
		heap->connected = false;
	r = tell(run, &event);
	plan(run, heap);
	return r;
}

static int tick(struct run *run)
{
	supervisor_tick(run->core, run->now);
	take_actions(run);
	return look(run);
}

/* 0, -ENOMEM, or -ELOOP: it does not come to an end. */
static int go(struct run *run)
{
	const struct sim_log *log = run->log;
	uint64_t steps = STEPS_MIN + (uint64_t)log->lines * STEPS_A_LINE;
	size_t done = 0;
	int r = 0;

	while (r == 0) {
		nsec_t item = done < log->n_items ? log->items[done].at : NSEC_NEVER;
		nsec_t core = supervisor_deadline(run->core);
		nsec_t heap = run->n_queued > 0 ? run->queue[0]->next : NSEC_NEVER;
		nsec_t next = nsec_min(item, nsec_min(core, heap));

		if (next == NSEC_NEVER || next > log->end)
			return 0;
		if (steps-- == 0)
			return -ELOOP;
		run->now = nsec_max(run->now, next);
		if (item == next)
			r = do_item(run, &log->items[done++]);
		else if (core == next)
			r = tick(run);
		else
			r = act(run, run->queue[0]);
	}
	return r;
}

int sim_run(const struct sim_log *log, sim_config_fn change, void *userdata,
	    struct sim_figures *ret)
{
	struct sim_figures figures = {0};
	struct run run = {
		.log = log,
		.change = change,
		.userdata = userdata,
		.figures = &figures,
		.now = log->header.at,
		.heaps = ctl_alloc(log->n_histories * sizeof(*run.heaps)),
		.queue = ctl_alloc(log->n_histories * sizeof(*run.queue)),
		.looks = ctl_alloc(log->n_histories * sizeof(*run.looks)),
	};
	int r;

	for (size_t i = 0; i < log->n_histories; i++)
		run.heaps[i] = (struct sim_heap){
			.h = log->histories[i], .log = log, .index = SIZE_MAX};
	r = configure(&run, &log->header.config);
	if (r == 0)
		r = go(&run);
	supervisor_free(run.core);
	free(run.heaps);
	free(run.queue);
	free(run.looks);
	if (r < 0) {
		figures_deinit(&figures);
		return ctl_complain(CTL_FAILED, "the replay %s",
				    r == -ELOOP ? "does not come to an end: the log's "
						  "figures are absurd"
						: "ran out of memory");
	}
	*ret = figures;
	return CTL_OK;
}
