/* SPDX-License-Identifier: MIT */
#include "daemon/page.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/wire/list.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define ALL_TAKEN ((UINT64_C(1) << PAGE_SLOTS) - 1)

struct pages_page {
	struct list link;
	struct window_page *map;
	int fd;
	uint32_t uid;
	uint64_t taken; /* bit n: slot[n] */
};

struct pages {
	struct list list;
	uint64_t epoch;
	const struct heap_page *held[PAGES_HELD]; /* NULL: nobody sits there */
	unsigned next;				  /* whose turn it is to leave */
};

static_assert(PAGE_SLOTS < 64, "one word holds the taken slots");

/*
 * A sealed page of memory: its size is fixed for ever; more_seals apply once it is mapped. What it
 * begins with is written to the file, for what is touched in a mapping counts as memory of ours.
 */
static int make_page(const char *name, const void *begin, size_t size, int more_seals,
		     int *ret_fd, void **ret_map)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	void *map;
	int r;

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, PAGE_SIZE_BYTES) < 0 || write(fd, begin, size) < 0)
		goto fail;
	map = mmap(NULL, PAGE_SIZE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		goto fail;
	if (fcntl(fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | more_seals) < 0) {
		r = -errno;
		munmap(map, PAGE_SIZE_BYTES);
		close(fd);
		return r;
	}
	*ret_fd = fd;
	*ret_map = map;
	return 0;
fail:
	r = -errno;
	close(fd);
	return r;
}

int pages_new(uint64_t epoch, struct pages **ret)
{
	struct pages *pages = calloc(1, sizeof *pages);

	if (!pages)
		return -ENOMEM;
	list_init(&pages->list);
	pages->epoch = epoch;
	*ret = pages;
	return 0;
}

struct pages *pages_free(struct pages *pages)
{
	assert(!pages || list_empty(&pages->list));
	free(pages);
	return NULL;
}

static int add_page(struct pages *pages, uint32_t uid, nsec_t now,
		    struct pages_page **ret)
{
	struct pages_page *page = calloc(1, sizeof *page);
	struct page_header header;
	void *map;
	int r;

	if (!page)
		return -ENOMEM;
	page_header_init(&header, PAGE_SLOTS, pages->epoch);
	r = make_page("rtgcd-windows", &header, sizeof header, F_SEAL_FUTURE_WRITE,
		      &page->fd, &map);
	if (r < 0) {
		free(page);
		return r;
	}
	page->map = map;
	page->uid = uid;
	atomic_store(&page->map->header.heartbeat, now);
	for (unsigned i = 0; i < PAGE_SLOTS; i++)
		page_slot_reset(&page->map->slot[i]);
	list_append(&pages->list, &page->link);
	*ret = page;
	return 0;
}

int pages_take(struct pages *pages, uint32_t uid, nsec_t now, struct page_place *ret)
{
	struct pages_page *page = NULL;
	unsigned index;

	list_for_each (link, &pages->list) {
		page = list_entry(link, struct pages_page, link);
		if (page->uid == uid && page->taken != ALL_TAKEN)
			break;
		page = NULL;
	}
	if (!page) {
		int r = add_page(pages, uid, now, &page);

		if (r < 0)
			return r;
	}
	index = (unsigned)__builtin_ctzll(~page->taken);
	page->taken |= UINT64_C(1) << index;
	ret->page = page;
	ret->slot = index + 1;
	return 0;
}

void pages_give(struct pages *pages, struct page_place *place)
{
	struct pages_page *page = place->page;

	if (!page)
		return;
	page_slot_reset(page_slot(place));
	page->taken &= ~(UINT64_C(1) << (place->slot - 1));
	*place = (struct page_place){0};
	if (page->taken)
		return;
	list_unlink(&page->link);
	munmap(page->map, PAGE_SIZE_BYTES);
	close(page->fd);
	free(page);
}

void pages_heartbeat(struct pages *pages, nsec_t now)
{
	list_for_each (link, &pages->list) {
		struct pages_page *page = list_entry(link, struct pages_page, link);

		atomic_store_explicit(&page->map->header.heartbeat, now,
				      memory_order_release);
	}
}

int page_fd(const struct page_place *place)
{
	return place->page->fd;
}

struct page_slot *page_slot(const struct page_place *place)
{
	return &place->page->map->slot[place->slot - 1];
}

/* ---- pages of heaps -------------------------------------------------------------------------- */

int heap_page_new(uint64_t epoch, int *ret_fd, struct heap_view *ret)
{
	struct {
		struct page_header header;
		struct page_telemetry telemetry;
		struct page_app app;
	} begin = {0};
	void *map;
	int fd, r;

	page_header_init(&begin.header, 0, epoch);
	begin.app.deadline = NSEC_NEVER;
	begin.app.idle_until = NSEC_NEVER;
	r = make_page("rtgcd-heap", &begin, sizeof begin, 0, &fd, &map);
	if (r < 0)
		return r;
	*ret_fd = fd;
	*ret = (struct heap_view){.page = map};
	return 0;
}

static void let_go(const struct heap_page *page)
{
	/* The kernel has it still, and maps it again when it is looked at. */
	madvise((void *)page, PAGE_SIZE_BYTES, MADV_DONTNEED);
}

const struct heap_page *heap_page_look(struct pages *pages, struct heap_view *view)
{
	if (pages->held[view->seat] == view->page)
		return view->page;
	view->seat = pages->next;
	pages->next = (pages->next + 1) % PAGES_HELD;
	if (pages->held[view->seat])
		let_go(pages->held[view->seat]);
	pages->held[view->seat] = view->page;
	return view->page;
}

void heap_page_free(struct pages *pages, struct heap_view *view)
{
	if (!view->page)
		return;
	if (pages->held[view->seat] == view->page)
		pages->held[view->seat] = NULL;
	munmap((void *)view->page, PAGE_SIZE_BYTES);
	*view = (struct heap_view){0};
}
