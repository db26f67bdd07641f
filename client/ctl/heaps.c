/* SPDX-License-Identifier: MIT */
/* rtgcctl heaps: the one that must collect soonest first. */
#include <string.h>

#include "client/ctl/field.h"
#include "client/ctl/show.h"

static const struct column columns[] = {
	{.title = "ID", .right = true},
	{.title = "HEAP", .least = 14, .middle = true},
	{.title = "SERVICE", .least = 8},
	{.title = "STATE"},
	{.title = "USED", .right = true},
	{.title = "BUDGET", .rank = 2, .right = true},
	{.title = "FROM", .rank = 8},
	{.title = "FULL", .right = true},
	{.title = "UNIT", .rank = 6},
	{.title = "RATE", .rank = 5, .right = true},
	{.title = "START", .right = true},
	{.title = "PAUSE", .rank = 1, .right = true},
	{.title = "P99", .rank = 4, .right = true},
	{.title = "MAX", .rank = 7, .right = true},
	{.title = "DONE", .rank = 3, .right = true},
	{.title = "FORCED", .right = true},
	{.title = "FAULTS", .rank = 5, .right = true},
	{.title = "RSS", .rank = 8, .right = true},
	{.title = "PID", .rank = 9, .right = true},
	{.title = "RUNTIME", .rank = 10, .least = 7},
	{.title = "REASON", .rank = 6},
};

static int64_t fill_permille(const json_t *heap)
{
	int64_t used = field_int(heap, "used", 0), budget = field_int(heap, "budget", 0);

	if (used < 0 || budget <= 0)
		return -1;
	return (int64_t)((double)used / (double)budget * 1000 + 0.5);
}

int heap_hurts(const json_t *a, const json_t *b)
{
	int order = field_order(field_int(a, "latest_start_us", FIELD_ABSENT),
				field_int(b, "latest_start_us", FIELD_ABSENT));

	if (order == 0)
		order = field_order(field_int(b, "forced", 0), field_int(a, "forced", 0));
	if (order == 0)
		order = field_order(fill_permille(b), fill_permille(a));
	if (order == 0)
		order = field_order(field_int(a, "id", 0), field_int(b, "id", 0));
	return order;
}

static enum tone state_tone(const char *state)
{
	if (strcmp(state, "lost") == 0)
		return TONE_BAD;
	if (strcmp(state, "idle") == 0)
		return TONE_DIM;
	return strcmp(state, "wanting") == 0 ? TONE_WARN : TONE_GOOD;
}

/* Used, budget and what follows from them. */
static void put_amounts(struct table *table, const json_t *heap)
{
	bool bytes = strcmp(field_text(heap, "unit"), "objects") != 0;
	int64_t full = fill_permille(heap), start = field_int(heap, "latest_start_us", 0);

	table_cell(table, TONE_PLAIN, "%s", field_amount(heap, "used", bytes).text);
	table_cell(table, TONE_PLAIN, "%s",
		   field_int(heap, "budget", 0) > 0
			   ? field_amount(heap, "budget", bytes).text
			   : "-");
	table_cell(table, TONE_DIM, "%s", field_text(heap, "budget_from"));
	if (full < 0)
		table_cell(table, TONE_DIM, "-");
	else
		table_cell(table, full >= 1000 ? TONE_BAD : TONE_PLAIN, "%lld%%",
			   (long long)(full / 10));
	table_cell(table, TONE_DIM, "%s", field_text(heap, "unit"));
	table_cell(table, TONE_PLAIN, "%s/s",
		   field_amount(heap, "alloc_rate_per_s", bytes).text);
	table_cell(table, start < 0 ? TONE_BAD : TONE_PLAIN, "%s",
		   field_time(heap, "latest_start_us").text);
}

/* What it did to the others, or would have: windows unused or overrun, words that cannot be. */
static void put_faults(struct table *table, const json_t *heap)
{
	int64_t faults = field_int(heap, "expired", 0) + field_int(heap, "overruns", 0) +
			 field_int(heap, "violations", 0) + field_int(heap, "absurd", 0);

	table_cell(table, field_int(heap, "strikes", 0) > 0 ? TONE_WARN : TONE_PLAIN,
		   "%s", human_count((uint64_t)faults).text);
}

static void put_row(struct table *table, const json_t *heap)
{
	const json_t *predicted = json_object_get(heap, "predicted_pause_us");
	const char *state = field_text(heap, "state");
	int64_t rss = field_int(heap, "rss_bytes", 0);

	table_cell(table, TONE_DIM, "%s", field_id(heap, "id").text);
	table_cell(table, TONE_PLAIN, "%s", field_text(heap, "name"));
	table_cell(table, TONE_PLAIN, "%s", field_text(heap, "service"));
	table_cell(table, state_tone(state), "%s", state);
	put_amounts(table, heap);
	table_cell(table, TONE_PLAIN, "%s", field_time(predicted, "major").text);
	table_cell(table, TONE_PLAIN, "%s", field_measured(heap, "pause_p99_us").text);
	table_cell(table, TONE_PLAIN, "%s", field_measured(heap, "pause_max_us").text);
	table_cell(table, TONE_PLAIN, "%s",
		   human_count((uint64_t)field_sum(heap, "collections")).text);
	table_cell(table, field_int(heap, "forced", 0) > 0 ? TONE_BAD : TONE_PLAIN, "%s",
		   field_count(heap, "forced").text);
	put_faults(table, heap);
	table_cell(table, TONE_PLAIN, "%s",
		   rss > 0 ? human_bytes((uint64_t)rss).text : "-");
	table_cell(table, TONE_PLAIN, "%s", field_id(heap, "pid").text);
	table_cell(table, TONE_PLAIN, "%s", field_text(heap, "runtime"));
	table_cell(table, TONE_DIM, "%s", field_text(heap, "reason"));
}

int verb_heaps(struct ctl *ctl)
{
	static const struct listing heaps = {
		.method = "ListHeaps",
		.key = "heaps",
		.columns = columns,
		.n_columns = sizeof(columns) / sizeof(columns[0]),
		.hurts = heap_hurts,
		.put_row = put_row,
		.nothing = "no heaps that you may see have joined rtgcd",
	};

	return show_list(ctl, &heaps);
}
