/* SPDX-License-Identifier: MIT */
/*
 * A host in virtual time: the real core, and modelled heaps that behave as libruntime's clients
 * do. They allocate at their profile's rate, report at watermarks, become quiet, begin at
 * safe points, pause for as long as their live data cost, collect unasked at their ceiling; and they
 * die, stop, lose their connection, lie and come back as real ones do. After every step the
 * invariants are checked; a broken one ends the run with its name.
 */
#ifndef RTGCD_TESTS_SIM_MODEL_H
#define RTGCD_TESTS_SIM_MODEL_H

#include "daemon/core/supervisor.h"

#define SIM_HEAPS_MAX	 64
#define SIM_SERVICES_MAX 4
#define MS		 NSEC_PER_MSEC
#define SEC		 NSEC_PER_SEC

enum sim_profile {
	SIM_STEADY,
	SIM_BURSTY,   /* ten times the rate for a tenth of the time */
	SIM_LEAKING,  /* part of what is allocated stays */
	SIM_SAWTOOTH, /* live data grows and is dropped */
	SIM_IDLE,     /* hardly allocates, often declares slack */
	SIM_PROFILES,
};

struct sim_heap_spec {
	enum sim_profile profile;
	unsigned service;
	uint32_t caps;
	uint8_t kinds; /* besides majors */
	bool freezes_in_vain;
	bool snapshots_fail;
	uint64_t
		budget; /* units; 0: the daemon's share, a quarter of live until it says */
	double rate;	/* units a second */
	uint64_t live;	/* units */
	double cost;	/* nanoseconds of pause for each live unit */
	double run_cost; /* the same of a snapshot beside the program; 0: the program stops for it */
	double garbage;	   /* share of what was allocated that a collection frees */
	nsec_t safe_point; /* how long it takes to begin once a window opens */
	nsec_t rest;	   /* how long it takes to become quiet */
};

struct sim_heap {
	struct sim_heap_spec spec;
	uint64_t id; /* in the core; 0: not connected */
	bool stopped, lost;
	bool look; /* its page is to be read */
	nsec_t at; /* the figures below are of this instant */
	double used, allocated, live, rate;
	double trash;	   /* of what was allocated; frozen or not */
	nsec_t rate_until; /* the profile changes the rate then */
	uint64_t watermark, budget;
	nsec_t report_by;

	uint64_t window; /* announced or open; 0: none */
	uint8_t kind;	 /* its, or that of the collection */
	uint64_t last_window;
	bool open, drain_asked, draining;
	nsec_t opens, closes, predicted;
	nsec_t quiet_at, begin_at, end_at, resume_at; /* NSEC_NEVER: not planned */
	uint64_t in_use; /* the window it collects in; 0: forced or none */
	bool collecting;
	nsec_t began;
	double began_used, began_trash;
	uint64_t windows_used, forced, expired, lies, collections[WIRE_KINDS];
	double freed;
};

/* It is snapshotted, and goes on meanwhile. */
static inline bool sim_runs_beside(const struct sim_heap *h)
{
	return h->collecting && h->kind == WIRE_SNAPSHOT && h->spec.run_cost > 0;
}

static inline bool sim_allocates(const struct sim_heap *h)
{
	return (!h->collecting || sim_runs_beside(h)) && !h->stopped;
}

struct sim {
	struct supervisor *core;
	struct core_config config;
	struct core_service_config services[SIM_SERVICES_MAX];
	struct sim_heap heap[SIM_HEAPS_MAX];
	unsigned n_heaps;
	nsec_t now;
	uint64_t rng, next_id, seed;
	uint64_t former; /* id of a connection that was replaced last */
	bool faults, orders, strains;
	nsec_t strained_until;		/* the gates are open until then */
	uint64_t gates_opened, ungated; /* of this life of the core */
	nsec_t calm_since;		/* no fault since then */
	uint64_t steps;
	/* What the model itself saw happen, over all lives of the core. */
	uint64_t forced, in_window, over_limit, restarts, granted, deaths,
		gates_opened_ever;
	unsigned paused_max;
	nsec_t gc_time;
	const char *broken; /* the invariant, "" while all hold */
	char detail[160];
};

/* services and heaps are filled in by the caller before sim_start(). */
void sim_init(struct sim *sim, uint64_t seed);
uint64_t sim_random(struct sim *sim, uint64_t below);
double sim_share(struct sim *sim); /* 0 … 1 */
/* A random host: services, limits, heaps of all profiles. */
void sim_populate(struct sim *sim);
void sim_start(struct sim *sim);
/* Between runs: the same heaps under another configuration. */
void sim_configure(struct sim *sim);
/* One event: whatever comes next, in the core or in a heap. false: an invariant is broken. */
bool sim_step(struct sim *sim);
/* false: an invariant broke on the way. */
bool sim_run_until(struct sim *sim, nsec_t at);
/* Something happens to a heap; the daemon starts again. The same. */
bool sim_churn(struct sim *sim);
bool sim_restart(struct sim *sim);
/* Everybody leaves; nothing may be left over. */
bool sim_finish(struct sim *sim);

/* ---- Between the files of the model ---- */

/* The daemon is late, or the host stands still: within its limits or beyond; or it was stopped. */
void sim_strain(struct sim *sim);
/* h is told of a new window: while the gates are open it is to be counted. */
void sim_count_ungated(struct sim *sim, const struct sim_heap *h);
/*
 * Open while it is strained, and then nobody waits for a slot (I-1); shut when it has been calm for five seconds (L-2);
 * what passes is counted (I-4).
 */
void sim_check_gates(struct sim *sim);
struct sim_heap *sim_by_id(struct sim *sim, uint64_t id); /* NULL: not connected */
/* Checks the invariants; the first that is broken stays. */
void sim_check(struct sim *sim);
void __attribute__((format(printf, 3, 4)))
sim_break(struct sim *sim, const char *invariant, const char *format, ...);

#endif
