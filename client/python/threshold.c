/* SPDX-License-Identifier: MIT */
#include "client/python/threshold.h"

#include "client/python/gcstate.h"
#include "client/python/heap.h"

/*
 * Two threads store the threshold: the library's, when the daemon comes or goes, and the
 * one in a gc callback. Each stores first and looks at `taken` afterwards (or the other
 * way round when giving up), so whatever the order, a threshold taken over never outlives
 * the daemon. The mirror image, the program's own threshold under a living daemon, is
 * harmless and put right by the next callback.
 */
void threshold_take_over(void)
{
	int now = gcstate_threshold();

	if (!atomic_load(&heap.taken) && now != HEAP_TAKEN)
		atomic_store(&heap.own, now);
	atomic_store(&heap.taken, true);
	gcstate_set_threshold(HEAP_TAKEN);
}

void threshold_put_back(void)
{
	int now;

	if (!atomic_exchange(&heap.taken, false))
		return;
	now = gcstate_threshold();
	/* Another value is the program's own last word, which nobody has noticed yet. */
	if (now == HEAP_TAKEN || (heap.at_ceiling && now == 0))
		gcstate_set_threshold(atomic_load(&heap.own));
	else
		atomic_store(&heap.own, now);
}

void threshold_notice(void)
{
	int now = gcstate_threshold();

	if (now == HEAP_TAKEN || heap.at_ceiling || !atomic_load(&heap.taken))
		return;
	heap.put_right++;
	atomic_store(&heap.own, now);
	gcstate_set_threshold(HEAP_TAKEN);
	if (!atomic_load(&heap.taken))
		gcstate_set_threshold(now);
}

void threshold_let_collect(void)
{
	heap.at_ceiling = true;
	gcstate_set_threshold(0);
	if (!atomic_load(&heap.taken))
		gcstate_set_threshold(atomic_load(&heap.own));
	/* Another budget may be used up before CPython's own rule of a quarter allows it.
	 */
	if (heap.byte_budget || heap.budget < heap.rule)
		heap_collect_soon();
}

void threshold_ceiling_over(void)
{
	int now = gcstate_threshold();

	if (!heap.at_ceiling)
		return;
	heap.at_ceiling = false;
	if (!atomic_load(&heap.taken))
		return;
	if (now != 0 && now != HEAP_TAKEN)
		atomic_store(&heap.own, now);
	gcstate_set_threshold(HEAP_TAKEN);
	if (!atomic_load(&heap.taken))
		gcstate_set_threshold(atomic_load(&heap.own));
}
