/* SPDX-License-Identifier: MIT */
/* rtgcctl explain HEAP: the daemon's last decisions on it, with the figures behind them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/field.h"
#include "client/ctl/show.h"
#include "client/ctl/whatif.h"

static const struct column columns[] = {
	{.title = "AGO", .right = true},
	{.title = "REASON"},
	{.title = "WINDOW", .rank = 2, .right = true},
	{.title = "USED", .rank = 4, .right = true},
	{.title = "FULL", .right = true},
	{.title = "RATE", .rank = 5, .right = true},
	{.title = "START", .right = true},
	{.title = "SHARED", .rank = 3, .right = true},
	{.title = "PAUSE", .rank = 1, .right = true},
	{.title = "SLOTS", .right = true},
	{.title = "HOLDER", .rank = 1, .least = 8, .middle = true},
};

static void put_fill(struct table *table, const json_t *decision)
{
	int64_t used = field_int(decision, "used", -1),
		budget = field_int(decision, "budget", 0);

	if (used < 0 || budget <= 0)
		table_cell(table, TONE_DIM, "-");
	else
		table_cell(table, used >= budget ? TONE_BAD : TONE_PLAIN, "%.0f%%",
			   (double)used / (double)budget * 100);
}

static void put_row(struct table *table, const json_t *decision, bool bytes)
{
	table_cell(table, TONE_DIM, "%s", field_time(decision, "ago_us").text);
	table_cell(table, TONE_TITLE, "%s", field_text(decision, "reason"));
	table_cell(table, TONE_DIM, "%s",
		   field_int(decision, "window", 0) != 0
			   ? field_id(decision, "window").text
			   : "-");
	table_cell(table, TONE_PLAIN, "%s", field_amount(decision, "used", bytes).text);
	put_fill(table, decision);
	table_cell(table, TONE_PLAIN, "%s/s",
		   field_amount(decision, "rate_per_s", bytes).text);
	table_cell(table, TONE_PLAIN, "%s", field_time(decision, "latest_start_us").text);
	table_cell(table, TONE_PLAIN, "%s",
		   field_time(decision, "contention_start_us").text);
	table_cell(table, TONE_PLAIN, "%s",
		   field_time(decision, "predicted_pause_us").text);
	table_cell(table, TONE_PLAIN, "%s/%s", field_count(decision, "slots_taken").text,
		   field_count(decision, "slots").text);
	table_cell(table, TONE_PLAIN, "%s", field_text(decision, "holder"));
}

static void put_heap(const struct screen *screen, const json_t *heap, bool bytes)
{
	const json_t *predicted = json_object_get(heap, "predicted_pause_us");
	int64_t start = field_int(heap, "latest_start_us", FIELD_ABSENT);
	bool bound = field_int(heap, "budget", 0) > 0,
	     told = bound && field_present(heap, "budget_from"),
	     past = start < 0 && start > INT64_MIN;

	screen_line(screen, TONE_TITLE, "%s (heap %s of service %s, pid %s)",
		    field_text(heap, "name"), field_id(heap, "id").text,
		    field_text(heap, "service"), field_id(heap, "pid").text);
	screen_line(screen, TONE_PLAIN,
		    "%s: %s of %s used%s%s%s, latest start %s%s%s, pause expected %s",
		    field_text(heap, "state"), field_amount(heap, "used", bytes).text,
		    bound ? field_amount(heap, "budget", bytes).text : "no budget",
		    told ? " (" : "", told ? field_text(heap, "budget_from") : "",
		    told ? ")" : "", start == FIELD_ABSENT || start < 0 ? "" : "in ",
		    start == FIELD_ABSENT ? "not in sight"
					  : human_time(past ? -start : start).text,
		    past ? " ago" : "", field_time(predicted, "major").text);
}

/* What the reasons above mean: each once, in the order they first come. */
static void put_meanings(const struct screen *screen, const json_t *decisions)
{
	static const struct column meaning[] = {{.title = "REASON"},
						{.title = "MEANS", .least = 10}};
	json_t *seen = json_object(), *decision;
	struct table *table = table_new(meaning, 2);
	size_t i;

	json_array_foreach(decisions, i, decision)
	{
		const char *reason = field_text(decision, "reason");

		if (json_object_get(seen, reason) != NULL)
			continue;
		json_object_set_new(seen, reason, json_true());
		table_cell(table, TONE_TITLE, "%s", reason);
		table_cell(table, TONE_PLAIN, "%s", field_text(decision, "text"));
	}
	putchar('\n');
	table_print(table, screen, stdout);
	table_free(table);
	json_decref(seen);
}

static void put_whatif(const struct screen *screen, const json_t *heap,
		       const json_t *decisions)
{
	char *sentence = whatif_sentence(heap, decisions);

	if (sentence != NULL) {
		putchar('\n');
		screen_sentence(screen, TONE_TITLE, 0, "%s", sentence);
	}
	free(sentence);
}

static void put_explanation(const struct screen *screen, const json_t *reply)
{
	const json_t *heap = json_object_get(reply, "heap");
	const json_t *decisions = json_object_get(reply, "decisions");
	bool bytes = strcmp(field_text(heap, "unit"), "objects") != 0;
	size_t n = json_array_size(decisions);
	struct table *table;

	put_heap(screen, heap, bytes);
	putchar('\n');
	if (n == 0) {
		puts("nothing was decided about it yet");
		return;
	}
	table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < n; i++)
		put_row(table, json_array_get(decisions, i), bytes);
	table_print(table, screen, stdout);
	table_free(table);
	put_meanings(screen, decisions);
	put_whatif(screen, heap, decisions);
}

int verb_explain(struct ctl *ctl)
{
	return show_of(ctl, "Explain", "heap", put_explanation);
}
