/* SPDX-License-Identifier: MIT */
/*
 * The last minutes in the trace-event format. Two events that overlap on one track are not to be in it, so each
 * process has a track, of each heap in it one, and their windows have tracks of a process that is none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/call.h"
#include "client/ctl/field.h"
#include "client/ctl/text.h"
#include "client/ctl/trace.h"

#define WINDOWS	     4194305 /* above any pid */
#define WINDOW_TRACK (INT64_C(1) << 32)

struct chrome {
	json_t *events;
	json_t *named; /* heaps and processes that have a name already */
	int64_t now_us;
};

static void add(struct chrome *c, json_t *event)
{
	json_array_append_new(c->events, event);
}

static void name(struct chrome *c, const char *what, int64_t pid, int64_t track,
		 const char *text)
{
	char *key = ctl_format("%s %lld %lld", what, (long long)pid, (long long)track);

	if (json_object_get(c->named, key) == NULL) {
		json_object_set_new(c->named, key, json_true());
		add(c, json_pack("{s:s, s:s, s:I, s:I, s:{s:s}}", "ph", "M", "name", what,
				 "pid", (json_int_t)pid, "tid", (json_int_t)track, "args",
				 "name", text));
	}
	free(key);
}

static void name_tracks(struct chrome *c, const json_t *p)
{
	int64_t pid = field_int(p, "pid", 0), heap = field_int(p, "heap", 0);
	char *process =
		ctl_format("%s (%s)", field_text(p, "service"), field_id(p, "pid").text);

	name(c, "process_name", pid, heap, process);
	name(c, "thread_name", pid, heap, field_text(p, "heap_name"));
	name(c, "process_name", WINDOWS, 0, "windows");
	name(c, "thread_name", WINDOWS, WINDOW_TRACK + heap, field_text(p, "heap_name"));
	free(process);
}

/* How much the heap held at that moment. */
static void count(struct chrome *c, int64_t pid, const char *heap, int64_t at_us,
		  int64_t used, const char *unit)
{
	char *title = ctl_format("%s %s", heap, unit);

	add(c, json_pack("{s:s, s:s, s:I, s:I, s:{s:I}}", "ph", "C", "name", title, "pid",
			 (json_int_t)pid, "ts", (json_int_t)at_us, "args", "used",
			 (json_int_t)used));
	free(title);
}

/* Only what is known. */
static void argue(json_t *args, const char *key, const json_t *pause, const char *from)
{
	if (field_present(pause, from))
		json_object_set(args, key, json_object_get(pause, from));
}

static void argue_span(json_t *args, const char *key, const json_t *pause,
		       const char *from, const char *to)
{
	if (field_present(pause, from) && field_present(pause, to))
		json_object_set_new(args, key,
				    json_integer(field_int(pause, to, 0) -
						 field_int(pause, from, 0)));
}

static json_t *arguments(const json_t *p)
{
	static const char *const as_they_are[] = {
		"cause",   "reason",
		"outcome", "over_limit",
		"overrun", "window",
		"unit",	   "freed",
		"budget",  "used_before",
		"used",	   "live",
		"stop_us", "predicted_pause_us",
		"service", "id",
	};
	json_t *args = json_object();

	for (size_t i = 0; i < sizeof(as_they_are) / sizeof(as_they_are[0]); i++)
		argue(args, as_they_are[i], p, as_they_are[i]);
	argue_span(args, "wait_us", p, "wanted_us", "begin_us");
	/* From the beginning: how long there would have been. */
	argue_span(args, "latest_start_in_us", p, "begin_us", "latest_start_us");
	argue_span(args, "deadline_in_us", p, "begin_us", "closes_us");
	return args;
}

static void put_span(struct chrome *c, const json_t *p, int64_t pid, int64_t track,
		     const char *title, const char *category, int64_t begin, int64_t end)
{
	add(c,
	    json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "ph", "X", "name",
		      title, "cat", category, "pid", (json_int_t)pid, "tid",
		      (json_int_t)track, "ts", (json_int_t)begin, "dur",
		      (json_int_t)(end > begin ? end - begin : 0), "args", arguments(p)));
}

static void put_pause(struct chrome *c, const json_t *p)
{
	int64_t pid = field_int(p, "pid", 0), heap = field_int(p, "heap", 0);
	int64_t begin = field_int(p, "begin_us", 0);
	int64_t end = field_int(p, "end_us", c->now_us);
	const char *names = field_text(p, "heap_name"), *unit = field_text(p, "unit");
	const char *cause = field_text(p, "cause");
	char *title = ctl_format("%s%s%s", field_text(p, "kind"),
				 strcmp(cause, "window") == 0 ? "" : ", ",
				 strcmp(cause, "window") == 0 ? "" : cause);

	put_span(c, p, pid, heap, title, "pause", begin, end);
	count(c, pid, names, begin, field_int(p, "used_before", 0), unit);
	if (field_present(p, "used"))
		count(c, pid, names, end, field_int(p, "used", 0), unit);
	free(title);
}

