/* SPDX-License-Identifier: MIT */
#include "client/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

/* Where the kernel's pages are larger than ours, one of its own. */
static size_t reserved_size(void)
{
	long page = sysconf(_SC_PAGESIZE);

	return page > PAGE_SIZE_BYTES ? (size_t)page : PAGE_SIZE_BYTES;
}

static int map_blank(void *at, int fixed, void **ret)
{
	void *p = mmap(at, reserved_size(), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

int pages_init(struct pages *p)
{
	void *window = NULL, *heap = NULL;
	int r;

	*p = (struct pages){0};
	r = map_blank(NULL, 0, &window);
	if (r == 0)
		r = map_blank(NULL, 0, &heap);
	p->window = window;
	p->heap = heap;
	if (r < 0)
		pages_deinit(p);
	return r;
}

void pages_deinit(struct pages *p)
{
	if (p->window)
		munmap(p->window, reserved_size());
	if (p->heap)
		munmap(p->heap, reserved_size());
	*p = (struct pages){0};
}

/*
 * A page that could shrink would be a SIGBUS in the application, so it must be sealed
 * before anything of it is touched.
 */
static bool is_sealed(int fd)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & SEALS) == SEALS && fstat(fd, &st) == 0 &&
	       st.st_size == PAGE_SIZE_BYTES;
}

/* Looks at the header elsewhere first: no reader may meet a page that is not one. */
static int check(int fd, uint16_t slots, uint64_t epoch)
{
	struct page_header *header;
	bool valid;

	if (!is_sealed(fd))
		return PAGES_E_UNSAFE;
	header = mmap(NULL, PAGE_SIZE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (header == MAP_FAILED)
		return -errno;
	valid = page_header_valid(header, slots) && atomic_load(&header->epoch) == epoch;
	munmap(header, PAGE_SIZE_BYTES);
	return valid ? 0 : PAGES_E_UNSAFE;
}

int pages_map(struct pages *p, const int fds[2], uint64_t epoch)
{
	int r = check(fds[0], PAGE_SLOTS, epoch);

	if (r == 0)
		r = check(fds[1], 0, epoch);
	if (r)
		return r;
	if (mmap(p->window, PAGE_SIZE_BYTES, PROT_READ, MAP_SHARED | MAP_FIXED, fds[0],
		 0) == MAP_FAILED ||
	    mmap(p->heap, PAGE_SIZE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 fds[1], 0) == MAP_FAILED) {
		r = -errno;
		pages_blank(p);
		return r;
	}
	return 0;
}

int pages_blank(struct pages *p)
{
	void *at;
	int a = map_blank(p->window, MAP_FIXED, &at);
	int b = map_blank(p->heap, MAP_FIXED, &at);

	return a < 0 ? a : b;
}
