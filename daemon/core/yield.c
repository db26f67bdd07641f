/* SPDX-License-Identifier: MIT */
#include "daemon/core/yield.h"

#include "daemon/core/heap.h"

uint8_t yield_kind(const struct heap *h, nsec_t now)
{
	if (!(h->kinds & 1 << WIRE_MAJOR) && (h->kinds & 1 << WIRE_SNAPSHOT))
		return WIRE_SNAPSHOT;
	return WIRE_MAJOR;
}
