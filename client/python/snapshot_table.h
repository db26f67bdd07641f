/* SPDX-License-Identifier: MIT */
/*
 * The objects of a list, each with a cell. It writes to no object, so that in a snapshot's child no
 * page of the heap is copied for it, and makes no call but system calls.
 *
 * An object is found by the page it lies in and by its place there. Most references are to objects that are on no list
 * (strings, numbers), and most of those lie in pages without any that is: one look at the page settles it.
 *
 * What costs time is memory that no cache has. So pages and cells are looked at in two steps, of which the first
 * only asks for what the second one reads, with others in between.
 */
#ifndef RTGC_PYTHON_SNAPSHOT_TABLE_H
#define RTGC_PYTHON_SNAPSHOT_TABLE_H

#include "client/python/internal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SNAPSHOT_PAGE_BITS  12
#define SNAPSHOT_APART_BITS 4 /* objects are 16 bytes apart at least */
#define SNAPSHOT_WORDS	    4 /* of 64 places each */

#define SNAPSHOT_NOWHERE UINT32_MAX

struct snapshot_cell {
	const PyObject *object;
	/* The walk's own. */
	uint32_t number, link;
};

/* A line of the cache. */
struct snapshot_page {
	uint64_t number; /* its address without the low bits; 0: no page */
	uint64_t there[SNAPSHOT_WORDS];
	uint8_t before[SNAPSHOT_WORDS]; /* so many are there in the words before */
	uint32_t first;			/* its first object's cell; the others' follow */
} __attribute__((aligned(64)));

struct snapshot_table {
	struct snapshot_page *page;
	uint64_t mask; /* of the pages' slots; at least half of them are empty */
	unsigned shift;
	uint64_t pages;
	struct snapshot_cell *cell;
	uint32_t *order; /* cells in the order of the list */
	uint64_t objects, room;
	uint64_t
		near; /* so many lie in a page in which one shortly before them on the list lies */
};

/* Numbers of pages, over a table of so many bits. */
static inline uint64_t snapshot_hash(uint64_t number, unsigned shift)
{
	return number * UINT64_C(0x9e3779b97f4a7c15) >> shift;
}

/* For a mask of that many bits. */
static inline unsigned snapshot_shift(uint64_t mask)
{
	return (unsigned)__builtin_clzll(mask);
}

/* The smallest mask for so many, at least half of the slots empty. */
static inline uint64_t snapshot_mask(uint64_t count)
{
	uint64_t mask = 63;

	while (mask / 2 < count)
		mask = 2 * mask + 1;
	return mask;
}

static inline uint64_t snapshot_page_number(const PyObject *object)
{
	return (uintptr_t)object >> SNAPSHOT_PAGE_BITS;
}

/* Among the 256 of its page. */
static inline unsigned snapshot_place(const PyObject *object)
{
	return (uintptr_t)object >> SNAPSHOT_APART_BITS & (64 * SNAPSHOT_WORDS - 1);
}

/* A page's slot, or the empty one where it belongs. */
static inline struct snapshot_page *snapshot_page(const struct snapshot_table *t,
						  uint64_t number)
{
	uint64_t i = snapshot_hash(number, t->shift);

	while (t->page[i].number && t->page[i].number != number)
		i = (i + 1) & t->mask;
	return &t->page[i];
}

/* The cell of the object on the list that lies at the same place, or SNAPSHOT_NOWHERE. */
static inline uint32_t snapshot_find(const struct snapshot_table *t,
				     const PyObject *object)
{
	const struct snapshot_page *page = snapshot_page(t, snapshot_page_number(object));
	unsigned place = snapshot_place(object), word = place / 64;
	uint64_t there = page->there[word], bit = UINT64_C(1) << place % 64;

	if (!(there & bit))
		return SNAPSHOT_NOWHERE;
	return page->first + page->before[word] +
	       (uint32_t)__builtin_popcountll(there & (bit - 1));
}

/* Steps that only ask. */
static inline void snapshot_fetch_page(const struct snapshot_table *t,
				       const PyObject *object)
{
	uint64_t i = snapshot_hash(snapshot_page_number(object), t->shift);

	__builtin_prefetch(&t->page[i]);
}

static inline void snapshot_fetch_cell(const struct snapshot_table *t, uint32_t i)
{
	__builtin_prefetch(&t->cell[i], 1);
}

/* Zeros, of which only what is used costs memory; given back when the process ends. NULL: there are none. */
void *snapshot_memory(size_t size);

/*
 * Of all objects of a list; their cells are zeros but for the object. False: memory or the numbers of
 * cells do not suffice, or an object lies at an odd place, or it does not suit (NULL: it does), which is asked when a
 * quarter of the work is done. To be given back either way, where the process goes on.
 */
bool snapshot_table(struct snapshot_table *ret, PyGC_Head *list,
		    bool (*suits)(uint64_t near, uint64_t objects));
void snapshot_table_deinit(struct snapshot_table *t);

#endif
