/* SPDX-License-Identifier: MIT */
#include "daemon/tell_log.h"

#include <stdlib.h>

static size_t chunk_of(uint64_t place)
{
	return place / TELL_LOG_CHUNK % TELL_LOG_CHUNKS;
}

struct tell_entry *tell_log_at(const struct tell_log *log, uint64_t place)
{
	return &log->chunk[chunk_of(place)][place % TELL_LOG_CHUNK];
}

/* The next one will be wanted soon. */
static void put_aside(struct tell_log *log, struct tell_entry **chunk)
{
	free(log->spare);
	log->spare = *chunk;
	*chunk = NULL;
}

void tell_log_drop(struct tell_log *log, uint64_t place)
{
	while (log->first < place) {
		json_decref(tell_log_at(log, log->first)->line);
		if (++log->first % TELL_LOG_CHUNK == 0)
			put_aside(log, &log->chunk[chunk_of(log->first - 1)]);
	}
}

static void drop_chunk(struct tell_log *log)
{
	uint64_t next = (log->first / TELL_LOG_CHUNK + 1) * TELL_LOG_CHUNK;

	tell_log_drop(log, next < log->end ? next : log->end);
}

static struct tell_entry *new_chunk(struct tell_log *log)
{
	struct tell_entry *chunk = log->spare;

	log->spare = NULL;
	return chunk ? chunk : malloc(TELL_LOG_CHUNK * sizeof *chunk);
}

struct tell_entry *tell_log_add(struct tell_log *log)
{
	struct tell_entry **chunk = &log->chunk[chunk_of(log->end)];

	if (log->end % TELL_LOG_CHUNK == 0 && *chunk)
		drop_chunk(log);
	if (!*chunk)
		*chunk = new_chunk(log);
	if (!*chunk) {
		drop_chunk(log);
		*chunk = new_chunk(log);
	}
	if (!*chunk) {
		tell_log_drop(log, log->end);
		log->first = ++log->end;
		return NULL;
	}
	return tell_log_at(log, log->end++);
}

void tell_log_deinit(struct tell_log *log)
{
	tell_log_drop(log, log->end);
	put_aside(log, &log->chunk[chunk_of(log->end)]);
	free(log->spare);
	log->spare = NULL;
}
