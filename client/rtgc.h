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
 *   Amounts   in the unit the heap declares: bytes, or objects where those are cheaper
 *             to count
 *   Errors    0 is done, negative is -errno (unexpected), positive is an enum
 *             rtgc_outcome
 *   Threads   every call may be made from any thread, unless it says otherwise. Calls
 *             marked [wait-free] make no system call and take no lock, or one
 *             non-blocking system call where it says so. rtgc_begin(), rtgc_end() and
 *             rtgc_record() try for a lock for some microseconds, and if the library's
 *             thread has it, what was done is told a little later. The others take a lock
 *             that is only ever held around non-blocking calls
 *   Signals   no call raises SIGPIPE; EINTR is handled inside; no call may be made from
 *             a signal handler
 *   fork      the child's struct rtgc is inert (RTGC_ALONE, no socket of the parent's)
 *             until rtgc_reopen() gives it a connection of its own. A child made by a
 *             bare clone() must not touch it
 *   Since     all of it since 0.1
 */
#ifndef RTGC_H
#define RTGC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#define RTGC_NEVER UINT64_MAX

/* ---- What a heap is ---- */

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
		3, /* what is old is set aside until the next major; nothing is freed */
};

enum rtgc_cause {
	RTGC_IN_WINDOW = 0,
	RTGC_FORCED = 1,	/* the heap's ceiling was reached with no window open */
	RTGC_UNCOORDINATED = 2, /* the runtime, or somebody in it, ran it unasked */
};

/* What rtgc_check() answers. Greater is more pressing. */
enum rtgc_verdict {
	RTGC_RUN = 0,	  /* carry on, do not collect */
	RTGC_ALONE = 1,	  /* no daemon: the collector's own policy */
	RTGC_PREPARE = 2, /* a window is announced: come to rest, then rtgc_quiet() */
	/* A window is open and the predicted pause fits: collect if it suits. */
	RTGC_MAY = 3,
	/* The same, and the heap's deadline is near: collect at this safe point. */
	RTGC_MUST = 4,
	/* The budget is used up, no window is open that fits: collect now, RTGC_FORCED.
	 */
	RTGC_CEILING = 5,
};

/* Positive results: the call worked, this is what it found. */
enum rtgc_outcome {
	RTGC_E_CLOSED = 1,    /* that window is no longer open: do not collect under it */
	RTGC_E_UNFIT = 2,     /* what is left of it is shorter than the predicted pause */
	RTGC_E_NO_BEGIN = 3,  /* rtgc_end() without rtgc_begin() */
	RTGC_E_RUNNING = 4,   /* a collection has begun and not ended */
	RTGC_E_NO_WINDOW = 5, /* there is none to answer */
	RTGC_E_NO_QUESTION = 6, /* nor is there a question, or not that one any more */
};

enum rtgc_flags {
	/* A thread of the library talks to the daemon and calls notify(). */
	RTGC_THREAD = 1,
	/* No shared pages: everything over the socket, same behaviour. */
	RTGC_SOCKET_ONLY = 2,
	/* The program answers RTGC_PREPARE with rtgc_quiet(). */
	RTGC_QUIETS = 4,
	/* The program calls rtgc_idle(), rtgc_busy() or rtgc_deadline(). */
	RTGC_MARKS = 8,
	/* The program answers RTGC_EVENT_ASKED with rtgc_answer(). */
	RTGC_ANSWERS = 16,
};

/*
 * What notify() is told: what has changed since it was last called. _CONNECTED and _ALONE
 * never come together. _ALONE also comes once when no daemon was found at first.
 */
enum rtgc_event {
	RTGC_EVENT_CONNECTED = 1, /* supervised: leave collecting to windows */
	RTGC_EVENT_ALONE = 2,	  /* daemon gone or hung: the collector's own policy */
	RTGC_EVENT_ANNOUNCED = 4, /* a window is announced: RTGC_PREPARE */
	RTGC_EVENT_OPEN = 8,	  /* a window has just opened */
	RTGC_EVENT_CLOSED = 16,	  /* it expired or was revoked, unused */
	RTGC_EVENT_REFUSED = 32,  /* the daemon does not want this heap; rtgc_status() has
				     its words. It is asked again from time to time */
	RTGC_EVENT_ASKED = 64,	  /* somebody asks about the heap: rtgc_asked() */
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
	/* The most the heap may reach; 0: what the daemon sets, or the figures say. */
	uint64_t budget;
	/*
	 * Called by the library's thread (on a stack of 256 KiB), or inside
	 * rtgc_dispatch(). May make any call but rtgc_close(), and must not fork.
	 */
	void (*notify)(struct rtgc *r, uint32_t events, void *userdata);
	void *userdata;
};

