/* SPDX-License-Identifier: MIT */
/*
 * The event loop: descriptors, signals, and timers that all hang on one absolute timerfd
 * (the library's own timers are milliseconds late).
 *
 * One `now` a turn: loop_now() reads the clock once after each wake-up, and after loop_urgent()'s function was
 * called in the middle of a long one. Callbacks may free any watch or timer, also their own. Threads: one.
 */
#ifndef RTGCD_LOOP_H
#define RTGCD_LOOP_H

#include <stddef.h>

#include "client/wire/nsec.h"

struct event_base;
struct loop;
struct loop_io;

#define LOOP_READ  1u
#define LOOP_WRITE 2u

typedef void (*loop_io_fn)(void *userdata, unsigned events);
typedef void (*loop_timer_fn)(void *userdata, nsec_t now);
typedef void (*loop_fn)(void *userdata);

struct loop_timer {
	struct loop *loop;
	nsec_t at;
	size_t index; /* in the heap of armed timers; LOOP_DISARMED: not there */
	loop_timer_fn fn;
	void *userdata;
};

int loop_new(struct loop **ret);
struct loop *loop_free(struct loop *l);
/* Runs until loop_stop(); turn (may be NULL) is called at the end of each turn. */
int loop_run(struct loop *l, loop_fn turn, void *userdata);
void loop_stop(struct loop *l);
nsec_t loop_now(struct loop *l);
/*
 * When a turn lasts, because many descriptors have something to say, it is interrupted between two of them:
 * for the timers that are due, and for this.
 */
void loop_urgent(struct loop *l, loop_fn fn, void *userdata);
/* For what brings callbacks of its own (daemon/http.h). */
struct event_base *loop_base(struct loop *l);
/* How late it was at the most since this was asked last: for a timer, or because a turn took so long. */
nsec_t loop_lag(struct loop *l);

int loop_io_new(struct loop *l, int fd, unsigned events, loop_io_fn fn, void *userdata,
		struct loop_io **ret);
struct loop_io *loop_io_free(struct loop_io *io);
/* What to wait for from now on; 0: nothing. */
int loop_io_want(struct loop_io *io, unsigned events);
/* The watch is freed with the loop. */
int loop_signal(struct loop *l, int signo, loop_fn fn, void *userdata);

/* A timer is armed without allocating: its place is reserved here. -ENOMEM. */
int loop_timer_init(struct loop *l, struct loop_timer *t, loop_timer_fn fn,
		    void *userdata);
void loop_timer_deinit(struct loop_timer *t); /* also for a zeroed one */
/* Fires once, at that instant or later; NSEC_NEVER: not at all. */
void loop_timer_set(struct loop_timer *t, nsec_t at);

#endif
