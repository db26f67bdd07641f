/* SPDX-License-Identifier: MIT */
/* What the files of the drain guard share: guard_job.c takes servers out and puts them back, guard.c hears the daemon. */
#ifndef RTGCD_GUARD_PRIVATE_H
#define RTGCD_GUARD_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "client/wire/list.h"
#include "daemon/guard.h"
#include "daemon/haproxy.h"

enum step {
	STEP_CHECK, /* may it be drained? */
	STEP_DRAIN, /* set server state drain */
	STEP_LOOK,  /* is it quiet? */
	STEP_DRAINED,
	STEP_CHECK_BACK, /* is it still drained by us? */
	STEP_READY,	 /* set server state ready */
	STEP_OVER,	 /* the daemon is to be told of it: m.op, m.text */
};

struct pollfd;

struct job {
	struct list link;
	struct guard_message m;
	enum step step;
	struct haproxy_command command;
	nsec_t due;	 /* the next command, or the end of patience with this one */
	nsec_t pause;	 /* between two looks */
	nsec_t absent;	 /* since when nobody has listened there; 0: somebody has */
	bool touched;	 /* we have drained it */
	bool release;	 /* it is to be put back */
	bool seen_quiet; /* at the last look */
	bool unsure;	 /* a command was given up on, and may still be carried out */
	bool put_back;	 /* `ready` was said once */
};

struct guard {
	int fd, signals;
	bool leaving;
	struct list jobs;
	size_t n_jobs;
	struct pollfd *polls;
};

/* m is what the daemon has sent. Where there is no memory for it, the daemon is told so. */
void guard_job_add(struct guard *g, const struct guard_message *m, nsec_t now);
/* HAProxy has answered, or takes more of the command. */
void guard_job_continue(struct guard *g, struct job *job, nsec_t now);
/* Everything of this job that is due at this instant. It may be no more afterwards. */
void guard_job_advance(struct guard *g, struct job *job, nsec_t now);

#endif
