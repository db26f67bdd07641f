/* SPDX-License-Identifier: MIT */
#include "daemon/varlink_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/refused.h"
#include "daemon/varlink_message.h"
#include "daemon/varlink_service.h"

#define REQUEST_MOST	65536
#define RECEIVE_AT_ONCE 4096
#define OUT_LOW		65536 /* below it, the next page is made */
#define REQUESTS_A_TURN 4 /* and pages: the others of one caller wait, not the heaps */
#define BYTES_A_TURN	16384 /* of answers: a large one counts as several */

/* ---- connections --------------------------------------------------------------------------- */

static void connection_free(struct varlink_call *c)
{
	varlink_tell_ended(c);
	list_unlink(&c->link);
	loop_io_free(c->io);
	loop_timer_deinit(&c->timer);
	close(c->fd);
	json_decref(c->page_parameters);
	varlink_keep(c, NULL, NULL);
	buffer_deinit(&c->in);
	buffer_deinit(&c->out);
	quota_release(c->v->quota, &c->charge);
	free(c);
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

/* false: its user has asked enough for now. */
static bool take_turn(struct varlink_call *c)
{
	nsec_t now = loop_now(c->v->loop);
	unsigned turns = 1 + (unsigned)(c->made / BYTES_A_TURN);
	nsec_t until;

	if (c->rests)
		return false;
	c->made = 0;
	until = quota_pace_user(c->v->quota, &c->charge, QUOTA_REQUESTS, turns, now);
	if (until > now) {
		/* This one is answered yet; the next one waits. */
		c->rests = true;
		c->v->delayed++;
		loop_timer_set(&c->timer, until);
	} else if (++c->in_turn == REQUESTS_A_TURN) {
		c->rests = true;
		loop_timer_set(&c->timer, now);
	}
	return true;
}

/* Answers what has come in, as long as the answers are read. */
static void process(struct varlink_call *c)
{
	size_t done = 0;

	c->in_turn = 0;
	while (!c->broken && !c->closing) {
		const char *end;

		if (c->page_parameters) {
			varlink_flush(c);
			if (c->out.n > OUT_LOW || c->broken || !take_turn(c))
				break;
			next_page(c);
			continue;
		}
		if (c->streaming || c->deferred || c->in.n == done)
			break;
		end = memchr(c->in.text + done, '\0', c->in.n - done);
		if (!end || !take_turn(c))
			break;
		request(c, c->in.text + done, (size_t)(end - (c->in.text + done)));
		done = (size_t)(end - c->in.text) + 1;
	}
	if (done > 0)
		buffer_drop(&c->in, done);
	varlink_flush(c);
}

static void receive(struct varlink_call *c)
{
	size_t room = REQUEST_MOST + 1 - c->in.n;
	int r = buffer_reserve(&c->in, room < RECEIVE_AT_ONCE ? room : RECEIVE_AT_ONCE);
	ssize_t n;

	if (r != 0) {
		if (r > 0)
			varlink_refuse(c, (enum quota_refusal)r);
		c->broken = true;
		return;
	}
	if (room > c->in.allocated - c->in.n)
		room = c->in.allocated - c->in.n;
	n = recv(c->fd, c->in.text + c->in.n, room, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		c->broken = true;
	else if (n > 0)
		c->in.n += (size_t)n;
}

/* Goes on; the connection may be no more afterwards. */
static void go_on(struct varlink_call *c)
{
	process(c);
	if (c->in.n > REQUEST_MOST && !c->rests && (c->streaming || !c->page_parameters))
		c->broken = true;
	varlink_wait_for_io(c);
	if (c->broken || c->closing)
		connection_free(c);
}

static void on_io(void *userdata, unsigned events)
{
	struct varlink_call *c = userdata;

	if (events & LOOP_READ)
		receive(c);
	go_on(c);
}

static void on_timer(void *userdata, nsec_t now)
{
	struct varlink_call *c = userdata;

	c->rests = false;
	c->broken = c->broken || c->closing;
	go_on(c);
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
	varlink_flush(call);
	if (!call->broken && loop_io_want(call->io, LOOP_READ | LOOP_WRITE) < 0)
		call->broken = true;
	/* Hanging up wakes the connection, which then frees itself. */
	if (call->broken)
		shutdown(call->fd, SHUT_RDWR);
}

/* ---- the server ------------------------------------------------------------------------------- */

static int charge(struct varlink *v, struct varlink_call *c)
{
	int r = quota_charge(v->quota, QUOTA_CALLERS, c->peer.uid, 1, &c->charge);

	if (r > 0)
		refused(loop_now(v->loop), (enum quota_refusal)r, "caller", &c->peer);
	if (r == 0)
		r = buffer_init(&c->in, v->quota, c->peer.uid);
	if (r == 0)
		r = buffer_init(&c->out, v->quota, c->peer.uid);
	return r;
}

static int connection_init(struct varlink *v, struct varlink_call *c, int fd)
{
	int r = peer_init(fd, &c->peer);

	if (r < 0)
		return r;
	peer_deinit(&c->peer);
	r = charge(v, c);
	if (r == 0)
		r = loop_timer_init(v->loop, &c->timer, on_timer, c);
	if (r == 0)
		r = loop_io_new(v->loop, fd, LOOP_READ, on_io, c, &c->io);
	return r;
}

void varlink_add(struct varlink *v, int fd)
{
	struct varlink_call *c = calloc(1, sizeof *c);

	if (!c) {
		close(fd);
		return;
	}
	c->v = v;
	c->fd = fd;
	list_init(&c->link);
	if (connection_init(v, c, fd) != 0) {
		connection_free(c);
		return;
	}
	c->sees_all = c->peer.uid == 0 || c->peer.uid == geteuid() ||
		      (v->group != UINT32_MAX && peer_in_group(fd, &c->peer, v->group));
	list_append(&v->connections, &c->link);
}

int varlink_new(struct loop *loop, struct quota *quota,
		const struct varlink_interface *interface, uint32_t group, void *userdata,
		struct varlink **ret)
{
	struct varlink *v = calloc(1, sizeof *v);

	if (!v)
		return -ENOMEM;
	varlink_message_init();
	v->loop = loop;
	v->quota = quota;
	v->interface = interface;
	v->group = group;
	v->userdata = userdata;
	list_init(&v->connections);
	*ret = v;
	return 0;
}

uint64_t varlink_delayed(const struct varlink *v)
{
	return v->delayed;
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