/* ---- Opening and closing ---- */

/*
 * Makes a supervised heap and starts to connect in the background. Succeeds whether or
 * not a daemon runs. options may be NULL: all defaults. -EINVAL: an option is wrong;
 * -ENOMEM, -EMFILE, -EAGAIN (no thread): as usual, *ret untouched.
 */
int rtgc_open(const struct rtgc_options *options, struct rtgc **ret);
/*
 * Says goodbye, ends the thread, frees. NULL is fine. Returns NULL. Not from notify(),
 * and not while another thread uses r.
 */
struct rtgc *rtgc_close(struct rtgc *r);
/*
 * In a forked child: gives the inert heap a connection (and thread) of its own, named
 * heap, or PROGRAM-PID when NULL. -EALREADY when it is not inert, else as rtgc_open().
 * Not while another thread uses r. rtgc_fd() is another one then.
 */
int rtgc_reopen(struct rtgc *r, const char *heap);

/* ---- Talking to the daemon, without RTGC_THREAD ---- */

/*
 * One descriptor, the same for the life of r: readable when rtgc_dispatch() has work. For
 * poll() only. -1 while inert.
 */
int rtgc_fd(const struct rtgc *r);
/*
 * Does what is due: connects, reads, answers, notices a dead or hung daemon, calls
 * notify(). Never blocks. Returns 0 or -errno; -EBUSY with RTGC_THREAD, -ENOTCONN while
 * inert. One thread at a time.
 */
int rtgc_dispatch(struct rtgc *r);

/* ---- Telling ---- */

struct rtgc_figures {
	uint64_t used;	    /* against the budget */
	uint64_t allocated; /* since the heap was opened; never falls */
	uint64_t live;	    /* what a major collection walks: its pause follows from it */
	uint64_t rss_bytes; /* 0: not known */
	uint64_t budget; /* by the runtime's own rule, which may move it; 0: as before */
	uint64_t step; /* published whenever about so many are allocated; 0: not known */
};

/*
 * Publishes the figures. [wait-free; one non-blocking send when a watermark is crossed]
 * One thread at a time. As long as nothing follows from them, they count as of an instant that
 * may lie a millisecond back, rss_bytes as well: some stores, and mostly not even a look
 * at the clock.
 *
 * Returns RTGC_CEILING when used has reached the budget in force, else RTGC_RUN. That is
 * options.budget, else what the daemon has set, else figures.budget; but never less than
 * 5/4 of what the last major collection left, if that was more than 7/8 of the budget: a
 * heap whose live data outgrew its budget would collect without end. Alone, only a
 * program that gave an options.budget has a ceiling; for the others their collector's own
 * policy rules. After RTGC_CEILING ask rtgc_check(): a window may be open.
 */
enum rtgc_verdict rtgc_publish(struct rtgc *r, const struct rtgc_figures *figures);

/*
 * Marks. rtgc_idle(): nothing is due before that instant (RTGC_NEVER: not known), until
 * rtgc_busy(). rtgc_deadline(): responsive again by then (RTGC_NEVER: no deadline).
 * Without RTGC_MARKS they are ignored. [wait-free; one non-blocking send while the daemon
 * waits for this heap]
 */
void rtgc_idle(struct rtgc *r, uint64_t until_ns);
void rtgc_busy(struct rtgc *r);
void rtgc_deadline(struct rtgc *r, uint64_t at_ns);

/* ---- Asking ---- */

struct rtgc_window {
	uint64_t id;
	uint64_t opens_ns, closes_ns, predicted_ns; /* predicted: the pause expected */
	uint32_t kind;				    /* enum rtgc_kind */
	uint32_t must;
};

/*
 * May I collect, when I must be responsive again at until_ns (RTGC_NEVER: no such
 * instant)? RTGC_PREPARE, RTGC_MAY and RTGC_MUST fill *ret (may be NULL). A window that
 * opens in the future is RTGC_PREPARE until then; one that is used, handed back, or too
 * short by now is none. At the ceiling a window that fits is RTGC_MUST, all else is
 * RTGC_CEILING. [wait-free; one clock read when a window is announced or open]
 */
enum rtgc_verdict rtgc_check(struct rtgc *r, uint64_t until_ns, struct rtgc_window *ret);

/*
 * For the hot path: false = rtgc_check() would say RTGC_RUN or RTGC_ALONE; true = call
 * rtgc_check(). Two loads. [wait-free]
 */
