/* SPDX-License-Identifier: MIT */
/* rtgcctl heap-summary HEAP: what is in a heap, by type. */
#include "client/ctl/field.h"
#include "client/ctl/show.h"

static const struct column columns[] = {
	{.title = "TYPE", .least = 8, .middle = true},
	{.title = "OBJECTS", .right = true},
	{.title = "BYTES", .right = true},
	{.title = "SHARE", .right = true},
};

static void put_row(struct table *table, const json_t *type, int64_t all)
{
	int64_t bytes = field_int(type, "bytes", 0);

	table_cell(table, TONE_TITLE, "%s", field_text(type, "name"));
	table_cell(table, TONE_PLAIN, "%s", field_count(type, "objects").text);
	table_cell(table, TONE_PLAIN, "%s", field_amount(type, "bytes", true).text);
	if (all > 0)
		table_cell(table, TONE_PLAIN, "%.1f%%",
			   (double)bytes / (double)all * 100);
	else
		table_cell(table, TONE_DIM, "-");
}

static void put_summary(const struct screen *screen, const json_t *reply)
{
	const json_t *types = json_object_get(reply, "types");
	int64_t all = field_int(reply, "bytes", 0);
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));

	screen_line(screen, TONE_TITLE, "%s (heap %s): %s objects, %s, counted in %s",
		    field_text(reply, "heap_name"), field_id(reply, "heap").text,
		    field_count(reply, "objects").text,
		    field_amount(reply, "bytes", true).text,
		    field_time(reply, "pause_us").text);
	putchar('\n');
	for (size_t i = 0; i < json_array_size(types); i++)
		put_row(table, json_array_get(types, i), all);
	table_print(table, screen, stdout);
	table_free(table);
}

int verb_heap_summary(struct ctl *ctl)
{
	return show_of(ctl, "HeapSummary", "heap", put_summary);
}
