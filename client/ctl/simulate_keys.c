/* SPDX-License-Identifier: MIT */
/* The keys that --set takes: those of the configuration. */
#include "client/ctl/complete.h"

#include "daemon/config_keys.h"
#include "daemon/config_show.h"

void complete_each_key(complete_key_fn fn, void *userdata)
{
	struct config_shown shown;
	struct config *config;

	if (config_new(1, &config) < 0)
		return;
	for (size_t i = 0; config_show(config, i, &shown); i++)
		fn(userdata, shown.section[0] == '\0', shown.key, shown.value);
	config_free(config);
}
