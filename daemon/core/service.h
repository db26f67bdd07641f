/* SPDX-License-Identifier: MIT */
/* A named group of heaps of one uid, and its slots. Private to daemon/core. */
#ifndef RTGCD_CORE_SERVICE_H
#define RTGCD_CORE_SERVICE_H

#include "client/wire/list.h"
#include "daemon/core/accuracy.h"
#include "daemon/core/contention.h"
#include "daemon/core/demand.h"
#include "daemon/core/histogram.h"
#include "daemon/core/supervisor.h"
#include "daemon/core/timers.h"

struct rivals;

struct service {
	struct list all;
	struct service *hash_next;
	struct list heaps;
	struct list waiting;   /* its heaps that want a slot, by deadline */
	struct list eligible;  /* in the host's, while some wait and a slot is free */
	struct rivals *rivals; /* NULL: it has none */
	struct list among_rivals;
	struct demand demand;
	unsigned owing;	     /* members that an announced round waits for */
	nsec_t first_answer; /* to the announcement of that round; NSEC_NEVER: none yet */
	struct list answered; /* in the host's, when all of them have answered */
	struct heap *first; /* Policy=together: who stands for all in the host's demand */
	struct timer timer; /* when the first of the demand must start */
	unsigned n_heaps;
	uint32_t uid;
	uint64_t changed; /* note_change(), of its heaps as well */
	bool held;	  /* by an operator: no window before a heap's last call */
	struct core_service_config config; /* its name is the service's */

	unsigned taken; /* slots: windows announced, open or in use */
	unsigned paused_now, paused_max;
	unsigned observed; /* windows that hold no slot: Policy=observe */
	uint64_t windows, forced, over_limit;
	uint64_t
		would_wait; /* Policy=observe: windows that another policy had held back */
	uint64_t dropped_out;	/* Policy=together: members that missed their round */
	struct histogram waits; /* from wanting to begin */
	struct tally waited, pauses;   /* the same; but those of minor collections */
	struct contention *contention; /* of the host */
	struct accuracy accuracy;      /* of the pauses predicted for its heaps */
	nsec_t drain_typical; /* announce to open, an upper estimate; 0: not known */
	nsec_t since, busy;   /* utilisation: slot time used since then */
};

int service_new(const struct core_service_config *config, const char *name, uint32_t uid,
		nsec_t now, struct service **ret);
struct service *service_free(struct service *service);
/* For how many of its heaps at once the demand is worked out. */
unsigned service_width(const struct core_service_config *config);
/* One of its heaps wanted to collect for so long before it began. */
void service_waited(struct service *service, nsec_t wait);
/* Learns how long draining takes. */
void service_drained_in(struct service *service, nsec_t took);

#endif
