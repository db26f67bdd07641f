/* SPDX-License-Identifier: MIT */
/*
 * rtgcctl watch: what happens as it happens, for programs that go on for months: the lines of
 * rtgcd-events(5) that were asked for, with the names of who they are about. It outlives the daemon, and says so.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/ctl/call.h"
#include "client/ctl/field.h"
#include "client/ctl/stream.h"

#define RETRY_MS     500
#define SECONDS_MOST (366 * 24 * 3600)

/* Figures and marks come so often that nobody wants them unasked. */
static const char usual[] =
	"join,leave,lost,quiet,hold,collect,drained,undrainable,begin,end,"
	"decline,offer,config,announce,open,revoke,close";
static const char all[] =
	"report,idle,busy,deadline,join,leave,lost,quiet,hold,collect,drained,"
	"undrainable,begin,end,decline,offer,config,announce,open,revoke,close";

struct watch {
	const struct ctl *ctl;
	const char *events; /* with commas in between */
	const char *heap;   /* name or id; NULL: all */
	json_t *heaps;	    /* id -> {name, service} */
	int64_t clock_us;   /* of the day less the monotonic one */
	int64_t until;
	int signals;
	bool ever; /* a daemon has answered */
};

/* ---- what is asked for ---------------------------------------------------------------------------- */

static bool is_in(const char *list, const char *word, size_t n)
{
	for (const char *at = list; *at != '\0'; at += strcspn(at, ",")) {
		at += *at == ',';
		if (strcspn(at, ",") == n && strncmp(at, word, n) == 0)
			return true;
	}
	return false;
}

static int parse_events(struct watch *w)
{
	const char *asked = w->ctl->value[OPTION_EVENTS];
	size_t n;

	w->events = asked == NULL ? usual : strcmp(asked, "all") == 0 ? all : asked;
	for (const char *at = w->events;; at += n + 1) {
		n = strcspn(at, ",");
		if (!is_in(all, at, n))
			return ctl_complain(CTL_USAGE,
					    "--events %s: use all, or some of %s", asked,
					    all);
		if (at[n] == '\0')
			return CTL_OK;
	}
}

static bool is_asked_for(const struct watch *w, const json_t *line, const json_t *who,
			 const char *id)
{
	const char *kind = field_present(line, "event") ? field_text(line, "event")
							: field_text(line, "action");

	if (!is_in(w->events, kind, strlen(kind)))
		return false;
	if (w->ctl->service != NULL &&
	    strcmp(field_text(who, "service"), w->ctl->service) != 0)
		return false;
	return w->heap == NULL || strcmp(w->heap, id) == 0 ||
	       strcmp(w->heap, field_text(who, "name")) == 0;
}

/* ---- lines ------------------------------------------------------------------------------------------ */

static int64_t clock_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* "2026-11-22T23:59:59.123456Z" */
static json_t *time_of(const struct watch *w, int64_t at_us)
{
	int64_t us = at_us + w->clock_us;
	time_t seconds = (time_t)(us / 1000000);
	char day[32], text[64];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%06dZ", day, (int)(us % 1000000));
	return json_string(text);
}

/* A line of our own. */
static int say(const struct watch *w, const char *what, json_t *more)
{
	json_t *line = json_object();
	int status;

	json_object_set_new(line, "time", time_of(w, clock_us(CLOCK_MONOTONIC)));
	json_object_set_new(line, "watch", json_string(what));
	json_object_update(line, more);
	json_decref(more);
	status = stream_line(line);
	json_decref(line);
	return status == CTL_OK ? stream_flush() : status;
}

static int take_line(struct watch *w, const json_t *line)
{
	struct human id = field_id(line, "heap");
	const char *event = field_text(line, "event");
	json_t *who, *whole;
	int status = CTL_OK;

	if (strcmp(event, "join") == 0)
		json_object_set_new(
			w->heaps, id.text,
			json_pack("{s:s, s:s}", "name", field_text(line, "name"),
				  "service", field_text(line, "service")));
	who = json_incref(json_object_get(w->heaps, id.text));
	if (strcmp(event, "leave") == 0)
		json_object_del(w->heaps, id.text);
	if (is_asked_for(w, line, who, id.text)) {
		whole = json_object();
		json_object_set_new(whole, "time",
				    time_of(w, field_int(line, "at_ns", 0) / 1000));
		json_object_update(whole, (json_t *)line);
		json_object_update(whole, who);
		status = stream_line(whole);
		json_decref(whole);
	}
	json_decref(who);
	return status;
}

