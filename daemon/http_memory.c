/* SPDX-License-Identifier: MIT */
/*
 * libevent's memory. Its HTTP part uses some of what it allocates without a look whether it was there. So small blocks
 * are kept for when there are none: enough for what a connection and its request take.
 */
#include <event2/event.h>
#include <stdlib.h>

#include "daemon/http_private.h"

#define BLOCK  2048
#define BLOCKS 32

static void *kept[BLOCKS];
static unsigned n_kept;

static void *take(size_t size)
{
	void *block = malloc(size);

	return block || size > BLOCK || n_kept == 0 ? block : kept[--n_kept];
}

void http_memory_init(void)
{
	event_set_mem_functions(take, realloc, free);
}

bool http_memory_keep(void)
{
	while (n_kept < BLOCKS) {
		void *block = malloc(BLOCK);

		if (!block)
			break;
		kept[n_kept++] = block;
	}
	return n_kept > BLOCKS / 2;
}

void http_memory_deinit(void)
{
	while (n_kept > 0)
		free(kept[--n_kept]);
}
