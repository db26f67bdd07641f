/* SPDX-License-Identifier: MIT */
/* What the files of the Varlink server share: varlink.c takes calls, varlink_reply.c answers. */
#ifndef RTGCD_VARLINK_PRIVATE_H
#define RTGCD_VARLINK_PRIVATE_H

#include "client/wire/list.h"
#include "daemon/buffer.h"
#include "daemon/core/quota.h"
#include "daemon/peer.h"
#include "daemon/varlink.h"

struct varlink {
	struct loop *loop;
	const struct varlink_interface *interface;
	uint32_t group;
	void *userdata;
	struct quota *quota;
	uint64_t delayed;
	struct list connections;
};

/* A connection. It answers one call at a time, so it is that call too. */
struct varlink_call {
	struct varlink *v;
	struct list link;
	int fd;
	struct loop_io *io;
	struct peer peer;
	bool sees_all, broken;
	bool oneway, more;
	varlink_fn page_fn; /* for the pages that are still to come */
	json_t *page_parameters;
	void *kept; /* NULL: nothing */
	void (*release)(void *kept);
	bool deferred; /* its answer is still to come */
	bool streaming;
	bool closing;		       /* the last words were said */
	bool partly_sent;	       /* the first answer of `out` */
	void (*ended)(void *userdata); /* NULL: nobody minds */
	void *ended_userdata;
	bool rests; /* it has asked more than its user may in a second, or in a turn */
	unsigned in_turn;	 /* answered in this one */
	struct loop_timer timer; /* it has rested; it is to be closed */
	struct quota_charge charge;
	struct buffer in, out;
	size_t made; /* bytes of answers that no turn was taken for yet */
};

void varlink_flush(struct varlink_call *c);
/* Waits for what it has to wait for, as things are now. */
void varlink_wait_for_io(struct varlink_call *c);
void varlink_tell_ended(struct varlink_call *c);
/* Counted already: into the log. */
void varlink_refuse(struct varlink_call *c, enum quota_refusal refusal);

#endif
