/* SPDX-License-Identifier: MIT */
#include "client/python/ptrmap.h"

#include <stdlib.h>

#define FIRST_SLOTS 64

/* Addresses are multiples of 16 and lie close together: the upper bits of a product. */
static size_t home(const struct ptrmap *m, const void *key)
{
	uint64_t hash = ((uintptr_t)key >> 4) * UINT64_C(0x9e3779b97f4a7c15);

	return (hash >> 20) & m->mask;
}

/* Where the key is, or the free slot where it belongs. There always is one. */
static struct ptrmap_slot *probe(const struct ptrmap *m, const void *key)
{
	size_t i = home(m, key);

	while (m->slots[i].key && m->slots[i].key != key)
		i = (i + 1) & m->mask;
	return &m->slots[i];
}

static bool grow(struct ptrmap *m)
{
	struct ptrmap old = *m;
	size_t slots = old.slots ? 2 * (old.mask + 1) : FIRST_SLOTS;

	m->slots = calloc(slots, sizeof(*m->slots));
	if (!m->slots) {
		*m = old;
		return false;
	}
	m->mask = slots - 1;
	for (size_t i = 0; old.slots && i <= old.mask; i++)
		if (old.slots[i].key)
			*probe(m, old.slots[i].key) = old.slots[i];
	free(old.slots);
	return true;
}

void ptrmap_deinit(struct ptrmap *m)
{
	free(m->slots);
	*m = (struct ptrmap){0};
}

uint64_t *ptrmap_find(const struct ptrmap *m, const void *key)
{
	struct ptrmap_slot *slot;

	if (m->n == 0)
		return NULL;
	slot = probe(m, key);
	return slot->key ? &slot->value : NULL;
}

uint64_t *ptrmap_add(struct ptrmap *m, const void *key, bool *ret_new)
{
	struct ptrmap_slot *slot;

	if ((!m->slots || 4 * (m->n + 1) > 3 * (m->mask + 1)) && !grow(m))
		return NULL;
	slot = probe(m, key);
	*ret_new = !slot->key;
	if (!slot->key) {
		*slot = (struct ptrmap_slot){.key = key};
		m->n++;
	}
	return &slot->value;
}

/* Those behind it that were pushed away move up, so that no gap parts them from home. */
bool ptrmap_remove(struct ptrmap *m, const void *key)
{
	struct ptrmap_slot *slot;
	size_t gap, i;

	if (m->n == 0)
		return false;
	slot = probe(m, key);
	if (!slot->key)
		return false;
	gap = (size_t)(slot - m->slots);
	for (i = (gap + 1) & m->mask; m->slots[i].key; i = (i + 1) & m->mask) {
		size_t from = home(m, m->slots[i].key);

		if (((i - from) & m->mask) >= ((i - gap) & m->mask)) {
			m->slots[gap] = m->slots[i];
			gap = i;
		}
	}
	m->slots[gap] = (struct ptrmap_slot){0};
	m->n--;
	return true;
}
