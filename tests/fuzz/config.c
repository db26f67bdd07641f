/* SPDX-License-Identifier: MIT */
/*
 * The configuration: any file. It is taken, and then a core can live by it and every value can be
 * shown; or it is refused in one line that begins with the file.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/config_show.h"
#include "tests/fuzz/fuzz.h"

#define CPUS 4

static void live_by(const struct config *config)
{
	struct supervisor *core;
	struct event join = {.type = EVENT_JOIN, .heap = 1};
	struct action action;

	fuzz_check(supervisor_new(&config->core, NSEC_PER_SEC, &core) == 0);
	join.join.hello.kinds = 1 << WIRE_MAJOR;
	join.join.hello.service[0] = 'x';
	if (config->n_services)
		memcpy(join.join.hello.service, config->services[0].name, WIRE_NAME_MAX);
	fuzz_check(supervisor_handle(core, &join, NSEC_PER_SEC) == 0);
	while (supervisor_next_action(core, &action))
		;
	supervisor_free(core);
}

static void show(const struct config *config)
{
	struct config_shown shown;

	for (size_t i = 0; config_show(config, i, &shown); i++)
		fuzz_check(shown.key[0] && shown.value && shown.line >= 0 &&
			   strlen(shown.section) < sizeof(shown.section));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = fuzz_file(data, size);
	struct config *config = NULL;
	char *error = NULL;
	int r = config_load(path, CPUS, &config, &error);

	if (r < 0) {
		fuzz_check(error && !config && !strchr(error, '\n'));
		fuzz_check(strncmp(error, path, strlen(path)) == 0);
		free(error);
		return 0;
	}
	fuzz_check(!error && config->core.max_concurrent >= 1);
	for (size_t i = 0; i < config->n_services; i++) {
		const struct core_service_config *service = &config->services[i];

		fuzz_check(service->max_concurrent >= 1 && service->name[0]);
		fuzz_check(service->min_yield_permille <= 1000);
		config_drain_of(config, service->name);
	}
	live_by(config);
	show(config);
	config_free(config);
	return 0;
}
