/* SPDX-License-Identifier: MIT */
#include "daemon/subscribe.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/control_show.h"
#include "daemon/eventlog.h"
#include "daemon/parameters.h"
#include "daemon/tell.h"
#include "daemon/varlink.h"

#define OVERFLOW "io.rtgcd.Supervisor.Overflow"

#define PASS	      NSEC_PER_SEC	   /* from the begin of one to the next */
#define REST	      (20 * NSEC_PER_MSEC) /* between two parts of one */
#define REST_AT_FIRST (5 * NSEC_PER_MSEC)
#define UNREAD	      (100 * NSEC_PER_MSEC) /* until it is seen whether they read by now */
#define TOLD_A_TIME   8			    /* to all of them */
#define LOOKS_A_TIME  256
#define TOLD_AT_ONCE  20 /* to who has just asked */

/* Not unasked: figures are told otherwise, marks come too often. */
#define SELDOM                                                                        \
	(TELL_EVENT(EVENT_REPORT) | TELL_EVENT(EVENT_IDLE) | TELL_EVENT(EVENT_BUSY) | \
	 TELL_EVENT(EVENT_DEADLINE))

struct subscribers {
	struct loop *loop;
	struct supervisor *core;
	struct tell *tell;
	uint64_t epoch;
	struct list list; /* those who are to be told figures, or who is there */
	struct loop_timer timer;
};

struct subscriber {
	struct listener listener;
	struct subscribers *all;
	struct list link;
	json_t *parameters; /* the names in the listener */
	bool figures;
	bool greeted, present; /* it was told something; all that was there */
	bool passing;
	uint64_t since;	   /* what has changed since that count is told; 0: all */
	uint64_t changes;  /* the count when the pass began */
	nsec_t next;	   /* when the next one begins */
	uint64_t heap;	   /* looked at in it already */
	unsigned services; /* so are that many of them */
	uint64_t services_gone;
};

/* What may still be done in this turn: little, so that nobody waits long, and few wait at all. */
struct allowance {
	unsigned told, looks;
};

/* One reply. */
struct part {
	json_t *services, *heaps, *windows, *events;
};

/* ---- a part of a pass ------------------------------------------------------------------- */

static void add_services(struct subscriber *s, struct allowance *a, struct part *part)
{
	struct supervisor *core = s->all->core;
	uint64_t gone = supervisor_services_gone(core) - s->services_gone;
	struct core_service service;
	struct core_who who;

	/* Those behind them were counted anew: one may be told twice, none is passed over. */
	s->services_gone += gone;
	s->services -= gone < s->services ? (unsigned)gone : s->services;
	while (a->told > 0 && supervisor_changed_service(core, s->since, &s->services,
							 &a->looks, &who)) {
		if (!listener_hears(&s->listener, &who) ||
		    !supervisor_service(core, s->services - 1, loop_now(s->all->loop),
					&service))
			continue;
		a->told--;
		show_append(&part->services, show_service(&service));
	}
}

static void add_heap(struct subscriber *s, uint64_t id, struct part *part)
{
	nsec_t now = loop_now(s->all->loop);
	struct core_window window;
	struct core_heap heap;

	if (!supervisor_heap_after(s->all->core, id - 1, now, &heap))
		return;
	show_append(&part->heaps, show_heap(&heap, now));
	if (supervisor_window_of(s->all->core, id, &window))
		show_append(&part->windows, show_window(&window, now));
}

/* Who is there, as the log has it at its beginning. */
static void add_join(struct subscriber *s, uint64_t id, struct part *part)
{
	struct eventlog_entry entry = {
		.type = EVENTLOG_EVENT,
		.at = loop_now(s->all->loop),
		.snapshot = true,
	};
	struct core_snapshot snapshot;

	if (!supervisor_snapshot_after(s->all->core, id - 1, entry.at, &snapshot))
		return;
	entry.event = snapshot.events[0];
	show_append(&part->events, eventlog_write(&entry));
}

