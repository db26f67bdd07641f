/* SPDX-License-Identifier: MIT */
#include "daemon/core/canary.h"

/* What stood still with everything else, stopped or suspended, was not late. */
static enum core_strain_cause cause_of(const struct canary *c,
				       const struct core_strain *strain)
{
	if (strain->stood_still)
		return STRAIN_NONE;
	if (c->lag_limit && strain->lag > c->lag_limit)
		return STRAIN_LAG;
	if (c->pressure_limit && strain->pressure_permille >= c->pressure_limit)
		return STRAIN_PRESSURE;
	return STRAIN_NONE;
}

nsec_t canary_take(struct canary *c, const struct core_strain *strain, nsec_t now)
{
	enum core_strain_cause cause = cause_of(c, strain);

	if (cause == STRAIN_NONE)
		return NSEC_NEVER;
	if (!c->gates.open) {
		c->gates.open = true;
		c->gates.cause = cause;
		c->gates.by = *strain;
		c->gates.since = now;
		c->gates.opened++;
	}
	return nsec_add(now, CANARY_CALM);
}

void canary_calm(struct canary *c)
{
	c->gates.open = false;
}
