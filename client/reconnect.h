/* SPDX-License-Identifier: MIT */
/*
 * When to try to reach the daemon again, and the try itself.
 *
 * Delays double from 20 ms to 2 s, each shortened at random by up to a half, so that a
 * thousand clients of a restarted daemon do not come in one instant. Threads: one at a
 * time.
 */
#ifndef RTGC_RECONNECT_H
#define RTGC_RECONNECT_H

#include <stdint.h>

#include "client/wire/nsec.h"

#define RECONNECT_MIN (20 * NSEC_PER_MSEC)
#define RECONNECT_MAX (2 * NSEC_PER_SEC)

struct reconnect {
	nsec_t delay;
	uint64_t random;
};

enum reconnect_outcome {
	RECONNECT_E_ABSENT = 1, /* nobody listens there */
	RECONNECT_E_FULL,	/* somebody does, but its backlog is full */
};

void reconnect_init(struct reconnect *rc, uint64_t seed);
/* The next delay is the smallest one again: the daemon was seen to work. */
void reconnect_reset(struct reconnect *rc);
/* The next delay is the longest one: the daemon does not want this heap. */
void reconnect_slow(struct reconnect *rc);
/* The instant of the next try. */
nsec_t reconnect_next(struct reconnect *rc, nsec_t now);

/*
 * One non-blocking try. 0 and a descriptor, a positive outcome, or -errno. AF_UNIX
 * connects at once or not at all: there is no connection in progress to wait for.
 */
int reconnect_try(const char *path, int *ret_fd);

#endif
