/* SPDX-License-Identifier: MIT */
#include "daemon/web.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/control.h"
#include "daemon/http.h"
#include "daemon/log.h"
#include "daemon/metrics_web.h"
#include "daemon/web_page.h"

struct web {
	struct http *http;
};

int web_new(struct control *control, uint32_t group, struct web **ret)
{
	struct web *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	r = http_new(control->loop, control->quota, group, &w->http);
	if (r == 0)
		r = metrics_web(w->http, control->metrics);
	if (r == 0)
		r = web_page_route(w->http, control);
	if (r < 0) {
		web_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

struct web *web_free(struct web *w)
{
	if (!w)
		return NULL;
	http_free(w->http);
	free(w);
	return NULL;
}

/* The line that says so; there is one. */
static const struct config_note *note_of(const struct config *config)
{
	const struct config_note *note = NULL;

	for (size_t i = 0; i < config->n_notes; i++)
		if (strcmp(config->notes[i].key, "ListenHTTP") == 0)
			note = &config->notes[i];
	return note;
}

int web_listen(struct web *w, const struct config *config, char **ret_error)
{
	const struct config_note *note = note_of(config);
	int r = http_listen(w->http, config->listen_http);

	if (r < 0 && note &&
	    asprintf(ret_error, "%s:%d: ListenHTTP=%s: %s", note->file, note->line,
		     config->listen_http, strerror(-r)) < 0)
		*ret_error = NULL;
	return r;
}

int web_start(struct web *w, const struct config *config, int fd)
{
	char *error = NULL;
	int r = fd >= 0 ? http_adopt(w->http, fd) : 0;

	if (r == -EPERM)
		log_error("failed", "HTTP: the socket that was handed over is open to "
				    "others than this host");
	else if (r == 0)
		r = web_listen(w, config, &error);
	if (r < 0 && r != -EPERM)
		log_error("failed", "HTTP: %s", error ? error : strerror(-r));
	free(error);
	return r;
}

const char *web_address(const struct web *w)
{
	return http_address(w->http);
}

void web_turn(struct web *w)
{
	http_turn(w->http);
}
