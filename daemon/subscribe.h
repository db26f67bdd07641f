/* SPDX-License-Identifier: MIT */
/*
 * The method Subscribe: what is there, of that what the caller may see, then what happens to it
 * (daemon/tell.h) and, where they change, its figures.
 *
 * Figures are looked up when they are told, a few at a time: all that there are in the first pass, then, a
 * second apart, what has changed since the pass before. Nothing waits for who does not read: they
 * are told later, as they are then. Lines are not: who does not read them is disconnected.
 */
#ifndef RTGCD_SUBSCRIBE_H
#define RTGCD_SUBSCRIBE_H

#include <jansson.h>
#include <stdint.h>

#include "daemon/core/supervisor.h"
#include "daemon/loop.h"

struct subscribers;
struct tell;
struct varlink_call;

int subscribers_new(struct loop *loop, struct supervisor *core, struct tell *tell,
		    uint64_t epoch, struct subscribers **ret);
/* After the Varlink server. */
struct subscribers *subscribers_free(struct subscribers *all);
/* The method. */
void subscribe_call(struct subscribers *all, struct varlink_call *call,
		    json_t *parameters);

#endif
