/* SPDX-License-Identifier: MIT */
/* Answers: varlink_*() of a call, and the queue in which they wait to be read. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/refused.h"
#include "daemon/varlink_message.h"
#include "daemon/varlink_private.h"
#include "daemon/varlink_service.h"

#define LAST_WORDS \
	(1 << 20) /* bytes that a full socket is given more room for, if it can be */

/* ---- the queue ------------------------------------------------------------------------------ */

void varlink_refuse(struct varlink_call *c, enum quota_refusal refusal)
{
	refused(loop_now(c->v->loop), refusal, "caller", &c->peer);
}

/* Whether so much may be put behind what waits. An answer by itself may be of any size. */
static bool has_room(const struct varlink_call *c, size_t size)
{
	return c->out.n == 0 || c->out.n + size <= quota_limits(c->v->quota)->queue;
}

/* 0, -ENOMEM, or a positive enum quota_refusal. */
static int append(struct varlink_call *c, const char *text)
{
	size_t size = strlen(text) + 1;

	c->made += size;
	if (has_room(c, size))
		return buffer_append(&c->out, text, size);
	quota_count(c->v->quota, QUOTA_E_SLOW);
	return QUOTA_E_SLOW;
}

void varlink_flush(struct varlink_call *c)
{
	size_t sent = 0;

	while (sent < c->out.n) {
		ssize_t n = send(c->fd, c->out.text + sent, c->out.n - sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			c->broken = c->broken || errno != EAGAIN;
			break;
		}
		sent += (size_t)n;
	}
	if (sent == 0)
		return;
	c->partly_sent = c->out.text[sent - 1] != '\0';
	buffer_drop(&c->out, sent);
}

void varlink_wait_for_io(struct varlink_call *c)
{
	/* Who waits is listened to, so that its hanging up is noticed. */
	bool read = (c->streaming || c->deferred || !c->page_parameters) && !c->rests &&
		    !c->closing;
	/* What is still to be made waits for room too, also when all that was made has gone. */
	bool write = c->out.n > 0 || (c->page_parameters && !c->rests);
	unsigned events = (read ? LOOP_READ : 0) | (write ? LOOP_WRITE : 0);

	if (!c->broken && loop_io_want(c->io, events) < 0)
		c->broken = true;
}

/* ---- replies -------------------------------------------------------------------------------- */

/*
 * It is told why it is disconnected. That goes before what waits, but for the answer of which a part
 * has been sent: the socket is full, and has room for a little more.
 */
static void say_last(struct varlink_call *c, json_t *error)
{
	char *text = varlink_message_text(error);
	int room = LAST_WORDS;

	varlink_next_page(c, NULL);
	c->closing = true;
	c->out.n = c->partly_sent && c->out.n > 0 ? strlen(c->out.text) + 1 : 0;
	if (!text || buffer_append(&c->out, text, strlen(text) + 1) != 0)
		c->broken = true;
	free(text);
	setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	varlink_flush(c);
}

static void put(struct varlink_call *c, json_t *reply)
{
	char *text;
	int r;

	if (c->oneway && reply) {
		json_decref(reply);
		return;
	}
	text = varlink_message_text(reply);
	r = !text || c->closing ? -ENOMEM : append(c, text);
	if (r < 0)
		c->broken = true;
	if (r > 0) {
		varlink_refuse(c, (enum quota_refusal)r);
		say_last(c, json_pack("{s:s+, s:{}}", "error", c->v->interface->name,
				      ".Overflow", "parameters"));
	}
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

void varlink_keep(struct varlink_call *call, void *kept, void (*release)(void *kept))
{
	if (call->kept)
		call->release(call->kept);
	call->kept = kept;
	call->release = release;
}

void *varlink_kept(const struct varlink_call *call)
{
	return call->kept;
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

void varlink_tell_ended(struct varlink_call *c)
{
	void (*ended)(void *) = c->ended;

	c->ended = NULL;
	if (ended)
		ended(c->ended_userdata);
}

void varlink_stream(struct varlink_call *call, void (*fn)(void *userdata), void *userdata)
{
	call->streaming = true;
	call->ended = fn;
	call->ended_userdata = userdata;
}

char *varlink_push_text(json_t *parameters)
{
	return varlink_message_text(
		json_pack("{s:o, s:b}", "parameters", parameters, "continues", 1));
}

bool varlink_waits(const struct varlink_call *call)
{
	return call->out.n > 0;
}

/* What came of putting something behind what waits. */
static bool pushed(struct varlink_call *call, int r, const char *error)
{
	if (r > 0)
		varlink_refuse(call, (enum quota_refusal)r);
	else if (r < 0)
		log_peer(loop_now(call->v->loop), "refused",
			 "control: pid %d, uid %u: out of memory: disconnected",
			 call->peer.pid, call->peer.uid);
	if (r != 0)
		say_last(call, json_pack("{s:s, s:{}}", "error", error, "parameters"));
	varlink_wait_for_io(call);
	if (!call->closing && !call->broken)
		return true;
	/* It frees itself, but not now. */
	loop_timer_set(&call->timer, 0);
	varlink_tell_ended(call);
	return false;
}

bool varlink_push(struct varlink_call *call, const char *text, const char *error)
{
	bool waits = call->out.n > 0; /* for room in the socket */
	int r = text ? append(call, text) : -ENOMEM;

	if (r == 0 && !waits)
		varlink_flush(call);
	return pushed(call, r, error);
}

void varlink_cut(struct varlink_call *call, const char *error)
{
	quota_count(call->v->quota, QUOTA_E_SLOW);
	pushed(call, QUOTA_E_SLOW, error);
}
