/* SPDX-License-Identifier: MIT */
/* Heaps and their services come and go, and are found again. */
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
	s->services_gone++;
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
	r = service_new(configure_of(s, name), name, uid, now, &service);
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

/* So long a window of a daemon that ran before this one may be in use. */
#define FORMER_WINDOWS (150 * NSEC_PER_SEC)

/* A former daemon's windows are not known, its own are. */
static bool may_hold(const struct supervisor *s, const struct heap *h, uint64_t window,
		     nsec_t now)
{
	if (now - s->born <= FORMER_WINDOWS)
		return true;
	list_for_each (l, &h->service->heaps) {
		struct heap *former = list_entry(l, struct heap, siblings);

		if (former != h && former->pid == h->pid && former->lease.id == window)
			return true;
	}
	return false;
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

int members_join(struct supervisor *s, const struct event *event, nsec_t now)
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
	if (hello->prev_window && !may_hold(s, h, hello->prev_window, now)) {
		heap_count(&h->violations);
	} else if (hello->prev_window) {
		give_up_former(s, h, hello->prev_window, now);
		lease_adopt(s, h, hello->prev_window, hello->prev_kind,
			    hello->prev_closes, now);
	}
	return 0;
}

void members_leave(struct supervisor *s, struct heap *h, nsec_t now)
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

void members_lose(struct supervisor *s, struct heap *h, nsec_t now)
{
	h->lost = true;
	decide_record(s, h, REASON_LOST, 0, now);
	/* An open window may have been begun by a frame that was never sent: it stays. */
	if (h->lease.state == LEASE_ANNOUNCED)
		lease_revoke(s, h, REASON_LOST, now);
}
