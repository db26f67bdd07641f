/* SPDX-License-Identifier: MIT */
#include "daemon/varlink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/wire/list.h"
#include "daemon/log.h"
#include "daemon/peer.h"
#include "daemon/varlink_message.h"
#include "daemon/varlink_service.h"

#define REQUEST_MOST	 65536
#define OUT_MOST	 (1 << 20)
#define OUT_LOW		 65536 /* below it, the next page is made */
#define CONNECTIONS_MOST 256
#define OF_ONE_UID_MOST	 64

struct varlink {
	struct loop *loop;
	const struct varlink_interface *interface;
	uint32_t group;
	void *userdata;
	struct list connections;
	unsigned n;
};

/* A connection. It answers one call at a time, so it is that call too. */
struct varlink_call {
	struct varlink *v;
	struct list link;
	int fd;
	struct loop_io *io;
	struct peer peer;
	bool sees_all, broken;
	bool oneway, more;
	varlink_fn page_fn; /* for the pages that are still to come */
	json_t *page_parameters;
	bool deferred;		       /* its answer is still to come */
	bool streaming, closing;       /* closing: once everything is read */
	void (*ended)(void *userdata); /* NULL: nobody minds */
	void *ended_userdata;
	char *in, *out;
	size_t n_in, n_out, out_allocated;
};

/* ---- connections --------------------------------------------------------------------------- */

static void tell_ended(struct varlink_call *c)
{
	void (*ended)(void *) = c->ended;

	c->ended = NULL;
	if (ended)
		ended(c->ended_userdata);
}

static void connection_free(struct varlink_call *c)
{
	tell_ended(c);
	list_unlink(&c->link);
	c->v->n--;
	loop_io_free(c->io);
	close(c->fd);
	json_decref(c->page_parameters);
	free(c->in);
	free(c->out);
	free(c);
}

static void append(struct varlink_call *c, const char *text, size_t size)
{
	/* (There is always room for the last words of a stream.) */
	if (c->n_out + size > OUT_MOST && !c->closing) {
		c->broken = true;
		return;
	}
	if (c->n_out + size > c->out_allocated) {
		size_t allocated = 2 * (c->n_out + size);
		char *out = realloc(c->out, allocated);

		if (!out) {
			c->broken = true;
			return;
		}
		c->out = out;
		c->out_allocated = allocated;
	}
	memcpy(c->out + c->n_out, text, size);
	c->n_out += size;
}

static void flush(struct varlink_call *c)
{
	size_t sent = 0;

	while (sent < c->n_out) {
		ssize_t n = send(c->fd, c->out + sent, c->n_out - sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			c->broken = c->broken || errno != EAGAIN;
			break;
		}
		sent += (size_t)n;
	}
	c->n_out -= sent;
	if (sent > 0)
		memmove(c->out, c->out + sent, c->n_out);
}

/* ---- replies -------------------------------------------------------------------------------- */

static void put(struct varlink_call *c, json_t *reply)
{
	char *text;

	if (c->oneway && reply) {
		json_decref(reply);
		return;
	}
	text = varlink_message_text(reply);
	if (text)
		append(c, text, strlen(text) + 1);
	else
		c->broken = true;
	free(text);
}

void varlink_reply(struct varlink_call *call, json_t *parameters)
{
	put(call, json_pack("{s:o}", "parameters", parameters));
}

void varlink_reply_page(struct varlink_call *call, json_t *parameters, json_t *next)
{
	if (!call->more || !next) {
		json_decref(next);
		varlink_reply(call, parameters);
		return;
	}
	varlink_next_page(call, next);
	put(call, json_pack("{s:o, s:b}", "parameters", parameters, "continues", 1));
}

void varlink_error(struct varlink_call *call, const char *name, json_t *parameters)
{
	put(call, json_pack("{s:s, s:o}", "error", name, "parameters", parameters));
}

void varlink_invalid(struct varlink_call *call, const char *parameter)
{
	varlink_error(call, VARLINK_SERVICE ".InvalidParameter",
		      json_pack("{s:s}", "parameter", parameter));
}

void varlink_next_page(struct varlink_call *call, json_t *next)
{
	json_decref(call->page_parameters);
	call->page_parameters = next;
}

bool varlink_wants_more(const struct varlink_call *call)
{
	return call->more;
}

