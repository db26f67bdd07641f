/* SPDX-License-Identifier: MIT */
/*
 * A supervised heap, as the library's own files know it.
 *
 *   client.c   open, close, reopen, the thread, status
 *   session.c  the life of the connection: connect, greet, listen, doubt, lose
 *   figures.c  what the application tells: figures and marks
 *   window.c   what it may do: check, quiet, decline
 *   collect.c  what it did: begin, end, record
 *   late.c     the same, told while the lock is taken
 *   answer.c   what it is asked
 *   fork.c     what is left of a heap in a forked child
 *   guard, reconnect, link, pages, options, slice: parts that know nothing of struct rtgc
 *
 * Two kinds of state. The first part is read and written by the application's threads
 * without a lock, atomics all of it. The rest belongs to the lock, which is only ever
 * held around calls that do not block: whoever waits for it, waits for a few non-blocking
 * system calls. But a thread may be kept from running while it has it: so whoever runs the application only tries
 * for the lock, and when it is taken, the dispatcher is asked to tell the figures, the marks, and what was done.
 */
#ifndef RTGC_CLIENT_H
#define RTGC_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/guard.h"
#include "client/link.h"
#include "client/options.h"
#include "client/pages.h"
#include "client/reconnect.h"
#include "client/rtgc.h"
#include "client/slice.h"
#include "client/wire/list.h"
#include "client/wire/page.h"

enum session_state {
	SESSION_INERT,	  /* in a forked child, until rtgc_reopen() */
	SESSION_DOWN,	  /* no connection; the next try is at retry_at */
	SESSION_GREETING, /* HELLO is sent */
	SESSION_UP,	  /* WELCOME has come; the daemon may still be hung */
};

enum { /* rtgc.due: what the dispatcher is to tell the daemon */
	DUE_REPORT = 1,
	DUE_MARK = 2,
	DUE_DEADLINE = 4,
	DUE_PAGE = 8, /* bring the shared heap page up to date */
	DUE_QUIET = 16,
};

struct running { /* a collection that has begun and not ended */
	bool active;
	bool adopted; /* named in the HELLO of a connection it did not begin under */
	enum rtgc_kind kind;
	enum rtgc_cause cause;
	uint64_t window; /* 0: in none */
	nsec_t begin, closes, predicted;
};

struct seen { /* the window the daemon's frames spoke of last */
	enum page_state state;
	uint64_t id;
	nsec_t opens, closes;
	bool told; /* RTGC_EVENT_OPEN */
};

#define LATE_MOST 8

struct late_op {
	enum {
		LATE_BEGIN,
		LATE_END,
		LATE_RECORD
	} what;
	struct running begun; /* LATE_BEGIN */
	struct wire_end end;  /* the others */
};

struct late {
	_Atomic bool busy;	      /* a try-lock of those who put down */
	_Atomic unsigned put, done;   /* counts; done is written with rtgc.lock */
	struct late_op op[LATE_MOST]; /* a ring */
};

struct answer {			  /* that is on its way */
	struct wire_answer *rows; /* NULL: none */
	size_t n, sent;
};

struct rtgc {
	/* First, because rtgc_pending() is compiled into the application. */
	_Atomic(const _Atomic uint32_t *) state;
	_Atomic(struct page_slot *) slot; /* in the window page; never NULL */
	struct pages pages;
	_Atomic nsec_t stale_after;
	_Atomic uint64_t done; /* the window that was used, declined or voided last */
	_Atomic uint32_t caps; /* in force */
	_Atomic bool alone;    /* no living daemon decides */
	_Atomic bool shared;   /* the pages are the daemon's */

	/* Written by the application's threads; a cache line of its own. */
	_Alignas(PAGE_LINE) struct quick { /* when rtgc_publish() need not look closer */
		_Atomic uint64_t below;	   /* by what is used; 0: it must */
		uint64_t budget;	   /* all as last time: of the figures, */
		uint32_t seq;		   /* of the slot, */
		uint64_t ticks;		   /* and the clock, nearly */
	} quick;
	_Atomic uint32_t changes; /* of what `quick` follows from, but the slot's */
	struct page_app marks;
	struct guard guard;
	_Atomic uint32_t full;	    /* 1: at the ceiling */
	_Atomic uint32_t due;	    /* DUE_… */
	_Atomic uint32_t moves;	    /* odd while a page takes the place of another */
	struct page_telemetry kept; /* figures of a page that was unmapped; .at 0: none */
	struct page_telemetry between; /* of neither, or of both; the newer count */
	_Atomic uint32_t writing;      /* 1: a try-lock of the telemetry line */
	_Atomic bool collecting;       /* from rtgc_begin() to rtgc_end() */
	_Atomic uint32_t collecting_kind;
	struct slice slice; /* while collecting: that thread's */
	struct late late;

