/* SPDX-License-Identifier: MIT */
/* The gates (daemon/core/canary.h): what opens them, and what must hold while they are open. */
#include "tests/sim/model.h"

void sim_strain(struct sim *sim)
{
	struct core_strain strain = {
		.lag = sim_random(sim, 2 * sim->config.gate_lag),
		.pressure_permille =
			(unsigned)sim_random(sim, 2 * sim->config.gate_pressure_permille),
		.stood_still = sim_random(sim, 4) == 0,
	};
	struct core_gates gates;

	supervisor_gates(sim->core, &gates);
	if (!strain.stood_still &&
	    (strain.lag > sim->config.gate_lag ||
	     strain.pressure_permille >= sim->config.gate_pressure_permille)) {
		sim->gates_opened += !gates.open;
		sim->gates_opened_ever += !gates.open;
		sim->strained_until = sim->now + 5 * SEC;
	}
	supervisor_strain(sim->core, &strain, sim->now);
}

void sim_count_ungated(struct sim *sim, const struct sim_heap *h)
{
	struct core_gates gates;

	supervisor_gates(sim->core, &gates);
	sim->ungated +=
		gates.open && sim->services[h->spec.service].policy != POLICY_OBSERVE;
}

void sim_check_gates(struct sim *sim)
{
	struct core_gates gates;
	struct core_heap info;

	supervisor_gates(sim->core, &gates);
	if (gates.opened != sim->gates_opened || gates.ungated != sim->ungated)
		sim_break(sim, "I-4", "%llu windows passed the gates, %llu counted",
			  (unsigned long long)sim->ungated,
			  (unsigned long long)gates.ungated);
	if (gates.open && sim->now > sim->strained_until)
		sim_break(sim, "L-2", "it has been calm, and the gates are open");
	if (!gates.open && sim->now < sim->strained_until)
		sim_break(sim, "I-1", "the gates are shut in the middle of it");
	if (!gates.open)
		return;
	for (uint64_t after = 0; supervisor_heap_after(sim->core, after, sim->now, &info);
	     after = info.id)
		if (info.state == HEAP_WANTING)
			sim_break(sim, "I-1", "heap %u waits before open gates",
				  (unsigned)info.id);
}
