/* SPDX-License-Identifier: MIT */
#include "daemon/config_gates.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/units.h"

#define LAG	 NSEC_PER_SEC
#define PRESSURE 500
#define STALLS	 "/proc/pressure/memory"

int config_gates_init(struct config *config)
{
	config->pressure_file = strdup(STALLS);
	config->core.gate_lag = LAG;
	config->core.gate_pressure_permille = PRESSURE;
	return config->pressure_file ? 0 : -ENOMEM;
}

static const char *set_file(struct config *config, const char *path)
{
	char *copy;

	if (*path != '/')
		return "not an absolute path";
	copy = strdup(path);
	if (!copy)
		return "out of memory";
	free(config->pressure_file);
	config->pressure_file = copy;
	return NULL;
}

bool config_gates_set(struct config *config, const char *key, const char *value,
		      const char **ret_error)
{
	struct core_config *core = &config->core;

	*ret_error = NULL;
	if (strcmp(key, "GateLag") == 0) {
		core->gate_lag = LAG;
		if (*value && !units_span(value, &core->gate_lag))
			*ret_error = "not a time like 1s";
	} else if (strcmp(key, "GatePressure") == 0) {
		core->gate_pressure_permille = PRESSURE;
		if (*value && !units_permille(value, &core->gate_pressure_permille))
			*ret_error = "not a share like 50%";
	} else if (strcmp(key, "GatePressureFile") == 0) {
		*ret_error = set_file(config, *value ? value : STALLS);
	} else {
		return false;
	}
	return true;
}
