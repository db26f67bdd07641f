/* SPDX-License-Identifier: MIT */
#include "client/python/freeze.h"

#include "client/python/figures.h"
#include "client/python/gcstate.h"
#include "client/python/heap.h"
#include "client/python/helper.h"
#include "client/python/record.h"
#include "client/python/snapshot.h"

static void set_aside(void)
{
	struct gcstate_figures old;

	/* Young garbage would stay for long: it goes before. */
	gcstate_collect_middle();
	if (!heap.frozen && gcstate_holds_frozen())
		return;
	gcstate_figures(&old);
	if (!gcstate_freeze() || heap.frozen)
		return;
	/* What has grown old since was counted, and not what of it has died: it adds a quarter at most. */
	heap.frozen =
		old.total + (old.pending < old.total / 4 ? old.pending : old.total / 4);
}

bool freeze_run(const struct rtgc_window *window)
{
	struct rtgc *r = heap.rtgc;
	struct record record = {.kind = "freeze", .cause = "window"};
	struct rtgc_result result;

	if (!r || heap.mine || heap.critical || snapshot_runs() || gcstate_collecting() ||
	    !gcstate_enabled())
		return false;
	if (rtgc_begin(r, RTGC_FREEZE, RTGC_IN_WINDOW, window->id) != 0)
		return false;
	heap.mine = true;
	figures_begin();
	record.begin_ns = rtgc_now();
	set_aside();
	record.end_ns = rtgc_now();
	heap.mine = false;
	figures_result(0, &result);
	rtgc_end(r, &result);
	if (heap.rtgc != r)
		return true; /* a finalizer ended the supervision */
	heap.freezes++;
	record_add(&record);
	figures_publish(r);
	helper_kick();
	return true;
}

void freeze_undo(void)
{
	if (heap.frozen)
		gcstate_unfreeze(heap.frozen);
	heap.frozen = 0;
}