static int take_reply(struct watch *w, const json_t *reply)
{
	json_t *list = json_object_get(reply, "events"), *line;
	int status = CTL_OK;
	size_t i;

	if (field_present(reply, "epoch")) { /* the first */
		w->ever = true;
		status = say(w, "connected",
			     json_pack("{s:O*, s:O*}", "rtgcd",
				       json_object_get(reply, "rtgcd"), "epoch",
				       json_object_get(reply, "epoch")));
	}
	json_array_foreach(list, i, line)
	{
		if (status != CTL_OK)
			break;
		status = take_line(w, line);
	}
	return status == CTL_OK ? stream_flush() : status;
}

/* ---- the daemon, for as long as it is there ------------------------------------------------------- */

/* CTL_OK: the user has had enough. *ret_broken: the daemon has gone, and *complaint says how. */
static int follow(struct watch *w, struct call *call, char **complaint, bool *ret_broken)
{
	json_t *reply;
	int status;

	for (;;) {
		reply = NULL;
		ctl_divert(complaint);
		status = call_next(call, "Subscribe", w->signals, w->until, &reply);
		ctl_divert(NULL);
		*ret_broken = status != CTL_OK;
		if (status != CTL_OK || reply == NULL)
			return status;
		status = take_reply(w, reply);
		json_decref(reply);
		if (status != CTL_OK)
			return status;
	}
}

/* Who comes and goes is always asked for: that is how the names of the others are known. */
static json_t *parameters(const struct watch *w)
{
	json_t *events = json_pack("[s, s]", "join", "leave");
	size_t n;

	for (const char *at = w->events; *at != '\0'; at += n + (at[n] == ',')) {
		n = strcspn(at, ",");
		json_array_append_new(events, json_stringn(at, n));
	}
	return json_pack("{s:o, s:b, s:s*, s:s*}", "events", events, "figures", 0,
			 "service", w->ctl->service, "heap", w->heap);
}

static int once(struct watch *w, char **complaint, bool *ret_broken)
{
	struct call *call;
	int status;

	json_object_clear(w->heaps);
	w->clock_us = clock_us(CLOCK_REALTIME) - clock_us(CLOCK_MONOTONIC);
	ctl_divert(complaint);
	status = call_open(w->ctl, &call);
	if (status == CTL_OK) {
		status = call_more(call, "Subscribe", parameters(w), true);
		ctl_divert(NULL);
		*ret_broken = status != CTL_OK;
		if (status == CTL_OK)
			status = follow(w, call, complaint, ret_broken);
		call_close(call);
	} else {
		*ret_broken = true;
	}
	ctl_divert(NULL);
	return status;
}

static int watch(struct watch *w)
{
	bool broken = false, told = false;
	char *complaint = NULL;
	int status;

	do {
		bool before = w->ever;

		w->ever = false;
		status = once(w, &complaint, &broken);
		told = told && !w->ever;
		w->ever = w->ever || before;
		if (!broken)
			break;
		if (!w->ever) {
			status = ctl_complain(CTL_FAILED, "%s", complaint);
			break;
		}
		status = told ? CTL_OK
			      : say(w, "disconnected",
				    json_pack("{s:s}", "why", complaint));
		told = true;
	} while (status == CTL_OK && !stream_stopped(w->signals, RETRY_MS) &&
		 call_now_ms() < w->until);
	free(complaint);
	return status;
}

int verb_watch(struct ctl *ctl)
{
	struct watch w = {
		.ctl = ctl, .heap = ctl->value[OPTION_HEAP], .until = INT64_MAX};
	long seconds = 0;
	int status = ctl_number(ctl, OPTION_SECONDS, 1, SECONDS_MOST, &seconds);

	if (status == CTL_OK)
		status = parse_events(&w);
	if (status != CTL_OK)
		return status;
	if (seconds > 0)
		w.until = call_now_ms() + seconds * INT64_C(1000);
	w.heaps = json_object();
	w.signals = stream_signals();
	status = watch(&w);
	json_decref(w.heaps);
	if (w.signals >= 0)
		close(w.signals);
	return status;
}
