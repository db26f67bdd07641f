/* SPDX-License-Identifier: MIT */
#include "client/python/helper.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "client/python/answer.h"
#include "client/python/gate.h"
#include "client/python/heap.h"
#include "client/python/record.h"
#include "client/python/servers.h"
#include "client/python/snapshot.h"

#define MSEC	 1000000ULL
#define AGAIN_NS MSEC
#define GRACE_NS \
	(20 * MSEC) /* for the main thread to run a pending call, unless in C \
			      */

#define STEP_PATIENCE_NS \
	(1000 * MSEC) /* for the main thread to go on with a snapshot in its slack */
#define POLL_NS (50 * MSEC) /* the same for a main thread to come back from select() */

#if PY_VERSION_HEX >= 0x030d0000
#define IS_FINALIZING() Py_IsFinalizing()
#else
#define IS_FINALIZING() _Py_IsFinalizing()
#endif

static struct {
	sem_t kicked;
	pthread_t thread;
	bool runs;
	atomic_bool stop;
	_Atomic uint64_t again_ns; /* 0: nothing to ask again */
	atomic_uint forks;	   /* this process is so many forks away from the first */
	/* What was done about the present window. */
	uint64_t window, asked_ns, woken_at;
	bool quiet, woken;
	uint64_t
		step_asked_ns; /* since when a step of the snapshot was asked for; 0: not */
} helper;

void helper_kick(void)
{
	sem_post(&helper.kicked);
}

void helper_ask_again(void)
{
	atomic_store(&helper.again_ns, rtgc_now() + AGAIN_NS);
	helper_kick();
}

/* Returns when to look again. */
static uint64_t ask_again(uint64_t now)
{
	uint64_t at = atomic_load(&helper.again_ns);

	if (!at)
		return RTGC_NEVER;
	if (now < at)
		return at;
	atomic_store(&helper.again_ns, 0);
	heap_collect_soon();
	return RTGC_NEVER;
}

/* ---- With the GIL --------------------------------------------------------------------
 */

static bool enter_python(PyGILState_STATE *ret)
{
	if (atomic_load(&helper.stop) || !Py_IsInitialized() || IS_FINALIZING())
		return false;
	*ret = PyGILState_Ensure();
	if (!atomic_load(&helper.stop))
		return true;
	PyGILState_Release(*ret);
	return false;
}

/*
 * Collects in this thread, if the main thread is still where it was seen. False: it has
 * moved while we waited for the GIL, look again.
 */
static bool collect_here(int rest, uint64_t until_ns)
{
	PyGILState_STATE state;
	bool same;

	if (!enter_python(&state))
		return true;
	same = atomic_load(&heap.rest) == rest;
	if (same)
		heap_checkpoint(until_ns);
	PyGILState_Release(state);
	return same;
}

int helper_selector_fd(PyObject *selector)
{
	PyObject *fileno = PyObject_CallMethod(selector, "fileno", NULL);
	long fd = fileno ? PyLong_AsLong(fileno) : -1;

	Py_XDECREF(fileno);
	PyErr_Clear();
	return fd < 0 || fd > INT32_MAX ? -1 : (int)fd;
}

/* The set the main thread waits on, or -1: it has gone on while Python code ran here. */
static int resting_epoll(void)
{
	PyObject *selector = heap.selector;
	int epoll;

	if (atomic_load(&heap.rest) != HEAP_RESTS_EPOLL || !selector)
		return -1;
	Py_INCREF(selector);
	epoll = helper_selector_fd(selector);
	if (atomic_load(&heap.rest) != HEAP_RESTS_EPOLL || heap.selector != selector)
		epoll = -1;
	Py_DECREF(selector);
	return epoll;
}

/*
 * Puts a readable descriptor into the epoll set the main thread waits on: select()
 * returns with nothing ready, the hook around it takes the descriptor out again and
 * collects.
 */
static void wake_main(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	PyGILState_STATE state;
	int epoll, fd;

	if (!enter_python(&state))
		return;
	epoll = resting_epoll();
	if (epoll >= 0 && heap.wake_fd < 0) {
		fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
		event.data.fd = fd;
		if (fd >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0) {
			heap.wake_fd = fd;
			heap.wake_epoll = epoll;
		} else if (fd >= 0) {
			close(fd);
		}
	}
	PyGILState_Release(state);
}

static void wake_loop(void)
{
	PyGILState_STATE state;

	if (!enter_python(&state))
		return;
	servers_wake_loop();
	PyGILState_Release(state);
}

/* ---- The gate before shared listening sockets ------------------------------------ */

/* Of a main thread at rest; one that works shuts it itself, before it rests again. */
static void shut_gate(const struct rtgc_window *window)
{
	PyGILState_STATE state;
	int epoll;

	if (!gate_shared() || atomic_load(&heap.rest) != HEAP_RESTS_EPOLL ||
	    !enter_python(&state))
		return;
	epoll = resting_epoll();
	if (epoll >= 0)
		gate_shut(window, epoll);
	PyGILState_Release(state);
}

