/* SPDX-License-Identifier: MIT */
/* What the service manager is told, and the watchdog. Does nothing without a manager. */
#ifndef RTGCD_NOTIFY_H
#define RTGCD_NOTIFY_H

#include "daemon/loop.h"

struct notify;

int notify_new(struct loop *loop, struct notify **ret);
/* Says STOPPING=1. */
struct notify *notify_free(struct notify *n);
void notify_ready(struct notify *n);
void notify_reloading(struct notify *n);
/* STATUS=, when it is another one, and once a second at most. */
void notify_status(struct notify *n, unsigned heaps, unsigned services);

/*
 * The sockets that the manager has handed over, non-blocking, told apart by their types;
 * -1: not among them.
 */
void notify_sockets(int *ret_runtime, int *ret_control);

#endif
