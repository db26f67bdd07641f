/* SPDX-License-Identifier: MIT */
/* The configuration in force, and with the first one the core itself. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/state.h"

const struct core_service_config *configure_of(const struct supervisor *s,
					       const char *name)
{
	for (size_t i = 0; i < s->n_configs; i++)
		if (strcmp(s->configs[i].name, name) == 0)
			return &s->configs[i];
	return &s->defaults;
}

static bool has_rivals(const struct core_config *config)
{
	bool any = config->defaults.never_with[0][0] != '\0';

	for (size_t i = 0; i < config->n_services; i++)
		any |= config->services[i].never_with[0][0] != '\0';
	return any;
}

static int reserve_rivals(struct supervisor *s)
{
	int r = 0;

	list_for_each (l, &s->heaps) {
		r = rivals_reserve(list_entry(l, struct heap, all));
		if (r < 0)
			break;
	}
	return r;
}

static int take_config(struct supervisor *s, const struct core_config *config)
{
	size_t bytes = config->n_services * sizeof(*s->configs);
	struct core_service_config *configs = malloc(bytes + 1);

	if (!configs)
		return -ENOMEM;
	if (bytes)
		memcpy(configs, config->services, bytes);
	free(s->configs);
	s->configs = configs;
	s->n_configs = config->n_services;
	s->defaults = config->defaults;
	s->max_concurrent = config->max_concurrent;
	s->contention.limit = config->max_concurrent;
	s->canary.lag_limit = config->gate_lag;
	s->canary.pressure_limit = config->gate_pressure_permille;
	s->pool.total_bytes = (double)config->memory_budget;
	s->any_rivals = has_rivals(config);
	demand_resize(&s->demand, s->max_concurrent);
	s->snapshots_max = s->max_concurrent > 1 ? s->max_concurrent - 1 : 1;
	demand_resize(&s->snapshots, s->snapshots_max);
	return 0;
}

int supervisor_new(const struct core_config *config, nsec_t now, struct supervisor **ret)
{
	struct supervisor *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	list_init(&s->heaps);
	list_init(&s->services);
	list_init(&s->eligible);
	list_init(&s->holders);
	list_init(&s->answered);
	list_init(&s->telling);
	list_init(&s->directing);
	demand_init(&s->demand, config->max_concurrent);
	s->timer.owner = TIMER_HOST;
	s->snapshots_timer.owner = TIMER_SNAPSHOTS;
	list_init(&s->snapshots_waiting);
	demand_init(&s->snapshots, 1);
	/* Later than any id of a daemon that ran before on this boot, so that ids stay
	 * unique. */
	s->window_seq = now / NSEC_PER_USEC;
	s->born = now;
	s->canary.timer.owner = TIMER_GATES;
	r = timers_add_owner(&s->timers);
	if (r == 0)
		r = timers_add_owner(&s->timers);
	if (r == 0)
		r = timers_add_owner(&s->timers);
	if (r == 0)
		r = take_config(s, config);
	if (r < 0) {
		supervisor_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct supervisor *supervisor_free(struct supervisor *s)
{
	if (!s)
		return NULL;
	list_for_each (l, &s->services)
		rivals_leave(s, list_entry(l, struct service, all));
	list_for_each_safe (l, next, &s->heaps)
		heap_free(list_entry(l, struct heap, all));
	list_for_each_safe (l, next, &s->services)
		service_free(list_entry(l, struct service, all));
	timers_deinit(&s->timers);
	free(s->configs);
	free(s->buckets);
	free(s->service_buckets);
	free(s);
	return NULL;
}

int supervisor_configure(struct supervisor *s, const struct core_config *config,
			 nsec_t now)
{
	int r = has_rivals(config) ? reserve_rivals(s) : 0;

	if (r == 0)
		r = take_config(s, config);
	if (r < 0)
		return r;
	budget_sum_up(s, now);
	list_for_each (l, &s->services) {
		struct service *service = list_entry(l, struct service, all);
		char name[WIRE_NAME_MAX];

		memcpy(name, service->config.name, sizeof(name));
		service->config = *configure_of(s, name);
		memcpy(service->config.name, name, sizeof(name));
		service->changed = ++s->changes;
		rivals_leave(s, service);
	}
	list_for_each (l, &s->services) {
		struct service *service = list_entry(l, struct service, all);

		/* Out of memory: its rivals are not foreseen, but still kept apart. */
		(void)rivals_join(s, service, now);
		decide_service(s, service, now);
	}
	grant_dispatch(s, now);
	return 0;
}
