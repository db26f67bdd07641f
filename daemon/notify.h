/* SPDX-License-Identifier: MIT */
/* What the service manager is told, and the watchdog. Does nothing without a manager. */
#ifndef RTGCD_NOTIFY_H
#define RTGCD_NOTIFY_H

#include <stdbool.h>

#include "daemon/loop.h"

struct notify;

int notify_new(struct loop *loop, struct notify **ret);
/* Says STOPPING=1. */
struct notify *notify_free(struct notify *n);
void notify_ready(struct notify *n);
void notify_reloading(struct notify *n);
/* STATUS=, when it is another one, and once a second at most. */
void notify_status(struct notify *n, unsigned heaps, unsigned services);

/* What the manager has handed over; -1: not among it. */
struct notify_fds {
	int runtime, control; /* non-blocking, told apart by their types */
	int http;  /* listens for HTTP: by its name, for it may be of any family */
	int state; /* what a former run had notify_keep() */
};

void notify_fds(struct notify_fds *ret);
/* The manager keeps fd over a restart, a crash too. */
void notify_keep(int fd);
/* Is there a manager that could? */
bool notify_manager(void);

#endif
