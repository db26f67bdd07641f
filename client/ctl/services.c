/* SPDX-License-Identifier: MIT */
/* rtgcctl services: those with too few slots first, then over their limit, then the busiest. */
#include <stdio.h>
#include <string.h>

#include "client/ctl/field.h"
#include "client/ctl/show.h"

static const struct column columns[] = {
	{.title = "SERVICE", .least = 10},
	{.title = "UID", .rank = 5, .right = true},
	{.title = "POLICY", .rank = 2},
	{.title = "HEAPS", .right = true},
	{.title = "SLOTS", .right = true},
	{.title = "NEEDS", .right = true},
	{.title = "FITS"},
	{.title = "PAUSED", .right = true},
	{.title = "MOST", .rank = 3, .right = true},
	{.title = "USE", .right = true},
	{.title = "LOAD", .rank = 6, .right = true},
	{.title = "WAIT99", .rank = 1, .right = true},
	{.title = "WINDOWS", .rank = 4, .right = true},
	{.title = "FORCED", .right = true},
	{.title = "OVER", .right = true},
	{.title = "WOULDWAIT", .rank = 8, .right = true},
	{.title = "DROPPED", .rank = 7, .right = true},
	{.title = "INSIDE", .rank = 9, .right = true},
};

static bool fits(const json_t *service)
{
	return !json_is_false(json_object_get(service, "schedulable"));
}

static bool is_held(const json_t *service)
{
	return json_is_true(json_object_get(service, "held"));
}

static int hurts(const json_t *a, const json_t *b)
{
	static const char *const keys[] = {"over_limit", "forced", "utilization_permille",
					   "wait_p99_us"};
	int order = field_order(fits(a), fits(b));

	for (size_t i = 0; order == 0 && i < sizeof(keys) / sizeof(keys[0]); i++)
		order = field_order(field_int(b, keys[i], 0), field_int(a, keys[i], 0));
	return order;
}

static void put_share(struct table *table, const json_t *service, const char *key)
{
	int64_t permille = field_int(service, key, -1);
	enum tone tone = permille > 1000  ? TONE_BAD
			 : permille > 700 ? TONE_WARN
					  : TONE_PLAIN;

	if (permille < 0)
		table_cell(table, TONE_PLAIN, "-");
	else
		table_cell(table, tone, "%lld%%",
			   (long long)(permille / 10 + (permille % 10 >= 5)));
}

/* What should be 0. */
static void put_trouble(struct table *table, const json_t *service, const char *key)
{
	table_cell(table, field_int(service, key, 0) > 0 ? TONE_BAD : TONE_PLAIN, "%s",
		   field_count(service, key).text);
}

/* Of the pauses that were predicted: the share that ended in time. */
static void put_coverage(struct table *table, const json_t *service)
{
	int64_t permille = field_int(service, "prediction_coverage_permille", -1);

	if (permille < 0)
		table_cell(table, TONE_PLAIN, "-");
	else
		table_cell(table, permille < 950 ? TONE_WARN : TONE_PLAIN, "%lld.%lld%%",
			   (long long)permille / 10, (long long)permille % 10);
}

/* Only services of that policy count it. */
static void put_of_policy(struct table *table, const json_t *service, const char *key,
			  const char *policy)
{
	bool counts = strcmp(field_text(service, "policy"), policy) == 0;

	table_cell(table, TONE_PLAIN, "%s",
		   counts ? field_count(service, key).text : "-");
}

static void put_slots(struct table *table, const json_t *service)
{
	enum tone tone = fits(service) ? TONE_PLAIN : TONE_BAD;

	table_cell(table, TONE_PLAIN, "%s", field_count(service, "heaps").text);
	table_cell(table, TONE_PLAIN, "%s", field_count(service, "max_concurrent").text);
	table_cell(table, tone, "%s", field_count(service, "needs_concurrent").text);
	table_cell(table, tone, "%s",
		   !field_present(service, "schedulable") ? "-"
		   : fits(service)			  ? "yes"
							  : "no");
	table_cell(table, TONE_PLAIN, "%s", field_count(service, "paused_now").text);
	table_cell(table, TONE_PLAIN, "%s", field_count(service, "paused_max").text);
}

static void put_row(struct table *table, const json_t *service)
{
	table_cell(table, TONE_PLAIN, "%s", field_text(service, "name"));
	table_cell(table, TONE_DIM, "%s", field_id(service, "uid").text);
	if (is_held(service))
		table_cell(table, TONE_WARN, "%s, held", field_text(service, "policy"));
	else
		table_cell(table, TONE_PLAIN, "%s", field_text(service, "policy"));
	put_slots(table, service);
	put_share(table, service, "utilization_permille");
	put_share(table, service, "load_permille");
	table_cell(table, TONE_PLAIN, "%s", field_measured(service, "wait_p99_us").text);
	table_cell(table, TONE_PLAIN, "%s", field_count(service, "windows").text);
	put_trouble(table, service, "forced");
	put_trouble(table, service, "over_limit");
	put_of_policy(table, service, "would_wait", "observe");
	put_of_policy(table, service, "dropped_out", "together");
	put_coverage(table, service);
}

/* Advice is a sentence: below the table, where it has room; not for those that do nothing. */
static void put_advice(const struct screen *screen, const json_t **services, size_t n)
{
	bool first = true;

	for (size_t i = 0; i < n; i++) {
		if (!field_present(services[i], "advice") ||
		    (fits(services[i]) &&
		     field_int(services[i], "load_permille", 0) == 0))
			continue;
		if (first)
			putchar('\n');
		first = false;
		screen_sentence(screen, fits(services[i]) ? TONE_PLAIN : TONE_WARN, 0,
				"%s: %s", field_text(services[i], "name"),
				field_text(services[i], "advice"));
	}
}

int verb_services(struct ctl *ctl)
{
	static const struct listing services = {
		.method = "ListServices",
		.key = "services",
		.columns = columns,
		.n_columns = sizeof(columns) / sizeof(columns[0]),
		.hurts = hurts,
		.put_row = put_row,
		.put_more = put_advice,
		.named = "name",
		.nothing = "no services that you may see: no heap has joined rtgcd",
	};

	return show_list(ctl, &services);
}
