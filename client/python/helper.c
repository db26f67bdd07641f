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
#include "client/python/heap.h"
#include "client/python/record.h"

#define MSEC 1000000ULL
#define GRACE_NS \
	(20 * MSEC) /* for the main thread to run a pending call, unless in C \
			      */

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
	/* What was done about the present window. */
	uint64_t window, asked_ns;
	bool quiet, woken;
} helper;

void helper_kick(void)
{
	sem_post(&helper.kicked);
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

/*
 * The selector's descriptor, or -1. This runs Python code, and the main thread may go on
 * meanwhile: the caller looks again where it is.
 */
static int selector_fd(PyObject *selector)
{
	PyObject *fileno = PyObject_CallMethod(selector, "fileno", NULL);
	long fd = fileno ? PyLong_AsLong(fileno) : -1;

	Py_XDECREF(fileno);
	PyErr_Clear();
	return fd < 0 || fd > INT32_MAX ? -1 : (int)fd;
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
	PyObject *selector;
	int epoll;

	if (!enter_python(&state))
		return;
	selector = heap.selector;
	if (atomic_load(&heap.rest) == HEAP_RESTS_EPOLL && selector && heap.wake_fd < 0) {
		Py_INCREF(selector);
		epoll = selector_fd(selector);
		if (epoll >= 0 && atomic_load(&heap.rest) == HEAP_RESTS_EPOLL &&
		    heap.selector == selector && heap.wake_fd < 0) {
			int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

			event.data.fd = fd;
			if (fd >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0) {
				heap.wake_fd = fd;
				heap.wake_epoll = epoll;
			} else if (fd >= 0) {
				close(fd);
			}
		}
		Py_DECREF(selector);
	}
	PyGILState_Release(state);
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

/* An open window. Returns when to look again. */
static uint64_t offer(const struct rtgc_window *window, bool must, uint64_t now)
{
	uint64_t again =
		must && now < heap_latest(window) ? heap_latest(window) : RTGC_NEVER;
	int seen = atomic_load(&heap.rest), rest = seen;

	if (rest == HEAP_RESTS_UNTIL ? now >= atomic_load(&heap.rest_until)
				     : heap.in_flight)
		rest = HEAP_WORKS;
	switch (rest) {
	case HEAP_RESTS_EPOLL:
		if (!helper.woken)
			wake_main();
		helper.woken = true;
		return again;
	case HEAP_RESTS_UNTIL:
		/*
		 * A main thread that runs makes the pending call before it gives the GIL up
		 * to us. One that sleeps has given it up already.
		 */
		heap_collect_soon();
		return collect_here(seen, atomic_load(&heap.rest_until)) ? again : now;
	case HEAP_RESTS_POLL:
		if (now < heap_latest(window))
			return heap_latest(window);
		return collect_here(seen, RTGC_NEVER) ? RTGC_NEVER : now;
	default:
		return must ? offer_to_busy(window, seen, now) : RTGC_NEVER;
	}
}

static uint64_t look(uint64_t now)
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
	if (verdict != RTGC_PREPARE)
		return offer(&window, verdict == RTGC_MUST, now);
	if (!helper.quiet && atomic_load(&heap.rest) != HEAP_WORKS && !heap.in_flight) {
		helper.quiet = true;
		rtgc_quiet(r);
	}
	return RTGC_NEVER;
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

static void *run(void *unused)
{
	while (!atomic_load(&helper.stop)) {
		uint64_t next = look(rtgc_now()), asked = look_asked(rtgc_now());

		record_flush();
		sleep_until(next < asked ? next : asked);
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
	helper.runs = false;
	helper.window = 0;
}
