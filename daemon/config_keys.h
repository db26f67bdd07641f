/* SPDX-License-Identifier: MIT */
/*
 * The keys of the configuration and their values, wherever they come from: files, and what
 * a simulation is to change.
 */
#ifndef RTGCD_CONFIG_KEYS_H
#define RTGCD_CONFIG_KEYS_H

#include <stdbool.h>

#include "daemon/config.h"

#define CONFIG_MESSAGE_MAX 1000

/* One in which nothing is set. cpus stands for MaxConcurrent=auto of the host. -ENOMEM. */
int config_new(unsigned cpus, struct config **ret);
/* Both: false: ret_message says in one line what is wrong. */
bool config_check_section(const char *section, char ret_message[CONFIG_MESSAGE_MAX]);
/* Sets one key of the section "Daemon" or "Service:NAME". */
bool config_set(struct config *config, unsigned cpus, const char *section,
		const char *key, const char *value, char ret_message[CONFIG_MESSAGE_MAX]);

#endif
