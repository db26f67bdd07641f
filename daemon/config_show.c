/* SPDX-License-Identifier: MIT */
#include "daemon/config_show.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct key {
	const char *name, *initial;
};

static const struct key daemon_keys[] = {
	{"MaxConcurrent", "auto"},
	{"MemoryBudget", ""},
	{"GateLag", "1s"},
	{"GatePressure", "50%"},
	{"GatePressureFile", "/proc/pressure/memory"},
	{"ListenHTTP", ""},
};
static const struct key service_keys[] = {
	{"Policy", "stagger"}, {"MaxConcurrent", "1"}, {"NeverWith", ""},
	{"Budget", ""},	       {"Drain", "none"},      {"Lead", "200ms"},
	{"MaxDefer", "30s"},   {"MinYield", "1%"},     {"Users", ""},
	{"Groups", ""},
};

#define N_DAEMON  (sizeof daemon_keys / sizeof *daemon_keys)
#define N_SERVICE (sizeof service_keys / sizeof *service_keys)

int config_note(struct config *config, const char *section, const char *key,
		const char *value, const char *file, int line)
{
	struct config_note *notes =
		reallocarray(config->notes, config->n_notes + 1, sizeof *notes);
	struct config_note *note;

	if (!notes)
		return -ENOMEM;
	config->notes = notes;
	note = &notes[config->n_notes];
	*note = (struct config_note){
		.section = strdup(section),
		.key = strdup(key),
		.value = strdup(value),
		.file = strdup(file),
		.line = line,
	};
	config->n_notes++;
	return note->section && note->key && note->value && note->file ? 0 : -ENOMEM;
}

/* The last one counts. An empty value puts the default back. */
static void look_up(const struct config *config, const struct key *key,
		    struct config_shown *ret)
{
	ret->key = key->name;
	ret->value = key->initial;
	ret->file = NULL;
	ret->line = 0;
	for (size_t i = config->n_notes; i-- > 0;) {
		const struct config_note *note = &config->notes[i];

		if (strcmp(note->section, ret->section) != 0 ||
		    strcmp(note->key, key->name) != 0)
			continue;
		if (*note->value)
			ret->value = note->value;
		ret->file = note->file;
		ret->line = note->line;
		return;
	}
}

bool config_show(const struct config *config, size_t index, struct config_shown *ret)
{
	size_t service;

	struct key limit;
	size_t n_limits = 0;

	if (index < N_DAEMON) {
		strcpy(ret->section, "Daemon");
		look_up(config, &daemon_keys[index], ret);
		return true;
	}
	index -= N_DAEMON;
	while ((limit.name = config_limits_key(n_limits, &limit.initial))) {
		if (n_limits++ < index)
			continue;
		strcpy(ret->section, "Daemon");
		look_up(config, &limit, ret);
		return true;
	}
	index -= n_limits;
	service = index / N_SERVICE;
	if (service > config->n_services)
		return false;
	ret->section[0] = '\0';
	if (service < config->n_services)
		snprintf(ret->section, sizeof ret->section, "Service:%s",
			 config->services[service].name);
	look_up(config, &service_keys[index % N_SERVICE], ret);
	return true;
}