	_Alignas(PAGE_LINE) pthread_mutex_t lock; /* of all that follows */
	struct link link;
	enum session_state session;
	struct options options;
	struct reconnect reconnect;
	nsec_t retry_at;
	nsec_t doubt_at; /* no answer by then: say so, once */
	nsec_t tick_at, ticked_at, heartbeat_every;
	nsec_t report_by;
	nsec_t armed; /* what the timer is set to */
	uint64_t epoch, last_epoch;
	uint64_t heap_id;
	bool hung;
	bool unsafe_pages; /* the next HELLO asks for none */
	uint32_t events;   /* for notify() */
	uint32_t told;	   /* the last of RTGC_EVENT_CONNECTED and _ALONE; 0: neither */
	struct running running;
	struct seen seen;
	uint64_t quieted; /* the window QUIET was sent for */
	uint64_t opened;  /* the last window that was counted, by its frame or its use */
	uint64_t windows_opened, windows_used, windows_missed;
	uint64_t in_window, forced, uncoordinated, connects;
	nsec_t last_pause, max_pause;
	char refused[WIRE_DETAIL_MAX];
	struct wire_ask asked; /* .ask: 0: nothing waits for an answer */
	struct answer answer;

	int epoll, timer, kick; /* the first is rtgc_fd() */
	struct list all;	/* fork.c */
	pthread_t thread;
	bool has_thread;
	_Atomic bool stopping;
};

/* answer.c; with the lock */
void answer_ask(struct rtgc *r, const struct wire_ask *ask);
void answer_forget(struct rtgc *r);
void answer_send(struct rtgc *r); /* as much as the socket takes now */

/* client.c */
void client_kick(struct rtgc *r); /* makes rtgc_fd() readable; any thread, no lock */
/* Chooses what rtgc_pending() looks at, after `slot` or `full` has changed; no lock. */
void client_point(struct rtgc *r);
void client_full(struct rtgc *r, bool full);
/* In a forked child: lets go of all that is the parent's. */
void client_abandon(struct rtgc *r);

/* session.c, under the lock */
void session_init(struct rtgc *r, nsec_t now);
/* Does what is due at this instant, then sets the timer. */
void session_run(struct rtgc *r, nsec_t now);
/* The descriptors have failed: alone for good. */
void session_fail(struct rtgc *r, nsec_t now);
/* Tells the daemon now what is due (DUE_…), if it listens. */
void session_tell(struct rtgc *r, uint32_t due);
/* The window is over for this heap, whatever the page still says. */
void session_done(struct rtgc *r, uint64_t window);

/*
 * collect.c, under the lock: tells of a collection without a window that was begun before there was a
 * connection, or the heap would get a window for it. (Of those in windows HELLO tells.)
 */
void collect_tell(struct rtgc *r);

/* With the lock: what was put down. */
void collect_late(struct rtgc *r, const struct late_op *op);

/* late.c */
/* Any thread, no lock. false: there is no room, or another one is at it: wait for the lock. */
bool late_put(struct rtgc *r, const struct late_op *op);
/* With the lock: does what was put down. */
void late_do(struct rtgc *r);
/* In a forked child. */
void late_forget(struct rtgc *r);

/* window.c; with the lock */
void window_tell_quiet(struct rtgc *r);
/* Counts it, once. With pages it may be used before its frame is read. */
void window_opened(struct rtgc *r, uint64_t id);

/* figures.c */
/* Tells the daemon what is due (DUE_…), or has the dispatcher do it when it is at work just now. Any thread, no lock. */
void figures_tell(struct rtgc *r, uint32_t due);
/* What rtgc_publish() goes by has changed. Any thread, no lock. */
void figures_changed(struct rtgc *r);
/* Writes the figures into the page there is. Any thread. false: another one was at it. */
bool figures_write(struct rtgc *r, const struct wire_report *report);
/* false: there are none yet. Any thread. */
bool figures_read(const struct rtgc *r, struct wire_report *ret);
/* pages_map(), or without descriptors pages_blank(), over which the figures are kept. With the lock. */
int figures_over_pages(struct rtgc *r, const int *fds, uint64_t epoch);
/* After the pages were mapped: brings them up to date. false: try again later. With the lock. */
bool figures_sync(struct rtgc *r);

/* fork.c */
void fork_watch(struct rtgc *r);
void fork_forget(struct rtgc *r);

#endif