static void add_heaps(struct subscriber *s, struct allowance *a, struct part *part)
{
	struct core_who who;

	while (a->told > 0 &&
	       supervisor_changed_heap(s->all->core, s->since, loop_now(s->all->loop),
				       &s->heap, &a->looks, &who)) {
		if (!listener_hears(&s->listener, &who))
			continue;
		a->told--;
		if (s->figures)
			add_heap(s, who.heap, part);
		else
			add_join(s, who.heap, part);
	}
}

/* *list is stolen. */
static json_t *with(json_t *reply, const char *key, json_t *list)
{
	if (list && json_array_size(list) == 0) {
		json_decref(list);
		return reply;
	}
	if (json_object_set_new(reply, key, list) == 0)
		return reply;
	json_decref(reply);
	return NULL;
}

static json_t *put_together(struct subscriber *s, struct part *part)
{
	const struct subscribers *all = s->all;
	json_t *reply = s->greeted
				? json_object()
				: json_pack("{s:s, s:o, s:o}", "rtgcd", PACKAGE_VERSION,
					    "epoch", show_amount(all->epoch), "now_us",
					    show_span(loop_now(all->loop)));

	reply = with(reply, "services", part->services);
	reply = with(reply, "heaps", part->heaps);
	reply = with(reply, "windows", part->windows);
	reply = with(reply, "events", part->events);
	if (!s->passing && !s->present &&
	    json_object_set_new(reply, "present", json_true()) < 0) {
		json_decref(reply);
		reply = NULL;
	}
	return reply;
}

/* It may be no more afterwards. */
static void tell_part(struct subscriber *s, struct part *part)
{
	json_t *reply = put_together(s, part);
	bool empty = reply && json_object_size(reply) == 0;
	char *text = empty ? NULL : varlink_push_text(reply);

	s->greeted = true;
	if (!s->passing)
		s->present = true;
	if (empty)
		json_decref(reply);
	else
		varlink_push(s->listener.call, text, OVERFLOW);
	free(text);
}

static void begin_pass(struct subscriber *s, nsec_t now)
{
	s->passing = true;
	s->next = nsec_add(now, PASS);
	s->changes = supervisor_changes(s->all->core);
	s->heap = 0;
	s->services = 0;
	s->services_gone = supervisor_services_gone(s->all->core);
}

static void end_pass(struct subscriber *s)
{
	s->passing = false;
	s->since = s->changes;
	s->listener.known = UINT64_MAX;
	if (!s->figures)
		list_unlink(&s->link);
}

/* It may be no more afterwards. */
static void go_on(struct subscriber *s, struct allowance *a)
{
	struct part part;

	listener_hear(&s->listener);
	if (s->listener.slow) {
		listener_send(&s->listener); /* which says so, and ends it */
		return;
	}
	part = (struct part){
		.services = json_array(),
		.heaps = json_array(),
		.windows = json_array(),
		.events = listener_take(&s->listener),
	};
	if (s->figures)
		add_services(s, a, &part);
	if (a->told > 0 && a->looks > 0)
		add_heaps(s, a, &part);
	if (!s->present)
		s->listener.known = s->heap;
	if (a->told > 0 && a->looks > 0)
		end_pass(s);
	tell_part(s, &part);
}

/* ---- passes ----------------------------------------------------------------------------- */

static bool has_to_do(struct subscriber *s, nsec_t now)
{
	if (!s->passing && s->next <= now)
		begin_pass(s, now);
	return s->passing;
}

static nsec_t due(const struct subscriber *s, nsec_t now)
{
	if (!s->passing)
		return s->next;
	if (varlink_waits(s->listener.call))
		return nsec_add(now, UNREAD);
	return nsec_add(now, s->present ? REST : REST_AT_FIRST);
}

static void arm(struct subscribers *all)
{
	nsec_t now = loop_now(all->loop), at = NSEC_NEVER;

	list_for_each (link, &all->list)
		at = nsec_min(at, due(list_entry(link, struct subscriber, link), now));
	loop_timer_set(&all->timer, at);
}

