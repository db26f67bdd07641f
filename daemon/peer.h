/* SPDX-License-Identifier: MIT */
/*
 * Who is at the other end of a socket: what the kernel says, never what a message says.
 * The pidfd tells when that process has died; the end of the connection does not (a forked
 * child may keep it open, a living process may close it).
 */
#ifndef RTGCD_PEER_H
#define RTGCD_PEER_H

#include <stdbool.h>
#include <stdint.h>

struct peer {
	uint32_t uid, gid;
	int32_t pid; /* 0: in a pid namespace that cannot be seen from here */
	int pidfd;   /* -1: none */
};

/* -ESRCH: the process has died already. */
int peer_init(int fd, struct peer *ret);
void peer_deinit(struct peer *peer);
/* false also when it cannot be known. */
bool peer_dead(const struct peer *peer);
/* Whether the process at the other end of fd is in the group. */
bool peer_in_group(int fd, const struct peer *peer, uint32_t gid);

#endif
