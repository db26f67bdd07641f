/* SPDX-License-Identifier: MIT */
/* rtgcctl explain HEAP: the daemon's last decisions on it, with the figures behind them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/call.h"
#include "client/ctl/field.h"
#include "client/ctl/table.h"

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
	{.title = "HOLDER", .rank = 1, .least = 8},
	{.title = "WHY", .rank = 6, .least = 30},
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
	table_cell(table, TONE_DIM, "%s", field_text(decision, "text"));
}

static void put_heap(const struct screen *screen, const json_t *heap, bool bytes)
{
	const json_t *predicted = json_object_get(heap, "predicted_pause_us");
	char *who = ctl_format("%s (heap %s of service %s, pid %s)",
			       field_text(heap, "name"), field_id(heap, "id").text,
			       field_text(heap, "service"), field_id(heap, "pid").text);
	char *what = ctl_format(
		"%s: %s of %s used, latest start in %s, pause expected %s",
		field_text(heap, "state"), field_amount(heap, "used", bytes).text,
		field_int(heap, "budget", 0) > 0
			? field_amount(heap, "budget", bytes).text
			: "no budget",
		field_time(heap, "latest_start_us").text,
		field_time(predicted, "major").text);
	char *line;

	line = text_escape(who, strlen(who));
	printf("%s%s%s\n", tone_on(screen, TONE_TITLE), line,
	       tone_off(screen, TONE_TITLE));
	free(line);
	line = text_escape(what, strlen(what));
	printf("%s\n", line);
	free(line);
	free(who);
	free(what);
}

/* The newest decision in words: that is the answer, so it stands next to the prompt. */
static void put_answer(const json_t *decision)
{
	const char *text = field_text(decision, "text"),
		   *holder = field_text(decision, "holder");
	char *line, *escaped;

	line = field_present(decision, "holder")
		       ? ctl_format("%s ago: %s (a slot was held by %s)",
				    field_time(decision, "ago_us").text, text, holder)
		       : ctl_format("%s ago: %s", field_time(decision, "ago_us").text,
				    text);
	escaped = text_escape(line, strlen(line));
	printf("%s\n", escaped);
	free(escaped);
	free(line);
}

static void put_explanation(const struct screen *screen, const json_t *reply)
{
	const json_t *heap = json_object_get(reply, "heap");
	const json_t *decisions = json_object_get(reply, "decisions");
	bool bytes = strcmp(field_text(heap, "unit"), "objects") != 0;
	size_t n = json_array_size(decisions);
	struct table *table;

	put_heap(screen, heap, bytes);
	if (n == 0) {
		puts("nothing was decided about it yet");
		return;
	}
	table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < n; i++)
		put_row(table, json_array_get(decisions, i), bytes);
	table_print(table, screen, stdout);
	table_free(table);
	put_answer(json_array_get(decisions, n - 1));
}

int verb_explain(struct ctl *ctl)
{
	json_t *parameters = json_object(), *reply;
	int status;

	if (json_object_set_new(parameters, "heap", json_string(ctl->args[0])) < 0) {
		json_decref(parameters);
		return ctl_complain(CTL_USAGE, "explain: %s is not UTF-8", ctl->args[0]);
	}
	status = call_once(ctl, "Explain", parameters, &reply);
	if (status != CTL_OK)
		return status;
	if (!ctl_print_json(ctl, reply))
		put_explanation(&ctl->screen, reply);
	json_decref(reply);
	return CTL_OK;
}
