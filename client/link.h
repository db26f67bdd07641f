/* SPDX-License-Identifier: MIT */
/*
 * One connection: frames in and out of a non-blocking SOCK_SEQPACKET socket, and a short
 * queue for what the kernel does not take at once.
 *
 * Threads: one at a time (the heap's lock). Nothing here waits.
 */
#ifndef RTGC_LINK_H
#define RTGC_LINK_H

#include <stdbool.h>

#include "client/wire/wire.h"

#define LINK_QUEUE 16
#define LINK_FDS   2 /* as many come with a WELCOME */

struct link {
	int fd;	   /* -1: none */
	int epoll; /* where fd is watched; borrowed */
	uint32_t serial;
	bool held;   /* before WELCOME: queue everything but HELLO */
	bool broken; /* cannot be used any more; the socket is shut down, so epoll says so
		      */
	bool watching_output;
	unsigned queued;
	struct wire_frame queue[LINK_QUEUE]; /* oldest first */
};

enum link_outcome {
	LINK_E_EMPTY = 1, /* nothing more to read now */
	LINK_E_CLOSED,	  /* the daemon has closed it */
	LINK_E_BAD,	  /* what came is not a frame */
};

void link_init(struct link *l, int epoll);
/* Takes over fd: says HELLO and watches it. 0 or -errno (fd is closed). */
int link_open(struct link *l, int fd, const struct wire_hello *hello);
void link_close(struct link *l);
/* WELCOME has come: what was held goes out. */
void link_release(struct link *l);

/*
 * Sends the frame, now or when there is room. Of reports, marks and heartbeats only the
 * newest is kept; if there is no room for one of the others the link is broken, so that
 * the daemon sees the end of the connection rather than a pause that never ends.
 */
void link_send(struct link *l, struct wire_frame *frame);
void link_flush(struct link *l);

/*
 * Reads one frame. fds is filled with the descriptors that came with it, -1 where there
 * are fewer; they are the caller's, whatever is returned. 0, a positive outcome or
 * -errno.
 */
int link_receive(struct link *l, struct wire_frame *ret, int fds[LINK_FDS]);

#endif
