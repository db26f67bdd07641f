/* SPDX-License-Identifier: MIT */
/*
 * The core: state + event + now -> actions and the next deadline.
 *
 * Pure: it reads no clock, no file, no environment, draws no random number, writes no
 * log. It never calls out: what is to be done is noted, and the edge takes it action by action
 * after each event. The same events at the same instants always give the
 * same actions, which is what the simulator, replay and the tests rely on.
 *
 * Threads: one at a time. Units: instants and spans in nanoseconds (nsec_t), amounts in
 * the heap's own unit. Errors: -ENOMEM (state unchanged), or a positive enum
 * core_outcome.
 */
#ifndef RTGCD_CORE_SUPERVISOR_H
#define RTGCD_CORE_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/wire/nsec.h"
#include "client/wire/wire.h"
#include "daemon/core/histogram.h"
#include "daemon/core/reason.h"

struct supervisor;

/* ---- Configuration
 * ----------------------------------------------------------------------- */

enum core_policy {
	POLICY_STAGGER,
	POLICY_TOGETHER,
	POLICY_IDLE,
	POLICY_OBSERVE,
};

enum core_drain {
	DRAIN_NONE,	/* the heap's own idle gap, where its client can say "quiet" */
	DRAIN_CLIENT,	/* the client stops accepting and says QUIET */
	DRAIN_EXTERNAL, /* the edge drains it at a balancer and reports EVENT_DRAINED */
};

#define CORE_RIVALS_MAX 4

struct core_service_config {
	char name[WIRE_NAME_MAX];
	enum core_policy policy;
	enum core_drain drain;
	unsigned max_concurrent; /* >= 1 */
	uint64_t budget_bytes;	 /* for heaps that bring none; 0 = none */
	nsec_t lead, max_defer;
	unsigned min_yield_permille;
	char never_with[CORE_RIVALS_MAX]
		       [WIRE_NAME_MAX]; /* services, of any user; "" = none */
};

struct core_config {
	unsigned max_concurrent; /* on this host, all services; >= 1 */
	nsec_t gate_lag;	 /* the gates open when the loop is later; 0: never */
	unsigned
		gate_pressure_permille; /* or the host stands still for so long; 0: never */
	uint64_t
		memory_budget; /* bytes shared by heaps that bring no budget; 0: not shared */
	/* Also the settings of a service that has no section of its own (its name is "").
	 */
	struct core_service_config defaults;
	const struct core_service_config *services; /* borrowed during the call only */
	size_t n_services;
};

/* MaxConcurrent=1, stagger, no drain, Lead=200ms, MaxDefer=30s, MinYield=1%. */
void core_service_config_init(struct core_service_config *config);

/* ---- Events
 * ------------------------------------------------------------------------------ */

enum event_type {
	EVENT_JOIN,  /* a heap has said HELLO */
	EVENT_LEAVE, /* it said goodbye, or its process is dead: all it held is free at
			once */
	EVENT_LOST,  /* its connection ended but its process lives: leases run out by time
		      */
	EVENT_REPORT,
	EVENT_IDLE,
	EVENT_BUSY,
	EVENT_DEADLINE,
	EVENT_QUIET,
	EVENT_BEGIN,
	EVENT_END,
	EVENT_DECLINE,
	EVENT_OFFER,
	EVENT_DRAINED,	   /* the edge: the balancer sends it nothing any more */
	EVENT_UNDRAINABLE, /* the edge: it cannot be drained; detail in the log */
	EVENT_HOLD,	   /* an operator: its service is held back, or no longer */
	EVENT_COLLECT,	   /* an operator: it is to collect as soon as it may */
};

struct event_join {
	uint32_t uid;
	int32_t pid;
	uint64_t
		former; /* it is this heap, which was lost, by a new connection; 0: it is new */
	struct wire_hello hello;
};

