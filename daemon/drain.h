/* SPDX-License-Identifier: MIT */
/*
 * Draining at HAProxy, by the drain guard (guard.h), which is started when it is first
 * needed and again when it dies. Threads: one.
 */
#ifndef RTGCD_DRAIN_H
#define RTGCD_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/config.h"
#include "daemon/loop.h"

struct drain;

/* The heap is drained (could), or cannot be. Never called from within drain_request(). */
typedef void (*drain_fn)(void *userdata, uint64_t heap, uint64_t window, bool could);

int drain_new(struct loop *loop, drain_fn fn, void *userdata, struct drain **ret);
/* The guard puts back what is drained, and ends. */
struct drain *drain_free(struct drain *d);
/* Starts the guard if it does not run. */
void drain_start(struct drain *d);
/* names: of the heap and its service, for %h and %s. how may be NULL: it cannot be drained. */
void drain_request(struct drain *d, const struct config_drain *how, const char *heap_name,
		   const char *service, uint64_t heap, uint64_t window, nsec_t lease);
void drain_renew(struct drain *d, uint64_t window, nsec_t lease);
void drain_undrain(struct drain *d, uint64_t window);
/*
 * Fills in %h, %s, %%. false: too long, or not a name HAProxy could have: what a client
 * calls itself must never become a command.
 */
bool drain_expand(const char *pattern, const char *heap_name, const char *service,
		  char *ret, size_t size);

#endif
