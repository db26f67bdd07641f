/* SPDX-License-Identifier: MIT */
/*
 * What most verbs do: ask the daemon one thing, and show what it says: as it came under
 * --json, else by a function of the verb. All of them return the exit status.
 */
#ifndef RTGCCTL_SHOW_H
#define RTGCCTL_SHOW_H

#include "client/ctl/table.h"

typedef void (*show_fn)(const struct screen *screen, const json_t *reply);

/* A list as a table: what hurts first. */
struct listing {
	const char *method, *key; /* key: of the list in the reply, and what is in it */
	const struct column *columns;
	size_t n_columns;
	int (*hurts)(const json_t *a, const json_t *b); /* as field_sorted() wants it */
	void (*put_row)(struct table *table, const json_t *row);
	/* What stands below the table; NULL: nothing. */
	void (*put_more)(const struct screen *screen, const json_t **rows, size_t n);
	const char *nothing; /* said where there is no row */
	const char *
		named; /* the key that --service is held against here; NULL: the daemon does it */
};

/* put: NULL where there is nothing to say. */
int show_answer(const struct ctl *ctl, const char *method, show_fn put);
/* The answer about what the verb's argument names; key: of that, in the call. */
int show_of(const struct ctl *ctl, const char *method, const char *key, show_fn put);
/* All pages of a list as one. */
int show_pages(const struct ctl *ctl, const char *method, const char *key, show_fn put);
/* The same as a table; of one service only under --service. */
int show_list(const struct ctl *ctl, const struct listing *listing);

#endif
