/* SPDX-License-Identifier: MIT */
#include "daemon/hot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/keep.h"
#include "daemon/session.h"

/* How long after a window a server that was drained for it may still be kept drained. */
#define LEASE_MARGIN (250 * NSEC_PER_MSEC)

struct hot {
	struct loop *loop;
	struct supervisor *core;
	struct sessions *sessions;
	struct hot_hooks hooks;
	const struct hot_recorder *recorder; /* NULL: nobody listens */
	void *recorder_userdata;
	struct keep *keep; /* NULL: nothing is kept over a restart */
	struct loop_timer timer;
	struct histogram latency;
	struct list todo; /* sessions */
	bool acted;	  /* since the last measurement */
};

static void carry_out(struct hot *hot, const struct action *a);

static void keep(struct hot *hot, struct session *s)
{
	if (hot->keep)
		keep_heap(hot->keep, s);
}

/* ---- telling the core ------------------------------------------------------------------- */

/* The core's queue has room for what one event can cause: it is emptied after each. */
static void empty_queue(struct hot *hot)
{
	struct action action;

	while (supervisor_next_action(hot->core, &action)) {
		hot->acted = true;
		if (hot->recorder)
			hot->recorder->action(hot->recorder_userdata, &action);
		carry_out(hot, &action);
	}
}

static int handle(struct hot *hot, const struct event *event)
{
	int r = supervisor_handle(hot->core, event, loop_now(hot->loop));

	if (hot->recorder && r >= 0)
		hot->recorder->event(hot->recorder_userdata, event);
	return r;
}

/* Never to be called while actions are carried out: see hot_todo(). */
static int tell(struct hot *hot, const struct event *event)
{
	int r = handle(hot, event);

	empty_queue(hot);
	return r;
}

static void measure(struct hot *hot)
{
	if (!hot->acted)
		return;
	hot->acted = false;
	histogram_add(&hot->latency, nsec_sub(clock_now(), loop_now(hot->loop)));
}

void hot_todo(struct hot *hot, struct session *s)
{
	list_unlink(&s->todo);
	list_append(&hot->todo, &s->todo);
}

void hot_drained(struct hot *hot, uint64_t heap, uint64_t window, bool could)
{
	struct event event = {
		.type = could ? EVENT_DRAINED : EVENT_UNDRAINABLE,
		.heap = heap,
		.window = window,
	};

	tell(hot, &event);
	hot_settle(hot);
}

static bool same_heap(const struct hot *hot, const struct session *s,
		      const struct wire_hello *hello)
{
	struct core_heap heap;

	return supervisor_heap_after(hot->core, session_heap(s) - 1, loop_now(hot->loop),
				     &heap) &&
	       heap.id == session_heap(s) && strcmp(heap.name, hello->heap) == 0 &&
	       strcmp(heap.service, hello->service) == 0;
}

/* The one behind after that the heap was by a connection it has lost; NULL: it is new. */
static struct session *find_former(const struct hot *hot, const struct session *s,
				   const struct wire_hello *hello,
				   const struct session *after)
{
	struct session *former = sessions_find_lost(hot->sessions, s, after);

	while (former && !same_heap(hot, former, hello))
		former = sessions_find_lost(hot->sessions, s, former);
	return former;
}

/* A heap that came back by a new connection is not kept waiting for under the old one. */
static void forget_former(struct hot *hot, struct session *s,
			  const struct wire_hello *hello, struct session *former)
{
	while (former) {
		struct session *next = find_former(hot, s, hello, former);

		session_leave(former);
		former = next;
	}
}

static void not_admitted(struct session *s, const struct wire_frame *frame,
			 const char *service)
{
	session_error(s, WIRE_ERROR_REFUSED, frame->type, frame->serial, false,
		      "not in Users= or Groups= of \"%s\"", service);
}

