/* SPDX-License-Identifier: MIT */
/* rtgcctl trace: what happens as it happens, one JSON object a line (rtgcd-events(5)), or what has happened. */
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "client/ctl/call.h"
#include "client/ctl/stream.h"
#include "client/ctl/trace.h"

#define SECONDS_MOST (366 * 24 * 3600)

static int put_events(const json_t *reply)
{
	json_t *list = json_object_get(reply, "events"), *event;
	int status = CTL_OK;
	size_t i;

	json_array_foreach(list, i, event)
	{
		if (status == CTL_OK)
			status = stream_line(event);
	}
	/* Whole lines at a time, so that a file that grows can be read. */
	return status == CTL_OK ? stream_flush() : status;
}

static int follow(struct call *call, int stop, int64_t until)
{
	json_t *reply = NULL;
	int status = CTL_OK;

	while (status == CTL_OK) {
		reply = NULL;
		status = call_next(call, "Trace", stop, until, &reply);
		if (status == CTL_OK && reply == NULL)
			break; /* enough */
		if (status == CTL_OK)
			status = put_events(reply);
		json_decref(reply);
	}
	return status;
}

static int trace_events(const struct ctl *ctl, long seconds)
{
	struct call *call;
	int stop, status;

	if (ctl->service != NULL)
		return ctl_complain(
			CTL_USAGE,
			"--service is for what has happened: events are of all");
	stop = stream_signals();
	status = call_open(ctl, &call);
	if (status == CTL_OK) {
		status = call_more(call, "Trace", json_pack("{s:s}", "format", "events"),
				   true);
		if (status == CTL_OK)
			status = follow(call, stop,
					seconds > 0
						? call_now_ms() + seconds * INT64_C(1000)
						: INT64_MAX);
		call_close(call);
	}
	if (stop >= 0)
		close(stop);
	return status;
}

/* Besides this, --format of verbs.c says which there are. */
static const struct {
	const char *name;
	int (*write)(const struct ctl *ctl, long seconds); /* 0: not given */
} formats[] = {
	{"events", trace_events},
	{"chrome", trace_chrome},
	{"html", trace_html},
};

int verb_trace(struct ctl *ctl)
{
	const char *format = ctl->value[OPTION_HTML] != NULL ? "html"
			     : ctl->value[OPTION_FORMAT] != NULL
				     ? ctl->value[OPTION_FORMAT]
				     : "events";
	long seconds = 0;
	int status = ctl_number(ctl, OPTION_SECONDS, 1, SECONDS_MOST, &seconds);

	if (status != CTL_OK)
		return status;
	if (ctl->args[0] != NULL && strcmp(format, "html") != 0)
		return ctl_complain(CTL_USAGE, "only --format=html is made from logs");
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (strcmp(format, formats[i].name) == 0)
			return formats[i].write(ctl, seconds);
	return ctl_complain(CTL_USAGE, "--format=%s: use one of %s", format,
			    ctl_options[OPTION_FORMAT].value);
}