struct event {
	enum event_type type;
	uint64_t heap; /* chosen by the edge at EVENT_JOIN, never used twice, ascending,
			  not 0 */
	union {
		struct event_join join;
		struct wire_report report;
		struct wire_idle idle;
		struct wire_deadline deadline;
		struct wire_quiet quiet;
		struct wire_begin begin;
		struct wire_end end;
		struct wire_decline_frame decline;
		struct wire_offer offer;
		uint64_t window; /* EVENT_DRAINED, EVENT_UNDRAINABLE */
		bool held;	 /* EVENT_HOLD */
	};
};

/* Outcomes that the direct caller handles. */
enum core_outcome {
	CORE_E_HEAP = 1, /* no such heap */
	CORE_E_WINDOW, /* names a window that is not (or no longer) this heap's: counted,
			  ignored */
	CORE_E_ORDER,  /* END without BEGIN and the like: counted, ignored */
	CORE_E_CANNOT, /* EVENT_COLLECT: nothing that it offers finds garbage, or it is lost */
};

/* ---- Actions
 * ----------------------------------------------------------------------------- */

enum action_type {	/* in the order in which one event leads to them, of one heap */
	ACTION_REVOKE,	/* the window is over and was not used */
	ACTION_CLOSE,	/* the window is over and was used, or its heap is gone */
	ACTION_UNDRAIN, /* always follows ACTION_DRAIN, whatever happens in between */
	ACTION_ANNOUNCE,
	ACTION_DRAIN, /* drain at the balancer; answer with EVENT_DRAINED or _UNDRAINABLE */
	ACTION_OPEN,
	ACTION_LOOK, /* read the heap's page now, if it has one, and send EVENT_REPORT */
	ACTION_DIRECT, /* tell the heap what to report when */
};

struct action {
	enum action_type type;
	uint64_t heap;
	union {
		struct wire_directive directive;
		struct wire_announce announce;
		struct wire_window window;
		struct wire_revoke
			revoke; /* REVOKE, CLOSE, DRAIN, UNDRAIN: the window it is for */
	};
};

/* ---- Strain
 * ------------------------------------------------------------------------------ */

struct core_strain { /* what the edge has measured of itself and its host */
	nsec_t lag;  /* so late the loop was; 0: it was not looked at */
	unsigned pressure_permille; /* so much of the time the host stood still */
	bool stood_still; /* everything did, stopped or suspended: it says nothing */
};

struct core_gates { /* open: nobody waits for a slot */
	bool open;
	enum core_strain_cause {
		STRAIN_NONE,
		STRAIN_LAG,
		STRAIN_PRESSURE,
	} cause; /* of the last time, with what was measured, and when */
	struct core_strain by;
	nsec_t since;
	uint64_t opened;  /* so often */
	uint64_t ungated; /* windows that opened while they were */
};

/* ---- The core
 * ---------------------------------------------------------------------------- */

int supervisor_new(const struct core_config *config, nsec_t now, struct supervisor **ret);
struct supervisor *supervisor_free(struct supervisor *s);

/* Takes another configuration at once; windows in force stay. 0 or -ENOMEM (old one
 * stays). */
int supervisor_configure(struct supervisor *s, const struct core_config *config,
			 nsec_t now);
/* The actions it leads to must be taken before the next event, tick or configuration. */
int supervisor_handle(struct supervisor *s, const struct event *event, nsec_t now);
/* (Like an event: its actions are to be taken.) */
void supervisor_strain(struct supervisor *s, const struct core_strain *strain,
		       nsec_t now);
/* To be called at supervisor_deadline(), or later; earlier is harmless. */
void supervisor_tick(struct supervisor *s, nsec_t now);
/* When supervisor_tick() must be called next; NSEC_NEVER: not before the next event. */
nsec_t supervisor_deadline(const struct supervisor *s);
/* Takes the oldest action off the queue; false: there is none. */
bool supervisor_next_action(struct supervisor *s, struct action *ret);

/* ---- Looking (for the control socket; no state changes)
 * ---------------------------------- */

/* Do the collections fit into the slots, before one misses? */
struct core_admission {
	unsigned heaps;	    /* that collect at all */
	unsigned snapshots; /* those that need no slot for it */
	bool schedulable;
	unsigned needs_concurrent; /* slots that would do, at the rates and pauses seen */
	nsec_t pause, drain;	   /* the longest; both take a slot */
	nsec_t period;		   /* the shortest; NSEC_NEVER: all stand still */
	unsigned load_permille;	   /* of the slots */
	unsigned
		rate_headroom_permille; /* at that multiple of the present rates it just fits */
};

