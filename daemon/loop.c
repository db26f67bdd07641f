/* SPDX-License-Identifier: MIT */
#include "daemon/loop.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "daemon/clock.h"

#define LOOP_DISARMED SIZE_MAX
#define LOOP_SIGNALS  8
#define LONG_TURN     (200 * NSEC_PER_USEC)
#define FAILURES_MOST 100 /* in a row, until waiting for events is given up */

struct loop {
	struct event_base *base;
	int timerfd;
	struct loop_io *timer_io;
	nsec_t now, armed; /* now: 0 until it was read in this turn */
	nsec_t waiting_since, lag;
	loop_fn urgent;
	void *urgent_userdata;
	bool stopping;
	/* Armed timers: a binary heap, the earliest first. */
	struct loop_timer **heap;
	size_t n_armed, n_timers, allocated;
	struct loop_signal {
		struct event *event;
		loop_fn fn;
		void *userdata;
	} signals[LOOP_SIGNALS];
	size_t n_signals;
};

struct loop_io {
	struct loop *loop;
	struct event *event;
	int fd;
	unsigned events;
	loop_io_fn fn;
	void *userdata;
};

/* ---- timers --------------------------------------------------------------------------- */

static void heap_put(struct loop *l, size_t index, struct loop_timer *t)
{
	l->heap[index] = t;
	t->index = index;
}

static void heap_up(struct loop *l, size_t index, struct loop_timer *t)
{
	while (index > 0 && l->heap[(index - 1) / 2]->at > t->at) {
		heap_put(l, index, l->heap[(index - 1) / 2]);
		index = (index - 1) / 2;
	}
	heap_put(l, index, t);
}

static void heap_down(struct loop *l, size_t index, struct loop_timer *t)
{
	for (;;) {
		size_t child = 2 * index + 1;

		if (child >= l->n_armed)
			break;
		if (child + 1 < l->n_armed && l->heap[child + 1]->at < l->heap[child]->at)
			child++;
		if (l->heap[child]->at >= t->at)
			break;
		heap_put(l, index, l->heap[child]);
		index = child;
	}
	heap_put(l, index, t);
}

static void heap_remove(struct loop *l, struct loop_timer *t)
{
	size_t index = t->index;
	struct loop_timer *last = l->heap[--l->n_armed];

	t->index = LOOP_DISARMED;
	if (last == t)
		return;
	if (index > 0 && l->heap[(index - 1) / 2]->at > last->at)
		heap_up(l, index, last);
	else
		heap_down(l, index, last);
}

int loop_timer_init(struct loop *l, struct loop_timer *t, loop_timer_fn fn,
		    void *userdata)
{
	if (l->n_timers == l->allocated) {
		size_t n = l->allocated ? 2 * l->allocated : 64;
		struct loop_timer **heap = reallocarray(l->heap, n, sizeof *heap);

		if (!heap)
			return -ENOMEM;
		l->heap = heap;
		l->allocated = n;
	}
	l->n_timers++;
	*t = (struct loop_timer){
		.loop = l,
		.at = NSEC_NEVER,
		.index = LOOP_DISARMED,
		.fn = fn,
		.userdata = userdata,
	};
	return 0;
}

void loop_timer_deinit(struct loop_timer *t)
{
	if (!t->loop)
		return;
	loop_timer_set(t, NSEC_NEVER);
	t->loop->n_timers--;
	t->loop = NULL;
}

void loop_timer_set(struct loop_timer *t, nsec_t at)
{
	struct loop *l = t->loop;

	if (t->at == at)
		return;
	if (t->index != LOOP_DISARMED)
		heap_remove(l, t);
	t->at = at;
	if (at != NSEC_NEVER)
		heap_up(l, l->n_armed++, t);
}

static void note_lag(struct loop *l, nsec_t lag)
{
	l->lag = nsec_max(l->lag, lag);
}

static void run_timers(void *userdata, unsigned events)
{
	struct loop *l = userdata;
	nsec_t now = loop_now(l);
	uint64_t expirations;
	/* A timer that is set to the past by its own callback waits for the next turn. */
	size_t most = l->n_armed;

	/* Unread, it wakes the loop once more. */
	if (read(l->timerfd, &expirations, sizeof expirations) == sizeof expirations)
		l->armed = NSEC_NEVER;
	/* (One that was overdue already when there was nothing else to do was not kept waiting.) */
	if (l->n_armed > 0)
		note_lag(l, nsec_sub(now, nsec_max(l->heap[0]->at, l->waiting_since)));
	while (most-- > 0 && l->n_armed > 0 && l->heap[0]->at <= now) {
		struct loop_timer *t = l->heap[0];

		heap_remove(l, t);
		t->at = NSEC_NEVER;
		t->fn(t->userdata, now);
	}
}

/*
 * false: it could not be armed. One that is to go off sooner stays as it is, and is armed anew when it has: deadlines
 * come and go far more often than they are reached.
 */
static bool arm(struct loop *l)
{
	nsec_t at = l->n_armed > 0 ? nsec_max(l->heap[0]->at, 1) : NSEC_NEVER;
	struct itimerspec spec = {0};

	if (at >= l->armed)
		return true;
	spec.it_value.tv_sec = (time_t)(at / NSEC_PER_SEC);
	spec.it_value.tv_nsec = (long)(at % NSEC_PER_SEC);
	if (timerfd_settime(l->timerfd, TFD_TIMER_ABSTIME, &spec, NULL) < 0)
		return false;
	l->armed = at;
	return true;
}

