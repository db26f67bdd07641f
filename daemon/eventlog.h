/* SPDX-License-Identifier: MIT */
/*
 * The event log: what the core was told and what it told its clients, one JSON object a
 * line (rtgcd-events(5)). The daemon writes it, the simulator replays it.
 *
 * Writing cannot fail but for memory: NULL then. Reading bears any bytes: what is wrong is
 * said with the line and the key. Keys that are not known are passed over.
 */
#ifndef RTGCD_EVENTLOG_H
#define RTGCD_EVENTLOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/supervisor.h"

#define EVENTLOG_FORMAT	 "rtgcd-events"
#define EVENTLOG_VERSION 2 /* 2: hold, collect */

struct eventlog_header {
	char rtgcd[WIRE_NAME_MAX]; /* version of the program */
	uint64_t epoch;
	unsigned cpus; /* that the daemon may use: MaxConcurrent=auto */
	nsec_t at;
	struct core_config config; /* read: its services are owned */
};

/* What a client was told. */
struct eventlog_action {
	struct action action; /* ANNOUNCE, OPEN, REVOKE or CLOSE */
	enum reason reason;   /* OPEN: why it was granted */
	bool over_limit;      /* OPEN */
	nsec_t wanted; /* OPEN: since when its heap wanted it; NSEC_NEVER: not asked for */
};

enum eventlog_type {
	EVENTLOG_EVENT,
	EVENTLOG_CONFIG,
	EVENTLOG_ACTION,
};

struct eventlog_entry {
	enum eventlog_type type;
	nsec_t at;
	bool snapshot; /* was so before the log began */
	union {
		struct event event;
		struct eventlog_action action;
		struct core_config config; /* its services are owned */
	};
};

/* ---- Writing ---- */

json_t *eventlog_write_header(const struct eventlog_header *header);
json_t *eventlog_write(const struct eventlog_entry *entry);
/* Whether that action tells a client something and is written. */
bool eventlog_tells(enum action_type type);

/* ---- Reading ---- */

struct eventlog_reader { /* zeroed for a new log */
	unsigned long line;
	nsec_t at; /* of the last line */
	char error[256];
};

/*
 * The first line, then each other one, without its newline. -EINVAL: reader->error says why,
 * in one line; -ENOMEM. *ret is to be given back below.
 */
int eventlog_read_header(struct eventlog_reader *reader, const char *line, size_t size,
			 struct eventlog_header *ret);
int eventlog_read(struct eventlog_reader *reader, const char *line, size_t size,
		  struct eventlog_entry *ret);
void eventlog_header_deinit(struct eventlog_header *header);
void eventlog_entry_deinit(struct eventlog_entry *entry);

#endif
