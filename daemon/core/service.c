/* SPDX-License-Identifier: MIT */
#include "daemon/core/service.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "client/wire/names.h"

void core_service_config_init(struct core_service_config *config)
{
	*config = (struct core_service_config){
		.policy = POLICY_STAGGER,
		.drain = DRAIN_NONE,
		.max_concurrent = 1,
		.lead = 200 * NSEC_PER_MSEC,
		.max_defer = 30 * NSEC_PER_SEC,
		.min_yield_permille = 10,
	};
}

int service_new(const struct core_service_config *config, const char *name, uint32_t uid,
		nsec_t now, struct service **ret)
{
	struct service *service = calloc(1, sizeof(*service));

	if (!service)
		return -ENOMEM;
	list_init(&service->all);
	list_init(&service->heaps);
	list_init(&service->waiting);
	list_init(&service->eligible);
	list_init(&service->among_rivals);
	list_init(&service->answered);
	service->timer.owner = TIMER_SERVICE;
	service->uid = uid;
	service->since = now;
	service->config = *config;
	name_copy(service->config.name, sizeof(service->config.name), name);
	demand_init(&service->demand, service_width(config));
	*ret = service;
	return 0;
}

struct service *service_free(struct service *service)
{
	if (service) {
		list_unlink(&service->all);
		list_unlink(&service->eligible);
		list_unlink(&service->among_rivals);
		list_unlink(&service->answered);
	}
	free(service);
	return NULL;
}

unsigned service_width(const struct core_service_config *config)
{
	/* In a round nobody waits for anybody. */
	return config->policy == POLICY_TOGETHER ? UINT_MAX : config->max_concurrent;
}

void service_waited(struct service *service, nsec_t wait)
{
	histogram_add(&service->waits, wait);
	tally_add(&service->waited, wait);
}

void service_drained_in(struct service *service, nsec_t took)
{
	/* Rises at once, falls by an eighth: one quick drain does not make the next one
	 * quick. */
	if (took >= service->drain_typical)
		service->drain_typical = took;
	else
		service->drain_typical -= (service->drain_typical - took) / 8;
}

const char *core_policy_name(enum core_policy policy)
{
	switch (policy) {
	case POLICY_STAGGER:
		return "stagger";
	case POLICY_TOGETHER:
		return "together";
	case POLICY_IDLE:
		return "idle";
	case POLICY_OBSERVE:
		return "observe";
	}
	return "unknown";
}