struct core_status {
	unsigned heaps, services;
	unsigned windows_open; /* announced or open or in use */
	unsigned paused_now, paused_max, max_concurrent;
	uint64_t windows_granted, forced, uncoordinated, overruns, over_limit, decisions;
	struct core_admission admission; /* of the host: all heaps on its slots */
};

struct core_service {
	char name[WIRE_NAME_MAX];
	uint32_t uid;
	enum core_policy policy;
	bool held; /* by EVENT_HOLD */
	unsigned max_concurrent, heaps, paused_now, paused_max;
	uint64_t windows, forced, over_limit;
	uint64_t would_wait;  /* Policy=observe: windows it would have held back */
	uint64_t dropped_out; /* Policy=together: members that missed their round */
	nsec_t wait_p99;      /* from wanting to begin */
	/* As in core_heap, of all pauses of its heaps. */
	unsigned predictions, prediction_coverage_permille, over_prediction_p50_permille;
	unsigned utilization_permille; /* of its slots, measured */
	struct core_admission admission;
	struct tally waited, pauses; /* in seconds; but those of minor collections */
	unsigned lost;		     /* of its heaps */
	unsigned fullest_permille;   /* of a budget, the most that a heap has used */
	uint64_t rss_bytes;	     /* of all of them that report it */
	nsec_t exhaustion;	     /* the first of them; NSEC_NEVER: not in sight */
};

enum core_state {
	HEAP_IDLE,
	HEAP_WANTING,
	HEAP_DRAINING,
	HEAP_GRANTED,
	HEAP_COLLECTING,
	HEAP_HELD,
	HEAP_LOST,
};

enum core_budget { /* where a heap's budget comes from */
	BUDGET_NONE,
	BUDGET_OWN,	/* the program's user gave it */
	BUDGET_SHARED,	/* its share of MemoryBudget= */
	BUDGET_RUNTIME, /* the runtime's own rule */
	BUDGET_SERVICE, /* Budget= of its service */
};

struct core_heap {
	uint64_t id;
	char name[WIRE_NAME_MAX], service[WIRE_NAME_MAX], runtime[WIRE_RUNTIME_MAX];
	int32_t pid;
	uint32_t uid;
	enum core_state state;
	bool held; /* its service is */
	uint8_t unit;
	uint64_t used, budget, live, alloc_rate_per_s, rss_bytes;
	uint64_t
		budget_bytes; /* what it may reach of MemoryBudget=; 0: it has no share */
	enum core_budget budget_from;
	nsec_t exhaustion, latest_start; /* instants; NSEC_NEVER: not in sight */
	nsec_t wanting_since;		 /* NSEC_NEVER: it is not waiting for a slot */
	nsec_t predicted[WIRE_KINDS];	 /* 0: this kind cannot be run */
	uint64_t collections[WIRE_KINDS];
	uint64_t forced, uncoordinated, declined, expired, overruns, violations, absurd;
	unsigned strikes; /* windows in a row that it did not keep to */
	nsec_t last_pause, pause_p50, pause_p99, pause_max;
	unsigned predictions;		       /* pauses that were predicted, and came */
	unsigned prediction_coverage_permille; /* of them ended inside; 0 without any */
	unsigned over_prediction_p50_permille; /* predicted / actual; 0 without any */
	uint64_t yield_last;		       /* freed by the last major, in units */
	uint64_t yield_per_s;		       /* for each second of its pause */
	enum reason reason;		       /* of the last decision */
};

struct core_who { /* the least that tells one heap from others */
	uint64_t heap;
	char name[WIRE_NAME_MAX], service[WIRE_NAME_MAX];
	int32_t pid;
	uint32_t uid;
	uint8_t unit;
	uint64_t used, budget;
	nsec_t latest_start; /* NSEC_NEVER: not in sight */
};

