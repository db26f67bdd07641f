/* SPDX-License-Identifier: MIT */
/* The keys of [Daemon] that say how much of the daemon others may have (daemon/core/quota.h). */
#ifndef RTGCD_CONFIG_LIMITS_H
#define RTGCD_CONFIG_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/quota.h"

struct config_limits { /* as they are written; 0: auto */
	uint64_t connections, user_connections, ungreeted, callers, user_callers;
	uint64_t frames, user_frames, requests, queue, queue_memory;
	nsec_t hello;
};

void config_limits_init(struct config_limits *limits);
/*
 * One KEY=VALUE; an empty one is the default. Returns whether there is such a key; *ret_error is
 * then NULL, or what the value should have been.
 */
bool config_limits_set(struct config_limits *limits, const char *key, const char *value,
		       const char **ret_error);
/* What they come to with so many descriptors: no more connections than those are enough for. */
void config_limits_resolve(const struct config_limits *limits, uint64_t descriptors,
			   struct quota_limits *ret);
/* Of the index-th key; NULL: there is none. */
const char *config_limits_key(size_t index, const char **ret_initial);

#endif
