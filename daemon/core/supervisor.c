/* SPDX-License-Identifier: MIT */
/* Events in, actions out; heaps and services come and go. */
#include "daemon/core/supervisor.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/state.h"

/* FNV-1a */
static uint64_t service_hash(uint32_t uid, const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ uid;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return hash ^ hash >> 32;
}

static struct service **service_bucket(const struct supervisor *s, uint32_t uid,
				       const char *name)
{
	return &s->service_buckets[service_hash(uid, name) % s->n_service_buckets];
}

/* As many buckets as members, or up to twice that. */
static int grow_heaps(struct supervisor *s)
{
	size_t n = s->n_buckets ? s->n_buckets * 2 : 64;
	struct heap **buckets;

	if (s->n_heaps < s->n_buckets)
		return 0;
	buckets = calloc(n, sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	list_for_each (l, &s->heaps) {
		struct heap *h = list_entry(l, struct heap, all);

		h->hash_next = buckets[h->id % n];
		buckets[h->id % n] = h;
	}
	free(s->buckets);
	s->buckets = buckets;
	s->n_buckets = n;
	return 0;
}

static int grow_services(struct supervisor *s)
{
	size_t n = s->n_service_buckets ? s->n_service_buckets * 2 : 16;
	struct service **buckets;

	if (s->n_services < s->n_service_buckets)
		return 0;
	buckets = calloc(n, sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	list_for_each (l, &s->services) {
		struct service *service = list_entry(l, struct service, all);
		size_t i = service_hash(service->uid, service->config.name) % n;

		service->hash_next = buckets[i];
		buckets[i] = service;
	}
	free(s->service_buckets);
	s->service_buckets = buckets;
	s->n_service_buckets = n;
	return 0;
}

/* ---- Configuration
 * ------------------------------------------------------------------------ */

static const struct core_service_config *config_of(const struct supervisor *s,
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
		service->config = *config_of(s, name);
		memcpy(service->config.name, name, sizeof(name));
		rivals_leave(s, service);
	}
	list_for_each (l, &s->services) {
		struct service *service = list_entry(l, struct service, all);

		/* Out of memory: its rivals are not foreseen, but still kept apart. */
		(void)rivals_join(s, service, now);
		decide_service(s, service, now);
	}
	decide_dispatch(s, now);
	return 0;
}

/* ---- Heaps and services come and go
 * ------------------------------------------------------- */

struct heap *supervisor_find_heap(const struct supervisor *s, uint64_t id)
{
	struct heap *h = s->n_buckets ? s->buckets[id % s->n_buckets] : NULL;

	while (h && h->id != id)
		h = h->hash_next;
	return h;
}

static void drop_service_if_empty(struct supervisor *s, struct service *service)
{
	struct service **link;

	if (service->n_heaps > 0)
		return;
	link = service_bucket(s, service->uid, service->config.name);
	while (*link != service)
		link = &(*link)->hash_next;
	*link = service->hash_next;
	rivals_leave(s, service);
	timers_arm(&s->timers, &service->timer, NSEC_NEVER);
	timers_remove_owner(&s->timers);
	s->n_services--;
	service_free(service);
}

static int find_service(struct supervisor *s, uint32_t uid, const char *name, nsec_t now,
			struct service **ret)
{
	struct service *service;
	int r;

	for (service = *service_bucket(s, uid, name); service;
	     service = service->hash_next) {
		if (service->uid == uid && strcmp(service->config.name, name) == 0) {
			*ret = service;
			return 0;
		}
	}
	r = service_new(config_of(s, name), name, uid, now, &service);
	if (r < 0)
		return r;
	r = timers_add_owner(&s->timers);
	if (r < 0) {
		service_free(service);
		return r;
	}
	service->contention = &s->contention;
	list_append(&s->services, &service->all);
	service->hash_next = *service_bucket(s, uid, name);
	*service_bucket(s, uid, name) = service;
	s->n_services++;
	r = rivals_join(s, service, now);
	if (r < 0) {
		drop_service_if_empty(s, service);
		return r;
	}
	*ret = service;
	return 0;
}

/* The slot that the same process still holds by a connection it has lost. */
static void give_up_former(struct supervisor *s, const struct heap *h, uint64_t window,
			   nsec_t now)
{
	list_for_each (l, &h->service->heaps) {
		struct heap *former = list_entry(l, struct heap, siblings);

		if (former->lost && former->pid == h->pid &&
		    former->lease.state != LEASE_NONE && former->lease.id == window) {
			lease_drop(s, former, now);
			decide_heap(s, former, now);
		}
	}
}

static void inherit(const struct supervisor *s, struct heap *h, uint64_t former)
{
	const struct heap *f = supervisor_find_heap(s, former);

	if (f && f->lost && f->service == h->service)
		heap_inherit(h, f);
}

static int join(struct supervisor *s, const struct event *event, nsec_t now)
{
	const struct wire_hello *hello = &event->join.hello;
	struct service *service;
	struct heap *h;
	int r;

	assert(event->heap != 0 && !supervisor_find_heap(s, event->heap));
	r = grow_heaps(s);
	if (r == 0)
		r = grow_services(s);
	if (r < 0)
		return r;
	r = find_service(s, event->join.uid, hello->service, now, &service);
	if (r < 0)
		return r;
	r = heap_new(event->heap, &event->join, now, &h);
	if (r == 0) {
		r = s->any_rivals ? rivals_reserve(h) : 0;
		if (r == 0)
			r = timers_add_owner(&s->timers);
		if (r < 0)
			heap_free(h);
	}
	if (r < 0) {
		drop_service_if_empty(s, service);
		return r;
	}
	h->service = service;
	service->n_heaps++;
	s->n_heaps++;
	list_append(&s->heaps, &h->all);
	list_append(&service->heaps, &h->siblings);
	h->hash_next = s->buckets[h->id % s->n_buckets];
	s->buckets[h->id % s->n_buckets] = h;
	inherit(s, h, event->join.former);
	if (hello->prev_window) {
		give_up_former(s, h, hello->prev_window, now);
		lease_adopt(s, h, hello->prev_window, hello->prev_kind,
			    hello->prev_closes, now);
	}
	return 0;
}

static void leave(struct supervisor *s, struct heap *h, nsec_t now)
{
	struct service *service = h->service;
	struct heap **link = &s->buckets[h->id % s->n_buckets];

	lease_drop(s, h, now);
	decide_forget(s, h, now);
	timers_remove_owner(&s->timers);
	while (*link != h)
		link = &(*link)->hash_next;
	*link = h->hash_next;
	s->n_heaps--;
	service->n_heaps--;
	list_unlink(&h->all);
	list_unlink(&h->siblings);
	action_outlive(h);
	drop_service_if_empty(s, service);
}

static void lose(struct supervisor *s, struct heap *h, nsec_t now)
{
	h->lost = true;
	decide_record(s, h, REASON_LOST, 0, now);
	/* An open window may have been begun by a frame that was never sent: it stays. */
	if (h->lease.state == LEASE_ANNOUNCED)
		lease_revoke(s, h, REASON_LOST, now);
}

/* ---- Events
 * --------------------------------------------------------------------------------- */

static int drained(struct supervisor *s, struct heap *h, uint64_t window,
		   enum reason reason, nsec_t now)
{
	if (h->lease.state == LEASE_NONE || h->lease.id != window)
		return CORE_E_WINDOW;
	/* At rest or not: while a balancer still sends to it, only the balancer's word counts. */
	if (reason == REASON_QUIET && !heap_waits_for_quiet(h))
		return 0;
	if (h->lease.round)
		round_answered(s, h);
	else if (h->lease.state == LEASE_ANNOUNCED)
		lease_open(s, h, reason, now);
	return 0;
}

static int decline(struct supervisor *s, struct heap *h, uint64_t window, nsec_t now)
{
	if (h->lease.state == LEASE_NONE || h->lease.state == LEASE_IN_USE ||
	    h->lease.id != window)
		return CORE_E_WINDOW;
	lease_revoke(s, h, REASON_DECLINED, now);
	return 0;
}

static int apply(struct supervisor *s, struct heap *h, const struct event *event,
		 nsec_t now)
{
	h->silent = false;
	switch (event->type) {
	case EVENT_REPORT:
		heap_report(h, &event->report, now);
		yield_review(h, now);

		h->looked_at = now;
		h->look_until = 0;
		return 0;
	case EVENT_IDLE:
		h->slack_until = event->idle.until;
		return 0;
	case EVENT_BUSY:
		h->slack_until = 0;
		return 0;
	case EVENT_DEADLINE:
		h->deadline = event->deadline.at;
		h->slack_until =
			event->deadline.at == NSEC_NEVER ? 0 : event->deadline.at;
		return 0;
	case EVENT_QUIET:
		return drained(s, h, event->quiet.window, REASON_QUIET, now);
	case EVENT_DRAINED:
		return drained(s, h, event->window, REASON_DRAINED, now);
	case EVENT_UNDRAINABLE:
		return drained(s, h, event->window, REASON_UNDRAINABLE, now);
	case EVENT_BEGIN:
		return lease_begin(s, h, &event->begin, now);
	case EVENT_END:
		return lease_end(s, h, &event->end, now);
	case EVENT_DECLINE:
		return decline(s, h, event->decline.window, now);
	case EVENT_OFFER:
		h->kinds = event->offer.kinds;
		return 0;
	case EVENT_LOST:
		lose(s, h, now);
		return 0;
	case EVENT_JOIN:
	case EVENT_LEAVE:
		break;
	}
	return 0;
}

int supervisor_handle(struct supervisor *s, const struct event *event, nsec_t now)
{
	struct heap *h = supervisor_find_heap(s, event->heap), *other;
	int r = 0;

	if (event->type == EVENT_JOIN) {
		r = join(s, event, now);
		if (r < 0)
			return r;
		h = supervisor_find_heap(s, event->heap);
	} else if (!h) {
		return CORE_E_HEAP;
	} else if (event->type == EVENT_LEAVE) {
		leave(s, h, now);
		h = NULL;
	} else {
		r = apply(s, h, event, now);
	}
	if (h)
		decide_heap(s, h, now);
	other = budget_turn(s, now);
	if (other)
		decide_heap(s, other, now);
	decide_dispatch(s, now);
	if (event->type == EVENT_IDLE || event->type == EVENT_DEADLINE)
		decide_slack(s, h, now);
	return r;
}

static void timer_fired(struct supervisor *s, struct timer *timer, nsec_t now)
{
	struct heap *h;

	switch (timer->owner) {
	case TIMER_HEAP:
		h = list_entry(timer, struct heap, timer);
		lease_due(s, h, now);
		decide_timer(s, h, now);
		break;
	case TIMER_SERVICE:
		decide_due(s, list_entry(timer, struct service, timer), now);
		break;
	case TIMER_RIVALS:
		decide_due_rivals(s, list_entry(timer, struct rivals, timer), now);
		break;
	case TIMER_HOST:
		decide_due_host(s, now);
		break;
	case TIMER_SNAPSHOTS:
		decide_due_snapshots(s, now);
		break;
	}
}

void supervisor_tick(struct supervisor *s, nsec_t now)
{
	struct timer *timer;

	while ((timer = timers_pop(&s->timers, now)))
		timer_fired(s, timer, now);
	decide_dispatch(s, now);
}

nsec_t supervisor_deadline(const struct supervisor *s)
{
	return timers_next(&s->timers);
}