/* Opens it when its window is over. Returns when to look again. */
static uint64_t watch_gate(uint64_t now)
{
	struct rtgc *r = heap.rtgc;
	uint64_t due = gate_due();
	PyGILState_STATE state;

	if (due == RTGC_NEVER)
		return RTGC_NEVER;
	if (now < due && r && rtgc_check(r, RTGC_NEVER, NULL) >= RTGC_PREPARE)
		return due;
	if (enter_python(&state)) {
		gate_open();
		PyGILState_Release(state);
	}
	return RTGC_NEVER;
}

/* ---- What to do about a window
 * --------------------------------------------------------- */

/* The main thread works: only a pressing window interrupts it, and late. */
static uint64_t offer_to_busy(const struct rtgc_window *window, int rest, uint64_t now)
{
	uint64_t at = atomic_load(&heap.hooked) ? heap_latest(window) : now;

	if (now < at)
		return at;
	if (!helper.asked_ns) {
		helper.asked_ns = now;
		heap_collect_soon();
	}
	if (now < helper.asked_ns + GRACE_NS)
		return helper.asked_ns + GRACE_NS;
	/* It is blocked in C with the GIL given up: nobody else will. */
	return collect_here(rest, RTGC_NEVER) ? RTGC_NEVER : now;
}

/* The main thread runs a loop in C, which is woken to use it when it has nothing to do. */
static uint64_t offer_to_loop(const struct rtgc_window *window, bool must, uint64_t now)
{
	uint64_t latest = heap_latest(window);

	if (!helper.woken)
		wake_loop();
	helper.woken = true;
	if (!must || helper.asked_ns)
		return RTGC_NEVER;
	if (now < latest)
		return latest;
	helper.asked_ns = now;
	heap_collect_soon();
	return RTGC_NEVER;
}

/* An open window. Returns when to look again. */
static uint64_t offer(const struct rtgc_window *window, bool must, uint64_t now)
{
	uint64_t again =
		must && now < heap_latest(window) ? heap_latest(window) : RTGC_NEVER;
	int seen = atomic_load(&heap.rest), rest = seen;
	uint64_t stirs = heap.stirs;

	if (atomic_load(&heap.in_loop))
		return offer_to_loop(window, must, now);
	if (rest == HEAP_RESTS_UNTIL ? now >= atomic_load(&heap.rest_until)
				     : heap.in_flight)
		rest = HEAP_WORKS;
	switch (rest) {
	case HEAP_RESTS_EPOLL:
		/* Once more when other threads have answered requests meanwhile. */
		if (!helper.woken || helper.woken_at != stirs)
			wake_main();
		helper.woken = true;
		helper.woken_at = stirs;
		return again;
	case HEAP_RESTS_UNTIL:
		/*
		 * A main thread that runs makes the pending call before it gives the GIL up
		 * to us. One that sleeps has given it up already.
		 */
		heap_collect_soon();
		return collect_here(seen, atomic_load(&heap.rest_until)) ? again : now;
	case HEAP_RESTS_POLL:
		if (now < heap_latest(window) && now < window->opens_ns + POLL_NS)
			return heap_latest(window) < window->opens_ns + POLL_NS
				       ? heap_latest(window)
				       : window->opens_ns + POLL_NS;
		return collect_here(seen, RTGC_NEVER) ? RTGC_NEVER : now;
	default:
		return must ? offer_to_busy(window, seen, now) : RTGC_NEVER;
	}
}

static uint64_t look_at_window(uint64_t now)
{
	struct rtgc *r = heap.rtgc;
	struct rtgc_window window = {0};
	enum rtgc_verdict verdict;

	if (!r || heap.dormant || heap.critical)
		return RTGC_NEVER;
	verdict = rtgc_check(r, RTGC_NEVER, &window);
	if (verdict != RTGC_PREPARE && verdict != RTGC_MAY && verdict != RTGC_MUST)
		return RTGC_NEVER;
	if (window.id != helper.window) {
		helper.window = window.id;
		helper.asked_ns = 0;
		helper.quiet = helper.woken = false;
	}
	shut_gate(&window);
	if (verdict != RTGC_PREPARE)
		return offer(&window, verdict == RTGC_MUST, now);
	if (atomic_load(&heap.in_loop)) {
		if (!helper.quiet)
			wake_loop();
		helper.quiet = true;
	} else if (!helper.quiet && atomic_load(&heap.rest) != HEAP_WORKS &&
		   !heap.in_flight) {
		helper.quiet = true;
		rtgc_quiet(r);
	}
	return RTGC_NEVER;
}

/* ---- What to do about a snapshot ----------------------------------------------------- */

static void step_here(void)
{
	PyGILState_STATE state;

	if (!enter_python(&state))
		return;
	snapshot_step(RTGC_NEVER);
	PyGILState_Release(state);
}

