/* SPDX-License-Identifier: MIT */
/* Random numbers, the same on every machine, and random hosts made from them. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/model.h"

uint64_t sim_random(struct sim *sim, uint64_t below)
{
	sim->rng ^= sim->rng << 13;
	sim->rng ^= sim->rng >> 7;
	sim->rng ^= sim->rng << 17;
	return sim->rng % below;
}

double sim_share(struct sim *sim)
{
	return (double)sim_random(sim, 1000001) / 1e6;
}

void sim_init(struct sim *sim, uint64_t seed)
{
	memset(sim, 0, sizeof(*sim));
	sim->seed = seed;
	sim->rng = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
	sim->now = 1000 * SEC;
	sim->broken = "";
	sim->config.services = sim->services;
	sim->config.max_concurrent = 2;
	core_service_config_init(&sim->config.defaults);
	for (int i = 0; i < 20; i++)
		sim_random(sim, 2);
	for (unsigned i = 0; i < SIM_SERVICES_MAX; i++) {
		core_service_config_init(&sim->services[i]);
		snprintf(sim->services[i].name, WIRE_NAME_MAX, "s%u", i);
	}
}

void sim_populate(struct sim *sim)
{
	sim->config.n_services = 1 + sim_random(sim, SIM_SERVICES_MAX);
	sim->config.max_concurrent = 1 + (unsigned)sim_random(sim, 4);
	for (size_t i = 0; i < sim->config.n_services; i++) {
		sim->services[i].max_concurrent = 1 + (unsigned)sim_random(sim, 3);
		sim->services[i].policy = sim_random(sim, 2)
						  ? POLICY_STAGGER
						  : (enum core_policy)sim_random(sim, 4);
		sim->services[i].drain = (enum core_drain)sim_random(sim, 3);
		sim->services[i].lead = 1 + sim_random(sim, 300 * MS);
		if (sim_random(sim, 4) == 0)
			sim->services[i].max_defer = 1 + sim_random(sim, SEC);
		if (sim_random(sim, 4) == 0)
			snprintf(sim->services[i].never_with[0], WIRE_NAME_MAX, "s%u",
				 (unsigned)sim_random(sim, SIM_SERVICES_MAX));
	}
	sim->n_heaps = 1 + (unsigned)sim_random(sim, 16);
	for (unsigned i = 0; i < sim->n_heaps; i++) {
		uint64_t budget = 10000 + sim_random(sim, 1000000);

		sim->heap[i].spec = (struct sim_heap_spec){
			.profile = (enum sim_profile)sim_random(sim, SIM_PROFILES),
			.service = (unsigned)sim_random(sim, sim->config.n_services),
			.caps = (uint32_t)sim_random(sim, WIRE_CAPS_KNOWN + 1),
			.budget = budget,
			.rate = (double)budget / (0.5 + 10 * sim_share(sim)),
			.live = budget * (1 + sim_random(sim, 4)),
			.cost = 20 + (double)sim_random(sim, 300),
			.garbage = sim_share(sim),
			.safe_point = sim_random(sim, 20 * MS),
			.rest = sim_random(sim, 100 * MS),
		};
		/* Some have next to nothing to free, and some of them can freeze. */
		if ((sim->seed + i) % 3 == 0)
			sim->heap[i].spec.garbage /= 100;
		if ((sim->seed + i) % 2 == 0)
			sim->heap[i].spec.kinds = 1 << WIRE_FREEZE;
	}
}
