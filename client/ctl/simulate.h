/* SPDX-License-Identifier: MIT */
/*
 * rtgcctl simulate: what an event log holds, and its heaps run again through the daemon's own
 * core.
 *
 *   simulate.c          the verb: --set, the table
 *   simulate_log.c      reads a log into a history for each heap
 *   simulate_history.c  what a heap would do: allocate, collect, become quiet, begin
 *   simulate_heap.c     one heap in the replay
 *   simulate_run.c      the replay
 *   simulate_figures.c  what comes out, counted for log and replay alike
 *
 * Nothing here is random: the same log and configuration always give the same figures.
 */
#ifndef RTGCCTL_SIMULATE_H
#define RTGCCTL_SIMULATE_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/supervisor.h"
#include "daemon/eventlog.h"

/* ---- What is shown ---------------------------------------------------------------------- */

struct sim_pause {
	nsec_t begin, end;
};

struct sim_figures {
	uint64_t windows, over_limit, forced, collections;
	nsec_t *waits; /* from wanting to begin */
	size_t n_waits, room_waits;
	struct sim_pause *pauses; /* all but minor ones */
	size_t n_pauses, room_pauses;
};

void figures_wait(struct sim_figures *f, nsec_t wait);
void figures_pause(struct sim_figures *f, nsec_t begin, nsec_t end);
/* 0 when there was no wait. permille: 500 is the median. */
nsec_t figures_wait_quantile(const struct sim_figures *f, unsigned permille);
unsigned figures_most_at_once(const struct sim_figures *f);
nsec_t figures_gc_time(const struct sim_figures *f);
void figures_deinit(struct sim_figures *f);

/* ---- What a log tells of a heap --------------------------------------------------------- */

struct sim_report {
	nsec_t at, busy; /* busy: how long the program had run since it joined, less its
			    pauses */
	struct wire_report report;
	double grown; /* units added to `used` since the first report, collections aside */
};

struct sim_collection {
	struct wire_end end; /* ends with its longest stop */
	nsec_t run;	     /* from begin to end: of a snapshot, longer than that */
	nsec_t busy;	     /* when it began, see above */
	double grown; /* of a whole one: units that were added since the one before */
};

/* One that looks for garbage in all of the heap. (A freeze sets the heap aside, and finds nothing.) */
static inline bool sim_is_whole(unsigned kind)
{
	return kind == WIRE_MAJOR || kind == WIRE_SNAPSHOT;
}

enum sim_answer {
	SIM_BEGINS,
	SIM_DECLINES,
	SIM_IGNORES,
	SIM_QUIET, /* these: to an announcement */
	SIM_DRAINED,
	SIM_UNDRAINABLE,
};

struct sim_delay {
	enum sim_answer answer;
	nsec_t delay;
};

struct sim_delays {
	struct sim_delay *list;
	size_t n, room;
};

struct sim_history {
	uint64_t heap;
	nsec_t joined;
	struct event_join join;
	bool running; /* it was collecting when the log began */
	struct sim_report *reports;
	size_t n_reports, room_reports;
	struct sim_collection *collections; /* all kinds, in order */
	size_t n_collections, room_collections;
	struct sim_delays to_begin, to_quiet; /* in order */
	double live_share; /* of what is added to used, so much is added to live */
	double slope;	   /* units a nanosecond, behind the last report */
	double allocated_slope;
	double cost;   /* of a major in nanoseconds a unit, where it never ran one */
	nsec_t paused; /* while it is read */
	/* While it is read: the last window that it was told of. */
	uint64_t window;
	nsec_t announced, opens, wanted;
	bool open;
};

struct sim_item { /* what happens at its time, whatever the daemon decides */
	nsec_t at;
	struct sim_history *history; /* NULL: the configuration */
	struct event event;
	struct core_config config; /* its services are owned */
};

struct sim_log {
	struct eventlog_header header;
	nsec_t end;
	unsigned long lines;
	struct sim_history **histories;
	size_t n_histories, room_histories;
	struct sim_item *items; /* in order */
	size_t n_items, room_items;
	struct sim_delays to_begin, to_quiet; /* of all heaps */
	struct sim_figures recorded;
};

