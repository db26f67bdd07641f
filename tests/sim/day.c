/* SPDX-License-Identifier: MIT */
/*
 * day [HOURS [SEED]]: a host for so many virtual hours. Processes come and go all the time, now and then
 * one stops, lies or loses its connection, and the daemon starts again every hour. One line of JSON an
 * hour: what there was so far, and what the core has allocated. The invariants are checked after each step.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/model.h"

#define HOUR (3600 * SEC)

int main(int argc, char **argv)
{
	unsigned hours = argc > 1 ? (unsigned)atoi(argv[1]) : 24;
	struct sim *sim = malloc(sizeof(*sim));
	bool ok = true;

	sim_init(sim, argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
	sim_populate(sim);
	sim_start(sim);
	for (unsigned hour = 1; hour <= hours && ok; hour++) {
		nsec_t end = sim->now + HOUR;

		while (ok && sim->now < end) {
			ok = sim_run_until(sim,
					   sim->now + 2 * SEC + sim_random(sim, 8 * SEC));
			if (ok)
				ok = sim_churn(sim);
		}
		if (ok)
			ok = sim_restart(sim);
		printf("{\"hour\": %u, \"bytes\": %zu, \"steps\": %llu, \"restarts\": %llu,"
		       " \"deaths\": %llu, \"in_window\": %llu, \"forced\": %llu}\n",
		       hour, mallinfo2().uordblks, (unsigned long long)sim->steps,
		       (unsigned long long)sim->restarts, (unsigned long long)sim->deaths,
		       (unsigned long long)sim->in_window,
		       (unsigned long long)sim->forced);
	}
	ok = ok && sim_run_until(sim, sim->now + 20 * SEC) && sim_finish(sim);
	if (!ok)
		fprintf(stderr, "%s after %llu steps: %s\n", sim->broken,
			(unsigned long long)sim->steps, sim->detail);
	supervisor_free(sim->core);
	free(sim);
	return ok ? 0 : 1;
}
