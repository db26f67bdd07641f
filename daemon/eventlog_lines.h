/* SPDX-License-Identifier: MIT */
/*
 * Which keys each kind of line of the event log has. A new key of a kind that is there is
 * LATER; for a new kind of event EVENTLOG_VERSION is raised.
 */
#ifndef RTGCD_EVENTLOG_LINES_H
#define RTGCD_EVENTLOG_LINES_H

#include "daemon/eventlog_fields.h"

struct eventlog_line { /* a kind of line; no name ends the list */
	const char *name;
	int type; /* enum event_type, enum action_type */
	const struct eventlog_field *fields;
};

extern const struct eventlog_line eventlog_events[];  /* of struct event */
extern const struct eventlog_line eventlog_actions[]; /* of struct eventlog_action */

/* Of struct core_service_config, core_config, eventlog_header. */
extern const struct eventlog_field eventlog_service[], eventlog_config[],
	eventlog_header_fields[];

#endif
