/* SPDX-License-Identifier: MIT */
/* rtgcctl trace: writes what happens as it happens, one JSON object a line (rtgcd-events(5)). */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client/ctl/call.h"
#include "client/ctl/text.h"

#define SECONDS_MOST (366 * 24 * 3600)

/* Readable when the user has had enough. */
static int watch_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC);
}

/* Whole lines at a time, so that a file that grows can be read. */
static int put_events(const json_t *reply)
{
	json_t *list = json_object_get(reply, "events"), *event;
	size_t i;

	json_array_foreach(list, i, event)
	{
		char *text = json_dumps(event, JSON_COMPACT), *escaped;

		if (text == NULL)
			return ctl_complain(CTL_FAILED, "out of memory");
		escaped = text_escape_json(text);
		puts(escaped);
		free(escaped);
		free(text);
	}
	if (fflush(stdout) != 0)
		return ctl_complain(CTL_FAILED, "cannot write the output");
	return CTL_OK;
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

int verb_trace(struct ctl *ctl)
{
	const char *format =
		ctl->value[OPTION_FORMAT] != NULL ? ctl->value[OPTION_FORMAT] : "events";
	int stop, status;
	long seconds = 0;
	struct call *call;

	if (strcmp(format, "events") != 0)
		return ctl_complain(CTL_USAGE, "--format=%s: use events", format);
	status = ctl_number(ctl, OPTION_SECONDS, 1, SECONDS_MOST, &seconds);
	if (status != CTL_OK)
		return status;
	stop = watch_signals();
	status = call_open(ctl, &call);
	if (status == CTL_OK) {
		status = call_more(call, "Trace", json_pack("{s:s}", "format", format));
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
