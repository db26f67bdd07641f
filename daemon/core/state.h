/* SPDX-License-Identifier: MIT */
/*
 * The whole state of the core, and what its files offer each other. Private to daemon/core.
 *
 *   supervisor.c  events in, the next deadline out
 *   configure.c   the configuration in force
 *   members.c     heaps and services come and go
 *   action.c      what is to be done, until the edge takes it
 *   decide.c      who must get a slot by when
 *   grant.c       who gets one now
 *   canary.c      whether anybody should wait for one at all
 *   direct.c      what heaps are told to report when
 *   lease.c       the life of a window: announced, open, in use, over
 *   run.c         collections begin and end
 *   round.c       Policy=together: one window for all members
 *   look.c        what the control socket shows
 *   memory.c      what outlives the daemon
 */
#ifndef RTGCD_CORE_STATE_H
#define RTGCD_CORE_STATE_H

#include "daemon/core/canary.h"
#include "daemon/core/contention.h"
#include "daemon/core/demand.h"
#include "daemon/core/heap.h"
#include "daemon/core/memory.h"
#include "daemon/core/rivals.h"
#include "daemon/core/service.h"

struct supervisor {
	struct core_service_config defaults, *configs;
	size_t n_configs;
	unsigned max_concurrent;
	struct budget_pool pool;
	bool any_rivals; /* some section has NeverWith= */

	struct list heaps; /* by rising id */
	struct list services;
	struct list eligible; /* services that wait and have a slot of their own free */
	struct list holders;  /* heaps that hold a slot */
	struct list answered; /* services whose round waits for nobody any more */
	struct list telling, directing; /* action.c */
	struct heap **buckets;
	size_t n_buckets, n_heaps;
	struct service **service_buckets;
	size_t n_service_buckets, n_services;
	struct timers timers;
	struct demand demand; /* of all heaps on the host's slots */
	struct timer timer;   /* when the first of it must start */

	/*
	 * Snapshots have slots of their own, for they need a CPU rather than silence: all but one,
	 * at least one. Nobody is excluded by anybody else's policy, group or rivals.
	 */
	struct demand snapshots;
	struct timer snapshots_timer;
	struct list snapshots_waiting; /* by deadline */
	unsigned snapshots_taken, snapshots_max;

	struct canary canary;
	nsec_t born;
	unsigned taken; /* slots */
	unsigned paused_now, paused_max;
	struct contention contention; /* of those pauses */
	uint64_t window_seq;
	uint64_t windows_granted, forced, uncoordinated, overruns, over_limit, decisions;
	uint64_t changes, services_gone; /* look.c */
};

/* Something of what is shown of h has changed. */
static inline void note_change(struct supervisor *s, struct heap *h)
{
	h->changed = h->service->changed = ++s->changes;
}

/* ---- configure.c ---- */
/* Of a service of that name, a section of its own or the defaults. */
const struct core_service_config *configure_of(const struct supervisor *s,
					       const char *name);

/* ---- members.c ---- */
/* NULL: there is none. */
struct heap *supervisor_find_heap(const struct supervisor *s, uint64_t id);
int members_join(struct supervisor *s, const struct event *event, nsec_t now);
void members_leave(struct supervisor *s, struct heap *h, nsec_t now);
/* Its connection is gone, its process is not. */
void members_lose(struct supervisor *s, struct heap *h, nsec_t now);

/* ---- action.c ---- */
/* That is to be done about h; what it says is what h knows when it is taken. */
void action_add(struct supervisor *s, struct heap *h, enum action_type type);
/* h is freed once its last actions are taken. */
void action_outlive(struct heap *h);

/* ---- decide.c ---- */
/* Could it collect now, were there a slot? */
bool can_collect(const struct heap *h);
/* What is known of h has changed. */
void decide_heap(struct supervisor *s, struct heap *h, nsec_t now);
/* h is gone: what it demanded is not. */
void decide_forget(struct supervisor *s, struct heap *h, nsec_t now);
/* A limit or a policy has changed. */
void decide_service(struct supervisor *s, struct service *service, nsec_t now);
/* The first of a demand may have become due: of a service's and all it is part of, of the host's. */
void decide_due(struct supervisor *s, struct service *service, nsec_t now);
void decide_due_rivals(struct supervisor *s, struct rivals *rivals, nsec_t now);
void decide_due_host(struct supervisor *s, nsec_t now);
void decide_due_snapshots(struct supervisor *s, nsec_t now);
/* h's timer has fired. */
void decide_timer(struct supervisor *s, struct heap *h, nsec_t now);
/* By when h must get a slot, those that share it considered; NSEC_NEVER: not in sight. */
nsec_t decide_start_of(const struct supervisor *s, const struct heap *h);
/* Remembers a decision with the numbers of this instant. holder: 0 = none. */
void decide_record(struct supervisor *s, struct heap *h, enum reason reason,
		   uint64_t holder, nsec_t now);