bool varlink_sees(const struct varlink_call *call, uint32_t uid)
{
	return call->sees_all || call->peer.uid == uid;
}

bool varlink_sees_all(const struct varlink_call *call)
{
	return call->sees_all;
}

bool varlink_may_change(const struct varlink_call *call)
{
	return call->peer.uid == 0 || call->peer.uid == geteuid();
}

/* ---- streams ---------------------------------------------------------------------------------- */

static void wait_for_io(struct varlink_call *c)
{
	/* Who waits is listened to, so that its hanging up is noticed. */
	bool read = c->streaming || c->deferred || !c->page_parameters;
	/* What is still to be made waits for room too, also when all that was made has gone. */
	bool write = c->n_out > 0 || c->page_parameters;
	unsigned events = (read ? LOOP_READ : 0) | (write ? LOOP_WRITE : 0);

	if (!c->broken && loop_io_want(c->io, events) < 0)
		c->broken = true;
}

void varlink_stream(struct varlink_call *call, void (*fn)(void *userdata), void *userdata)
{
	call->streaming = true;
	call->ended = fn;
	call->ended_userdata = userdata;
}

void varlink_push(struct varlink_call *call, json_t *parameters, const char *error)
{
	char *text = varlink_message_text(
		json_pack("{s:o, s:b}", "parameters", parameters, "continues", 1));

	if (text && call->n_out + strlen(text) + 1 <= OUT_MOST) {
		append(call, text, strlen(text) + 1);
	} else {
		log_peer(loop_now(call->v->loop), "refused",
			 "control: pid %d, uid %u: %s: disconnected", call->peer.pid,
			 call->peer.uid, text ? "reads too slowly" : "out of memory");
		varlink_next_page(call, NULL);
		call->closing = true;
		varlink_error(call, error, json_object());
	}
	free(text);
	flush(call);
	wait_for_io(call);
	if (!call->closing && !call->broken)
		return;
	/* Hanging up wakes the connection, which then frees itself. */
	if (call->broken || call->n_out == 0)
		shutdown(call->fd, SHUT_RDWR);
	tell_ended(call);
}

const struct varlink_interface *varlink_interface(const struct varlink_call *call)
{
	return call->v->interface;
}

/* ---- calls ------------------------------------------------------------------------------------ */

static bool is_interface(const struct varlink_interface *i, const char *name, size_t size)
{
	return strlen(i->name) == size && memcmp(i->name, name, size) == 0;
}

static void dispatch(struct varlink_call *c, const char *method, json_t *parameters)
{
	const char *dot = strrchr(method, '.');
	size_t size = dot ? (size_t)(dot - method) : 0;
	const struct varlink_interface *i;

	if (is_interface(&varlink_service, method, size)) {
		i = &varlink_service;
	} else if (is_interface(c->v->interface, method, size)) {
		i = c->v->interface;
	} else {
		varlink_error(c, VARLINK_SERVICE ".InterfaceNotFound",
			      json_pack("{s:s%}", "interface", method, size));
		return;
	}
	for (const struct varlink_method *m = i->methods; m->name; m++) {
		if (strcmp(m->name, dot + 1) == 0) {
			c->page_fn = m->fn;
			m->fn(c, parameters, c->v->userdata);
			return;
		}
	}
	varlink_error(c, VARLINK_SERVICE ".MethodNotFound",
		      json_pack("{s:s}", "method", method));
}

static void request(struct varlink_call *c, const char *text, size_t size)
{
	json_t *call = varlink_message_parse(text, size), *parameters;

	if (!call) {
		log_peer(loop_now(c->v->loop), "refused",
			 "control: pid %d, uid %u: not a Varlink call: disconnected",
			 c->peer.pid, c->peer.uid);
		c->broken = true;
		return;
	}
	c->oneway = json_is_true(json_object_get(call, "oneway"));
	c->more = !c->oneway && json_is_true(json_object_get(call, "more"));
	parameters = json_object_get(call, "parameters");
	parameters = json_is_object(parameters) ? json_incref(parameters) : json_object();
	if (parameters)
		dispatch(c, json_string_value(json_object_get(call, "method")),
			 parameters);
	else
		c->broken = true;
	json_decref(parameters);
	json_decref(call);
}

static void next_page(struct varlink_call *c)
{
	json_t *parameters = c->page_parameters;

	c->page_parameters = NULL;
	c->page_fn(c, parameters, c->v->userdata);
	json_decref(parameters);
}