static inline bool rtgc_pending(const struct rtgc *r)
{
	const uint32_t *state = __atomic_load_n((const uint32_t *const *)(const void *)r,
						__ATOMIC_RELAXED);

	return __atomic_load_n(state, __ATOMIC_RELAXED) != 0;
}

/*
 * At rest after RTGC_PREPARE: the window may open now. More than once is harmless, and so
 * where the daemon has the process drained elsewhere (at a balancer): the window opens
 * when it is. 0 or RTGC_E_NO_WINDOW.
 */
int rtgc_quiet(struct rtgc *r);
/* Hands the announced or open window back unused. 0 or RTGC_E_NO_WINDOW. */
int rtgc_decline(struct rtgc *r);

/* ---- Collecting ---- */

struct rtgc_result {
	uint64_t freed;	     /* by this collection, in units */
	uint64_t used, live; /* now; as in struct rtgc_figures */
	/*
	 * The longest stop of the program, where it went on in between (a snapshot); 0: it
	 * was stopped from begin to end.
	 */
	uint64_t stop_ns;
	/* It came to nothing (a snapshot): what it freed does not tell what there was. */
	bool failed;
};

/*
 * A collection begins. With RTGC_IN_WINDOW the window of that id is checked once more,
 * with the clock: open, long enough, same daemon; else RTGC_E_CLOSED or RTGC_E_UNFIT, and
 * the caller does not collect. (RTGC_E_CLOSED also while the library's thread has begun
 * something and is kept from running: the next safe point asks again.) window_id is 0 for
 * the other causes, which always may.
 * In a window of 1 ms or more, with no rtgc_deadline() in force, the calling thread has a
 * long time slice until rtgc_end() (sched_setattr(2), Linux 6.12): its share of the CPU is
 * the same, but who wakes up beside it goes first. Real-time policies are left alone.
 * RTGC_E_RUNNING: the last one has not ended. -EINVAL: no such kind or cause, or the
 * window is for another kind.
 */
int rtgc_begin(struct rtgc *r, enum rtgc_kind kind, enum rtgc_cause cause,
	       uint64_t window_id);
/*
 * From now on the process can run these kinds: 1 << enum rtgc_kind for each. Goes before
 * options.kinds, also for later connections. 0, or -EINVAL: no such kind.
 */
int rtgc_offer(struct rtgc *r, uint32_t kinds);
/*
 * It ended: also to be called when the window closed meanwhile, or the daemon went.
 * result may be NULL where it is not known. 0 or RTGC_E_NO_BEGIN.
 */
int rtgc_end(struct rtgc *r, const struct rtgc_result *result);
/*
 * The same after the fact, for collections noticed rather than run: RTGC_FORCED or
 * RTGC_UNCOORDINATED. 0 or -EINVAL.
 */
int rtgc_record(struct rtgc *r, enum rtgc_kind kind, enum rtgc_cause cause,
		uint64_t begin_ns, uint64_t end_ns, const struct rtgc_result *result);

/* ---- Answering ---- */

enum rtgc_what {
	RTGC_HEAP_SUMMARY = 0, /* a row for each type of objects */
};

struct rtgc_question {
	uint64_t id;
	uint32_t what; /* enum rtgc_what */
	uint32_t most; /* rows wanted */
};

#define RTGC_ROWS_MAX 256

struct rtgc_row {
	const char *name; /* UTF-8; what is behind 127 bytes is cut off */
	uint64_t count, bytes;
};

struct rtgc_answer {
	uint64_t count, bytes;	     /* of everything, also of what is in no row */
	uint64_t took_ns;	     /* for so long the program stood still */
	const struct rtgc_row *rows; /* most bytes first */
	size_t n_rows;		     /* up to RTGC_ROWS_MAX */
};

/*
 * The question that waits for an answer (with RTGC_ANSWERS). 0 or RTGC_E_NO_QUESTION. The
 * answer may come from any thread, when it suits: who asks waits some seconds. NULL: it cannot
 * be had. 0, RTGC_E_NO_QUESTION (a newer one has taken its place, or the daemon has gone),
 * -EINVAL or -ENOMEM.
 */
int rtgc_asked(struct rtgc *r, struct rtgc_question *ret);
int rtgc_answer(struct rtgc *r, uint64_t id, const struct rtgc_answer *answer);

/* ---- Looking ---- */

struct rtgc_status {
	bool supervised;   /* a living daemon decides for this heap */
	bool shared_pages; /* else socket only */
	uint64_t epoch;	   /* of the daemon's present run; 0: none */
	uint64_t heap_id;  /* as rtgcctl shows it; 0: none */
	uint64_t used;
	uint64_t budget; /* in force; 0: none */
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

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
