/* SPDX-License-Identifier: MIT */
/*
 * HAProxy's runtime API: one connection for each line of commands, which HAProxy closes
 * behind its answer; and reading the answers. Never blocks. Threads: one.
 */
#ifndef RTGCD_HAPROXY_H
#define RTGCD_HAPROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct haproxy_command {
	int fd; /* -1: none is running */
	bool connected;
	char *text, *answer; /* answer: NUL-terminated */
	size_t sent, n_answer, allocated;
};

/* Zeroed but for fd = -1. */
void haproxy_init(struct haproxy_command *c);
void haproxy_deinit(struct haproxy_command *c);
/* Starts the line of commands. -ENOENT, -ECONNREFUSED: nobody is there. */
int haproxy_start(struct haproxy_command *c, const char *socket, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* What to poll() fd for. */
short haproxy_events(const struct haproxy_command *c);
/* fd is ready. -EAGAIN: not finished; 0: the whole answer is there; else it failed. */
int haproxy_continue(struct haproxy_command *c);

struct haproxy_server { /* a line of "show servers state" */
	char name[128];
	unsigned op, admin, weight;
};

#define HAPROXY_ADMIN_READY   0u
#define HAPROXY_ADMIN_DRAINED 8u /* by "set server … state drain", and nothing else */

/*
 * Calls fn for each server. false: the answer has no such table (it is an error message).
 */
bool haproxy_servers(const char *answer,
		     void (*fn)(void *userdata, const struct haproxy_server *server),
		     void *userdata);
bool haproxy_server_up(const struct haproxy_server *server);
/* From "show stat": requests at, and waiting for, the server. false: it is not there. */
bool haproxy_sessions(const char *answer, const char *backend, const char *server,
		      unsigned long *ret);
/* The first line that is not empty, for people; without its line end. */
void haproxy_message(const char *answer, char *ret, size_t size);

#endif
