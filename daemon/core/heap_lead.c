/* SPDX-License-Identifier: MIT */
/* What must be waited for before a heap may pause. */
#include "daemon/core/heap.h"
#include "daemon/core/service.h"

bool heap_waits_for_quiet(const struct heap *h)
{
	return h->service->config.drain != DRAIN_EXTERNAL && (h->caps & WIRE_CAP_QUIET);
}

/* (In a round nobody is drained elsewhere: all stand still anyway.) */
static bool drained_elsewhere(const struct heap *h)
{
	return h->service->config.drain == DRAIN_EXTERNAL &&
	       h->service->config.policy != POLICY_TOGETHER;
}

bool heap_goes_beside(const struct heap *h)
{
	return h->next == WIRE_SNAPSHOT && !drained_elsewhere(h);
}

nsec_t heap_lead(const struct heap *h)
{
	if (heap_goes_beside(h))
		return 0;
	if (heap_waits_for_quiet(h) || drained_elsewhere(h))
		return h->service->config.lead;
	return 0;
}

nsec_t heap_typical_lead(const struct heap *h)
{
	nsec_t lead = heap_lead(h);

	return lead && h->service->drain_typical
		       ? nsec_min(lead, h->service->drain_typical)
		       : lead;
}
