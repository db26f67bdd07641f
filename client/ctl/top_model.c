/* SPDX-License-Identifier: MIT */
#include "client/ctl/top.h"

#include <stdlib.h>
#include <string.h>

#include "client/ctl/field.h"
#include "client/ctl/show.h"

static const char *const names[] = {
#define TOP_SORT_NAME(constant, name, help) name,
	TOP_SORTS(TOP_SORT_NAME)
#undef TOP_SORT_NAME
};

const char *top_sort_name(enum top_sort sort)
{
	return names[sort];
}

enum top_sort top_sort_find(const char *name)
{
	int i = 0;

	while (i < TOP_SORT_COUNT && strcmp(names[i], name) != 0)
		i++;
	return (enum top_sort)i;
}

void top_model_deinit(struct top_model *model)
{
	json_decref(model->status);
	json_decref(model->services);
	json_decref(model->heaps);
	json_decref(model->pauses);
	json_decref(model->explained);
	free(model->trouble);
	free(model->rows);
}

/* ---- the last minute ------------------------------------------------------------------------- */

/* Instants are told from now: made absolute, they compare with those of other replies. */
static json_t *absolute(const json_t *pause, int64_t now_us)
{
	static const char *const keys[] = {"opens_us", "closes_us", "begin_us", "end_us",
					   "over_us"};
	json_t *copy = json_copy((json_t *)pause);

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (field_present(pause, keys[i]))
			json_object_set_new(
				copy, keys[i],
				json_integer(now_us + field_int(pause, keys[i], 0)));
	return copy;
}

static bool is_past(const json_t *pause, int64_t since_us)
{
	return strcmp(field_text(pause, "state"), "running") != 0 &&
	       field_int(pause, "over_us", INT64_MAX) < since_us;
}

void top_model_pauses(struct top_model *model, const json_t *reply)
{
	int64_t now_us = field_int(reply, "now_us", 0),
		epoch = field_int(reply, "epoch", 0),
		since_us = now_us - TOP_TIMELINE_S * INT64_C(1000000);
	json_t *known = model->pauses, *merged = json_array(), *pause;
	const json_t *fresh = json_object_get(reply, "pauses");
	size_t i, at = 0;

	if (epoch != model->epoch) {
		json_decref(known);
		known = NULL;
		model->epoch = epoch;
	}
	json_array_foreach(fresh, i, pause)
	{
		int64_t id = field_int(pause, "id", 0);
		json_t *old;

		while ((old = json_array_get(known, at)) != NULL &&
		       field_int(old, "id", 0) <= id) {
			if (field_int(old, "id", 0) != id && !is_past(old, since_us))
				json_array_append(merged, old);
			at++;
		}
		json_array_append_new(merged, absolute(pause, now_us));
	}
	for (; at < json_array_size(known); at++)
		if (!is_past(json_array_get(known, at), since_us))
			json_array_append(merged, json_array_get(known, at));
	json_decref(known);
	model->pauses = merged;
}

/* What it is, in a letter; later ones in the list hide the earlier. */
static char letter(const json_t *pause)
{
	const char *cause = field_text(pause, "cause");

	if (strcmp(cause, "forced") == 0)
		return 'F';
	if (strcmp(cause, "uncoordinated") == 0)
		return 'U';
	if (!field_present(pause, "begin_us"))
		return '_';
	if (field_true(pause, "over_limit"))
		return 'L';
	if (field_true(pause, "overrun"))
		return 'O';
	return strcmp(field_text(pause, "kind"), "snapshot") == 0 ? 's' : '|';
}

static void mark(char *text, size_t from, size_t to, char what)
{
	static const char order[] = "._s|OULF";

	for (size_t i = from; i <= to; i++)
		if (strchr(order, what) > strchr(order, text[i]))
			text[i] = what;
}

