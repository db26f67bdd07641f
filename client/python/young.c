/* SPDX-License-Identifier: MIT */
#include "client/python/young.h"

#include <stdatomic.h>

#include "client/python/gcstate.h"
#include "client/python/heap.h"

static uint64_t began_ns; /* 0: none runs */
static uint64_t last_ns;  /* what the last one took */

void young_began(void)
{
	began_ns = rtgc_now();
}

void young_ended(void)
{
	if (began_ns)
		last_ns = rtgc_now() - began_ns;
	began_ns = 0;
}

bool young_between_requests(void)
{
	return heap.stirs && !heap.in_flight;
}

bool young_due(uint64_t until_ns, bool between)
{
	return gcstate_middle_soon(between ? 1 : 3) && atomic_load(&heap.taken) &&
	       (until_ns == RTGC_NEVER || rtgc_now() + 2 * last_ns <= until_ns);
}

void young_collect(void)
{
	gcstate_collect_middle();
}
