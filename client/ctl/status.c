/* SPDX-License-Identifier: MIT */
/* rtgcctl status: is the daemon well, and has anything gone wrong since it started? */
#include <stdio.h>
#include <string.h>

#include "client/ctl/field.h"
#include "client/ctl/show.h"

#define LABEL 10 /* its columns */

/* "3 forced", in the tone that says whether it matters. */
static void put_trouble(const struct screen *screen, const json_t *status,
			const char *key, enum tone tone, const char *words)
{
	if (field_int(status, key, 0) == 0)
		tone = TONE_PLAIN;
	printf("%s%s %s%s", tone_on(screen, tone), field_count(status, key).text, words,
	       tone_off(screen, tone));
}

static void put_label(const struct screen *screen, const char *label)
{
	printf("%s%*s%s  ", tone_on(screen, TONE_DIM), LABEL, label,
	       tone_off(screen, TONE_DIM));
}

static void put_daemon(const struct screen *screen, const json_t *status)
{
	screen_line(screen, TONE_TITLE, "rtgcd %s, %s, up %s (pid %s)",
		    field_text(status, "version"), field_text(status, "mode"),
		    field_time(status, "uptime_us").text, field_id(status, "pid").text);
}

/* Whether the host's slots are enough. */
static void put_advice(const struct screen *screen, const json_t *status)
{
	bool fits = !json_is_false(json_object_get(status, "schedulable"));

	put_label(screen, "advice");
	screen_sentence(screen, fits ? TONE_PLAIN : TONE_WARN, LABEL + 2, "%s",
			field_text(status, "advice"));
}

/* Nobody waited for a slot, because of the daemon or the host. */
static void put_gates(const struct screen *screen, const json_t *status)
{
	bool open = strcmp(field_text(status, "mode"), "open") == 0;
	enum tone tone = open ? TONE_BAD : TONE_PLAIN;

	put_label(screen, "gates");
	printf("%s%s, opened %s times, %s windows meanwhile%s\n", tone_on(screen, tone),
	       open ? "open" : "closed", field_count(status, "gates_opened").text,
	       field_count(status, "ungated").text, tone_off(screen, tone));
}

/* The limits of the daemon that were reached. */
static void put_refused(const struct screen *screen, const json_t *status)
{
	static const struct {
		const char *key, *words;
	} all[] = {
		{"connections", "connections"},
		{"user_connections", "connections of one user"},
		{"ungreeted", "connections without HELLO"},
		{"late", "for a late HELLO"},
		{"callers", "callers"},
		{"user_callers", "callers of one user"},
		{"memory", "for memory"},
		{"user_memory", "for memory of one user"},
		{"slow", "that did not read"},
		{"descriptors", "for want of descriptors"},
	};
	const json_t *refused = json_object_get(status, "refused");
	const char *between = "";

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (field_int(refused, all[i].key, 0) <= 0)
			continue;
		if (!*between)
			put_label(screen, "refused");
		printf("%s%s%s %s%s", between, tone_on(screen, TONE_WARN),
		       field_count(refused, all[i].key).text, all[i].words,
		       tone_off(screen, TONE_WARN));
		between = ", ";
	}
	if (*between)
		putchar('\n');
}

static void put_status(const struct screen *screen, const json_t *status)
{
	put_daemon(screen, status);
	put_label(screen, "heaps");
	printf("%s in %s %s\n", field_count(status, "heaps").text,
	       field_count(status, "services").text,
	       field_int(status, "services", 0) == 1 ? "service" : "services");
	put_label(screen, "windows");
	printf("%s open, %s granted\n", field_count(status, "windows_open").text,
	       field_count(status, "windows_granted").text);
	put_label(screen, "pauses");
	printf("%s now, %s at most at once, limit %s\n",
	       field_count(status, "paused_now").text,
	       field_count(status, "paused_max").text,
	       field_count(status, "max_concurrent").text);
	put_label(screen, "decisions");
	printf("%s, p99 %s\n", field_count(status, "decisions").text,
	       field_measured(status, "decision_p99_us").text);
	if (field_present(status, "advice"))
		put_advice(screen, status);
	put_label(screen, "trouble");
	put_trouble(screen, status, "forced", TONE_BAD, "forced, ");
	put_trouble(screen, status, "over_limit", TONE_BAD, "over limit, ");
	put_trouble(screen, status, "overruns", TONE_WARN, "overruns, ");
	put_trouble(screen, status, "uncoordinated", TONE_WARN, "uncoordinated");
	putchar('\n');
	if (field_int(status, "gates_opened", 0) > 0)
		put_gates(screen, status);
	put_refused(screen, status);
	if (json_is_false(json_object_get(status, "reload_ok"))) {
		put_label(screen, "config");
		printf("%sthe last reload was refused, the old values hold: see the log%s\n",
		       tone_on(screen, TONE_BAD), tone_off(screen, TONE_BAD));
	}
}

int verb_status(struct ctl *ctl)
{
	return show_answer(ctl, "GetStatus", put_status);
}
