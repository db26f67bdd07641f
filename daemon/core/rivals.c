/* SPDX-License-Identifier: MIT */
#include "daemon/core/rivals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/state.h"

static bool names(const struct service *a, const struct service *b)
{
	for (int i = 0; i < CORE_RIVALS_MAX; i++)
		if (a->config.never_with[i][0] &&
		    strcmp(a->config.never_with[i], b->config.name) == 0)
			return true;
	return false;
}

bool rivals_are(const struct service *a, const struct service *b)
{
	return a != b && (names(a, b) || names(b, a));
}

int rivals_reserve(struct heap *h)
{
	if (h->in_rivals)
		return 0;
	h->in_rivals = calloc(1, sizeof(*h->in_rivals));
	if (!h->in_rivals)
		return -ENOMEM;
	h->in_rivals->heap = h;
	return 0;
}

static int rivals_new(struct supervisor *s, struct rivals **ret)
{
	struct rivals *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	if (timers_add_owner(&s->timers) < 0) {
		free(r);
		return -ENOMEM;
	}
	list_init(&r->services);
	demand_init(&r->demand, 1);
	r->timer.owner = TIMER_RIVALS;
	*ret = r;
	return 0;
}

void rivals_leave(struct supervisor *s, struct service *service)
{
	struct rivals *r = service->rivals;

	if (!r)
		return;
	list_for_each (l, &service->heaps)
		demand_remove(&r->demand,
			      &list_entry(l, struct heap, siblings)->in_rivals->node);
	service->rivals = NULL;
	list_unlink(&service->among_rivals);
	if (!list_empty(&r->services))
		return;
	timers_arm(&s->timers, &r->timer, NSEC_NEVER);
	timers_remove_owner(&s->timers);
	free(r);
}

static void enter(struct supervisor *s, struct service *service, struct rivals *r,
		  nsec_t now)
{
	rivals_leave(s, service);
	service->rivals = r;
	list_append(&r->services, &service->among_rivals);
	list_for_each (l, &service->heaps)
		decide_heap(s, list_entry(l, struct heap, siblings), now);
}

int rivals_join(struct supervisor *s, struct service *service, nsec_t now)
{
	struct rivals *r = NULL;

	list_for_each (l, &s->services) {
		struct service *other = list_entry(l, struct service, all);
		struct rivals *theirs = other->rivals;

		if (!rivals_are(service, other) || (r && theirs == r))
			continue;
		if (!r && theirs) {
			r = theirs;
			continue;
		}
		if (!r && rivals_new(s, &r) < 0)
			return -ENOMEM;
		if (!theirs) {
			enter(s, other, r, now);
			continue;
		}
		/* Two groups that had nothing to do with each other are one from now on. */
		for (bool last = false; !last;) {
			last = theirs->services.next->next == &theirs->services;
			enter(s,
			      list_entry(theirs->services.next, struct service,
					 among_rivals),
			      r, now);
		}
	}
	if (r)
		enter(s, service, r, now);
	return 0;
}

const struct heap *rivals_holder(const struct supervisor *s,
				 const struct service *service)
{
	if (!s->any_rivals)
		return NULL;
	list_for_each (l, &s->holders) {
		const struct heap *h = list_entry(l, struct heap, in_line);

		if (rivals_are(service, h->service))
			return h;
	}
	return NULL;
}
