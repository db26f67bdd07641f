/* SPDX-License-Identifier: MIT */
/* What is in force, and where each value was said. */
#ifndef RTGCD_CONFIG_SHOW_H
#define RTGCD_CONFIG_SHOW_H

#include <stdbool.h>

#include "daemon/config.h"

struct config_shown {
	char section[WIRE_NAME_MAX + 16]; /* "": of all services without a section */
	const char *key, *value;
	const char *file; /* NULL: it is the default */
	int line;
};

/* Remembers that a file has set it. -ENOMEM. */
int config_note(struct config *config, const char *section, const char *key,
		const char *value, const char *file, int line);
/* Counted from 0: the host's values, those of each section, the defaults of services. */
bool config_show(const struct config *config, size_t index, struct config_shown *ret);

#endif
