/* SPDX-License-Identifier: MIT */
/*
 * What the core knows of one heap, and the lease it may hold. Private to daemon/core.
 *
 * A heap holds at most one window at a time, so the window lies inside it.
 */
#ifndef RTGCD_CORE_HEAP_H
#define RTGCD_CORE_HEAP_H

#include "client/wire/list.h"
#include "daemon/core/accuracy.h"
#include "daemon/core/budget.h"
#include "daemon/core/demand.h"
#include "daemon/core/history.h"
#include "daemon/core/memory.h"
#include "daemon/core/predict.h"
#include "daemon/core/rate.h"
#include "daemon/core/recent.h"
#include "daemon/core/supervisor.h"
#include "daemon/core/timers.h"
#include "daemon/core/yield.h"

struct service;

/* From this share of the budget on a collection in slack is worth it. */
#define HEAP_SLACK_SHARE 2

enum lease_state {
	LEASE_NONE,
	LEASE_ANNOUNCED, /* holds its slot, waits to be drained */
	LEASE_OPEN,
	LEASE_IN_USE, /* BEGIN was seen */
};

struct lease { /* When it is over, state is LEASE_NONE, and id and closes are for frames still under way. */
	enum lease_state state : 8;
	enum reason reason : 8; /* why it was granted */
	uint8_t kind;
	bool must : 1, over_limit : 1;
	bool draining : 1; /* ACTION_DRAIN was given, ACTION_UNDRAIN not yet */
	bool slot : 1; /* it counts against the limits: all but those of Policy=observe */
	bool round : 1;	 /* one of a round's, which opens them all at once */
	bool owes : 1;	 /* and it waits for this one's QUIET */
	bool beside : 1; /* it takes no slot of pauses, but one of snapshots */
	bool whole : 1;	 /* it is drained for all of its snapshot */
	uint32_t run_ms; /* of a snapshot, predicted */
	uint64_t id;
	nsec_t announced, closes, predicted;
	nsec_t opens; /* at the latest, while it is announced */
};

/* In the demand of its service's rivals. */
struct rival {
	struct demand_node node;
	struct heap *heap;
};

#define HEAP_RUNS WIRE_KINDS

/* predict.of is an enum wire_kind, of pauses, or HEAP_RUNS: of snapshots, which are longer than their stops. */
struct known {
	struct known *next;
	struct predict predict;
};

struct heap {
	struct list all, siblings;
	/* In its service's waiting, or all snapshots', while it wants a slot; in holders while it has one. */
	struct list in_line;
	struct list telling; /* while something is to be done about it: action.c */
	struct heap *hash_next;
	/* Among those it shares slots with. While its next window is for a snapshot: in_service among those. */
	struct demand_node in_service, in_host;
	struct rival *in_rivals; /* NULL only while there is no NeverWith= */
	struct timer timer;
	struct service *service;

	uint64_t id;
	uint64_t changed; /* note_change() */
	int32_t pid;
	uint8_t caps; /* all that there are: WIRE_CAPS_KNOWN */
	uint8_t unit, kinds;
	uint8_t to_tell; /* 1 << enum action_type */
	uint8_t next;	 /* the kind of its next window; see below */
	uint8_t retries : 4;
	uint8_t strikes : 4;	/* windows in a row that it did not keep to; lease.c */
	uint8_t absurd;		/* figures that cannot be; 255: so often and more */
	enum reason reason : 8; /* of the last decision */
	enum reason over_reason : 8; /* why its last window ended */
	bool gone : 1;		     /* there is only left what is to be told of it */
	bool lost : 1;
	bool among_snapshots : 1; /* in_service is */
	bool last_overran : 1;	  /* its last window, and was counted as such */
	bool running : 1;	  /* a collection, in a window or not */
	bool paused : 1; /* and the program is stopped for it: it is no snapshot */
	bool want : 1;	 /* it was told to say when it is idle */
	bool silent : 1; /* its lease was written off and nothing was heard of it since */
	bool early : 1;	 /* due, but nothing to free before heap_worth_from() */
	bool asked : 1;	 /* it is to collect, whatever it has used */

	struct wire_report report; /* the latest figures */
	uint64_t own_budget;	   /* of HELLO */
	struct budget_share
		*share; /* of MemoryBudget=, or of Budget= in objects; NULL: none */
	struct rate rate;
	nsec_t slack_until; /* the application declared nothing due before; 0: no slack */
	nsec_t deadline;    /* NSEC_NEVER: none */

	/* Worked out from the above by heap_estimate() and the placement. */
	nsec_t exhaustion, latest_start, predicted;
	nsec_t last_call; /* past the latest start: from here on even over the limit */

	nsec_t span; /* how long it will hold a slot */
	nsec_t work; /* how long those behind it allow for */

	nsec_t wanting_since; /* NSEC_NEVER: it is not wanting */
	nsec_t retry_at;      /* after a window that came to nothing */
	nsec_t looked_at;     /* when figures last came in, however old they were */
	nsec_t look_until;    /* waiting until then for the figures asked for; 0: not */
	struct lease lease;
	uint64_t over; /* its last window that has ended, or is drained for no longer */