static void hello(struct hot *hot, struct session *s, const struct wire_frame *frame)
{
	const struct wire_hello *h = &frame->hello;
	struct event event = {
		.type = EVENT_JOIN,
		.join = {.uid = s->peer.uid, .pid = s->peer.pid, .hello = *h},
	};
	struct session *former;
	int r;

	if (h->version_min > WIRE_VERSION_MAX || h->version_max < WIRE_VERSION_MIN) {
		session_error(s, WIRE_ERROR_VERSION, frame->type, frame->serial, false,
			      "speaks versions %u to %u, this daemon %u to %u",
			      h->version_min, h->version_max, WIRE_VERSION_MIN,
			      WIRE_VERSION_MAX);
		return;
	}
	if (!hot->hooks.admit(hot->hooks.userdata, s, h->service)) {
		not_admitted(s, frame, h->service);
		return;
	}
	session_name(s, h);
	former = find_former(hot, s, h, NULL);
	r = session_join(s, h->caps);
	if (r == 0) {
		event.heap = session_heap(s);
		event.join.former = former ? session_heap(former) : 0;
		event.join.hello.caps = s->caps;
		r = handle(hot, &event);
		if (r < 0)
			session_part(s);
	}
	if (r < 0) {
		session_error(s, WIRE_ERROR_REFUSED, frame->type, frame->serial, false,
			      "%s", strerror(-r));
		return;
	}
	keep(hot, s);
	/* WELCOME goes before whatever the core has to say to the heap. */
	session_welcome(s);
	empty_queue(hot);
	forget_former(hot, s, h, former);
}

/* What the application says of itself, by page or by frame, is told once. */
static void told_idle(struct hot *hot, struct session *s, nsec_t until)
{
	struct event event = {
		.type = EVENT_IDLE,
		.heap = session_heap(s),
		.idle = {.until = until},
	};

	s->mark = PAGE_MARK_IDLE;
	s->idle_until = until;
	tell(hot, &event);
}

static void told_busy(struct hot *hot, struct session *s)
{
	struct event event = {.type = EVENT_BUSY, .heap = session_heap(s)};

	s->mark = PAGE_MARK_BUSY;
	tell(hot, &event);
}

static void told_deadline(struct hot *hot, struct session *s, nsec_t at)
{
	struct event event = {
		.type = EVENT_DEADLINE,
		.heap = session_heap(s),
		.deadline = {.at = at},
	};

	s->deadline = at;
	tell(hot, &event);
}

static void read_marks(struct hot *hot, struct session *s)
{
	const struct page_app *app = &s->page->app;
	uint32_t mark = atomic_load_explicit(&app->mark, memory_order_acquire);
	nsec_t deadline = atomic_load_explicit(&app->deadline, memory_order_relaxed);
	nsec_t until = atomic_load_explicit(&app->idle_until, memory_order_relaxed);

	if (deadline != s->deadline)
		told_deadline(hot, s, deadline);
	if (mark == PAGE_MARK_IDLE && (s->mark != mark || s->idle_until != until))
		told_idle(hot, s, until);
	else if (mark == PAGE_MARK_BUSY && s->mark != mark)
		told_busy(hot, s);
}

static void told_report(struct hot *hot, struct session *s, const struct wire_report *r)
{
	struct event event = {
		.type = EVENT_REPORT,
		.heap = session_heap(s),
		.report = *r,
	};

	event.report.at = nsec_min(r->at, loop_now(hot->loop));
	tell(hot, &event);
}

static void over(struct hot *hot, struct session *s)
{
	struct event event = {
		.type = s->left ? EVENT_LEAVE : EVENT_LOST,
		.heap = session_heap(s),
	};

	if (s->left && hot->keep)
		keep_forget(hot->keep, s);
	hot->hooks.answer(hot->hooks.userdata, session_heap(s), NULL);
	s->lost = s->left = s->look = false;
	tell(hot, &event);
}

/* Figures that are being written at this moment are read as they were before. */
static void look(struct hot *hot, struct session *s)
{
	struct wire_report report;

	s->look = false;
	read_marks(hot, s); /* to which an answer may find that the peer is dead */
	if (s->page && page_telemetry_read(&s->page->telemetry, &report))
		s->report = report;
	if (s->report.at != 0)
		told_report(hot, s, &s->report);
}