/* ---- descriptors ------------------------------------------------------------------------ */

static void see_to_urgent(struct loop *l)
{
	nsec_t now;

	if (!l->urgent || !l->now)
		return;
	now = clock_now();
	if (nsec_sub(now, l->now) < LONG_TURN)
		return;
	note_lag(l, nsec_sub(now, l->now));
	l->now = now;
	if (l->n_armed > 0 && l->heap[0]->at <= now)
		run_timers(l, 0);
	l->urgent(l->urgent_userdata);
}

void loop_urgent(struct loop *l, loop_fn fn, void *userdata)
{
	l->urgent = fn;
	l->urgent_userdata = userdata;
}

static void io_callback(evutil_socket_t fd, short what, void *userdata)
{
	struct loop_io *io = userdata;
	struct loop *l = io->loop;
	unsigned events = 0;

	if (what & EV_READ)
		events |= LOOP_READ;
	if (what & EV_WRITE)
		events |= LOOP_WRITE;
	io->fn(io->userdata, events);
	see_to_urgent(l); /* (io may be gone.) */
}

int loop_io_want(struct loop_io *io, unsigned events)
{
	struct event *event = NULL;
	short what = EV_PERSIST;

	if (events == io->events)
		return 0;
	if (events & LOOP_READ)
		what |= EV_READ;
	if (events & LOOP_WRITE)
		what |= EV_WRITE;
	if (events) {
		event = event_new(io->loop->base, io->fd, what, io_callback, io);
		if (!event)
			return -ENOMEM;
		if (event_add(event, NULL) < 0) {
			event_free(event);
			return -ENOMEM;
		}
	}
	if (io->event)
		event_free(io->event);
	io->event = event;
	io->events = events;
	return 0;
}

int loop_io_new(struct loop *l, int fd, unsigned events, loop_io_fn fn, void *userdata,
		struct loop_io **ret)
{
	struct loop_io *io = calloc(1, sizeof *io);
	int r;

	if (!io)
		return -ENOMEM;
	io->loop = l;
	io->fd = fd;
	io->fn = fn;
	io->userdata = userdata;
	r = loop_io_want(io, events);
	if (r < 0) {
		free(io);
		return r;
	}
	*ret = io;
	return 0;
}

struct loop_io *loop_io_free(struct loop_io *io)
{
	if (!io)
		return NULL;
	loop_io_want(io, 0);
	free(io);
	return NULL;
}

static void signal_callback(evutil_socket_t signo, short what, void *userdata)
{
	struct loop_signal *s = userdata;

	s->fn(s->userdata);
}

int loop_signal(struct loop *l, int signo, loop_fn fn, void *userdata)
{
	struct loop_signal *s = &l->signals[l->n_signals];

	assert(l->n_signals < LOOP_SIGNALS);
	s->fn = fn;
	s->userdata = userdata;
	s->event = evsignal_new(l->base, signo, signal_callback, s);
	if (!s->event)
		return -ENOMEM;
	l->n_signals++;
	return event_add(s->event, NULL) < 0 ? -ENOMEM : 0;
}

/* ---- the loop --------------------------------------------------------------------------- */

static struct event_base *base_new(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (!config)
		return NULL;
	if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

int loop_new(struct loop **ret)
{
	struct loop *l = calloc(1, sizeof *l);
	int r = -ENOMEM;

	if (!l)
		return -ENOMEM;
	l->armed = NSEC_NEVER;
	l->timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->timerfd < 0) {
		r = -errno;
		free(l);
		return r;
	}
	l->base = base_new();
	if (l->base)
		r = loop_io_new(l, l->timerfd, LOOP_READ, run_timers, l, &l->timer_io);
	if (r < 0) {
		loop_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

struct loop *loop_free(struct loop *l)
{
	if (!l)
		return NULL;
	for (size_t i = 0; i < l->n_signals; i++)
		event_free(l->signals[i].event);
	loop_io_free(l->timer_io);
	if (l->base)
		event_base_free(l->base);
	close(l->timerfd);
	free(l->heap);
	free(l);
	return NULL;
}

int loop_run(struct loop *l, loop_fn turn, void *userdata)
{
	unsigned failures = 0;
	bool busy = true;

	while (!l->stopping) {
		bool armed;

		l->now = 0;
		armed = arm(l);
		/* (Who is woken without anything to do, by a signal's end, waits on.) */
		if (busy)
			l->waiting_since = clock_now();
		/* Without the timer there is nothing to wake it. */
		if (event_base_loop(l->base,
				    EVLOOP_ONCE | (armed ? 0 : EVLOOP_NONBLOCK)) >= 0)
			failures = 0;
		else if (++failures == FAILURES_MOST)
			return -EIO;
		busy = l->now != 0;
		if (turn)
			turn(userdata);
		if (l->now)
			note_lag(l, nsec_sub(clock_now(), l->now));
	}
	return 0;
}

nsec_t loop_lag(struct loop *l)
{
	nsec_t lag = l->lag;

	l->lag = 0;
	return lag;
}

struct event_base *loop_base(struct loop *l)
{
	return l->base;
}

void loop_stop(struct loop *l)
{
	l->stopping = true;
}

nsec_t loop_now(struct loop *l)
{
	if (!l->now)
		l->now = clock_now();
	return l->now;
}
