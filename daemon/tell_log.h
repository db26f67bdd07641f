/* SPDX-License-Identifier: MIT */
/*
 * What happened and has not been told to all who listen, once for all of them: a ring of chunks, where those of the
 * oldest chunk give way when there would be more than TELL_LOG_MOST. It grows by a chunk at a time and moves nothing: heaps are
 * waiting meanwhile. Places are counts that only grow.
 */
#ifndef RTGCD_TELL_LOG_H
#define RTGCD_TELL_LOG_H

#include <jansson.h>
#include <stdint.h>

#include "daemon/core/supervisor.h"
#include "daemon/eventlog.h"

#define TELL_LOG_MOST	16384
#define TELL_LOG_CHUNK	64
#define TELL_LOG_CHUNKS (TELL_LOG_MOST / TELL_LOG_CHUNK)

struct tell_entry {
	uint32_t kind;
	bool of_somebody;    /* who; else of no heap, or of one that has gone */
	struct core_who who; /* who.heap in any case */
	struct eventlog_entry what;
	json_t *line; /* NULL: nobody has had it put into words yet */
};

struct tell_log { /* zeroed: empty */
	struct tell_entry *chunk[TELL_LOG_CHUNKS];
	struct tell_entry *spare;
	uint64_t first; /* what lies before it has been told to all, or is lost */
	uint64_t end;
};

struct tell_entry *tell_log_at(const struct tell_log *log, uint64_t place);
/* Room at the end, to be filled. NULL: there is none, and all there is is lost. */
struct tell_entry *tell_log_add(struct tell_log *log);
/* Those before that place; it may lie behind already. */
void tell_log_drop(struct tell_log *log, uint64_t place);
/* Empty again; places go on. */
void tell_log_deinit(struct tell_log *log);

#endif
