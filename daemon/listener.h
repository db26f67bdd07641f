/* SPDX-License-Identifier: MIT */
/*
 * A listening socket. Out of descriptors, it takes one connection on a reserved one to
 * hang up on it, and then rests for 100 ms: a listener left armed would spin.
 */
#ifndef RTGCD_LISTENER_H
#define RTGCD_LISTENER_H

#include "daemon/loop.h"

struct listener;
struct quota;

/* fd is the callee's: non-blocking, close-on-exec. */
typedef void (*listener_fn)(void *userdata, int fd);

/* fd listens already; it is the listener's from here on, also when this fails. */
int listener_new(struct loop *loop, struct quota *quota, int fd, const char *name,
		 listener_fn fn, void *userdata, struct listener **ret);
struct listener *listener_free(struct listener *l);

#endif
