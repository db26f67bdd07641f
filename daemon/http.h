/* SPDX-License-Identifier: MIT */
/*
 * The HTTP listener: read-only answers to GET and HEAD for programs and browsers of this host, by
 * libevent's evhttp. Opt-in (ListenHTTP=), on a loopback address or a Unix socket.
 *
 * What a client can cost is bounded: requests of 8 KiB, without a body; as many connections as
 * callers of the control socket (MaxCallers=, those over TCP count as one user's); HelloTimeout= to
 * send a request, and again to read its answer; 16 KiB written a turn. When no further connection
 * is to be had, the one that has been silent longest makes room.
 *
 * Threads: one.
 */
#ifndef RTGCD_HTTP_H
#define RTGCD_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/loop.h"

struct http;
struct http_request; /* until it is answered, or its client has hung up */
struct quota;

/* Answers the request at once or later, by one of the functions below. */
typedef void (*http_fn)(struct http_request *r, void *userdata);

/* group: may connect to a Unix socket besides the daemon's user; UINT32_MAX: none. */
int http_new(struct loop *loop, struct quota *quota, uint32_t group, struct http **ret);
struct http *http_free(struct http *h);
/* Exactly that path, without the query; a literal. -ENOSPC: too many of them. */
int http_route(struct http *h, const char *path, http_fn fn, void *userdata);
/*
 * From now on it listens at that address (http_address.h), and not where it did; NULL: nowhere. What is
 * connected to another address is disconnected. On failure (-errno) nothing has changed.
 */
int http_listen(struct http *h, const char *address);
/* Takes a socket that listens already, besides. -EPERM: it is neither loopback nor Unix. It is h's then, or closed. */
int http_adopt(struct http *h, int fd);
/* Where it listens, with the port that the kernel chose where 0 was asked for; NULL: nowhere. */
const char *http_address(const struct http *h);
/* To be called at the end of each turn of the loop. */
void http_turn(struct http *h);

/* ---- in a handler ---- */

/* A header of the request; NULL: it has none of that name. */
const char *http_header(const struct http_request *r, const char *name);
/* A parameter of the query, decoded, to be freed; NULL: it is not there. -ENOMEM */
int http_parameter(const struct http_request *r, const char *name, char **ret);

struct http_answer {
	int status;	   /* 200 */
	const char *type;  /* "text/html; charset=utf-8" */
	const char *cache; /* Cache-Control; NULL: no-store */
	const char *
		etag; /* NULL: none; with it a client that has the same is told so (304) */
	/* Not copied: it must stay until release(owner) was called. release NULL: for ever. */
	const void *data;
	size_t size;
	void (*release)(const void *data, size_t size, void *owner);
	void *owner;
};

/* The request is no more afterwards. Under HEAD the data is left out. */
void http_reply(struct http_request *r, const struct http_answer *answer);
/* A short text of one's own, copied. */
void http_reply_text(struct http_request *r, int status, const char *type,
		     const char *text);

/*
 * The handler returns without an answer, which comes later. ended: the client has hung up, and the
 * request is no more; never called before this has returned, nor after the answer.
 */
void http_defer(struct http_request *r, void (*ended)(void *userdata), void *userdata);

#endif
