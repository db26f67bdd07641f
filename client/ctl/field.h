/* SPDX-License-Identifier: MIT */
/* Reading a reply whose keys may be missing (an older daemon) or null (not in sight). */
#ifndef RTGCCTL_FIELD_H
#define RTGCCTL_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "client/ctl/text.h"

#define FIELD_ABSENT INT64_MAX

bool field_present(const json_t *object, const char *key);
int64_t field_int(const json_t *object, const char *key, int64_t absent);
bool field_true(const json_t *object, const char *key);
const char *field_text(const json_t *object, const char *key); /* "-" when absent */

/* In words for a table; "-" when absent. */
struct human field_count(const json_t *object, const char *key);
struct human field_id(const json_t *object, const char *key); /* all digits */
struct human field_time(const json_t *object, const char *key);
/* A measured span: also "-" when it is 0, which means that nothing was measured yet. */
struct human field_measured(const json_t *object, const char *key);
struct human field_bytes(const json_t *object, const char *key);
/* In the unit that the heap declares. */
struct human field_amount(const json_t *object, const char *key, bool bytes);
/* The sum of an object's figures by kind; 0 when absent. */
int64_t field_sum(const json_t *object, const char *key);

/*
 * The list's objects in order of compare, which follows qsort(). They stay the list's;
 * free the array. *ret_n: how many.
 */
const json_t **field_sorted(const json_t *list,
			    int (*compare)(const json_t *a, const json_t *b),
			    size_t *ret_n);
/* -1, 0 or 1, for compare. Ascending; for descending swap them. */
int field_order(int64_t a, int64_t b);

#endif
