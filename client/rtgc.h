/* SPDX-License-Identifier: MIT */
/*
 * libruntime: lets rtgcd decide when a garbage collector may pause its process.
 *
 * One struct rtgc is one supervised heap. The program (or a language runtime's binding)
 * publishes how full the heap is, asks at its safe points whether it may collect, and
 * tells when a collection began and ended. The daemon answers with windows: leave to
 * pause in [opens, closes). Without a daemon (absent, hung, gone) every call works the
 * same and rtgc_check() says RTGC_ALONE: use the collector's own policy. Nothing here
 * ever blocks.
 *
 *   Link      pkg-config --cflags --libs libruntime
 *   Time      uint64_t nanoseconds of CLOCK_MONOTONIC; RTGC_NEVER = no such instant
 *   Amounts   in the unit the heap declares: bytes, or objects where those are cheaper to
 * count Errors    0 is done, negative is -errno (unexpected), positive is an enum
 * rtgc_outcome Threads   every call may be made from any thread, unless it says
 * otherwise. Calls marked [wait-free] make no system call and take no lock, or one
 * non-blocking system call where it says so Signals   no call raises SIGPIPE; EINTR is
 * handled inside fork      the child's struct rtgc is inert (RTGC_ALONE, no socket of the
 * parent's) until rtgc_reopen() gives it a connection of its own Since     all of it
 * since 0.1
 */
#ifndef RTGC_H
#define RTGC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RTGC_NEVER UINT64_MAX

/* ---- What a heap is
 * -------------------------------------------------------------------- */

struct rtgc; /* one supervised heap */

enum rtgc_unit {
	RTGC_BYTES = 0,
	RTGC_OBJECTS = 1,
};

enum rtgc_kind {
	RTGC_MINOR = 0,
	RTGC_MAJOR = 1,
	RTGC_SNAPSHOT = 2, /* found by a forked child, freed in small batches */
	RTGC_FREEZE =
		3, /* nothing is collected: the present heap is set aside for good */
};

enum rtgc_cause {
	RTGC_IN_WINDOW = 0,
	RTGC_FORCED = 1, /* the heap's ceiling was reached with no window open */
	RTGC_UNCOORDINATED =
		2, /* the runtime, or somebody in the program, ran it unasked */
};

/* What rtgc_check() answers. Greater is more pressing. */
enum rtgc_verdict {
	RTGC_RUN = 0,	  /* carry on, do not collect */
	RTGC_ALONE = 1,	  /* no daemon: the collector's own policy */
	RTGC_PREPARE = 2, /* a window is announced: come to rest, then rtgc_quiet() */
	RTGC_MAY = 3,	  /* a window is open and the predicted pause fits: collect if it
			     suits */
	RTGC_MUST = 4, /* the same, and the heap's deadline is near: collect at this safe
			  point */
	RTGC_CEILING =
		5, /* the budget is used up: collect now, report it as RTGC_FORCED */
};

/* Positive results: the call worked, this is what it found. */
enum rtgc_outcome {
	RTGC_E_CLOSED = 1,    /* that window is no longer open: do not collect under it */
	RTGC_E_UNFIT = 2,     /* what is left of it is shorter than the predicted pause */
	RTGC_E_NO_BEGIN = 3,  /* rtgc_end() without rtgc_begin() */
	RTGC_E_RUNNING = 4,   /* a collection has begun and not ended */
	RTGC_E_NO_WINDOW = 5, /* there is none to answer */
};

enum rtgc_flags {
	RTGC_THREAD =
		1, /* a thread of the library talks to the daemon and calls notify() */
	RTGC_SOCKET_ONLY =
		2,	 /* no shared pages: everything over the socket, same behaviour */
	RTGC_QUIETS = 4, /* the program answers RTGC_PREPARE with rtgc_quiet() */
	RTGC_MARKS =
		8, /* the program calls rtgc_idle(), rtgc_busy() or rtgc_deadline() */
};

