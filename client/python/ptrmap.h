/* SPDX-License-Identifier: MIT */
/*
 * A hash map from addresses to numbers: open addressing, nothing but malloc(), so it may be
 * filled while CPython's lists are walked. All zero is an empty map.
 *
 * Threads: the caller's business.
 */
#ifndef RTGC_PYTHON_PTRMAP_H
#define RTGC_PYTHON_PTRMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ptrmap_slot {
	const void *key; /* NULL: free */
	uint64_t value;
};

struct ptrmap {
	struct ptrmap_slot *slots;
	size_t n, mask; /* mask + 1 slots, or none */
};

void ptrmap_deinit(struct ptrmap *m); /* and it is empty again */
/* The value, to be changed in place; NULL: not there. Good until the next _add or _remove. */
uint64_t *ptrmap_find(const struct ptrmap *m, const void *key);
/* The same; one that was not there begins with 0. NULL: no memory. */
uint64_t *ptrmap_add(struct ptrmap *m, const void *key, bool *ret_new);
bool ptrmap_remove(struct ptrmap *m, const void *key); /* false: was not there */

#endif
