/* SPDX-License-Identifier: MIT */
/*
 * The memory that is shared with clients: window pages (ours to write, one set for each
 * uid) and heap pages (a client writes, we read). client/wire/page.h has their layout.
 */
#ifndef RTGCD_PAGE_H
#define RTGCD_PAGE_H

#include <stdint.h>

#include "client/wire/page.h"

struct pages;
struct pages_page;

struct page_place { /* a heap's line of a window page; page NULL: none */
	struct pages_page *page;
	unsigned slot; /* 1 … PAGE_SLOTS */
};

int pages_new(uint64_t epoch, struct pages **ret);
/* All places must have been given back. */
struct pages *pages_free(struct pages *pages);
/* Takes a free line among the pages of that uid; makes another page if there is none. */
int pages_take(struct pages *pages, uint32_t uid, nsec_t now, struct page_place *ret);
/* The line is cleared; a page without heaps is freed. */
void pages_give(struct pages *pages, struct page_place *place);
void pages_heartbeat(struct pages *pages, nsec_t now);

/* The page's descriptor, for WELCOME. Borrowed. Sealed: nobody can write or resize it. */
int page_fd(const struct page_place *place);
struct page_slot *page_slot(const struct page_place *place);

/*
 * A page for one heap's figures, mapped here but not held in our memory: only the PAGES_HELD that were
 * looked at last are. Zeroed: none.
 */
struct heap_view {
	const struct heap_page *page; /* not to be read but by heap_page_look() */
	unsigned seat;
};

#define PAGES_HELD 1024

/* The caller closes *ret_fd. */
int heap_page_new(uint64_t epoch, int *ret_fd, struct heap_view *ret);
void heap_page_free(struct pages *pages, struct heap_view *view);
/* To be read at once. */
const struct heap_page *heap_page_look(struct pages *pages, struct heap_view *view);

#endif
