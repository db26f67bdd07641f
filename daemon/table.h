/* SPDX-License-Identifier: MIT */
/* Finds a structure by its number. The links lie inside the structures. */
#ifndef RTGCD_TABLE_H
#define RTGCD_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_link {
	uint64_t key;
	struct table_link *next;
};

struct table {
	struct table_link **bucket;
	size_t n_buckets, n;
};

/* A zeroed table is empty. */
void table_deinit(struct table *t);
/* The key must not be in it. -ENOMEM. */
int table_add(struct table *t, struct table_link *link, uint64_t key);
void table_remove(struct table *t, struct table_link *link);
struct table_link *table_find(const struct table *t, uint64_t key);

#endif