/* ---- frames ----------------------------------------------------------------------------- */

static void refuse(struct hot *hot, struct session *s, const struct wire_frame *frame,
		   int outcome)
{
	const char *type = wire_type_name(frame->type);

	if (outcome < 0)
		session_error(s, WIRE_ERROR_REFUSED, frame->type, frame->serial, false,
			      "%s: %s", type, strerror(-outcome));
	else if (outcome == CORE_E_WINDOW)
		session_error(s, WIRE_ERROR_WINDOW, frame->type, frame->serial, true,
			      "%s names a window that is not this heap's", type);
	else
		session_error(s, WIRE_ERROR_UNEXPECTED, frame->type, frame->serial, false,
			      "%s is out of order", type);
}

static void report(struct hot *hot, struct session *s, const struct wire_report *r)
{
	if (s->page)
		read_marks(hot, s);
	told_report(hot, s, r);
}

/* The frames that are events just as they are. */
static void event(struct hot *hot, struct session *s, const struct wire_frame *frame)
{
	struct event e = {.heap = session_heap(s)};
	int r;

	switch (frame->type) {
	case WIRE_QUIET:
		e.type = EVENT_QUIET;
		e.quiet = frame->quiet;
		break;
	case WIRE_BEGIN:
		e.type = EVENT_BEGIN;
		e.begin = frame->begin;
		break;
	case WIRE_END:
		e.type = EVENT_END;
		e.end = frame->end;
		break;
	case WIRE_DECLINE:
		e.type = EVENT_DECLINE;
		e.decline = frame->decline;
		break;
	case WIRE_OFFER:
		e.type = EVENT_OFFER;
		e.offer = frame->offer;
		break;
	}
	r = tell(hot, &e);
	keep(hot, s);
	if (r != 0)
		refuse(hot, s, frame, r);
}

static void greeted(struct hot *hot, struct session *s, const struct wire_frame *frame)
{
	struct wire_frame echo;

	switch (frame->type) {
	case WIRE_REPORT:
		report(hot, s, &frame->report);
		break;
	case WIRE_DEADLINE:
		told_deadline(hot, s, frame->deadline.at);
		break;
	case WIRE_IDLE:
		told_idle(hot, s, frame->idle.until);
		break;
	case WIRE_BUSY:
		told_busy(hot, s);
		break;
	case WIRE_QUIET:
	case WIRE_BEGIN:
	case WIRE_END:
	case WIRE_DECLINE:
	case WIRE_OFFER:
		event(hot, s, frame);
		break;
	case WIRE_ANSWER:
		hot->hooks.answer(hot->hooks.userdata, session_heap(s), &frame->answer);
		break;
	case WIRE_HEARTBEAT:
		echo = *frame;
		session_send(s, &echo);
		break;
	case WIRE_BYE:
		session_leave(s);
		break;
	default: /* HELLO again, or a frame that only the daemon sends */
		refuse(hot, s, frame, CORE_E_ORDER);
	}
}

void hot_frame(struct hot *hot, struct session *s, const struct wire_frame *frame)
{
	if (s->state == SESSION_OPEN)
		greeted(hot, s, frame);
	else if (frame->type == WIRE_HELLO)
		hello(hot, s, frame);
	else
		session_error(s, WIRE_ERROR_UNEXPECTED, frame->type, frame->serial, false,
			      "%s before HELLO", wire_type_name(frame->type));
	hot_settle(hot);
}

/* ---- carrying out what was decided ------------------------------------------------------- */

