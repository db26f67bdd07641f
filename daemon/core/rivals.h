/* SPDX-License-Identifier: MIT */
/*
 * NeverWith=: services that must not pause at the same time (a leader and its follower, two that
 * share a core). Services connected by it, directly or through others, share one demand with
 * a single slot, so that each starts early enough to let the others go first. That is exact for
 * two services with one slot each and early, never late, for more.
 *
 * Private to daemon/core.
 */
#ifndef RTGCD_CORE_RIVALS_H
#define RTGCD_CORE_RIVALS_H

#include "daemon/core/demand.h"
#include "daemon/core/service.h"
#include "daemon/core/timers.h"

struct supervisor;

struct rivals {
	struct list services;
	struct demand demand;
	struct timer timer; /* when the first of it must start */
};

/* Room for h among rivals: 0 or -ENOMEM. */
int rivals_reserve(struct heap *h);
/* Does either name the other? */
bool rivals_are(const struct service *a, const struct service *b);
/*
 * The service has come, or NeverWith has changed: puts it among its rivals. Whoever has moved is
 * decided anew. 0 or -ENOMEM: the service then has none.
 */
int rivals_join(struct supervisor *s, struct service *service, nsec_t now);
/* It has no heaps any more, or is about to join others. */
void rivals_leave(struct supervisor *s, struct service *service);
/* A heap of a rival that holds a slot now, or NULL. */
const struct heap *rivals_holder(const struct supervisor *s,
				 const struct service *service);

#endif