/* Says what is wrong and returns the exit status. */
int sim_log_read(const char *path, struct sim_log **ret);
struct sim_log *sim_log_free(struct sim_log *log);
/* An array that grows; returns its new last item, zeroed. */
void *sim_append(void *array_of_items, size_t *n, size_t *room, size_t item);

/* ---- What a heap would do (simulate_history.c) ------------------------------------------ */

/* To be called once the log is read. */
void history_finish(struct sim_history *h);
/* Units added to used from the first report until so much busy time. */
double history_grown(const struct sim_history *h, nsec_t busy);
double history_allocated(const struct sim_history *h, nsec_t busy);
/* When so much will have been added, at `busy` or later; NSEC_NEVER: not at all. */
nsec_t history_grown_at(const struct sim_history *h, double grown, nsec_t busy);
/* The last report at that time; NULL: there was none yet. */
const struct sim_report *history_report(const struct sim_history *h, nsec_t busy);
/* What a collection of that kind leaves at that time: used and live, in units. */
void history_after(const struct sim_history *h, unsigned kind, nsec_t busy,
		   double *ret_used, double *ret_live);
/* What a whole collection frees at that time, with so much added since the last one. */
double history_freed(const struct sim_history *h, nsec_t busy, double grown);
/*
 * The n-th of that kind that is simulated: how long it stops the program, and how long it takes from
 * begin to end (which is longer for snapshots only), when it walks so much.
 */
nsec_t history_pause(const struct sim_history *h, unsigned kind, size_t n, nsec_t busy,
		     double walked, nsec_t *ret_run);
/* The n-th of the heap's delays, again from the first at the end; else the median of all's. */
struct sim_delay delay_of(const struct sim_delays *own, const struct sim_delays *all,
			  size_t n, enum sim_answer otherwise);
void delays_add(struct sim_delays *delays, enum sim_answer answer, nsec_t delay);

/* ---- The replay --------------------------------------------------------------------------- */

/* Another configuration instead of the one in the log. *ret: its services are owned. */
typedef int (*sim_config_fn)(void *userdata, const struct core_config *config,
			     struct core_config *ret);

/* change: NULL: as it was. Says what is wrong and returns the exit status. */
int sim_run(const struct sim_log *log, sim_config_fn change, void *userdata,
	    struct sim_figures *ret);

struct sim_heap { /* in the replay */
	const struct sim_history *h;
	const struct sim_log *log;
	size_t index; /* in the queue; SIZE_MAX: not there */
	nsec_t next;  /* when it does something next */
	bool connected, told_by;
	bool collecting;
	nsec_t joined, paused;	     /* paused: all pauses that are over */
	nsec_t begun, resumes;	     /* the one that is not */
	bool snapshot;		     /* one is at work beside the program */
	struct wire_end end;	     /* what it will say at its end */
	double used_base, live_base; /* after the last collection */
	nsec_t busy_base;	     /* and then */
	double dropped;		     /* by minor collections since */
	double added; /* since the last whole collection up to then (freezes came between) */
	uint64_t outgrown; /* see libruntime's guard.h; 0: not so */
	struct wire_directive directive;
	uint64_t told; /* the watermark that was reported */
	uint64_t window;
	uint8_t kind; /* enum wire_kind of that window */
	bool open, drain;
	nsec_t opens, closes, wanted;
	nsec_t begin_at, quiet_at;
	struct sim_delay answer, calm;
	size_t n_run[WIRE_KINDS], n_opened, n_announced, n_others;
};

/* What it does by itself at `now`, which was its `next`. false: nothing (more). */
bool sim_heap_act(struct sim_heap *heap, nsec_t now, struct event *ret);
/* Its figures. false: it has none to tell yet. */
bool sim_heap_report(struct sim_heap *heap, nsec_t now, struct event *ret);
void sim_heap_join(struct sim_heap *heap, nsec_t now, struct event *ret);
void sim_heap_told(struct sim_heap *heap, const struct action *action, nsec_t wanted,
		   nsec_t now);
/* Works out `next`. */
void sim_heap_plan(struct sim_heap *heap, nsec_t now);

#endif
