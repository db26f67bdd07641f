/* SPDX-License-Identifier: MIT */
/* The keys of [Daemon] that say when nobody waits for this daemon. */
#ifndef RTGCD_CONFIG_GATES_H
#define RTGCD_CONFIG_GATES_H

#include "daemon/config.h"

int config_gates_init(struct config *config); /* 0 or -ENOMEM */
/* false: it is none of these keys. *ret_error: what is wrong with the value, or NULL. */
bool config_gates_set(struct config *config, const char *key, const char *value,
		      const char **ret_error);

#endif
