/* SPDX-License-Identifier: MIT */
#include "client/ctl/stream.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>

#include "client/ctl/text.h"

int stream_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC);
}

int stream_line(const json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT), *escaped;

	if (text == NULL)
		return ctl_complain(CTL_FAILED, "out of memory");
	escaped = text_escape_json(text);
	puts(escaped);
	free(escaped);
	free(text);
	return CTL_OK;
}

int stream_flush(void)
{
	if (fflush(stdout) != 0)
		return ctl_complain(CTL_FAILED, "cannot write the output");
	return CTL_OK;
}

bool stream_stopped(int signals, int within_ms)
{
	struct pollfd ready = {.fd = signals, .events = POLLIN};

	return poll(&ready, 1, within_ms) > 0;
}