/* Answers what has come in, as long as the answers are read. */
static void process(struct varlink_call *c)
{
	size_t done = 0;

	while (!c->broken) {
		const char *end;

		if (c->page_parameters) {
			flush(c);
			if (c->n_out > OUT_LOW || c->broken)
				break;
			next_page(c);
			continue;
		}
		if (c->streaming || c->deferred)
			break;
		end = memchr(c->in + done, '\0', c->n_in - done);
		if (!end)
			break;
		request(c, c->in + done, (size_t)(end - (c->in + done)));
		done = (size_t)(end - c->in) + 1;
	}
	c->n_in -= done;
	memmove(c->in, c->in + done, c->n_in);
	flush(c);
}

static void receive(struct varlink_call *c)
{
	ssize_t n =
		recv(c->fd, c->in + c->n_in, REQUEST_MOST + 1 - c->n_in, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		c->broken = true;
	else if (n > 0)
		c->n_in += (size_t)n;
}

static void on_io(void *userdata, unsigned events)
{
	struct varlink_call *c = userdata;

	if (events & LOOP_READ)
		receive(c);
	process(c);
	if (c->n_in > REQUEST_MOST && (c->streaming || !c->page_parameters))
		c->broken = true;
	wait_for_io(c);
	if (c->broken || (c->closing && c->n_out == 0))
		connection_free(c);
}

/* ---- answers to come --------------------------------------------------------------------------- */

void varlink_defer(struct varlink_call *call, void (*fn)(void *userdata), void *userdata)
{
	call->deferred = true;
	call->ended = fn;
	call->ended_userdata = userdata;
}

void varlink_resume(struct varlink_call *call)
{
	call->deferred = false;
	call->ended = NULL;
	/* What was called meanwhile is answered where it is noticed that the answer has gone. */
	flush(call);
	if (!call->broken && loop_io_want(call->io, LOOP_READ | LOOP_WRITE) < 0)
		call->broken = true;
	/* Hanging up wakes the connection, which then frees itself. */
	if (call->broken)
		shutdown(call->fd, SHUT_RDWR);
}

/* ---- the server ------------------------------------------------------------------------------- */

static bool too_many(const struct varlink *v, uint32_t uid)
{
	unsigned n = 0;

	list_for_each (link, &v->connections) {
		if (list_entry(link, struct varlink_call, link)->peer.uid == uid)
			n++;
	}
	return v->n >= CONNECTIONS_MOST || (uid != 0 && n >= OF_ONE_UID_MOST);
}

void varlink_add(struct varlink *v, int fd)
{
	struct varlink_call *c = NULL;
	struct peer peer;

	if (peer_init(fd, &peer) < 0)
		goto fail;
	peer_deinit(&peer);
	if (too_many(v, peer.uid)) {
		log_peer(loop_now(v->loop), "refused",
			 "control: pid %d, uid %u: too many connections", peer.pid,
			 peer.uid);
		goto fail;
	}
	c = calloc(1, sizeof *c);
	if (!c)
		goto fail;
	c->in = malloc(REQUEST_MOST + 1);
	if (!c->in || loop_io_new(v->loop, fd, LOOP_READ, on_io, c, &c->io) < 0)
		goto fail;
	c->v = v;
	c->fd = fd;
	c->peer = peer;
	c->sees_all = peer.uid == 0 || peer.uid == geteuid() ||
		      (v->group != UINT32_MAX && peer_in_group(fd, &peer, v->group));
	list_append(&v->connections, &c->link);
	v->n++;
	return;
fail:
	if (c)
		free(c->in);
	free(c);
	close(fd);
}

int varlink_new(struct loop *loop, const struct varlink_interface *interface,
		uint32_t group, void *userdata, struct varlink **ret)
{
	struct varlink *v = calloc(1, sizeof *v);

	if (!v)
		return -ENOMEM;
	varlink_message_init();
	v->loop = loop;
	v->interface = interface;
	v->group = group;
	v->userdata = userdata;
	list_init(&v->connections);
	*ret = v;
	return 0;
}

struct varlink *varlink_free(struct varlink *v)
{
	if (!v)
		return NULL;
	list_for_each_safe (link, next, &v->connections) {
		connection_free(list_entry(link, struct varlink_call, link));
	}
	free(v);
	return NULL;
}
