/* SPDX-License-Identifier: MIT */
/*
 * The drain guard: a small process of its own that talks to HAProxy, so that a dead, killed
 * or stopped daemon never leaves a server drained. It puts every server that it drained
 * back to `ready` when it is told to, when the lease runs out, when the daemon's end of the
 * socket closes, and on SIGTERM. A server that an operator has drained is left alone.
 *
 * Both ends are the same binary, so the messages are plain structures.
 */
#ifndef RTGCD_GUARD_H
#define RTGCD_GUARD_H

#include "client/wire/nsec.h"

#define GUARD_NAME_MAX	 128
#define GUARD_SOCKET_MAX 108

enum guard_op {
	/* daemon to guard */
	GUARD_DRAIN = 1,
	GUARD_RENEW,   /* the lease is longer now */
	GUARD_UNDRAIN, /* back to ready */
	GUARD_RESTORE, /* another guard has drained it and died: back to ready */
	/* guard to daemon */
	GUARD_CLAIMED, /* it is being drained now: from here on it must be put back */
	GUARD_DRAINED, /* nothing goes to it any more */
	GUARD_FAILED,  /* it cannot be drained: text. If it was claimed, READY follows */
	GUARD_READY,   /* it is back, or was never touched. The guard has forgotten it */
};

struct guard_message {
	enum guard_op op;
	uint64_t token;
	nsec_t lease;
	char socket[GUARD_SOCKET_MAX];
	char backend[GUARD_NAME_MAX], server[GUARD_NAME_MAX];
	char text[GUARD_NAME_MAX];
};

/* The whole life of the guard process; fd is its end of a SOCK_SEQPACKET pair. */
int guard_main(int fd);

#endif