void top_timeline(const struct top_model *model, int64_t heap, size_t columns, char *text)
{
	int64_t length = TOP_TIMELINE_S * INT64_C(1000000),
		since = model->now_us - length;
	json_t *pause;
	size_t i;

	memset(text, '.', columns);
	text[columns] = '\0';
	json_array_foreach(model->pauses, i, pause)
	{
		int64_t begin, end;

		if (field_int(pause, "heap", 0) != heap)
			continue;
		begin = field_int(pause, "begin_us", field_int(pause, "opens_us", 0));
		end = field_int(pause, "end_us", INT64_MAX);
		if (!field_present(pause, "begin_us"))
			end = field_int(pause, "over_us", INT64_MAX);
		if (begin > model->now_us || end < since || columns == 0)
			continue;
		if (end > model->now_us)
			end = model->now_us;
		if (begin < since)
			begin = since;
		/* The last column ends now, in what is still part of it. */
		mark(text, (size_t)((begin - since) * (int64_t)columns / (length + 1)),
		     (size_t)((end - since) * (int64_t)columns / (length + 1)),
		     letter(pause));
	}
}

/* ---- order ------------------------------------------------------------------------------------- */

static double full(const json_t *heap)
{
	int64_t budget = field_int(heap, "budget", 0);

	return budget > 0 ? (double)field_int(heap, "used", 0) / (double)budget : -1;
}

static int order_double(double a, double b)
{
	return (a > b) - (a < b);
}

static int64_t predicted(const json_t *heap)
{
	return field_int(json_object_get(heap, "predicted_pause_us"), "major", 0);
}

static int by(enum top_sort sort, const json_t *a, const json_t *b)
{
	switch (sort) {
	case TOP_HURTS:
		return heap_hurts(a, b);
	case TOP_NAME:
		return strcmp(field_text(a, "name"), field_text(b, "name"));
	case TOP_SERVICE:
		return strcmp(field_text(a, "service"), field_text(b, "service"));
	case TOP_FULL:
		return order_double(full(b), full(a));
	case TOP_RATE:
		return field_order(field_int(b, "alloc_rate_per_s", 0),
				   field_int(a, "alloc_rate_per_s", 0));
	case TOP_LEFT:
		return field_order(field_int(a, "exhaustion_us", FIELD_ABSENT),
				   field_int(b, "exhaustion_us", FIELD_ABSENT));
	case TOP_PAUSE:
		return field_order(predicted(b), predicted(a));
	case TOP_LAST:
		return field_order(field_int(b, "last_pause_us", 0),
				   field_int(a, "last_pause_us", 0));
	case TOP_FORCED:
		return field_order(field_int(b, "forced", 0), field_int(a, "forced", 0));
	case TOP_SORT_COUNT:
		break;
	}
	return 0;
}

static int compare(const void *a, const void *b, void *userdata)
{
	const struct top_view *view = userdata;
	const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
	int order = by(view->sort, x, y);

	if (view->backwards)
		order = -order;
	/* Rows that compare equal must not dance. */
	return order != 0 ? order
			  : field_order(field_int(x, "id", 0), field_int(y, "id", 0));
}

static bool is_shown(const struct top_view *view, const json_t *heap)
{
	return view->filter[0] == '\0' ||
	       strcasestr(field_text(heap, "name"), view->filter) != NULL ||
	       strcasestr(field_text(heap, "service"), view->filter) != NULL;
}

void top_model_arrange(struct top_model *model, struct top_view *view)
{
	size_t n = json_array_size(model->heaps), i;
	json_t *heap;

	free(model->rows);
	model->rows = ctl_alloc(n * sizeof(*model->rows));
	model->n_rows = 0;
	json_array_foreach(model->heaps, i, heap)
	{
		if (is_shown(view, heap))
			model->rows[model->n_rows++] = heap;
	}
	qsort_r(model->rows, model->n_rows, sizeof(*model->rows), compare, view);
}

size_t top_model_selected(const struct top_model *model, const struct top_view *view)
{
	for (size_t i = 0; i < model->n_rows; i++)
		if (field_int(model->rows[i], "id", 0) == view->selected)
			return i;
	return 0;
}
