/* SPDX-License-Identifier: MIT */
/*
 * A Varlink server for one interface, plus org.varlink.service: JSON objects that end with
 * a NUL over a stream socket. A request is measured before it is parsed (64 KiB, 16 levels);
 * one that cannot be read ends the connection. Replies wait in a queue of MaxQueue=; who lets it
 * run over is told so, and disconnected. A user who asks more than RequestsPerSecond= waits.
 *
 * Threads: one.
 */
#ifndef RTGCD_VARLINK_H
#define RTGCD_VARLINK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/loop.h"

struct quota;
struct varlink;
struct varlink_call;

/* Answers the call once, by one of the functions below. */
typedef void (*varlink_fn)(struct varlink_call *call, json_t *parameters, void *userdata);

struct varlink_method {
	const char *name; /* without the interface; NULL ends the list */
	varlink_fn fn;
};

struct varlink_interface {
	const char *name, *description;
	const struct varlink_method *methods;
};

/* group: who is in it sees everything (varlink_sees()); UINT32_MAX: there is none. */
int varlink_new(struct loop *loop, struct quota *quota,
		const struct varlink_interface *interface, uint32_t group, void *userdata,
		struct varlink **ret);
struct varlink *varlink_free(struct varlink *v);
/* A connection was accepted. */
void varlink_add(struct varlink *v, int fd);
/* How often somebody had to wait because their user had asked too much. */
uint64_t varlink_delayed(const struct varlink *v);

/*
 * Calls one of the interface's methods from within, as somebody who sees everything and changes
 * nothing; it must be one that answers at once. parameters are stolen. The reply as text, to be freed;
 * NULL: memory has run out.
 */
char *varlink_ask(struct varlink *v, const char *method, json_t *parameters);

/* ---- in a method ---- */

/* parameters are stolen; NULL: memory has run out, and the connection is closed. */
void varlink_reply(struct varlink_call *call, json_t *parameters);
/*
 * One page of an answer. The method is called again with `next` as its parameters (stolen;
 * NULL: this was the last page) when the caller has asked for more, and has read this one.
 */
void varlink_reply_page(struct varlink_call *call, json_t *parameters, json_t *next);
/* Has the method called again for that page, which is part of the answer to come. */
void varlink_next_page(struct varlink_call *call, json_t *next);
/*
 * What the pages of an answer are taken from, which the connection keeps until something else is kept (NULL:
 * nothing), or it ends: release(kept).
 */
void varlink_keep(struct varlink_call *call, void *kept, void (*release)(void *kept));
void *varlink_kept(const struct varlink_call *call);
void varlink_error(struct varlink_call *call, const char *name, json_t *parameters);
void varlink_invalid(struct varlink_call *call, const char *parameter);
bool varlink_wants_more(const struct varlink_call *call);
/* Whether the caller may see what belongs to that uid. */
bool varlink_sees(const struct varlink_call *call, uint32_t uid);
bool varlink_sees_all(const struct varlink_call *call);
/* Whether the caller may change the daemon's state: root and the daemon's own user. */
bool varlink_may_change(const struct varlink_call *call);

/* The interface that is served besides org.varlink.service. */
const struct varlink_interface *varlink_interface(const struct varlink_call *call);

/* ---- answers that take their time ---- */

/*
 * The method returns without an answer, which comes later; what else the caller has sent waits
 * for it. ended: the caller has hung up, and the call is no more; never called before this has
 * returned, nor after varlink_resume().
 */
void varlink_defer(struct varlink_call *call, void (*ended)(void *userdata),
		   void *userdata);
/* The answer was just given by varlink_reply…() or varlink_error(). */
void varlink_resume(struct varlink_call *call);

/* ---- answers without an end ---- */

/*
 * The answer goes on until the caller hangs up: it is added to by varlink_push(), at any
 * time. ended: the caller has hung up, or was disconnected, and the call is no more; never
 * called before this has returned.
 */
void varlink_stream(struct varlink_call *call, void (*ended)(void *userdata),
		    void *userdata);
/* One more reply, as text for any number of callers; parameters are stolen. NULL: memory has run out. */
char *varlink_push_text(json_t *parameters);
/*
 * A caller that does not read and whose queue is full is told `error` in the place of what waits, and
 * disconnected: ended() was called then, and false is returned. So it is when memory has run out (text NULL).
 */
bool varlink_push(struct varlink_call *call, const char *text, const char *error);
/* The same end for one that is too slow whatever there is room for. */
void varlink_cut(struct varlink_call *call, const char *error);
/* Something of it waits to be read. */
bool varlink_waits(const struct varlink_call *call);

#endif
