/* SPDX-License-Identifier: MIT */
/* rtgcctl windows: those over the limit first, then the collections that run, open, come.
 */
#include <string.h>

#include "client/ctl/field.h"
#include "client/ctl/show.h"

static const struct column columns[] = {
	{.title = "WINDOW", .right = true},
	{.title = "HEAP", .least = 14, .middle = true},
	{.title = "SERVICE", .rank = 2, .least = 8},
	{.title = "KIND", .rank = 1},
	{.title = "STATE"},
	{.title = "MUST"},
	{.title = "SLOT", .rank = 5},
	{.title = "OPENS", .right = true},
	{.title = "CLOSES", .right = true},
	{.title = "PAUSE", .right = true},
	{.title = "SINCE", .rank = 3, .right = true},
	{.title = "REASON", .rank = 4},
};

static int state_rank(const json_t *window)
{
	const char *state = field_text(window, "state");

	return strcmp(state, "in_use") == 0 ? 0 : strcmp(state, "open") == 0 ? 1 : 2;
}

static int hurts(const json_t *a, const json_t *b)
{
	int order = field_order(field_true(b, "over_limit"), field_true(a, "over_limit"));

	if (order == 0)
		order = field_order(state_rank(a), state_rank(b));
	if (order == 0)
		order = field_order(field_int(a, "closes_in_us", FIELD_ABSENT),
				    field_int(b, "closes_in_us", FIELD_ABSENT));
	if (order == 0)
		order = field_order(field_int(a, "id", 0), field_int(b, "id", 0));
	return order;
}

static void put_row(struct table *table, const json_t *window)
{
	static const enum tone tones[] = {TONE_GOOD, TONE_WARN, TONE_DIM};
	bool over = field_true(window, "over_limit");
	int64_t closes = field_int(window, "closes_in_us", 0);

	table_cell(table, TONE_DIM, "%s", field_id(window, "id").text);
	table_cell(table, TONE_PLAIN, "%s", field_text(window, "heap_name"));
	table_cell(table, TONE_PLAIN, "%s", field_text(window, "service"));
	table_cell(table, TONE_PLAIN, "%s", field_text(window, "kind"));
	table_cell(table, tones[state_rank(window)], "%s", field_text(window, "state"));
	table_cell(table, over ? TONE_BAD : TONE_PLAIN, "%s",
		   over				? "over limit"
		   : field_true(window, "must") ? "must"
						: "may");
	table_cell(table, TONE_DIM, "%s",
		   !field_present(window, "slot") ? "-"
		   : field_true(window, "slot")	  ? "yes"
						  : "no");
	table_cell(table, TONE_PLAIN, "%s", field_time(window, "opens_in_us").text);
	table_cell(table, closes < 0 ? TONE_BAD : TONE_PLAIN, "%s",
		   field_time(window, "closes_in_us").text);
	table_cell(table, TONE_PLAIN, "%s",
		   field_time(window, "predicted_pause_us").text);
	table_cell(table, TONE_PLAIN, "%s", field_time(window, "since_us").text);
	table_cell(table, TONE_DIM, "%s", field_text(window, "reason"));
}

int verb_windows(struct ctl *ctl)
{
	static const struct listing windows = {
		.method = "ListWindows",
		.key = "windows",
		.columns = columns,
		.n_columns = sizeof(columns) / sizeof(columns[0]),
		.hurts = hurts,
		.put_row = put_row,
		.nothing = "no windows that you may see are announced, open or in use",
	};

	return show_list(ctl, &windows);
}