struct core_window {
	uint64_t id, heap;
	char heap_name[WIRE_NAME_MAX], service[WIRE_NAME_MAX];
	enum {
		WINDOW_ANNOUNCED,
		WINDOW_OPEN,
		WINDOW_IN_USE
	} state;
	uint8_t kind;
	bool must, over_limit;
	bool slot; /* counts against the limits: all but those of Policy=observe */
	nsec_t announced, opens, closes, predicted, begin; /* begin: 0 until it began */
	nsec_t wanted; /* since when its heap had wanted it; NSEC_NEVER: it did not ask */
	enum reason reason;
};

#define CORE_SNAPSHOT_MAX 8

/* What tells another core all at once what this one knows of a heap. */
struct core_snapshot {
	uint64_t heap;
	unsigned n;
	struct event events[CORE_SNAPSHOT_MAX]; /* JOIN is the first */
};

#define CORE_DECISIONS 32 /* kept for each heap, at the most */

/* One decision and the numbers it was made from; kept to the µs. */
struct core_decision {
	nsec_t at;
	enum reason reason;
	uint64_t window; /* 0: none */
	uint64_t used, budget, rate_per_s;
	nsec_t exhaustion, latest_start, contention_start, predicted;
	unsigned slots_taken, slots; /* of the tighter limit: service or host */
	uint64_t holder;	     /* a heap that held a slot; 0: none */
};

void supervisor_status(const struct supervisor *s, struct core_status *ret);
/* How many there are; supervisor_status() looks at each of them. */
unsigned supervisor_heaps(const struct supervisor *s);
unsigned supervisor_services(const struct supervisor *s);
void supervisor_gates(const struct supervisor *s, struct core_gates *ret);
/* The heap with the smallest id above after; false: there is none. */
bool supervisor_heap_after(const struct supervisor *s, uint64_t after, nsec_t now,
			   struct core_heap *ret);
/* false: there is no such heap. */
bool supervisor_who(const struct supervisor *s, uint64_t heap, nsec_t now,
		    struct core_who *ret);
/*
 * The window of the heap with the smallest id above after: each heap has one at most.
 * (Ids of windows are no key: clients come back with those of a former daemon.)
 */
bool supervisor_window_after(const struct supervisor *s, uint64_t after,
			     struct core_window *ret);
/* The window of that heap; false: it has none. */
bool supervisor_window_of(const struct supervisor *s, uint64_t heap,
			  struct core_window *ret);
/*
 * Of the heap with the smallest id above after. What the core has learned (rates, pauses) is not
 * in it, nor are windows that have not begun: another core decides anew.
 */
bool supervisor_snapshot_after(const struct supervisor *s, uint64_t after, nsec_t now,
			       struct core_snapshot *ret);
/* Services have no id: they are counted 0 … services-1, in order of their first heap. */
bool supervisor_service(const struct supervisor *s, unsigned index, nsec_t now,
			struct core_service *ret);
/* Rises whenever something of what is shown has changed; how often a service has gone. */
uint64_t supervisor_changes(const struct supervisor *s);
uint64_t supervisor_services_gone(const struct supervisor *s);
/*
 * The next heap above id *at, or service behind the first *at, that has changed since
 * supervisor_changes() was `since` (0: any). *at is the last one that was looked at, each of which
 * takes one of *looks; false: there was none, or *looks is 0 now. Of a service, ret has uid and
 * service only. Where services have gone in between, those behind them are counted anew.
 */
bool supervisor_changed_heap(const struct supervisor *s, uint64_t since, nsec_t now,
			     uint64_t *at, unsigned *looks, struct core_who *ret);
bool supervisor_changed_service(const struct supervisor *s, uint64_t since, unsigned *at,
				unsigned *looks, struct core_who *ret);
/* Newest last. Returns how many were written to ret; 0 also when there is no such heap.
 */
unsigned supervisor_explain(const struct supervisor *s, uint64_t heap,
			    struct core_decision ret[CORE_DECISIONS]);

const char *core_policy_name(enum core_policy policy);
const char *core_budget_name(enum core_budget budget);
const char *core_state_name(enum core_state state);

#endif
