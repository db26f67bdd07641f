/* SPDX-License-Identifier: MIT */
#include "client/python/snapshot_table.h"

#include <sys/mman.h>

#include "client/python/gclist.h"

#define AHEAD	    16 /* so many objects before it is read, memory is asked for */
#define FIRST_ROOM  (1 << 16)
#define FIRST_PAGES 1024
#define LATELY	    256 /* pages */

void *snapshot_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* (What is used is used here and there at random, most of it.) */
	madvise(p, size, MADV_HUGEPAGE);
	return p;
}

/* ---- The list ---------------------------------------------------------------------- */

struct pile {
	const PyObject **object;
	uint64_t n, room;
};

static void *larger(void *old, size_t old_size, size_t size)
{
	void *p;

	if (!old)
		return snapshot_memory(size);
	p = mremap(old, old_size, size, MREMAP_MAYMOVE);
	return p == MAP_FAILED ? NULL : p;
}

static bool pile_add(struct pile *p, PyGC_Head *node)
{
	const size_t each = sizeof(p->object[0]);
	uint64_t room = p->room ? 2 * p->room : FIRST_ROOM;
	void *more;

	if (p->n == p->room) {
		more = larger(p->object, p->room * each, room * each);
		if (!more)
			return false;
		p->object = more;
		p->room = room;
	}
	p->object[p->n++] = gclist_object(node);
	return true;
}

static void pile_deinit(struct pile *p)
{
	if (p->object)
		munmap(p->object, p->room * sizeof(p->object[0]));
}

/*
 * Where the next one is stands in the one before, which has to come from memory first. So the
 * list is followed from both ends at once. The second half lies in reverse then.
 */
static bool follow(PyGC_Head *list, struct pile *front, struct pile *back)
{
	PyGC_Head *f = gclist_next(list), *b = gclist_previous(list);

	while (f != list) {
		if (!pile_add(front, f))
			return false;
		if (f == b)
			break;
		if (!pile_add(back, b))
			return false;
		f = gclist_next(f);
		if (f == b)
			break;
		b = gclist_previous(b);
	}
	return true;
}

/* ---- Pages --------------------------------------------------------------------------- */

static bool make_pages(struct snapshot_table *t, uint64_t mask)
{
	t->page = snapshot_memory((mask + 1) * sizeof(t->page[0]));
	t->mask = mask;
	t->shift = snapshot_shift(mask);
	return t->page != NULL;
}

static bool more_pages(struct snapshot_table *t)
{
	struct snapshot_table old = *t;

	if (!make_pages(t, 2 * old.mask + 1)) {
		*t = old;
		return false;
	}
	for (uint64_t i = 0; i <= old.mask; i++)
		if (old.page[i].number)
			*snapshot_page(t, old.page[i].number) = old.page[i];
	munmap(old.page, (old.mask + 1) * sizeof(old.page[0]));
	return true;
}

static bool mark(struct snapshot_table *t, const PyObject *object)
{
	uint64_t number = snapshot_page_number(object);
	struct snapshot_page *page = snapshot_page(t, number);
	unsigned place = snapshot_place(object);

	if ((uintptr_t)object & ((1 << SNAPSHOT_APART_BITS) - 1))
		return false;
	if (!page->number) {
		if (t->pages >= t->mask / 2) {
			if (!more_pages(t))
				return false;
			page = snapshot_page(t, number);
		}
		page->number = number;
		t->pages++;
	}
	page->there[place / 64] |= UINT64_C(1) << place % 64;
	return true;
}

static bool mark_all(struct snapshot_table *t, const struct pile *p)
{
	uint64_t lately[LATELY] = {0};

	for (uint64_t i = 0; i < p->n; i++) {
		uint64_t number;

		if (i + AHEAD < p->n)
			snapshot_fetch_page(t, p->object[i + AHEAD]);
		if (!mark(t, p->object[i]))
			return false;
		number = snapshot_page_number(p->object[i]);
		t->near += lately[number % LATELY] == number;
		lately[number % LATELY] = number;
	}
	return true;
}

/* ---- Cells ----------------------------------------------------------------------------- */

static void number_cells(struct snapshot_table *t)
{
	uint32_t next = 0;

	for (uint64_t i = 0; i <= t->mask; i++) {
		struct snapshot_page *page = &t->page[i];
		unsigned n = 0;

		page->first = next;
		for (unsigned word = 0; word < SNAPSHOT_WORDS; word++) {
			page->before[word] = (uint8_t)n;
			n += (unsigned)__builtin_popcountll(page->there[word]);
		}
		next += n;
	}
}

static void enter(struct snapshot_table *t, const PyObject *object)
{
	uint32_t i = snapshot_find(t, object);

	t->cell[i].object = object;
	t->order[t->objects++] = i;
}

static void enter_all(struct snapshot_table *t, const struct pile *front,
		      const struct pile *back)
{
	for (uint64_t i = 0; i < front->n; i++) {
		if (i + AHEAD < front->n)
			snapshot_fetch_page(t, front->object[i + AHEAD]);
		enter(t, front->object[i]);
	}
	for (uint64_t i = back->n; i-- > 0;) {
		if (i >= AHEAD)
			snapshot_fetch_page(t, back->object[i - AHEAD]);
		enter(t, back->object[i]);
	}
}

static bool fill(struct snapshot_table *t, const struct pile *front,
		 const struct pile *back, bool (*suits)(uint64_t near, uint64_t objects))
{
	uint64_t n = front->n + back->n;

	if (n >= SNAPSHOT_NOWHERE || !make_pages(t, 2 * FIRST_PAGES - 1) ||
	    !mark_all(t, front) || !mark_all(t, back) || (suits && !suits(t->near, n)))
		return false;
	t->room = n + 1;
	t->cell = snapshot_memory(t->room * sizeof(t->cell[0]));
	t->order = snapshot_memory(t->room * sizeof(t->order[0]));
	if (!t->cell || !t->order)
		return false;
	number_cells(t);
	enter_all(t, front, back);
	return true;
}

bool snapshot_table(struct snapshot_table *ret, PyGC_Head *list,
		    bool (*suits)(uint64_t near, uint64_t objects))
{
	struct pile front = {0}, back = {0};
	struct snapshot_table t = {0};
	bool done = follow(list, &front, &back) && fill(&t, &front, &back, suits);

	pile_deinit(&front);
	pile_deinit(&back);
	*ret = t;
	return done;
}

static void give_back(void *p, size_t size)
{
	if (p)
		munmap(p, size);
}

void snapshot_table_deinit(struct snapshot_table *t)
{
	give_back(t->page, (t->mask + 1) * sizeof(t->page[0]));
	give_back(t->cell, t->room * sizeof(t->cell[0]));
	give_back(t->order, t->room * sizeof(t->order[0]));
}
