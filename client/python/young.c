/* SPDX-License-Identifier: MIT */
#include "client/python/young.h"

#include <stdatomic.h>

#include "client/python/gcstate.h"
#include "client/python/heap.h"

/* CPython's own thresholds. */
#if PY_VERSION_HEX >= 0x030d0000
#define USUAL 2000
#else
#define USUAL 700
#endif
#define USUAL_MIDDLE 10

/* After so many collections in a row that found less than such a part of what they looked at. */
#define EMPTY_MANY  32
#define FOUND_SHARE 16

static const struct gcstate_young usual = {USUAL, USUAL_MIDDLE};
/* The middle one comes due after as many objects as ever: (threshold + 2) collections of the youngest. */
static const struct gcstate_young wide = {USUAL * (USUAL_MIDDLE + 2) / 3, 1};

static uint64_t began_ns; /* 0: no collection of the middle generation runs */
static uint64_t last_ns;  /* what the last one took */
static unsigned empty;	  /* so many in a row */
static bool other;	  /* young_is_other() */

void young_began(void)
{
	began_ns = rtgc_now();
}

void young_is_other(bool is)
{
	other = is;
}

void young_ended(int generation, uint64_t collected)
{
	int looked = young_is_wide() ? wide.youngest : usual.youngest;

	if (generation == 1 && began_ns) {
		last_ns = rtgc_now() - began_ns;
		began_ns = 0;
	}
	if (other)
		return;
	if (collected * FOUND_SHARE >= (uint64_t)looked || !atomic_load(&heap.taken)) {
		empty = 0;
		young_put_back();
	} else if (empty < EMPTY_MANY) {
		empty++;
	} else {
		gcstate_change_young(usual, wide);
	}
}

bool young_is_wide(void)
{
	return gcstate_young_is(&wide);
}

void young_put_back(void)
{
	gcstate_change_young(wide, usual);
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