/* Those who were not reached are the first the next time. */
static void on_timer(void *userdata, nsec_t now)
{
	struct allowance a = {.told = TOLD_A_TIME, .looks = LOOKS_A_TIME};
	struct subscribers *all = userdata;
	size_t n = 0;

	list_for_each (link, &all->list)
		n++;
	while (n-- > 0 && a.told > 0 && a.looks > 0) {
		struct subscriber *s =
			list_entry(all->list.next, struct subscriber, link);

		list_unlink(&s->link);
		list_append(&all->list, &s->link);
		if (has_to_do(s, now) && !varlink_waits(s->listener.call))
			go_on(s, &a);
	}
	arm(all);
}

/* ---- the method ------------------------------------------------------------------------- */

static bool get_kinds(struct varlink_call *call, json_t *list, uint32_t *ret)
{
	uint32_t kinds = 0;
	json_t *name;
	size_t i;

	if (!list || json_is_null(list)) {
		*ret = TELL_ALL & ~SELDOM;
		return true;
	}
	json_array_foreach(list, i, name)
	{
		uint32_t kind =
			json_is_string(name) ? tell_kind(json_string_value(name)) : 0;

		if (!kind)
			break;
		kinds |= kind;
	}
	if (!json_is_array(list) || i < json_array_size(list)) {
		varlink_invalid(call, "events");
		return false;
	}
	*ret = kinds;
	return true;
}

static bool get_asked(struct varlink_call *call, json_t *parameters,
		      struct subscriber *ret)
{
	static const char *const keys[] = {"service", "heap", "events", "figures", NULL};
	struct listener *l = &ret->listener;

	ret->figures = true;
	if (!parameters_known(call, parameters, keys) ||
	    !parameters_string(call, parameters, "service", &l->service) ||
	    !parameters_string(call, parameters, "heap", &l->heap) ||
	    !parameters_flag(call, parameters, "figures", &ret->figures) ||
	    !get_kinds(call, json_object_get(parameters, "events"), &l->kinds))
		return false;
	if (!varlink_wants_more(call)) {
		varlink_error(call, "org.varlink.service.ExpectedMore", json_object());
		return false;
	}
	/* Who is told figures must know when they are of nobody any more. */
	if (ret->figures)
		l->kinds |= TELL_EVENT(EVENT_LEAVE);
	return true;
}

static void ended(struct listener *l)
{
	struct subscriber *s = list_entry(l, struct subscriber, listener);
	struct subscribers *all = s->all;

	list_unlink(&s->link);
	json_decref(s->parameters);
	free(s);
	arm(all);
}

void subscribe_call(struct subscribers *all, struct varlink_call *call,
		    json_t *parameters)
{
	struct allowance a = {.told = TOLD_AT_ONCE, .looks = LOOKS_A_TIME};
	struct subscriber *s = calloc(1, sizeof *s);

	if (!s) {
		varlink_reply(call, NULL);
		return;
	}
	if (!get_asked(call, parameters, s)) {
		free(s);
		return;
	}
	s->all = all;
	s->parameters = json_incref(parameters);
	s->listener.overflow = OVERFLOW;
	s->listener.ended = ended;
	list_append(&all->list, &s->link);
	begin_pass(s, loop_now(all->loop));
	tell_listen(all->tell, &s->listener, call);
	go_on(s, &a);
	arm(all);
}

int subscribers_new(struct loop *loop, struct supervisor *core, struct tell *tell,
		    uint64_t epoch, struct subscribers **ret)
{
	struct subscribers *all = calloc(1, sizeof *all);
	int r;

	if (!all)
		return -ENOMEM;
	list_init(&all->list);
	all->loop = loop;
	all->core = core;
	all->tell = tell;
	all->epoch = epoch;
	r = loop_timer_init(loop, &all->timer, on_timer, all);
	if (r < 0) {
		free(all);
		return r;
	}
	*ret = all;
	return 0;
}

struct subscribers *subscribers_free(struct subscribers *all)
{
	if (!all)
		return NULL;
	loop_timer_deinit(&all->timer);
	free(all);
	return NULL;
}
