/* SPDX-License-Identifier: MIT */
/*
 * What happens, told to those who listen (methods Trace and Subscribe) as lines of rtgcd-events(5):
 * what the core is told and what clients are told. While nobody listens the hot path does not know of it.
 *
 * Each listener has as much room as a Varlink connection has; who reads too slowly for it
 * hears why, and is disconnected. What happened is kept once, for all of them, and until all have been told; some
 * are in one turn, the others in the next.
 */
#ifndef RTGCD_TELL_H
#define RTGCD_TELL_H

#include <jansson.h>
#include <stdint.h>

#include "client/wire/list.h"
#include "daemon/core/supervisor.h"
#include "daemon/loop.h"

struct eventlog_entry;
struct hot;
struct tell;
struct varlink_call;

/* Kinds of lines: bits. */
#define TELL_EVENT(type)  (1U << (type))
#define TELL_ACTION(type) (1U << (16 + (type)))
#define TELL_CONFIG	  (1U << 31)
#define TELL_ALL	  UINT32_MAX

/* Lies in what is theirs who listen, which sets all of these before tell_listen(). */
struct listener {
	uint64_t known;		    /* heaps up to this id are told of; UINT64_MAX: all */
	uint32_t kinds;		    /* of lines */
	const char *service, *heap; /* NULL: of all. heap: a name, or an id in digits */
	const char *overflow;	    /* the error for who does not read */
	/* The connection is over, and it listens no more. */
	void (*ended)(struct listener *l);

	struct tell *tell;
	struct varlink_call *call;
	struct list link, in_round;
	uint64_t heard; /* all that happened until that place of the log */
	json_t *lines;	/* that it is to be told */
	bool lossy;	/* memory has run out for one of them */
	bool slow;	/* what it has not heard is kept no longer */
};

int tell_new(struct loop *loop, struct supervisor *core, struct hot *hot,
	     struct tell **ret);
/* After the Varlink server and before the hot path. */
struct tell *tell_free(struct tell *t);
/* Another configuration is in force. */
void tell_config(struct tell *t, const struct core_config *config);
/* To be called at the end of each turn. */
void tell_flush(struct tell *t);

/* From now on, for as long as the call's connection lasts. */
void tell_listen(struct tell *t, struct listener *l, struct varlink_call *call);
/* Who listens on that call already, or NULL. */
struct listener *tell_listener(const struct tell *t, const struct varlink_call *call);
/* Whether it is for this one: its service and heap, and the caller may see them. */
bool listener_hears(const struct listener *l, const struct core_who *who);
/* What has happened until now is for it by what it knows now: before `known` grows. */
void listener_hear(struct listener *l);
/* One line more for this one; NULL: memory has run out. The line is stolen. */
void listener_add(struct listener *l, json_t *line);
/* What it has heard, to be sent otherwise; NULL: memory has run out. */
json_t *listener_take(struct listener *l);
/* Sends what there is. This may be its end, after which it is no more. */
void listener_send(struct listener *l);
/* The bit of a kind of line; 0: there is none of that name. */
uint32_t tell_kind(const char *name);

#endif
