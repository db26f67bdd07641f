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
/*
 * When the process was born, in the kernel's count: with the pid it names one process, also when
 * the pid is used again. 0: it cannot be known.
 */
uint64_t peer_birth(int32_t pid);
/* The living process of that pid and birth, without a pidfd if pid is 0. -ESRCH: there is none. */
int peer_find(uint32_t uid, int32_t pid, uint64_t birth, struct peer *ret);
void peer_deinit(struct peer *peer);
/* false also when it cannot be known. */
bool peer_dead(const struct peer *peer);
/* Whether the process at the other end of fd is in the group. */
bool peer_in_group(int fd, const struct peer *peer, uint32_t gid);

#endif
