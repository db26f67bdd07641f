/* SPDX-License-Identifier: MIT */
/*
 * The two shared pages at addresses that stay the same for the life of a heap. Without a
 * daemon there is anonymous memory at them, all zeros or the library's own, so a reader
 * that knows nothing of connections never faults.
 *
 * Threads: any number may read and write the pages meanwhile; these calls, one at a time.
 */
#ifndef RTGC_PAGES_H
#define RTGC_PAGES_H

#include <stdint.h>

#include "client/wire/page.h"

struct pages {
	struct window_page *window;
	struct heap_page *heap;
};

enum pages_outcome {
	PAGES_E_UNSAFE = 1, /* not sealed, not of that size, or not such pages at all */
};

int pages_init(struct pages *p);    /* 0 or -errno */
void pages_deinit(struct pages *p); /* also after a failed init */

/*
 * Maps the daemon's memfds (the window page, the heap page) over the addresses; the
 * descriptors stay the caller's. 0, PAGES_E_UNSAFE or -errno; on failure the pages are
 * blank.
 */
int pages_map(struct pages *p, const int fds[2], uint64_t epoch);
/* Zeroed anonymous memory again. Only fails when the kernel has no memory for a mapping:
 * -errno. */
int pages_blank(struct pages *p);

#endif
