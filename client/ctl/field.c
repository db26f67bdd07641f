/* SPDX-License-Identifier: MIT */
#include "client/ctl/field.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/ctl/ctl.h"

static const struct human nothing = {"-"};

bool field_present(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return value != NULL && !json_is_null(value);
}

int64_t field_int(const json_t *object, const char *key, int64_t absent)
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) ? json_integer_value(value) : absent;
}

bool field_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

const char *field_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : nothing.text;
}

static uint64_t amount(const json_t *object, const char *key)
{
	int64_t value = field_int(object, key, -1);

	return value > 0 ? (uint64_t)value : 0;
}

struct human field_count(const json_t *object, const char *key)
{
	return field_present(object, key) ? human_count(amount(object, key)) : nothing;
}

struct human field_id(const json_t *object, const char *key)
{
	struct human h = nothing;

	if (field_present(object, key))
		snprintf(h.text, sizeof(h.text), "%" PRId64, field_int(object, key, 0));
	return h;
}

struct human field_time(const json_t *object, const char *key)
{
	return field_present(object, key) ? human_time(field_int(object, key, 0))
					  : nothing;
}

struct human field_measured(const json_t *object, const char *key)
{
	return field_int(object, key, 0) != 0 ? field_time(object, key) : nothing;
}

struct human field_bytes(const json_t *object, const char *key)
{
	return field_present(object, key) ? human_bytes(amount(object, key)) : nothing;
}

struct human field_amount(const json_t *object, const char *key, bool bytes)
{
	if (!field_present(object, key))
		return nothing;
	return human_amount(amount(object, key), bytes);
}

int64_t field_sum(const json_t *object, const char *key)
{
	json_t *kinds = json_object_get(object, key), *value;
	const char *kind;
	int64_t sum = 0;

	json_object_foreach(
		kinds, kind,
		value) if (__builtin_add_overflow(sum, json_integer_value(value),
						  &sum)) return INT64_MAX;
	return sum;
}

static int compare_any(const void *a, const void *b, void *compare)
{
	int (*const *order)(const json_t *, const json_t *) = compare;

	return (*order)(*(const json_t *const *)a, *(const json_t *const *)b);
}

const json_t **field_sorted(const json_t *list,
			    int (*compare)(const json_t *a, const json_t *b),
			    size_t *ret_n)
{
	size_t n = json_array_size(list);
	const json_t **sorted = ctl_alloc(n * sizeof(*sorted));

	for (size_t i = 0; i < n; i++)
		sorted[i] = json_array_get(list, i);
	qsort_r(sorted, n, sizeof(*sorted), compare_any, &compare);
	*ret_n = n;
	return sorted;
}

int field_order(int64_t a, int64_t b)
{
	return a < b ? -1 : a > b;
}