/* What notify() is told: what has changed since it was last called. */
enum rtgc_event {
	RTGC_EVENT_CONNECTED =
		1, /* supervised from now on: leave collecting to windows */
	RTGC_EVENT_ALONE =
		2, /* daemon gone or hung: put the collector's own policy back */
	RTGC_EVENT_ANNOUNCED = 4,
	RTGC_EVENT_OPEN = 8,	/* a window has just opened */
	RTGC_EVENT_CLOSED = 16, /* the window expired or was revoked */
	RTGC_EVENT_REFUSED =
		32, /* the daemon refused this heap: rtgc_status() has its words */
};

struct rtgc_options {
	uint32_t size;	/* sizeof(struct rtgc_options): later versions only append */
	uint32_t flags; /* enum rtgc_flags */
	/* Names: up to 63 bytes of UTF-8 without control characters, else -EINVAL. */
	const char *service; /* NULL: $RTGC_SERVICE, else the program's name */
	const char *heap;    /* NULL: $RTGC_HEAP, else PROGRAM-PID */
	const char *runtime; /* "cpython 3.11.2"; up to 31 bytes; NULL: "c" */
	/*
	 * NULL: $RTGC_SOCKET, else /run/rtgcd/runtime.sock for root, else
	 * $XDG_RUNTIME_DIR/rtgcd/runtime.sock where that exists, else
	 * /run/rtgcd/runtime.sock.
	 */
	const char *socket;
	uint32_t unit;	/* enum rtgc_unit */
	uint32_t kinds; /* 1 << enum rtgc_kind for each kind it can run; 0: majors only */
	uint64_t budget; /* the most the heap may reach; 0: the service's, or what figures
			    say */
	/* Called by the library's thread, or inside rtgc_dispatch(). Must not call
	 * rtgc_close(). */
	void (*notify)(struct rtgc *r, uint32_t events, void *userdata);
	void *userdata;
};

/* ---- Opening and closing
 * --------------------------------------------------------------- */

/*
 * Makes a supervised heap and starts to connect in the background. Succeeds whether or
 * not a daemon runs. -EINVAL: an option is wrong; -ENOMEM, -EMFILE: as usual, *ret
 * untouched.
 */
int rtgc_open(const struct rtgc_options *options, struct rtgc **ret);
/* Says goodbye, ends the thread, frees. NULL is fine. Returns NULL. Not from notify(). */
struct rtgc *rtgc_close(struct rtgc *r);
/*
 * In a forked child: gives the inert heap a connection (and thread) of its own, named
 * heap, or PROGRAM-PID when NULL. -EALREADY when it is not inert.
 */
int rtgc_reopen(struct rtgc *r, const char *heap);

/* ---- Talking to the daemon, without RTGC_THREAD
 * ------------------------------------------ */

/* One descriptor, the same for the life of r: readable when rtgc_dispatch() has work. */
int rtgc_fd(const struct rtgc *r);
/*
 * Does what is due: connects, reads, answers, notices a dead or hung daemon, calls
 * notify(). Never blocks. Returns 0 or -errno; -EBUSY with RTGC_THREAD. One thread at a
 * time.
 */
int rtgc_dispatch(struct rtgc *r);

/* ---- Telling -------------------------------------------------------------------------
 */

struct rtgc_figures {
	uint64_t used;	    /* against the budget */
	uint64_t allocated; /* since the heap was opened; never falls */
	uint64_t live; /* what a major collection would walk: pauses are predicted from it
			*/
	uint64_t rss_bytes; /* 0: not known */
	uint64_t budget;    /* 0: as given before. A runtime's own rule may move it */
};

/*
 * Publishes the figures. [wait-free; one non-blocking send when a watermark is crossed]
 * Returns RTGC_CEILING when used has reached the budget, else RTGC_RUN.
 * One thread at a time.
 */
enum rtgc_verdict rtgc_publish(struct rtgc *r, const struct rtgc_figures *figures);

