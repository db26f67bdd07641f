/* SPDX-License-Identifier: MIT */
/* What must hold after every step. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/model.h"

void sim_break(struct sim *sim, const char *invariant, const char *format, ...)
{
	va_list args;

	if (sim->broken[0])
		return;
	sim->broken = invariant;
	va_start(args, format);
	vsnprintf(sim->detail, sizeof(sim->detail), format, args);
	va_end(args);
}

struct sim_heap *sim_by_id(struct sim *sim, uint64_t id)
{
	for (unsigned i = 0; i < sim->n_heaps; i++)
		if (sim->heap[i].id == id)
			return &sim->heap[i];
	return NULL;
}

/* I-1: nobody waits longer than its service allows. */
static void check_waits(struct sim *sim)
{
	struct core_heap info;

	for (uint64_t after = 0; supervisor_heap_after(sim->core, after, sim->now, &info);
	     after = info.id) {
		struct sim_heap *h = sim_by_id(sim, info.id);
		nsec_t most = h ? sim->services[h->spec.service].max_defer : 0;

		if (!h || h->stopped)
			continue;
		if (info.wanting_since != NSEC_NEVER &&
		    sim->now > info.wanting_since + most + 25 * MS)
			sim_break(sim, "I-1", "heap %u waits for longer than MaxDefer",
				  (unsigned)info.id);
	}
}

void sim_check(struct sim *sim)
{
	struct core_status status;
	struct core_window win;
	unsigned windows = 0, excused = 0, held[SIM_SERVICES_MAX] = {0};
	unsigned snapshots = 0, excused_snapshots = 0, slots = sim->config.max_concurrent;
	bool alone = false; /* one round that is larger than the host has it for itself */

	supervisor_status(sim->core, &status);
	for (uint64_t after = 0; supervisor_window_after(sim->core, after, &win);
	     after = win.heap) {
		if (!win.slot)
			continue;
		/* (An event at that very instant puts the timer off by a nanosecond.) */
		if (win.state == WINDOW_ANNOUNCED && win.opens + NSEC_PER_USEC < sim->now)
			sim_break(sim, "L-1", "heap %u's window ought to be open",
				  (unsigned)win.heap);
		if (win.kind == WIRE_SNAPSHOT) { /* they have slots of their own */
			snapshots++;
			excused_snapshots +=
				win.over_limit || win.reason == REASON_ADOPTED;
			continue;
		}
		windows++;
		/* Over the limit by decision and counted, or brought along from a former life. */
		excused += win.over_limit || win.reason == REASON_ADOPTED;
		for (unsigned i = 0; i < SIM_SERVICES_MAX; i++)
			if (strcmp(win.service, sim->services[i].name) == 0)
				held[i]++;
	}
	if (windows + snapshots != status.windows_open)
		sim_break(sim, "I-4", "%u windows, %u counted", windows + snapshots,
			  status.windows_open);
	if (snapshots > excused_snapshots + (slots > 1 ? slots - 1 : 1))
		sim_break(sim, "I-2", "%u snapshots on a host with %u slots", snapshots,
			  slots);
	for (unsigned i = 0; i < sim->config.n_services; i++)
		alone |= sim->services[i].policy == POLICY_TOGETHER &&
			 held[i] + excused >= windows;
	if (windows > slots + excused && !alone)
		sim_break(sim, "I-2", "%u windows on a host with %u slots", windows,
			  slots);
	for (unsigned i = 0; i < sim->config.n_services; i++)
		if (sim->services[i].policy != POLICY_TOGETHER &&
		    held[i] > sim->services[i].max_concurrent + excused)
			sim_break(sim, "I-2", "%u windows in a service with %u slots",
				  held[i], sim->services[i].max_concurrent);
	for (unsigned i = 0; i < sim->config.n_services; i++)
		for (unsigned j = 0; j < sim->config.n_services; j++)
			if (i != j && held[i] && held[j] && !excused &&
			    strcmp(sim->services[i].never_with[0],
				   sim->services[j].name) == 0)
				sim_break(sim, "I-2", "services %u and %u pause together",
					  i, j);
	if (sim->steps % 8 == 0)
		check_waits(sim);
	if (sim->strains)
		sim_check_gates(sim);
	for (unsigned i = 0; i < sim->n_heaps; i++) {
		const struct sim_heap *h = &sim->heap[i];

		/* (A budget that was lowered is enforced by its next event, when it runs again.) */
		if (h->used > (double)h->budget * 1.001 + 2 && h->at < sim->now &&
		    !h->collecting && !h->stopped)
			sim_break(sim, "I-1", "heap %u is past its ceiling",
				  (unsigned)h->id);
	}
}