	/* As last told. */
	uint64_t watermark, told_budget;
	nsec_t report_by;

	nsec_t run_begin;
	nsec_t run_seen; /* when that was heard of, and contention_area() of that instant */
	double run_area;

	/* By heap_count(). */
	uint32_t collections[WIRE_KINDS];
	uint32_t forced, uncoordinated, declined, expired, overruns, violations;
	float yield_last, last_pause; /* exact to a part in sixteen million */
	struct recent pauses;
	struct known *known;
	struct accuracy accuracy; /* of all pauses but minor ones and freezes */
	float met; /* pauses at once that its own have met: rises at once, falls slowly */
	struct yield yield;
	struct history decisions;
	char names[]; /* heap_name(), heap_runtime() */
};

int heap_new(uint64_t id, const struct event_join *join, nsec_t now, struct heap **ret);
struct heap *heap_free(struct heap *h);
static inline const char *heap_name(const struct heap *h)
{
	return h->names;
}
const char *heap_runtime(const struct heap *h);
/* Stays where it is full. */
static inline void heap_count(uint32_t *counter)
{
	*counter += *counter < UINT32_MAX;
}
static inline void heap_absurd(struct heap *h)
{
	h->absurd += h->absurd < UINT8_MAX;
}
/* What is known of pauses of that kind, or HEAP_RUNS; NULL: none has run. */
const struct predict *heap_known(const struct heap *h, unsigned kind);
/* The same, made when there is none; NULL: out of memory. */
struct predict *heap_to_know(struct heap *h, unsigned kind);
/* What it said, or would say today. */
void heap_hello(const struct heap *h, struct wire_hello *ret);
/* It is what former was, by a new connection: memory.c. */
void heap_inherit(struct heap *h, const struct heap *former);

/* What budget_update() has worked out; 0: nothing. */
static inline uint64_t heap_share(const struct heap *h)
{
	return h->share ? h->share->budget : 0;
}
/* The budget in force, in the heap's unit; 0: none. */
uint64_t heap_budget(const struct heap *h);
enum core_budget heap_budget_from(const struct heap *h);
double heap_rate(const struct heap *h);
/* As a whole number: figures of a client may be as absurd as it likes. */
uint64_t heap_whole(double units);
/* No pause is as long as that, and no amount as large as this. */
#define HEAP_PAUSE_MOST	 (300 * NSEC_PER_SEC)
#define HEAP_AMOUNT_MOST (UINT64_C(1) << 62)

/* Takes figures; absurd ones are counted and dropped, as are those older than what is known. */
void heap_report(struct heap *h, const struct wire_report *report, nsec_t now);
/* Used at now, at the present rate since the last report. */
uint64_t heap_used_at(const struct heap *h, nsec_t now);
/*
 * Works out the kind of the next window, exhaustion, latest start, last call, predicted pause and
 * span from what is known.
 */
void heap_estimate(struct heap *h, nsec_t now);
/* How long a collection of that kind is expected to take, among those that run now. */
nsec_t heap_predict(const struct heap *h, unsigned kind);
/* How long those behind it allow for while it has its slot for such a one. */
nsec_t heap_work(const struct heap *h, unsigned kind);
/* heap_predict() when its budget will be used up. */
nsec_t heap_predict_full(const struct heap *h, unsigned kind);
/* How long a whole budget lasts at the present rate; NSEC_NEVER: for ever. */
nsec_t heap_lasts(const struct heap *h);
/* From when on so much is used that a collection is worth a pause at all. */
nsec_t heap_worth_from(const struct heap *h);
/* Can it have been so? */
bool heap_believes(const struct heap *h, const struct wire_end *end);
/* A collection took [begin, end): learn from it. */
void heap_learn(struct heap *h, const struct wire_end *end, nsec_t now);
/*
 * Of a snapshot the program is not stopped all the time: it takes no slot of pauses, but a CPU. Where the program is
 * drained for its fork, it does so from then on, and until then it is a pause like others.
 */
bool heap_goes_beside(const struct heap *h); /* what is next for it */
static inline bool heap_snapshots(const struct heap *h)
{
	return h->lease.state == LEASE_NONE ? heap_goes_beside(h) : h->lease.beside;
}
/* How long its snapshot will take from begin to end; 0: that is not what is next. */
nsec_t heap_run(const struct heap *h);
/* The most it may wait for a drain, 0 when there is nothing to wait for. */
nsec_t heap_lead(const struct heap *h);
/* And what it usually waits, until it stands still or is drained. */
nsec_t heap_typical_lead(const struct heap *h);
bool heap_waits_for_quiet(const struct heap *h);
void heap_record(struct heap *h, const struct core_decision *decision);
enum core_state heap_state(const struct heap *h);
/* For a slot. */
static inline bool heap_is_waiting(const struct heap *h)
{
	return h->lease.state == LEASE_NONE && !list_empty(&h->in_line);
}

#endif