static void put_window(struct chrome *c, const json_t *p)
{
	int64_t track = WINDOW_TRACK + field_int(p, "heap", 0);
	int64_t announced = field_int(p, "announced_us", 0);
	int64_t over = field_int(p, "over_us", c->now_us);
	char *title = ctl_format("%s: %s", field_text(p, "reason"),
				 field_present(p, "outcome") ? field_text(p, "outcome")
							     : field_text(p, "state"));

	put_span(c, p, WINDOWS, track, title, "window", announced, over);
	free(title);
}

/* ---- one after the other -------------------------------------------------------------------------- */

static int in_time(const json_t *a, const json_t *b)
{
	/* Names go first: they have no time. */
	int order =
		field_order(field_int(a, "ts", INT64_MIN), field_int(b, "ts", INT64_MIN));

	return order;
}

/* What was told after the fact may say that it overlaps with what was told at the time: not on one track. */
static void part(const json_t **sorted, size_t n)
{
	json_t *last = json_object(), *before, *now;

	for (size_t i = 0; i < n; i++) {
		char *track = ctl_format("%s/%s", field_id(sorted[i], "pid").text,
					 field_id(sorted[i], "tid").text);

		now = (json_t *)sorted[i];
		if (strcmp(field_text(now, "ph"), "X") == 0) {
			int64_t ts = field_int(now, "ts", 0);

			before = json_object_get(last, track);
			if (before != NULL &&
			    field_int(before, "ts", 0) + field_int(before, "dur", 0) > ts)
				json_object_set_new(
					before, "dur",
					json_integer(ts - field_int(before, "ts", 0)));
			json_object_set(last, track, now);
		}
		free(track);
	}
	json_decref(last);
}

/* One event a line: the file may be long, and somebody may look at it. */
static int put(const struct chrome *c, const json_t *past)
{
	const json_t **sorted;
	size_t n;

	sorted = field_sorted(c->events, in_time, &n);
	part(sorted, n);
	printf("{\"displayTimeUnit\":\"ms\",\"otherData\":{\"producer\":\"rtgcctl %s\","
	       "\"epoch\":\"%s\",\"dropped\":\"%s\"},\n\"traceEvents\":[",
	       PACKAGE_VERSION, field_id(past, "epoch").text,
	       field_id(past, "dropped").text);
	for (size_t i = 0; i < n; i++) {
		char *text = json_dumps(sorted[i], JSON_COMPACT), *escaped;

		if (text == NULL)
			exit(ctl_complain(CTL_FAILED, "out of memory"));
		escaped = text_escape_json(text);
		printf("%s\n%s", i > 0 ? "," : "", escaped);
		free(escaped);
		free(text);
	}
	puts("\n]}");
	free(sorted);
	return CTL_OK;
}

/* What the heaps hold now, so that their curves end where they are. */
static int count_now(struct chrome *c, const struct ctl *ctl)
{
	json_t *parameters = json_object(), *reply = NULL, *heap;
	int status;
	size_t i;

	if (ctl->service != NULL)
		json_object_set_new(parameters, "service", json_string(ctl->service));
	status = call_once_list(ctl, "ListHeaps", parameters, "heaps", &reply);
	json_array_foreach(json_object_get(reply, "heaps"), i, heap)
	{
		count(c, field_int(heap, "pid", 0), field_text(heap, "name"), c->now_us,
		      field_int(heap, "used", 0), field_text(heap, "unit"));
	}
	json_decref(reply);
	return status;
}

int trace_chrome(const struct ctl *ctl, long seconds)
{
	struct chrome c = {.now_us = 0};
	json_t *past = NULL, *pause;
	int status = trace_past(ctl, seconds, &past);
	size_t i;

	if (status != CTL_OK)
		return status;
	c.events = json_array();
	c.named = json_object();
	c.now_us = field_int(past, "now_us", 0);
	json_array_foreach(json_object_get(past, "pauses"), i, pause)
	{
		name_tracks(&c, pause);
		if (field_present(pause, "announced_us"))
			put_window(&c, pause);
		if (field_present(pause, "begin_us"))
			put_pause(&c, pause);
	}
	status = count_now(&c, ctl);
	if (status == CTL_OK)
		status = put(&c, past);
	json_decref(c.events);
	json_decref(c.named);
	json_decref(past);
	return status;
}
