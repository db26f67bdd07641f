/* SPDX-License-Identifier: MIT */
/* Requests and their answers. */
#include "daemon/http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/http_private.h"

#define NO_STORE "no-store"
#define POLICY                                                                            \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " \
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
#define TYPE_TEXT "text/plain; charset=utf-8"

static const struct {
	int status;
	const char *phrase;
} phrases[] = {
	{200, "OK"},
	{304, "Not Modified"},
	{400, "Bad Request"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{421, "Misdirected Request"},
	{429, "Too Many Requests"},
	{503, "Service Unavailable"},
};

static const char *phrase_of(int status)
{
	for (size_t i = 0; i < sizeof(phrases) / sizeof(*phrases); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "";
}

/* ---- what is asked ----------------------------------------------------------------------------- */

const char *http_header(const struct http_request *r, const char *name)
{
	return evhttp_find_header(evhttp_request_get_input_headers(r->evreq), name);
}

/* What stands behind the ?, undecoded; "" where there is nothing. */
static const char *query_of(const struct http_request *r)
{
	const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(r->evreq));

	return query ? query : "";
}

/* a=b&c=d: if this cannot be parsed, memory has run out. */
static bool is_query(const char *text)
{
	bool is = *text != '\0';

	while (is && *text) {
		size_t n = strcspn(text, "&"), key = strcspn(text, "=&");

		is = key > 0 && text[key] == '=';
		text += n;
		if (*text == '&' && *++text == '\0')
			is = false;
	}
	return is;
}

int http_parameter(const struct http_request *r, const char *name, char **ret)
{
	struct evkeyvalq parameters = {0};
	const char *found;
	char *value = NULL;

	if (evhttp_parse_query_str(query_of(r), &parameters) < 0) {
		if (is_query(query_of(r)))
			return -ENOMEM;
		*ret = NULL;
		return 0;
	}
	found = evhttp_find_header(&parameters, name);
	if (found)
		value = strdup(found);
	evhttp_clear_headers(&parameters);
	if (found && !value)
		return -ENOMEM;
	*ret = value;
	return 0;
}

/* ---- answers ----------------------------------------------------------------------------------- */

static int add_header(struct http_request *r, const char *name, const char *value)
{
	return evhttp_add_header(evhttp_request_get_output_headers(r->evreq), name,
				 value) < 0
		       ? -ENOMEM
		       : 0;
}

/* What browsers are to make of it: nothing but what it says it is, and in no other page. */
static int add_headers(struct http_request *r, const char *type, const char *cache)
{
	static const char *const fixed[][2] = {
		{"Content-Security-Policy", POLICY},
		{"X-Content-Type-Options", "nosniff"},
		{"Referrer-Policy", "no-referrer"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
	};
	int e = 0;

	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
		e = e ? e : add_header(r, fixed[i][0], fixed[i][1]);
	if (type)
		e = e ? e : add_header(r, "Content-Type", type);
	return e ? e : add_header(r, "Cache-Control", cache ? cache : NO_STORE);
}

/* It is over, or goes its own way. */
static struct evhttp_request *take(struct http_request *r)
{
	struct evhttp_request *evreq = r->evreq;

	r->evreq = NULL;
	r->ended = NULL;
	return evreq;
}

/* Memory has run out: nothing can be said. */
static void give_up(struct http_request *r)
{
	r->client->closing = true;
	loop_timer_set(&r->client->http->deadline, 0);
}

static bool is_known(const struct http_request *r, const char *etag)
{
	const char *theirs = etag ? http_header(r, "If-None-Match") : NULL;

	return theirs && strstr(theirs, etag);
}

/* The data are the buffer's, or let go of. */
static int put_data(struct http_request *r, const struct http_answer *a,
		    struct evbuffer *body)
{
	char size[24];
	int e;

	if (!r->head && a->size > 0)
		return evbuffer_add_reference(body, a->data, a->size, a->release,
					      a->owner) < 0
			       ? -ENOMEM
			       : 0;
	snprintf(size, sizeof(size), "%zu", a->size);
	e = add_header(r, "Content-Length", size);
	if (a->release)
		a->release(a->data, a->size, a->owner);
	return e;
}

/* What is held until it is read is charged, though others may hold the same. */
static bool may_hold(struct http_request *r, const struct http_answer *a)
{
	struct http_client *c = r->client;

	return r->head || !a->release ||
	       quota_resize(c->http->quota, &c->bytes, a->size) == 0;
}

void http_reply(struct http_request *r, const struct http_answer *answer)
{
	struct http_answer a = *answer;
	struct evbuffer *body = evbuffer_new();
	int e = body ? add_headers(r, a.type, a.cache) : -ENOMEM;

	if (!may_hold(r, &a)) {
		a.release(a.data, a.size, a.owner);
		a = (struct http_answer){.status = 503};
	}
	if (e == 0 && a.etag)
		e = add_header(r, "ETag", a.etag);
	if (e == 0 && is_known(r, a.etag)) {
		if (a.release)
			a.release(a.data, a.size, a.owner);
		a = (struct http_answer){.status = 304};
	} else if (e == 0) {
		e = put_data(r, &a, body);
	} else if (a.release) {
		a.release(a.data, a.size, a.owner);
	}
	if (e < 0)
		give_up(r);
	else
		evhttp_send_reply(take(r), a.status, phrase_of(a.status), body);
	if (body)
		evbuffer_free(body);
}

static void release_text(const void *data, size_t size, void *owner)
{
	free(owner);
}

void http_reply_text(struct http_request *r, int status, const char *type,
		     const char *text)
{
	char *copy = strdup(text);

	if (!copy) {
		give_up(r);
		return;
	}
	http_reply(r, &(struct http_answer){
			      .status = status,
			      .type = type,
			      .data = copy,
			      .size = strlen(copy),
			      .release = release_text,
			      .owner = copy,
		      });
}

void http_defer(struct http_request *r, void (*ended)(void *userdata), void *userdata)
{
	r->ended = ended;
	r->userdata = userdata;
}

/* ---- requests ------------------------------------------------------------------------------------- */

static void on_close(struct evhttp_connection *connection, void *userdata)
{
	struct http_client *c = userdata;
	void (*ended)(void *) = c->request.ended;
	struct evhttp_request *evreq = take(&c->request);

	/* One that was not answered is nobody's any more, if it is not the connection's. */
	if (evreq && !evhttp_request_get_connection(evreq))
		evhttp_request_free(evreq);
	if (ended)
		ended(c->request.userdata);
}

static void on_complete(struct evhttp_request *evreq, void *userdata)
{
	struct http_client *c = userdata;

	quota_resize_anyway(c->http->quota, &c->bytes, 0);
	http_client_alive(c, false);
}

static bool may_ask(struct http_request *r)
{
	struct http_client *c = r->client;
	nsec_t now = loop_now(c->http->loop);

	return quota_pace_user(c->http->quota, &c->charge, QUOTA_REQUESTS, 1, now) <= now;
}

static void dispatch(struct http *h, struct http_request *r, const char *path)
{
	for (size_t i = 0; i < h->n_routes; i++) {
		if (strcmp(h->routes[i].path, path) == 0) {
			h->routes[i].fn(r, h->routes[i].userdata);
			return;
		}
	}
	http_reply_text(r, 404, TYPE_TEXT, "There is nothing here.\n");
}

static void handle(struct http *h, struct http_request *r)
{
	enum evhttp_cmd_type method = evhttp_request_get_command(r->evreq);
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(r->evreq));
	const char *host = http_header(r, "Host");

	r->head = method == EVHTTP_REQ_HEAD;
	if (!r->head && method != EVHTTP_REQ_GET) {
		add_header(r, "Allow", "GET, HEAD");
		http_reply_text(r, 405, TYPE_TEXT, "GET and HEAD only.\n");
	} else if (!r->client->local && (!host || !http_where_is_host(host))) {
		/* A page from elsewhere whose name was made to point here may read nothing. */
		http_reply_text(r, 421, TYPE_TEXT, "This host is asked by localhost.\n");
	} else if (!may_ask(r)) {
		add_header(r, "Retry-After", "1");
		http_reply_text(r, 429, TYPE_TEXT, "Too many requests.\n");
	} else {
		dispatch(h, r, path ? path : "");
	}
}

void http_requested(struct evhttp_request *evreq, void *userdata)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(evreq);
	struct http *h = userdata;
	struct http_client *c =
		http_client_find(h, evhttp_connection_get_bufferevent(connection));

	if (!c || c->fresh || c->closing) {
		evhttp_send_error(evreq, 503, phrase_of(503));
		return;
	}
	evhttp_connection_set_closecb(connection, on_close, c);
	evhttp_request_set_on_complete_cb(evreq, on_complete, c);
	http_client_alive(c, true);
	c->request = (struct http_request){.client = c, .evreq = evreq};
	handle(h, &c->request);
}

int http_route(struct http *h, const char *path, http_fn fn, void *userdata)
{
	if (h->n_routes == HTTP_ROUTES)
		return -ENOSPC;
	h->routes[h->n_routes].path = path;
	h->routes[h->n_routes].fn = fn;
	h->routes[h->n_routes++].userdata = userdata;
	return 0;
}