/* Marks. [wait-free; one non-blocking send while the daemon waits for this heap] */
void rtgc_idle(struct rtgc *r,
	       uint64_t until_ns); /* nothing due before; RTGC_NEVER: unknown */
void rtgc_busy(struct rtgc *r);
void rtgc_deadline(struct rtgc *r,
		   uint64_t at_ns); /* responsive again by; RTGC_NEVER: none */

/* ---- Asking --------------------------------------------------------------------------
 */

struct rtgc_window {
	uint64_t id;
	uint64_t opens_ns, closes_ns, predicted_ns; /* predicted: the pause expected */
	uint32_t kind;				    /* enum rtgc_kind */
	uint32_t must;
};

/*
 * May I collect, when I must be responsive again at until_ns (RTGC_NEVER: no such
 * instant)? RTGC_PREPARE, RTGC_MAY and RTGC_MUST fill *ret (may be NULL). [wait-free; one
 * clock read when a window is announced or open]
 */
enum rtgc_verdict rtgc_check(struct rtgc *r, uint64_t until_ns, struct rtgc_window *ret);

/* For the hot path: false = rtgc_check() would say RTGC_RUN or RTGC_ALONE. A few loads.
 */
static inline bool rtgc_pending(const struct rtgc *r)
{
	const volatile uint32_t *const *state = (const volatile uint32_t *const *)r;
	return **state != 0;
}

/* At rest after RTGC_PREPARE: the window may open now. 0 or RTGC_E_NO_WINDOW. */
int rtgc_quiet(struct rtgc *r);
/* Hands the announced or open window back unused. 0 or RTGC_E_NO_WINDOW. */
int rtgc_decline(struct rtgc *r);

/* ---- Collecting
 * ------------------------------------------------------------------------ */

struct rtgc_result {
	uint64_t freed;	     /* by this collection, in units */
	uint64_t used, live; /* now; as in struct rtgc_figures */
};

/*
 * A collection begins. With RTGC_IN_WINDOW the window of that id is checked once more,
 * with the clock: open, long enough, same daemon; else RTGC_E_CLOSED or RTGC_E_UNFIT, and
 * the caller does not collect. window_id is 0 for the other causes. RTGC_E_RUNNING: the
 * last one has not ended.
 */
int rtgc_begin(struct rtgc *r, enum rtgc_kind kind, enum rtgc_cause cause,
	       uint64_t window_id);
/* It ended. 0 or RTGC_E_NO_BEGIN. */
int rtgc_end(struct rtgc *r, const struct rtgc_result *result);
/* The same after the fact, for collections noticed rather than run. */
int rtgc_record(struct rtgc *r, enum rtgc_kind kind, enum rtgc_cause cause,
		uint64_t begin_ns, uint64_t end_ns, const struct rtgc_result *result);

/* ---- Looking -------------------------------------------------------------------------
 */

struct rtgc_status {
	bool supervised;   /* a living daemon decides for this heap */
	bool shared_pages; /* else socket only */
	uint64_t epoch;	   /* of the daemon's present run; 0: none */
	uint64_t heap_id;  /* as rtgcctl shows it; 0: none */
	uint64_t used, budget;
	uint64_t windows_opened, windows_used, windows_missed;
	uint64_t collections_in_window, forced, uncoordinated;
	uint64_t connects; /* 1 after the first, more after reconnecting */
	uint64_t last_pause_ns, max_pause_ns;
	char service[64], heap[64], refused[96]; /* refused: the daemon's words, or "" */
};

void rtgc_status(struct rtgc *r, struct rtgc_status *ret);

uint64_t rtgc_now(void); /* CLOCK_MONOTONIC in nanoseconds */
const char *rtgc_version(void);
const char *rtgc_verdict_name(enum rtgc_verdict verdict); /* "run", "alone", … */

#ifdef __cplusplus
}
#endif

#endif
