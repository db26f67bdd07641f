/* SPDX-License-Identifier: MIT */
#include "client/python/internal.h"

#include "client/python/full.h"

#include <stdlib.h>
#include <string.h>

#include "client/python/figures.h"
#include "client/python/freeze.h"
#include "client/python/gclist.h"
#include "client/python/heap.h"
#include "client/python/snapshot_trial.h"
#include "client/python/snapshot_walk.h"

#define OBJECTS_MIN 100000
/* Of the memory that there is, an eighth stays free of the tables. */
#define SPARE_SHARE 8
#define NEAR_SHARE  24
#define REFUSED_FOR \
	16 /* collections, before it is looked at again whether a heap suits */

/* Static: members of CPython's lists point here, also in a child that another thread forks. */
static struct {
	PyGC_Head reachable, rest;
	uint64_t count;
	bool is_aside;
	unsigned long thread;
	unsigned plain; /* so many more are left to CPython */
	uint64_t walked;
} full;

enum mode {
	AUTO,
	PLAIN,
	WALK,
};

static enum mode mode(void)
{
	const char *given = getenv("RTGC_FULL");

	if (given && strcmp(given, "plain") == 0)
		return PLAIN;
	return given && strcmp(given, "walk") == 0 ? WALK : AUTO;
}

/* ---- Whether it may be --------------------------------------------------------------- */

static bool is_room(uint64_t objects)
{
	uint64_t need, most = heap.memory_limit - heap.memory_limit / SPARE_SHARE;

	if (heap.byte_budget && (most == 0 || heap.budget < most))
		most = heap.budget;
	need = figures_rss() + objects * FULL_BYTES_EACH;
	return most == 0 || need <= most;
}

static bool is_due(enum mode mode)
{
	uint64_t objects = gclist_count();

	if (mode == PLAIN || !is_room(objects))
		return false;
	if (mode == WALK)
		return true;
	if (full.plain > 0)
		full.plain--;
	return full.plain == 0 && objects >= OBJECTS_MIN;
}

/* ---- Collecting -------------------------------------------------------------------------- */

/* As caches like it: CPython's own is not slower then. */
static bool suits(uint64_t near, uint64_t objects)
{
	return near <= objects - objects / NEAR_SHARE;
}

/* Leaves the old generation with what cannot be reached. */
static bool set_aside(enum mode mode)
{
	PyGC_Head *old = gclist_generation(GCLIST_OLD);

	if (!is_due(mode) || !snapshot_part_usable())
		return false;
	gclist_make(&full.rest);
	if (!snapshot_part(old, mode == WALK ? NULL : suits, &full.rest, &full.count)) {
		full.plain = REFUSED_FOR;
		return false;
	}
	gclist_make(&full.reachable);
	gclist_join(old, &full.reachable);
	gclist_join(&full.rest, old);
	full.thread = PyThread_get_thread_ident();
	full.is_aside = true;
	return true;
}

static void bring_back(void)
{
	PyGC_Head *old = gclist_generation(GCLIST_OLD);

	full.is_aside = false;
	gclist_join(old, &full.reachable);
	gclist_join(&full.reachable, old);
}

void full_ended(void)
{
	if (!full.is_aside)
		return;
	bring_back();
	gclist_settle_more(full.count);
}

void full_init(void)
{
	gclist_init();
}

bool full_collect(void)
{
	bool walked;

	freeze_undo(); /* all of it is looked at */
	gclist_age();
	walked = set_aside(mode());
	full.walked += walked;
	PyGC_Collect();
	full_ended();
	return walked;
}

uint64_t full_walked(void)
{
	return full.walked;
}

void full_after_fork_child(void)
{
	if (full.is_aside && full.thread != PyThread_get_thread_ident())
		bring_back();
}
