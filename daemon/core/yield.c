/* SPDX-License-Identifier: MIT */
#include "daemon/core/yield.h"

#include "daemon/core/heap.h"
#include "daemon/core/service.h"

uint8_t yield_kind(const struct heap *h, nsec_t now)
{
	const struct core_service_config *config = &h->service->config;

	if (!(h->kinds & 1 << WIRE_SNAPSHOT))
		return WIRE_MAJOR;
	if (!(h->kinds & 1 << WIRE_MAJOR))
		return WIRE_SNAPSHOT;
	/*
	 * A pause that nobody notices is the cheaper one: of a heap that is drained for it, or of a
	 * group that pauses together.
	 */
	return config->drain == DRAIN_NONE && config->policy != POLICY_TOGETHER
		       ? WIRE_SNAPSHOT
		       : WIRE_MAJOR;
}