/* ---- grant.c ---- */
/* Gives free slots to those that wait, the most pressing first. */
void grant_dispatch(struct supervisor *s, nsec_t now);
/* Would its window be within the limits? */
bool grant_has_slot(const struct supervisor *s, const struct heap *h);
/* h has declared slack: collect early if that is worth it and hurts nobody. */
void grant_slack(struct supervisor *s, struct heap *h, nsec_t now);

/* ---- direct.c ---- */
/* Works out what h is to report when. */
void direct_heap(struct supervisor *s, struct heap *h, nsec_t now);

/* ---- round.c ---- */
/*
 * Those who pause together do not wait for each other: in the demand that others share, whichever of
 * them must start first stands for all, and takes as many slots as they are. h's node has changed.
 */
void round_place(struct supervisor *s, struct heap *h);
/* May the service's round start now, within the limits? */
bool round_fits(const struct supervisor *s, const struct service *service);
/*
 * A window for each member that has something to free. They are announced, and open all at one instant:
 * when those that can say so have come by their safe point, or the lead or the time for it is over.
 */
void round_start(struct supervisor *s, struct service *service, bool over_limit,
		 nsec_t now);

/* h has come by its safe point and said so. */
void round_quiet(struct supervisor *s, struct heap *h, nsec_t now);
/* h's round need not wait for it any more. */
void round_answered(struct supervisor *s, struct heap *h);
/* Opens what is announced of the service's round; of all that everybody has answered. */
void round_open(struct supervisor *s, struct service *service, nsec_t now);
void round_open_answered(struct supervisor *s, nsec_t now);

/* ---- lease.c ---- */
void lease_grant(struct supervisor *s, struct heap *h, enum reason reason,
		 bool over_limit, nsec_t now);
/* An open window for an application that has slack until closes. */
void lease_grant_slack(struct supervisor *s, struct heap *h, nsec_t closes, nsec_t now);
/* Policy=observe: at once, on no slot. */
void lease_grant_observed(struct supervisor *s, struct heap *h, nsec_t now);
/* Policy=together: takes a slot for a member of a round, tells it so, opens its window. */
void lease_grant_together(struct supervisor *s, struct heap *h, bool over_limit,
			  nsec_t now);
void lease_announce(struct supervisor *s, struct heap *h, nsec_t opens_by);
void lease_open_together(struct supervisor *s, struct heap *h, nsec_t opens,
			 nsec_t closes, nsec_t now);
/* How long a window is for that pause. */
nsec_t lease_span(nsec_t pause);
void lease_open(struct supervisor *s, struct heap *h, enum reason reason, nsec_t now);
/* The pause in it has begun. */
void lease_put_in_use(struct supervisor *s, struct heap *h, nsec_t begin, nsec_t now);
/* The window is over: the client is told (ACTION_REVOKE), or the edge alone (ACTION_CLOSE). */
void lease_finish(struct supervisor *s, struct heap *h, enum action_type type,
		  enum reason reason, nsec_t now);
/* The window, if there is one, is over without being used. */
void lease_revoke(struct supervisor *s, struct heap *h, enum reason reason, nsec_t now);
/* The heap is gone: whatever it held is free. */
void lease_drop(struct supervisor *s, struct heap *h, nsec_t now);
/* It came back with a window that a former connection, or a former daemon, had opened. */
void lease_adopt(struct supervisor *s, struct heap *h, uint64_t window, uint8_t kind,
		 nsec_t closes, nsec_t now);
/* A former daemon had opened it. */
void lease_restore(struct supervisor *s, struct heap *h, const struct core_held *held,
		   nsec_t now);
/* h's timer has fired and it holds a window. */
void lease_due(struct supervisor *s, struct heap *h, nsec_t now);
nsec_t lease_deadline(const struct heap *h);
/* It did not keep to its last windows: the next one comes late. */
bool lease_distrusted(const struct heap *h);

/* ---- run.c ---- */
/* A collection is under way from there on; it is not any more. */
void run_start(struct supervisor *s, struct heap *h, unsigned kind, nsec_t at,
	       nsec_t now);
void run_stop(struct supervisor *s, struct heap *h, nsec_t now);
/* h has said so: 0 or enum core_outcome. */
int run_begin(struct supervisor *s, struct heap *h, const struct wire_begin *begin,
	      nsec_t now);
int run_end(struct supervisor *s, struct heap *h, const struct wire_end *end, nsec_t now);

#endif
