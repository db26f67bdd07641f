/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "daemon/clock.h"
#include "daemon/history.h"
#include "daemon/hot_private.h"
#include "daemon/keep.h"
#include "daemon/session.h"

/* How long after a window a server that was drained for it may still be kept drained. */
#define LEASE_MARGIN (250 * NSEC_PER_MSEC)
#define LATE	     NSEC_PER_MSEC

static void carry_out(struct hot *hot, const struct action *a);

void hot_keep_heap(struct hot *hot, struct session *s)
{
	if (hot->keep)
		keep_heap(hot->keep, s);
}

void hot_note_window(struct hot *hot, struct session *s)
{
	history_window(hot->history, hot->core, session_heap(s), loop_now(hot->loop),
		       &s->past);
}

/* ---- telling the core ------------------------------------------------------------------- */

/* The core's queue has room for what one event can cause: it is emptied after each. */
void hot_empty_queue(struct hot *hot)
{
	struct action action;

	while (supervisor_next_action(hot->core, &action)) {
		hot->acted = true;
		if (hot->recorder)
			hot->recorder->action(hot->recorder_userdata, &action);
		carry_out(hot, &action);
	}
}

int hot_handle(struct hot *hot, const struct event *event)
{
	int r;

	if (hot->recorder && event->type == EVENT_LEAVE)
		hot->recorder->leaving(hot->recorder_userdata, event->heap);
	r = supervisor_handle(hot->core, event, loop_now(hot->loop));

	if (r == 0 && (event->type == EVENT_BEGIN || event->type == EVENT_END)) {
		struct session *s = sessions_find(hot->sessions, event->heap);

		if (s)
			history_event(hot->history, hot->core, event, loop_now(hot->loop),
				      &s->past);
	}
	if (hot->recorder && r >= 0)
		hot->recorder->event(hot->recorder_userdata, event);
	return r;
}

int hot_tell(struct hot *hot, const struct event *event)
{
	int r = hot_handle(hot, event);

	hot_empty_queue(hot);
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

	hot_tell(hot, &event);
	hot_settle(hot);
}

int hot_order(struct hot *hot, const struct event *event)
{
	int r = hot_tell(hot, event);

	hot_settle(hot);
	return r;
}

static void over(struct hot *hot, struct session *s)
{
	struct event event = {
		.type = s->left ? EVENT_LEAVE : EVENT_LOST,
		.heap = session_heap(s),
	};

	if (s->left && hot->keep)
		keep_forget(hot->keep, s);
	if (s->left)
		history_left(hot->history, loop_now(hot->loop), &s->past);
	hot->hooks.answer(hot->hooks.userdata, session_heap(s), NULL);
	s->lost = s->left = s->look = false;
	hot_tell(hot, &event);
}

/* ---- carrying out what was decided ------------------------------------------------------- */

static void direct(struct hot *hot, struct session *s,
		   const struct wire_directive *directive)
{
	/* Before anybody can use more than the runtime's rule allows: it may do so over a restart. */
	if (s->budget != directive->budget)
		hot_keep_heap(hot, s);
	s->budget = directive->budget;
	session_direct(s, directive);
}

static void carry_out(struct hot *hot, const struct action *a)
{
	struct session *s = sessions_find(hot->sessions, a->heap);

	if (a->type == ACTION_UNDRAIN) /* also when the heap is gone */
		hot->hooks.undrain(hot->hooks.userdata, a->revoke.window);
	if (!s)
		return;
	switch (a->type) {
	case ACTION_DIRECT:
		direct(hot, s, &a->directive);
		break;
	case ACTION_ANNOUNCE:
		session_announce(s, &a->announce);
		hot_note_window(hot, s);
		break;
	case ACTION_OPEN:
		hot_keep_heap(hot, s); /* before anybody can pause in it */
		session_open(s, &a->window);
		hot_note_window(hot, s);
		hot->hooks.renew(hot->hooks.userdata, a->window.window,
				 nsec_add(s->closes, LEASE_MARGIN));
		break;
	case ACTION_REVOKE:
	case ACTION_CLOSE:
		session_close(s, &a->revoke, a->type == ACTION_REVOKE);
		history_window_over(hot->history, a->revoke.window,
				    (enum reason)a->revoke.reason, loop_now(hot->loop),
				    &s->past);
		hot_keep_heap(hot, s);
		break;
	case ACTION_DRAIN:
		hot->hooks.drain(hot->hooks.userdata, a->heap, a->revoke.window,
				 nsec_add(s->opens_by, LEASE_MARGIN));
		break;
	case ACTION_LOOK:
		s->look = s->view.page != NULL;
		hot_todo(hot, s);
		break;
	case ACTION_UNDRAIN:
		break;
	}
}

void hot_settle(struct hot *hot)
{
	hot_empty_queue(hot); /* (another configuration may have asked for something) */
	while (!list_empty(&hot->todo)) {
		struct session *s = list_entry(hot->todo.next, struct session, todo);

		list_unlink(&s->todo);
		if (s->lost || s->left)
			over(hot, s);
		else if (s->look)
			hot_look(hot, s);
	}
	measure(hot);
	loop_timer_set(&hot->timer, supervisor_deadline(hot->core));
}

static void tick(void *userdata, nsec_t now)
{
	struct hot *hot = userdata;

	/* One that comes late hears first what was said in time: "I have begun". */
	if (nsec_sub(now, supervisor_deadline(hot->core)) > LATE)
		sessions_hear(hot->sessions);
	supervisor_tick(hot->core, now);
	hot_empty_queue(hot);
	hot_settle(hot);
}

/* ---- life --------------------------------------------------------------------------------- */

int hot_new(struct loop *loop, struct supervisor *core, struct quota *quota,
	    const struct hot_hooks *hooks, uint64_t epoch, struct hot **ret)
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
		r = history_new(&hot->history);
	if (r == 0)
		r = sessions_new(loop, hot, quota, epoch, &hot->sessions);
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
	history_free(hot->history);
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
	else
		hot_note_window(hot, s);
	hot_settle(hot);
	return r;
}

const struct history *hot_history(const struct hot *hot)
{
	return hot->history;
}

const struct histogram *hot_latency(const struct hot *hot)
{
	return &hot->latency;
}
