/* SPDX-License-Identifier: MIT */
#include "client/python/pauses.h"

#include <stdint.h>
#include <string.h>

#include "client/python/gcstate.h"
#include "client/python/heap.h"

#define GENERATIONS 3
/* Durations in classes of an eighth of a doubling: a quantile is at most an eighth too high. */
#define EIGHTHS 8
#define CLASSES (40 * EIGHTHS)
#define RATE_NS UINT64_C(1000000000)

static struct {
	struct {
		uint64_t begin_ns; /* 0: none runs */
		uint64_t count, total_ns, max_ns;
		uint32_t in_class[CLASSES];
	} generation[GENERATIONS];
	uint64_t
		made; /* tracked objects made less freed, as the youngest generation counts */
	uint64_t since_ns, since_made; /* a second ago or more */
	uint64_t per_s;
} pauses;

void pauses_reset(void)
{
	memset(&pauses, 0, sizeof(pauses));
	pauses.since_ns = rtgc_now();
}

static unsigned class_of(uint64_t ns)
{
	unsigned doublings, class;

	if (ns < EIGHTHS)
		return (unsigned)ns;
	doublings = 63 - (unsigned)__builtin_clzll(ns);
	class = (doublings - 2) * EIGHTHS + ((ns >> (doublings - 3)) & (EIGHTHS - 1));
	return class < CLASSES ? class : CLASSES - 1;
}

/* The longest that is of this class. */
static uint64_t class_most(unsigned class)
{
	unsigned doublings = class / EIGHTHS + 2;

	if (class < EIGHTHS)
		return class;
	return ((uint64_t)(EIGHTHS + class % EIGHTHS + 1) << (doublings - 3)) - 1;
}

static uint64_t p99(int generation)
{
	uint64_t beyond = pauses.generation[generation].count / 100, n = 0;
	uint64_t longest = pauses.generation[generation].max_ns;

	for (unsigned class = CLASSES; class -- > 0;) {
		n += pauses.generation[generation].in_class[class];
		if (n > beyond)
			return class_most(class) < longest ? class_most(class) : longest;
	}
	return 0;
}

static void take_rate(uint64_t now)
{
	uint64_t span = now - pauses.since_ns;

	if (span < RATE_NS)
		return;
	pauses.per_s = (uint64_t)((double)(pauses.made - pauses.since_made) * 1e9 /
				  (double)span);
	pauses.since_ns = now;
	pauses.since_made = pauses.made;
}

void pauses_start(int generation)
{
	uint64_t now = rtgc_now();

	if (generation < 0 || generation >= GENERATIONS)
		return;
	pauses.generation[generation].begin_ns = now;
	pauses.made += gcstate_count(0);
	take_rate(now);
}

void pauses_stop(int generation)
{
	uint64_t took;

	if (generation < 0 || generation >= GENERATIONS ||
	    pauses.generation[generation].begin_ns == 0)
		return;
	took = rtgc_now() - pauses.generation[generation].begin_ns;
	pauses.generation[generation].begin_ns = 0;
	pauses.generation[generation].count++;
	pauses.generation[generation].total_ns += took;
	if (took > pauses.generation[generation].max_ns)
		pauses.generation[generation].max_ns = took;
	pauses.generation[generation].in_class[class_of(took)]++;
}

static PyObject *generation_dict(int generation)
{
#define NUMBER(value) (unsigned long long)(value)
	return Py_BuildValue(
		"{s:K,s:K,s:K,s:K}", "collections",
		NUMBER(pauses.generation[generation].count), "pause_total_us",
		NUMBER(pauses.generation[generation].total_ns / 1000), "pause_max_us",
		NUMBER(pauses.generation[generation].max_ns / 1000), "pause_p99_us",
		NUMBER(p99(generation) / 1000));
#undef NUMBER
}

static int set(PyObject *dict, const char *key, PyObject *value)
{
	int r = value ? PyDict_SetItemString(dict, key, value) : -1;

	Py_XDECREF(value);
	return r;
}

int pauses_status(PyObject *dict)
{
	take_rate(rtgc_now());
	if (set(dict, "generations",
		Py_BuildValue("[NNN]", generation_dict(0), generation_dict(1),
			      generation_dict(2))) < 0)
		return -1;
	if (set(dict, "candidates",
		Py_BuildValue("[iii]", gcstate_count(0), gcstate_count(1),
			      gcstate_count(2))) < 0)
		return -1;
	return set(dict, "net_allocations_per_s",
		   PyLong_FromUnsignedLongLong(pauses.per_s));
}
