/* SPDX-License-Identifier: MIT */
#include "daemon/ask.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "client/wire/list.h"
#include "daemon/hot.h"
#include "daemon/session.h"
#include "daemon/varlink.h"

#define ERROR "io.rtgcd.Supervisor."

struct asks {
	struct loop *loop;
	struct sessions *sessions;
	struct list pending;
	uint64_t last;
};

struct ask {
	struct list link;
	struct asks *all;
	uint64_t id, heap;
	unsigned most;
	char heap_name[WIRE_NAME_MAX];
	struct varlink_call *call; /* NULL: the caller has hung up */
	json_t *types;
	struct loop_timer timer;
};

static json_t *amount(uint64_t value)
{
	return json_integer((json_int_t)(value > INT64_MAX ? INT64_MAX : value));
}

static void ask_free(struct ask *a)
{
	list_unlink(&a->link);
	loop_timer_deinit(&a->timer);
	json_decref(a->types);
	free(a);
}

/* Ends the question: with the answer (stolen), or with the error of that name. */
static void conclude(struct ask *a, json_t *parameters, const char *error)
{
	struct varlink_call *call = a->call;

	if (call) {
		if (error)
			varlink_error(call, error,
				      json_pack("{s:s}", "heap", a->heap_name));
		else
			varlink_reply(call, parameters);
		varlink_resume(call);
	} else {
		json_decref(parameters);
	}
	ask_free(a);
}

/* A heap that answers for nobody stays marked as asked until it has. */
static void hung_up(void *userdata)
{
	struct ask *a = userdata;

	a->call = NULL;
}

static void late(void *userdata, nsec_t now)
{
	conclude(userdata, NULL, ERROR "NoAnswer");
}

static struct ask *find(const struct asks *all, uint64_t heap)
{
	list_for_each (link, &all->pending) {
		struct ask *a = list_entry(link, struct ask, link);

		if (a->heap == heap)
			return a;
	}
	return NULL;
}

static bool send_ask(const struct ask *a)
{
	struct session *s = sessions_find(a->all->sessions, a->heap);
	struct wire_frame frame = {.type = WIRE_ASK};

	if (!s || s->state != SESSION_OPEN || !(s->caps & WIRE_CAP_ANSWERS))
		return false;
	frame.ask = (struct wire_ask){
		.ask = a->id, .most = (uint16_t)a->most, .what = WIRE_HEAP_SUMMARY};
	session_send(s, &frame);
	return s->state == SESSION_OPEN;
}

static void refuse(struct varlink_call *call, const struct core_heap *h,
		   const char *error)
{
	varlink_error(call, error, json_pack("{s:s}", "heap", h->name));
}

void asks_summary(struct asks *all, struct varlink_call *call, const struct core_heap *h,
		  unsigned most)
{
	struct ask *a;

	if (find(all, h->id)) {
		refuse(call, h, ERROR "AlreadyAsked");
		return;
	}
	a = calloc(1, sizeof *a);
	if (!a || loop_timer_init(all->loop, &a->timer, late, a) < 0) {
		free(a);
		refuse(call, h, ERROR "NoAnswer");
		return;
	}
	a->all = all;
	a->id = ++all->last;
	a->heap = h->id;
	a->most = most;
	a->call = call;
	a->types = json_array();
	memcpy(a->heap_name, h->name, sizeof a->heap_name);
	list_append(&all->pending, &a->link);
	if (!send_ask(a)) {
		ask_free(a);
		refuse(call, h, ERROR "CannotAnswer");
		hot_settle(all->sessions->hot); /* the connection may have broken */
		return;
	}
	varlink_defer(call, hung_up, a);
	loop_timer_set(&a->timer, nsec_add(loop_now(all->loop), ASK_PATIENCE));
}

static void complete(struct ask *a, const struct wire_answer *sum)
{
	json_t *reply;

	if (sum->outcome != WIRE_ANSWERED) {
		conclude(a, NULL, ERROR "CannotAnswer");
		return;
	}
	reply = json_pack("{s:o, s:s, s:o, s:o, s:o, s:O}", "heap", amount(a->heap),
			  "heap_name", a->heap_name, "objects", amount(sum->count),
			  "bytes", amount(sum->bytes), "pause_us",
			  amount(sum->took / NSEC_PER_USEC), "types", a->types);
	conclude(a, reply, NULL);
}

void asks_answer(struct asks *all, uint64_t heap, const struct wire_answer *row)
{
	struct ask *a = find(all, heap);

	if (!a)
		return;
	if (!row) {
		conclude(a, NULL, ERROR "NoAnswer");
	} else if (row->ask != a->id) {
		return; /* to a question whose patience has run out */
	} else if (row->last) {
		complete(a, row);
	} else if (json_array_size(a->types) == a->most) {
		conclude(a, NULL, ERROR "NoAnswer"); /* it does not know how to stop */
	} else if (json_array_append_new(a->types,
					 json_pack("{s:s, s:o, s:o}", "name", row->name,
						   "objects", amount(row->count), "bytes",
						   amount(row->bytes))) < 0) {
		conclude(a, NULL, ERROR "NoAnswer"); /* memory has run out */
	}
}

int asks_new(struct loop *loop, struct sessions *sessions, struct asks **ret)
{
	struct asks *all = calloc(1, sizeof *all);

	if (!all)
		return -ENOMEM;
	all->loop = loop;
	all->sessions = sessions;
	list_init(&all->pending);
	*ret = all;
	return 0;
}

struct asks *asks_free(struct asks *all)
{
	if (!all)
		return NULL;
	list_for_each_safe (link, next, &all->pending) {
		ask_free(list_entry(link, struct ask, link));
	}
	free(all);
	return NULL;
}
