/* SPDX-License-Identifier: MIT */
#include "daemon/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* The keys count upwards, so their low bits spread them evenly. */
static struct table_link **place(const struct table *t, uint64_t key)
{
	return &t->bucket[key & (t->n_buckets - 1)];
}

static int grow(struct table *t)
{
	struct table next = {.n_buckets = t->n_buckets ? 2 * t->n_buckets : 64};

	next.bucket = calloc(next.n_buckets, sizeof *next.bucket);
	if (!next.bucket)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_buckets; i++) {
		while (t->bucket[i]) {
			struct table_link *link = t->bucket[i];
			struct table_link **at = place(&next, link->key);

			t->bucket[i] = link->next;
			link->next = *at;
			*at = link;
		}
	}
	free(t->bucket);
	t->bucket = next.bucket;
	t->n_buckets = next.n_buckets;
	return 0;
}

void table_deinit(struct table *t)
{
	free(t->bucket);
	*t = (struct table){0};
}

int table_add(struct table *t, struct table_link *link, uint64_t key)
{
	struct table_link **at;

	if (t->n == t->n_buckets) {
		int r = grow(t);

		if (r < 0)
			return r;
	}
	link->key = key;
	at = place(t, key);
	link->next = *at;
	*at = link;
	t->n++;
	return 0;
}

void table_remove(struct table *t, struct table_link *link)
{
	struct table_link **at = place(t, link->key);

	while (*at != link) {
		assert(*at);
		at = &(*at)->next;
	}
	*at = link->next;
	t->n--;
}

struct table_link *table_find(const struct table *t, uint64_t key)
{
	struct table_link *link = t->n_buckets ? *place(t, key) : NULL;

	while (link && link->key != key)
		link = link->next;
	return link;
}
