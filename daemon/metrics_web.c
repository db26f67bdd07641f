/* SPDX-License-Identifier: MIT */
#include "daemon/metrics_web.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/wire/names.h"
#include "daemon/http.h"
#include "daemon/metrics.h"

#define OPENMETRICS "application/openmetrics-text"
#define PLAIN	    "text/plain; charset=utf-8"

struct asked {
	struct metrics_waiter waiter;
	struct http_request *request;
};

/* ---- Accept -------------------------------------------------------------------------------------- */

/* Of one media range "type/subtype;a=b;q=0.5", n bytes of it: how much it is wanted, 0 to 1. */
static double weight(const char *range, size_t n)
{
	const char *end = range + n;

	for (const char *at = range; (at = memchr(at, ';', (size_t)(end - at))); at++) {
		const char *key = at + 1;

		while (key < end && *key == ' ')
			key++;
		if (end - key > 2 && (key[0] == 'q' || key[0] == 'Q') && key[1] == '=')
			return strtod(key + 2, NULL);
	}
	return 1;
}

/* Prometheus' own format, unless the other one is wanted at least as much. */
static enum metrics_format choose(const char *accept)
{
	double open = 0, plain = 0;

	for (const char *at = accept; at && *at;) {
		size_t n, name;

		at += strspn(at, ", \t");
		n = strcspn(at, ",");
		name = strcspn(at, ",; \t");
		if (name == strlen(OPENMETRICS) &&
		    strncasecmp(at, OPENMETRICS, name) == 0)
			open = weight(at, n) > open ? weight(at, n) : open;
		else if (name > 0)
			plain = weight(at, n) > plain ? weight(at, n) : plain;
		at += n;
	}
	return open > 0 && open >= plain ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;
}

/* ---- answers -------------------------------------------------------------------------------------- */

static void release(const void *data, size_t size, void *owner)
{
	metrics_text_unref(owner);
}

static void done(struct metrics_waiter *w, struct metrics_text *text)
{
	struct asked *asked = (struct asked *)w;

	if (text)
		http_reply(asked->request, &(struct http_answer){
						   .status = 200,
						   .type = text->type,
						   .data = text->data,
						   .size = text->size,
						   .release = release,
						   .owner = metrics_text_ref(text),
					   });
	else
		http_reply_text(asked->request, 503, PLAIN, "Out of memory.\n");
	free(asked);
}

static void ended(void *userdata)
{
	struct asked *asked = userdata;

	metrics_forget(&asked->waiter);
	free(asked);
}

static void ask(struct http_request *r, struct metrics *m, bool heaps,
		const char *service)
{
	struct asked *asked = calloc(1, sizeof(*asked));

	if (!asked) {
		http_reply_text(r, 503, PLAIN, "Out of memory.\n");
		return;
	}
	asked->request = r;
	asked->waiter.done = done;
	asked->waiter.want.format = choose(http_header(r, "Accept"));
	asked->waiter.want.heaps = heaps;
	name_copy(asked->waiter.want.service, sizeof(asked->waiter.want.service),
		  service);
	http_defer(r, ended, asked);
	metrics_ask(m, &asked->waiter);
}

static void on_metrics(struct http_request *r, void *userdata)
{
	ask(r, userdata, false, "");
}

static void on_heaps(struct http_request *r, void *userdata)
{
	char *service;

	if (http_parameter(r, "service", &service) < 0) {
		http_reply_text(r, 503, PLAIN, "Out of memory.\n");
		return;
	}
	if (service && !name_valid(service, WIRE_NAME_MAX, false))
		http_reply_text(r, 400, PLAIN, "service is no name.\n");
	else
		ask(r, userdata, true, service ? service : "");
	free(service);
}

int metrics_web(struct http *http, struct metrics *metrics)
{
	int r = http_route(http, "/metrics", on_metrics, metrics);

	return r < 0 ? r : http_route(http, "/metrics/heaps", on_heaps, metrics);
}
