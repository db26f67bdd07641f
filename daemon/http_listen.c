/* SPDX-License-Identifier: MIT */
/* Where it listens. */
#include <errno.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/http_private.h"
#include "daemon/log.h"

#define BACKLOG 64
#define REST	(100 * NSEC_PER_MSEC)

/* (The library hands no pointer of ours to the callback that is told of an error.) */
static struct list all = {&all, &all};

/* false: not all of them do what they are to. */
static bool set_accepting(struct http *h, bool accepting)
{
	struct evhttp_bound_socket *sockets[] = {h->own.socket, h->adopted.socket};
	bool all_do = true;

	for (size_t i = 0; i < sizeof(sockets) / sizeof(*sockets); i++) {
		struct evconnlistener *l =
			sockets[i] ? evhttp_bound_socket_get_listener(sockets[i]) : NULL;

		if (l && (accepting ? evconnlistener_enable(l)
				    : evconnlistener_disable(l)) < 0)
			all_do = false;
	}
	return all_do;
}

static void on_rested(void *userdata, nsec_t now)
{
	struct http *h = userdata;

	if (!set_accepting(h, true))
		loop_timer_set(&h->rested, nsec_add(now, REST));
}

/* A listener left armed without descriptors would spin. */
static void on_error(struct evconnlistener *l, void *evhttp)
{
	list_for_each (link, &all) {
		struct http *h = list_entry(link, struct http, link);

		if (h->evhttp != evhttp)
			continue;
		quota_count(h->quota, QUOTA_E_DESCRIPTORS);
		set_accepting(h, false);
		loop_timer_set(&h->rested, nsec_add(loop_now(h->loop), REST));
	}
}

static void on_deadline(void *userdata, nsec_t now)
{
	/* It has woken the loop: http_turn() does what is to be done. */
}

/* ---- sockets ----------------------------------------------------------------------------------- */

static int listen_internet(const struct http_where *where)
{
	int fd = socket(where->address.any.sa_family,
			SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, r;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, &where->address.any, where->size) < 0 || listen(fd, BACKLOG) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static void stop(struct http *h, struct http_listening *l)
{
	if (l->socket)
		evhttp_del_accept_socket(h->evhttp, l->socket);
	bind_remove(&l->bound);
	free(l->text);
	*l = (struct http_listening){0};
}

/* fd is taken, also on failure. */
static int start(struct http *h, int fd, struct http_listening *l)
{
	struct sockaddr_storage address = {0};
	socklen_t size = sizeof(address);
	struct evconnlistener *listener;

	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 ||
	    !http_where_is_local((struct sockaddr *)&address)) {
		close(fd);
		return -EPERM;
	}
	http_where_write((struct sockaddr *)&address, l->address);
	listener =
		evconnlistener_new(loop_base(h->loop), NULL, NULL,
				   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!listener) {
		close(fd);
		return -ENOMEM;
	}
	l->socket = evhttp_bind_listener(h->evhttp, listener);
	if (!l->socket) {
		evconnlistener_free(listener);
		return -ENOMEM;
	}
	evconnlistener_set_error_cb(listener, on_error);
	return 0;
}

static int begin(struct http *h, const char *text, struct http_listening *l)
{
	struct http_where where;
	int fd = -1, r = 0;

	if (http_where_parse(text, &where))
		return -EINVAL;
	l->text = strdup(text);
	if (!l->text)
		return -ENOMEM;
	if (where.path)
		r = bind_socket(where.path, SOCK_STREAM, 0660, h->group, &l->bound, &fd);
	else
		fd = r = listen_internet(&where);
	if (r >= 0)
		r = start(h, fd, l);
	return r;
}

int http_listen(struct http *h, const char *text)
{
	struct http_listening l = {0};
	int r;

	if (text ? h->own.text && strcmp(text, h->own.text) == 0 : !h->own.text)
		return 0;
	if (text) {
		r = begin(h, text, &l);
		if (r < 0) {
			stop(h, &l);
			return r;
		}
	}
	if (h->own.socket)
		http_client_close_all(h);
	stop(h, &h->own);
	h->own = l;
	if (l.socket)
		log_info("http", "HTTP: listening on %s", l.address);
	return 0;
}

int http_adopt(struct http *h, int fd)
{
	int flags = fcntl(fd, F_GETFL), r;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		close(fd);
		return -EBADF;
	}
	r = start(h, fd, &h->adopted);
	if (r == 0)
		log_info("http", "HTTP: listening on %s", h->adopted.address);
	return r;
}

const char *http_address(const struct http *h)
{
	if (h->own.socket)
		return h->own.address;
	return h->adopted.socket ? h->adopted.address : NULL;
}

/* ---- life -------------------------------------------------------------------------------------- */

#define HEADERS_MOST 8192
#define SILENCE_MOST \
	3600 /* of a connection that for want of memory is not one of ours, in seconds */

int http_new(struct loop *loop, struct quota *quota, uint32_t group, struct http **ret)
{
	struct http *h = calloc(1, sizeof(*h));
	int r = -ENOMEM;

	if (!h)
		return -ENOMEM;
	h->loop = loop;
	h->quota = quota;
	h->group = group;
	list_init(&h->clients);
	list_init(&h->link);
	list_append(&all, &h->link);
	http_memory_init();
	h->evhttp = evhttp_new(loop_base(loop));
	if (h->evhttp)
		r = loop_timer_init(loop, &h->rested, on_rested, h);
	if (r == 0)
		r = loop_timer_init(loop, &h->deadline, on_deadline, h);
	if (r < 0) {
		http_free(h);
		return r;
	}
	evhttp_set_max_headers_size(h->evhttp, HEADERS_MOST);
	evhttp_set_max_body_size(h->evhttp, 0);
	evhttp_set_timeout(h->evhttp, SILENCE_MOST);
	/* What is not GET or HEAD is refused by us, in better words. */
	evhttp_set_allowed_methods(h->evhttp, UINT16_MAX);
	evhttp_set_bevcb(h->evhttp, http_client_new, h);
	evhttp_set_gencb(h->evhttp, http_requested, h);
	*ret = h;
	return 0;
}

struct http *http_free(struct http *h)
{
	if (!h)
		return NULL;
	if (h->evhttp) {
		stop(h, &h->own);
		stop(h, &h->adopted);
		evhttp_free(h->evhttp);
	}
	http_client_free_all(h);
	http_memory_deinit();
	loop_timer_deinit(&h->rested);
	loop_timer_deinit(&h->deadline);
	list_unlink(&h->link);
	free(h);
	return NULL;
}
