/* SPDX-License-Identifier: MIT */
/* rtgcctl services: those that went over their limit first, then the busiest. */
#include <stdio.h>
#include <stdlib.h>

#include "client/ctl/call.h"
#include "client/ctl/field.h"
#include "client/ctl/table.h"

static const struct column columns[] = {
	{.title = "SERVICE", .least = 10},
	{.title = "UID", .rank = 5, .right = true},
	{.title = "POLICY", .rank = 2},
	{.title = "HEAPS", .right = true},
	{.title = "SLOTS", .right = true},
	{.title = "PAUSED", .right = true},
	{.title = "MOST", .rank = 3, .right = true},
	{.title = "USE", .right = true},
	{.title = "WAIT99", .rank = 1, .right = true},
	{.title = "WINDOWS", .rank = 4, .right = true},
	{.title = "FORCED", .right = true},
	{.title = "OVER", .right = true},
	{.title = "NEEDS", .rank = 6, .right = true},
};

static int hurts(const json_t *a, const json_t *b)
{
	static const char *const keys[] = {"over_limit", "forced", "utilization_permille",
					   "wait_p99_us"};
	int order = 0;

	for (size_t i = 0; order == 0 && i < sizeof(keys) / sizeof(keys[0]); i++)
		order = field_order(field_int(b, keys[i], 0), field_int(a, keys[i], 0));
	return order;
}

static void put_row(struct table *table, const json_t *service)
{
	int64_t use = field_int(service, "utilization_permille", -1);
	bool feasible = !json_is_false(json_object_get(service, "schedulable"));
	enum tone tone = use > 1000 || !feasible ? TONE_BAD
			 : use > 700		 ? TONE_WARN
						 : TONE_PLAIN;

	table_cell(table, TONE_PLAIN, "%s", field_text(service, "name"));
	table_cell(table, TONE_DIM, "%s", field_id(service, "uid").text);
	table_cell(table, TONE_PLAIN, "%s", field_text(service, "policy"));
	table_cell(table, TONE_PLAIN, "%s", field_count(service, "heaps").text);
	table_cell(table, TONE_PLAIN, "%s", field_count(service, "max_concurrent").text);
	table_cell(table, TONE_PLAIN, "%s", field_count(service, "paused_now").text);
	table_cell(table, TONE_PLAIN, "%s", field_count(service, "paused_max").text);
	if (use < 0)
		table_cell(table, TONE_PLAIN, "-");
	else
		table_cell(table, tone, "%lld%%",
			   (long long)(use / 10 + (use % 10 >= 5)));
	table_cell(table, TONE_PLAIN, "%s", field_measured(service, "wait_p99_us").text);
	table_cell(table, TONE_PLAIN, "%s", field_count(service, "windows").text);
	table_cell(table, field_int(service, "forced", 0) > 0 ? TONE_BAD : TONE_PLAIN,
		   "%s", field_count(service, "forced").text);
	table_cell(table, field_int(service, "over_limit", 0) > 0 ? TONE_BAD : TONE_PLAIN,
		   "%s", field_count(service, "over_limit").text);
	table_cell(table, feasible ? TONE_PLAIN : TONE_BAD, "%s",
		   field_count(service, "needs_concurrent").text);
}

/* Advice is a sentence: below the table, where it has room. */
static void put_advice(const struct screen *screen, const json_t *service)
{
	if (field_text(service, "advice")[0] != '\0' && field_present(service, "advice"))
		screen_line(screen, TONE_WARN, "%s: %s", field_text(service, "name"),
			    field_text(service, "advice"));
}

static void put_services(const struct ctl *ctl, const json_t *list)
{
	struct table *table;
	const json_t **sorted;
	size_t n;

	sorted = field_sorted(list, hurts, &n);
	table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < n; i++)
		put_row(table, sorted[i]);
	if (n > 0)
		table_print(table, &ctl->screen, stdout);
	else
		puts("no services that you may see: no heap has joined rtgcd");
	for (size_t i = 0; i < n; i++)
		put_advice(&ctl->screen, sorted[i]);
	table_free(table);
	free(sorted);
}

int verb_services(struct ctl *ctl)
{
	json_t *reply;
	int status;

	status = call_once_list(ctl, "ListServices", json_object(), "services", &reply);
	if (status != CTL_OK)
		return status;
	if (!ctl_print_json(ctl, reply))
		put_services(ctl, json_object_get(reply, "services"));
	json_decref(reply);
	return CTL_OK;
}
