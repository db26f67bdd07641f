/* SPDX-License-Identifier: MIT */
#include "client/python/collector.h"

#include "client/python/freeze.h"
#include "client/python/gate.h"
#include "client/python/heap.h"
#include "client/python/slack.h"
#include "client/python/snapshot.h"
#include "client/python/threshold.h"

/*
 * So much of the budget more, and a snapshot that is under way is not waited for any longer: memory
 * goes before latency. A budget in objects is CPython's rule of a quarter, not a limit of memory.
 */
#define MORE_OBJECTS 2
#define MORE_BYTES   16

uint32_t collector_kinds(void)
{
	uint32_t freezes = 1U << RTGC_FREEZE, snapshots = 1U << RTGC_SNAPSHOT | freezes;
	uint32_t major = 1U << RTGC_MAJOR | freezes;
	struct snapshot_figures figures;

	if (heap.collector == HEAP_WINDOW || !snapshot_usable())
		return major;
	if (heap.collector == HEAP_SNAPSHOT)
		return snapshots;
	/* A process whose connections others can take is drained for its pauses. */
	if (gate_shared())
		return major;
	snapshot_figures(&figures);
	return figures.fork_usual_ns > heap.fork_limit_ns ? major : major | snapshots;
}

void collector_offer(void)
{
	uint32_t kinds = collector_kinds();

	if (kinds != heap.kinds)
		rtgc_offer(heap.rtgc, kinds);
	heap.kinds = kinds;
}

bool collector_snapshot(enum rtgc_cause cause, const struct rtgc_window *window)
{
	bool begun;

	freeze_undo(); /* all of it is looked at */
	begun = snapshot_start(cause, window);
	collector_offer();
	return begun;
}

bool collector_at_ceiling(void)
{
	uint64_t more = heap.budget / (heap.byte_budget ? MORE_BYTES : MORE_OBJECTS);

	if (!(heap.kinds & 1U << RTGC_SNAPSHOT) || heap.used > heap.budget + more)
		return false;
	if (!snapshot_runs()) {
		heap.snapshot_soon = true;
		if (!slack_comes())
			heap_collect_soon();
	}
	return true;
}

bool collector_begin_promised(void)
{
	heap.snapshot_soon = false;
	if (collector_snapshot(RTGC_FORCED, NULL))
		return true;
	if (!snapshot_runs())
		threshold_let_collect();
	return false;
}
