/* SPDX-License-Identifier: MIT */
/* Connections: who they are charged to, until when they may last, which of them makes room. */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/http_private.h"
#include "daemon/refused.h"

#define UNKNOWN	   UINT32_MAX /* who comes over TCP: all of them are one user */
#define INPUT_MOST 16384
#define SEND_MOST  65536

/* ---- connections ----------------------------------------------------------------------------- */

/* Until evhttp has put its own there. */
static void not_taken(struct bufferevent *bev, short what, void *userdata)
{
}

struct bufferevent *http_client_new(struct event_base *base, void *userdata)
{
	struct http *h = userdata;
	struct http_client *c = http_memory_keep() ? calloc(1, sizeof(*c)) : NULL;

	if (!c)
		return NULL;
	c->bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (!c->bev) {
		free(c);
		return NULL;
	}
	bufferevent_setwatermark(c->bev, EV_READ, 0, INPUT_MOST);
	bufferevent_setcb(c->bev, NULL, NULL, not_taken, NULL);
	bufferevent_incref(c->bev);
	c->http = h;
	c->fresh = true;
	c->peer = (struct peer){.uid = UNKNOWN, .gid = UNKNOWN, .pidfd = -1};
	c->deadline = NSEC_NEVER;
	list_append(&h->clients, &c->link);
	return c->bev;
}

static void client_free(struct http_client *c)
{
	list_unlink(&c->link);
	quota_release(c->http->quota, &c->charge);
	quota_release(c->http->quota, &c->bytes);
	bufferevent_decref(c->bev);
	free(c);
}

struct http_client *http_client_find(struct http *h, const struct bufferevent *bev)
{
	list_for_each (link, &h->clients) {
		struct http_client *c = list_entry(link, struct http_client, link);

		if (c->bev == bev)
			return c;
	}
	return NULL;
}

void http_client_alive(struct http_client *c, bool answering)
{
	struct http *h = c->http;

	c->answering = answering;
	c->deadline = nsec_add(loop_now(h->loop), quota_limits(h->quota)->hello);
	list_unlink(&c->link);
	list_append(&h->clients, &c->link);
}

/* bufferevent_free() takes the callbacks away. */
static bool is_gone(const struct http_client *c)
{
	bufferevent_event_cb fn;

	bufferevent_getcb(c->bev, NULL, NULL, &fn, NULL);
	/* Memory ran out before evhttp had a place for it: it has forgotten it. */
	if (fn == not_taken) {
		bufferevent_free(c->bev);
		return true;
	}
	return !fn;
}

/* As if it had been silent for too long; evhttp lets go of it then. */
static void disconnect(struct http_client *c)
{
	if (!is_gone(c))
		bufferevent_trigger_event(c->bev, BEV_EVENT_READING | BEV_EVENT_TIMEOUT,
					  0);
	if (is_gone(c))
		client_free(c);
	else
		c->closing = true;
}

/* ---- charges --------------------------------------------------------------------------------- */

static int charge(struct http_client *c)
{
	struct quota *q = c->http->quota;
	int r = quota_charge(q, QUOTA_CALLERS, c->peer.uid, 1, &c->charge);

	if (r > 0)
		refused(loop_now(c->http->loop), (enum quota_refusal)r, "http client",
			&c->peer);
	if (r == 0)
		r = quota_charge_anyway(q, QUOTA_BYTES, c->peer.uid, 0, &c->bytes);
	return r;
}

/* Who has asked nothing, for the longest time. */
static bool make_room(struct http_client *c)
{
	list_for_each (link, &c->http->clients) {
		struct http_client *other = list_entry(link, struct http_client, link);

		if (other == c || other->fresh || other->answering ||
		    other->peer.uid != c->peer.uid)
			continue;
		disconnect(other);
		return true;
	}
	return false;
}

static void begin(struct http_client *c)
{
	int fd = bufferevent_getfd(c->bev);
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	int r = 0;

	c->fresh = false;
	/* What the kernel would keep beyond it is not counted by anybody. */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){SEND_MOST}, sizeof(int));
	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		r = -errno;
	else if (address.ss_family == AF_UNIX)
		r = peer_init(fd, &c->peer);
	if (r == 0 && address.ss_family == AF_UNIX) {
		peer_deinit(&c->peer);
		c->local = true;
	}
	if (r == 0)
		r = charge(c);
	if (r > 0 && make_room(c))
		r = charge(c);
	if (r == 0)
		http_client_alive(c, false);
	else
		disconnect(c);
}

/* ---- turns ----------------------------------------------------------------------------------- */

static struct http_client *first_fresh(struct http *h)
{
	list_for_each (link, &h->clients) {
		struct http_client *c = list_entry(link, struct http_client, link);

		if (c->fresh && !is_gone(c))
			return c;
	}
	return NULL;
}

void http_turn(struct http *h)
{
	nsec_t deadline = NSEC_NEVER;
	struct http_client *c;

	if (list_empty(&h->clients))
		return;
	list_for_each_safe (link, next, &h->clients) {
		c = list_entry(link, struct http_client, link);
		if (is_gone(c) || c->closing || c->deadline <= loop_now(h->loop))
			disconnect(c);
	}
	while ((c = first_fresh(h)))
		begin(c);
	list_for_each (link, &h->clients)
		deadline = nsec_min(deadline,
				    list_entry(link, struct http_client, link)->deadline);
	loop_timer_set(&h->deadline, deadline);
}

void http_client_close_all(struct http *h)
{
	list_for_each (link, &h->clients)
		list_entry(link, struct http_client, link)->closing = true;
	loop_timer_set(&h->deadline, 0);
}

void http_client_free_all(struct http *h)
{
	list_for_each_safe (link, next, &h->clients)
		client_free(list_entry(link, struct http_client, link));
}