/* The main thread does it by itself, in its slack or between two pieces of work. */
static bool left_to_main(uint64_t now)
{
	uint64_t last = snapshot_stepped_ns();

	switch (atomic_load(&heap.rest)) {
	case HEAP_RESTS_UNTIL:
	case HEAP_RESTS_POLL: /* it cannot be woken */
		return now < last + STEP_PATIENCE_NS;
	default:
		return atomic_load(&heap.hooked) ? now < last + 20 * SNAPSHOT_REST_NS
						 : now < last + SNAPSHOT_REST_NS;
	}
}

/* Returns when to look again. */
static uint64_t look_at_snapshot(uint64_t now)
{
	if (!snapshot_runs())
		return RTGC_NEVER;
	if (!snapshot_waits() || heap.critical)
		return now + SNAPSHOT_REST_NS;
	if (atomic_load(&heap.in_loop)) {
		wake_loop();
		return now + SNAPSHOT_REST_NS;
	}
	if (atomic_load(&heap.rest) == HEAP_RESTS_EPOLL && !heap.in_flight) {
		wake_main();
		return now + GRACE_NS;
	}
	if (helper.step_asked_ns <= snapshot_stepped_ns())
		helper.step_asked_ns = 0;
	if (!helper.step_asked_ns && left_to_main(now))
		return now + SNAPSHOT_REST_NS;
	if (!helper.step_asked_ns)
		helper.step_asked_ns = now;
	heap_collect_soon();
	if (now >= helper.step_asked_ns + GRACE_NS)
		step_here();
	return now + SNAPSHOT_REST_NS;
}

static uint64_t look(uint64_t now)
{
	uint64_t window = look_at_window(now), snapshot = look_at_snapshot(now);

	return window < snapshot ? window : snapshot;
}

/*
 * Somebody asks about the heap: at rest is the time, or when it can wait no longer. Returns
 * when to look again.
 */
static uint64_t look_asked(uint64_t now)
{
	uint64_t by = answer_by();
	PyGILState_STATE state;
	bool given;

	if (by == RTGC_NEVER || heap.dormant)
		return RTGC_NEVER;
	if (now < by &&
	    (atomic_load(&heap.rest) == HEAP_WORKS || heap.in_flight || heap.critical))
		return by;
	if (!enter_python(&state))
		return RTGC_NEVER;
	given = answer_give();
	PyGILState_Release(state);
	return given ? RTGC_NEVER : now + GRACE_NS;
}

/* ---- Life
 * --------------------------------------------------------------------------------- */

static void sleep_until(uint64_t until_ns)
{
	struct timespec until = {
		.tv_sec = (time_t)(until_ns / 1000000000),
		.tv_nsec = (long)(until_ns % 1000000000),
	};

	if (until_ns == RTGC_NEVER)
		while (sem_wait(&helper.kicked) < 0 && errno == EINTR)
			;
	else
		while (sem_clockwait(&helper.kicked, CLOCK_MONOTONIC, &until) < 0 &&
		       errno == EINTR)
			;
	while (sem_trywait(&helper.kicked) == 0)
		;
}

/*
 * A finalizer that a collection of ours runs may fork: in the child this thread is all there
 * is, and has nothing to help. It ends, and the child with it.
 */
static bool is_forked(unsigned forks)
{
	return atomic_load(&helper.forks) != forks;
}

static void *run(void *unused)
{
	unsigned forks = atomic_load(&helper.forks);

	while (!atomic_load(&helper.stop)) {
		uint64_t next = look(rtgc_now());
		uint64_t (*const others[])(uint64_t) = {watch_gate, look_asked,
							ask_again};

		if (is_forked(forks))
			break;
		for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
			uint64_t at = others[i](rtgc_now());

			next = at < next ? at : next;
		}
		record_flush();
		sleep_until(next);
	}
	return NULL;
}

void helper_init(void)
{
	sem_init(&helper.kicked, 0, 0);
}

int helper_start(void)
{
	sigset_t all, old;
	int error;

	if (helper.runs)
		return 0;
	atomic_store(&helper.stop, false);
	/* Signals are the main thread's: Python's handlers and EINTR rely on it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&helper.thread, NULL, run, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	helper.runs = error == 0;
	return -error;
}

void helper_stop(void)
{
	if (!helper.runs)
		return;
	helper.runs = false;
	atomic_store(&helper.stop, true);
	helper_kick();
	if (pthread_equal(pthread_self(), helper.thread)) {
		pthread_detach(
			helper.thread); /* a finalizer it runs ends the supervision */
		return;
	}
	Py_BEGIN_ALLOW_THREADS pthread_join(helper.thread, NULL);
	Py_END_ALLOW_THREADS
}

void helper_after_fork_child(void)
{
	helper_init();
	atomic_fetch_add(&helper.forks, 1);
	helper.runs = false;
	helper.window = 0;
}
