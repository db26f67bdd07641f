/* SPDX-License-Identifier: MIT */
#include "daemon/tell_log.h"

#include <stdlib.h>

#define ROOM_FIRST 64

struct tell_entry *tell_log_at(const struct tell_log *log, uint64_t place)
{
	return &log->entry[place & (log->room - 1)];
}

void tell_log_drop(struct tell_log *log, uint64_t place)
{
	for (; log->first < place; log->first++)
		json_decref(tell_log_at(log, log->first)->line);
}

static bool grow(struct tell_log *log)
{
	size_t room = log->room ? 2 * log->room : ROOM_FIRST;
	struct tell_entry *entry =
		room > TELL_LOG_MOST ? NULL : calloc(room, sizeof *entry);

	if (!entry)
		return false;
	for (uint64_t i = log->first; i < log->end; i++)
		entry[i & (room - 1)] = *tell_log_at(log, i);
	free(log->entry);
	log->entry = entry;
	log->room = room;
	return true;
}

struct tell_entry *tell_log_add(struct tell_log *log)
{
	if (log->end - log->first == log->room && !grow(log)) {
		if (log->room == 0) {
			log->first = ++log->end;
			return NULL;
		}
		tell_log_drop(log, log->first + 1);
	}
	return tell_log_at(log, log->end++);
}

void tell_log_deinit(struct tell_log *log)
{
	tell_log_drop(log, log->end);
	free(log->entry);
	log->entry = NULL;
	log->room = 0;
}