static void carry_out(struct hot *hot, const struct action *a)
{
	struct session *s = sessions_find(hot->sessions, a->heap);

	if (a->type == ACTION_UNDRAIN) /* also when the heap is gone */
		hot->hooks.undrain(hot->hooks.userdata, a->revoke.window);
	if (!s)
		return;
	switch (a->type) {
	case ACTION_DIRECT:
		session_direct(s, &a->directive);
		break;
	case ACTION_ANNOUNCE:
		session_announce(s, &a->announce);
		break;
	case ACTION_OPEN:
		keep(hot, s); /* before anybody can pause in it */
		session_open(s, &a->window);
		hot->hooks.renew(hot->hooks.userdata, a->window.window,
				 nsec_add(s->closes, LEASE_MARGIN));
		break;
	case ACTION_REVOKE:
	case ACTION_CLOSE:
		session_close(s, &a->revoke, a->type == ACTION_REVOKE);
		keep(hot, s);
		break;
	case ACTION_DRAIN:
		hot->hooks.drain(hot->hooks.userdata, a->heap, a->revoke.window,
				 nsec_add(s->opens_by, LEASE_MARGIN));
		break;
	case ACTION_LOOK:
		s->look = s->page != NULL;
		hot_todo(hot, s);
		break;
	case ACTION_UNDRAIN:
		break;
	}
}

void hot_settle(struct hot *hot)
{
	empty_queue(hot); /* (another configuration may have asked for something) */
	while (!list_empty(&hot->todo)) {
		struct session *s = list_entry(hot->todo.next, struct session, todo);

		list_unlink(&s->todo);
		if (s->lost || s->left)
			over(hot, s);
		else if (s->look)
			look(hot, s);
	}
	measure(hot);
	loop_timer_set(&hot->timer, supervisor_deadline(hot->core));
}

static void tick(void *userdata, nsec_t now)
{
	struct hot *hot = userdata;

	supervisor_tick(hot->core, now);
	empty_queue(hot);
	hot_settle(hot);
}

/* ---- life --------------------------------------------------------------------------------- */

int hot_new(struct loop *loop, struct supervisor *core, const struct hot_hooks *hooks,
	    uint64_t epoch, struct hot **ret)
{
	struct hot *hot = calloc(1, sizeof *hot);
	int r;

	if (!hot)
		return -ENOMEM;
	hot->loop = loop;
	hot->core = core;
	hot->hooks = *hooks;
	list_init(&hot->todo);
	r = loop_timer_init(loop, &hot->timer, tick, hot);
	if (r == 0)
		r = sessions_new(loop, hot, epoch, &hot->sessions);
	if (r < 0) {
		hot_free(hot);
		return r;
	}
	*ret = hot;
	return 0;
}

struct hot *hot_free(struct hot *hot)
{
	if (!hot)
		return NULL;
	sessions_free(hot->sessions);
	loop_timer_deinit(&hot->timer);
	free(hot);
	return NULL;
}

struct sessions *hot_sessions(struct hot *hot)
{
	return hot->sessions;
}

void hot_record(struct hot *hot, const struct hot_recorder *recorder, void *userdata)
{
	hot->recorder = recorder;
	hot->recorder_userdata = userdata;
}

void hot_review(struct hot *hot)
{
	const struct wire_frame hello = {.type = WIRE_HELLO};

	list_for_each_safe (link, next, &hot->sessions->open) {
		struct session *s = list_entry(link, struct session, link);
		struct core_heap heap;

		if (supervisor_heap_after(hot->core, session_heap(s) - 1,
					  loop_now(hot->loop), &heap) &&
		    heap.id == session_heap(s) &&
		    !hot->hooks.admit(hot->hooks.userdata, s, heap.service))
			not_admitted(s, &hello, heap.service);
	}
	hot_settle(hot);
}

void hot_keep(struct hot *hot, struct keep *keep)
{
	hot->keep = keep;
}

int hot_restore(struct hot *hot, struct session *s, const struct core_memory *memory)
{
	int r = supervisor_restore(hot->core, session_heap(s), memory,
				   loop_now(hot->loop));

	if (r < 0)
		session_unrestore(s);
	hot_settle(hot);
	return r;
}

const struct histogram *hot_latency(const struct hot *hot)
{
	return &hot->latency;
}
