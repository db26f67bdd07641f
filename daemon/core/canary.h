/* SPDX-License-Identifier: MIT */
/*
 * Whether anybody should wait for this daemon: where its own loop is late, or the host stands
 * still, its decisions come too late to be worth waiting for. Then the gates are open: whoever is
 * due collects at once, counted, until it has been calm for a while. Private to daemon/core.
 */
#ifndef RTGCD_CORE_CANARY_H
#define RTGCD_CORE_CANARY_H

#include "daemon/core/supervisor.h"
#include "daemon/core/timers.h"

/* So long nothing must have been late before the gates are closed. */
#define CANARY_CALM (5 * NSEC_PER_SEC)

struct canary {
	nsec_t lag_limit;	 /* 0: none */
	unsigned pressure_limit; /* permille; 0: none */
	struct core_gates gates;
	struct timer timer; /* when it has been calm */
};

/* Takes what was measured. The gates are open until that instant; NSEC_NEVER: nothing is strained. */
nsec_t canary_take(struct canary *c, const struct core_strain *strain, nsec_t now);
/* It is calm. */
void canary_calm(struct canary *c);

#endif
