/* SPDX-License-Identifier: MIT */
/* What clients say, by frame or by page: told to the core as events. */
#include <string.h>

#include "daemon/hot_private.h"
#include "daemon/session.h"

/* ---- joining ------------------------------------------------------------------------------ */

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
	r = session_join(s, h->caps, former != NULL);
	if (r > 0) {
		session_refuse(s, (enum quota_refusal)r);
		return;
	}
	if (r == 0) {
		event.heap = session_heap(s);
		event.join.former = former ? session_heap(former) : 0;
		event.join.hello.caps = s->caps;
		r = hot_handle(hot, &event);
		if (r < 0)
			session_part(s);
	}
	if (r < 0) {
		session_error(s, WIRE_ERROR_REFUSED, frame->type, frame->serial, false,
			      "%s", strerror(-r));
		return;
	}
	hot_keep_heap(hot, s);
	hot_note_window(hot, s);
	/* WELCOME goes before whatever the core has to say to the heap. */
	session_welcome(s);
	hot_empty_queue(hot);
	forget_former(hot, s, h, former);
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

/* ---- what the application says of itself ---------------------------------------------------- */

/* By page or by frame: told once. */
static void told_idle(struct hot *hot, struct session *s, nsec_t until)
{
	struct event event = {
		.type = EVENT_IDLE,
		.heap = session_heap(s),
		.idle = {.until = until},
	};

	s->mark = PAGE_MARK_IDLE;
	s->idle_until = until;
	hot_tell(hot, &event);
}

static void told_busy(struct hot *hot, struct session *s)
{
	struct event event = {.type = EVENT_BUSY, .heap = session_heap(s)};

	s->mark = PAGE_MARK_BUSY;
	hot_tell(hot, &event);
}

static void told_deadline(struct hot *hot, struct session *s, nsec_t at)
{
	struct event event = {
		.type = EVENT_DEADLINE,
		.heap = session_heap(s),
		.deadline = {.at = at},
	};

	s->deadline = at;
	hot_tell(hot, &event);
}

static const struct heap_page *look_at_page(struct session *s)
{
	return heap_page_look(s->all->pages, &s->view);
}

static void read_marks(struct hot *hot, struct session *s)
{
	const struct page_app *app = &look_at_page(s)->app;
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
	hot_tell(hot, &event);
}

/* Figures that are being written at this moment are read as they were before. */
void hot_look(struct hot *hot, struct session *s)
{
	struct wire_report report;

	s->look = false;
	read_marks(hot, s); /* to which an answer may find that the peer is dead */
	if (s->view.page && page_telemetry_read(&look_at_page(s)->telemetry, &report))
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
	/* (A page that was not looked at for a while is had back at the price of a fault.) */
	if (s->view.page && s->caps & WIRE_CAP_MARKS)
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
	r = hot_tell(hot, &e);
	hot_keep_heap(hot, s);
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

/*
 * What was published before the watermark that is now in force could be seen is told by nobody, when nothing is
 * published after it: as by a program that is idle from then on. Once for a frame, so that it keeps to its pace.
 */
static void look_behind(struct hot *hot, struct session *s)
{
	struct wire_report report;

	if (!s->view.page || !s->place.page || !(s->caps & WIRE_CAP_MARKS))
		return;
	atomic_thread_fence(memory_order_seq_cst);
	if (page_telemetry_read(&look_at_page(s)->telemetry, &report) &&
	    report.used >= atomic_load_explicit(&page_slot(&s->place)->watermark,
						memory_order_relaxed))
		told_report(hot, s, &report);
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
	if (s->state == SESSION_OPEN &&
	    (frame->type == WIRE_REPORT || frame->type == WIRE_END))
		look_behind(hot, s);
	hot_settle(hot);
}
