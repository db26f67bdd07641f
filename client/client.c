/* SPDX-License-Identifier: MIT */
/* Opening, closing, the thread, and looking. */
#include "client/client.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/*
 * There is always something sooner. But a thread that waits for descriptors that were
 * closed under it is only woken by this.
 */
#define WAIT_MAX_MS 5000
/* Room for an application's notify(), not for the library. */
#define STACK_SIZE (256 * 1024)

#define SAME(ours, wires) static_assert((int)(ours) == (int)(wires), #ours)
SAME(RTGC_BYTES, WIRE_BYTES);
SAME(RTGC_OBJECTS, WIRE_OBJECTS);
SAME(RTGC_MINOR, WIRE_MINOR);
SAME(RTGC_MAJOR, WIRE_MAJOR);
SAME(RTGC_SNAPSHOT, WIRE_SNAPSHOT);
SAME(RTGC_FREEZE, WIRE_FREEZE);
SAME(RTGC_IN_WINDOW, WIRE_IN_WINDOW);
SAME(RTGC_FORCED, WIRE_FORCED);
SAME(RTGC_UNCOORDINATED, WIRE_UNCOORDINATED);
#undef SAME
static_assert(offsetof(struct rtgc, state) == 0, "rtgc_pending() relies on it");
static_assert(sizeof(((struct rtgc_status *)0)->service) == WIRE_NAME_MAX, "names");
static_assert(sizeof(((struct rtgc_status *)0)->refused) == WIRE_DETAIL_MAX, "words");

uint64_t rtgc_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

const char *rtgc_version(void)
{
	return PACKAGE_VERSION;
}

const char *rtgc_verdict_name(enum rtgc_verdict verdict)
{
	static const char *const names[] = {
		[RTGC_RUN] = "run", [RTGC_ALONE] = "alone", [RTGC_PREPARE] = "prepare",
		[RTGC_MAY] = "may", [RTGC_MUST] = "must",   [RTGC_CEILING] = "ceiling",
	};

	return (unsigned)verdict < sizeof(names) / sizeof(*names) ? names[verdict] : NULL;
}

/* ---- For the other files ---- */

void client_kick(struct rtgc *r)
{
	uint64_t one = 1;

	/* Interrupted, once more; full is as good as one more. */
	for (int tries = 0; tries < 2; tries++)
		if (write(r->kick, &one, sizeof(one)) >= 0)
			break;
}

static const _Atomic uint32_t *state_word(const struct rtgc *r)
{
	return atomic_load(&r->full) ? &r->full : &atomic_load(&r->slot)->state;
}

void client_point(struct rtgc *r)
{
	const _Atomic uint32_t *word;

	/* Of two threads the one that stores last has seen what both have changed. */
	do {
		word = state_word(r);
		atomic_store(&r->state, word);
	} while (word != state_word(r));
	figures_changed(r);
}

void client_full(struct rtgc *r, bool full)
{
	if (atomic_load_explicit(&r->full, memory_order_relaxed) == full)
		return;
	atomic_store(&r->full, full);
	client_point(r);
}

/* ---- Descriptors ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_fds(struct rtgc *r)
{
	link_close(&r->link);
	close_fd(&r->timer);
	close_fd(&r->kick);
	close_fd(&r->epoll);
}

static int watch(struct rtgc *r, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (fd < 0 || epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	return 0;
}

static int open_fds(struct rtgc *r)
{
	int result;

	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll < 0)
		return -errno;
	link_init(&r->link, r->epoll);
	r->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	result = watch(r, r->timer);
	if (result == 0) {
		r->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		result = watch(r, r->kick);
	}
	if (result < 0)
		close_fds(r);
	return result;
}

int rtgc_fd(const struct rtgc *r)
{
	return r->epoll;
}

/* ---- Dispatching ---- */

static void drain(int fd)
{
	uint64_t count;
	ssize_t n;

	do {
		n = read(fd, &count, sizeof(count));
	} while (n < 0 && errno == EINTR);
}

/* The numbers may be somebody else's descriptors by now: they are not closed. */
static void fail(struct rtgc *r)
{
	link_init(&r->link, -1);
	r->epoll = r->timer = r->kick = -1;
	session_fail(r, rtgc_now());
}

/*
 * Waits for work as long as that. An error means that the application has closed
 * descriptors it does not own; then there is no daemon for it any more.
 */
static int dispatch(struct rtgc *r, int timeout)
{
	struct epoll_event ready[3];
	int n = epoll_wait(r->epoll, ready, 3, timeout), error = n < 0 ? errno : 0;
	uint32_t events;

	if (error && error != EBADF && error != EINVAL && error != EPERM)
		return 0; /* it passes */
	pthread_mutex_lock(&r->lock);
	for (int i = 0; i < n; i++) {
		if (ready[i].data.fd == r->kick)
			drain(r->kick);
		if (ready[i].data.fd == r->timer) {
			drain(r->timer);
			r->armed = NSEC_NEVER;
		}
	}
	if (error)
		fail(r);
	else
		session_run(r, rtgc_now());
	events = r->events;
	r->events = 0;
	pthread_mutex_unlock(&r->lock);
	if (events && r->options.notify)
		r->options.notify(r, events, r->options.userdata);
	return -error;
}

int rtgc_dispatch(struct rtgc *r)
{
	if (r->has_thread)
		return -EBUSY;
	if (r->session == SESSION_INERT)
		return -ENOTCONN;
	return dispatch(r, 0);
}

static void *thread_main(void *userdata)
{
	struct rtgc *r = userdata;

	prctl(PR_SET_NAME, "rtgc");
	/* A window opens to the microsecond, not to the default 50 of them. */
	prctl(PR_SET_TIMERSLACK, 1);
	while (!atomic_load(&r->stopping) && dispatch(r, WAIT_MAX_MS) == 0)
		;
	return NULL;
}

/* The application's signals are the application's threads' business. */
static int start_thread(struct rtgc *r)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int error;

	if (!(r->options.flags & RTGC_THREAD))
		return 0;
	error = pthread_attr_init(&attr);
	if (error)
		return -error;
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	atomic_store(&r->stopping, false);
	r->has_thread = true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&r->thread, &attr, thread_main, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (error)
		r->has_thread = false;
	return -error;
}

static void stop_thread(struct rtgc *r)
{
	if (!r->has_thread)
		return;
	atomic_store(&r->stopping, true);
	client_kick(r);
	pthread_join(r->thread, NULL);
	r->has_thread = false;
}

/* ---- Opening and closing ---- */

/* Alone, with blank pages and no connection. */
static void reset(struct rtgc *r)
{
	r->session = SESSION_INERT;
	r->epoll = r->timer = r->kick = -1;
	link_init(&r->link, -1);
	atomic_store(&r->slot, &r->pages.window->slot[0]);
	atomic_store(&r->alone, true);
	atomic_store(&r->shared, false);
	atomic_store(&r->caps, 0);
	atomic_store(&r->done, 0);
	atomic_store(&r->due, 0);
	atomic_store(&r->writing, 0);
	atomic_store(&r->moves, 0);
	atomic_store(&r->collecting, false);
	late_forget(r);
	client_point(r);
	r->epoch = r->last_epoch = r->heap_id = 0;
	r->hung = r->unsafe_pages = false;
	r->events = r->told = 0;
	r->running = (struct running){0};
	r->seen = (struct seen){0};
	answer_forget(r);
	r->quieted = 0;
	r->refused[0] = 0;
}

static int start(struct rtgc *r)
{
	int result = open_fds(r);

	if (result < 0)
		return result;
	session_init(r, rtgc_now());
	client_kick(r); /* the first try is due at once */
	result = start_thread(r);
	if (result < 0) {
		close_fds(r);
		r->session = SESSION_INERT;
	}
	return result;
}

int rtgc_open(const struct rtgc_options *options, struct rtgc **ret)
{
	struct options o;
	struct rtgc *r;
	int result = options_init(&o, options);

	if (result < 0)
		return result;
	r = aligned_alloc(PAGE_LINE, sizeof(*r));
	if (!r)
		return -ENOMEM;
	memset(r, 0, sizeof(*r));
	result = pages_init(&r->pages);
	if (result < 0) {
		free(r);
		return result;
	}
	r->options = o;
	pthread_mutex_init(&r->lock, NULL);
	list_init(&r->all);
	guard_init(&r->guard, o.hello.budget);
	atomic_init(&r->marks.deadline, NSEC_NEVER);
	atomic_init(&r->marks.idle_until, NSEC_NEVER);
	reset(r);
	result = start(r);
	if (result < 0) {
		pages_deinit(&r->pages);
		free(r);
		return result;
	}
	fork_watch(r);
	*ret = r;
	return 0;
}

struct rtgc *rtgc_close(struct rtgc *r)
{
	struct wire_frame bye = {.type = WIRE_BYE};

	if (!r)
		return NULL;
	stop_thread(r);
	fork_forget(r);
	late_do(r);
	if (r->session == SESSION_UP)
		link_send(&r->link, &bye);
	close_fds(r);
	slice_restore(&r->slice);
	answer_forget(r);
	pages_deinit(&r->pages);
	pthread_mutex_destroy(&r->lock);
	free(r);
	return NULL;
}

void client_abandon(struct rtgc *r)
{
	close_fds(r);
	figures_over_pages(r, NULL, 0);
	slice_forked(&r->slice);
	r->has_thread = false;
	reset(r);
}

int rtgc_reopen(struct rtgc *r, const char *heap)
{
	int result;

	if (r->session != SESSION_INERT)
		return -EALREADY;
	result = options_name_heap(&r->options, heap);
	return result < 0 ? result : start(r);
}

/* ---- Looking ---- */

void rtgc_status(struct rtgc *r, struct rtgc_status *ret)
{
	struct wire_report report = {0};

	pthread_mutex_lock(&r->lock);
	late_do(r);
	figures_read(r, &report);
	*ret = (struct rtgc_status){
		.supervised = !atomic_load(&r->alone),
		.shared_pages = atomic_load(&r->shared),
		.epoch = r->epoch,
		.heap_id = r->heap_id,
		.used = report.used,
		.budget = guard_budget(&r->guard,
				       atomic_load(&atomic_load(&r->slot)->budget)),
		.windows_opened = r->windows_opened,
		.windows_used = r->windows_used,
		.windows_missed = r->windows_missed,
		.collections_in_window = r->in_window,
		.forced = r->forced,
		.uncoordinated = r->uncoordinated,
		.connects = r->connects,
		.last_pause_ns = r->last_pause,
		.max_pause_ns = r->max_pause,
	};
	memcpy(ret->service, r->options.hello.service, sizeof(ret->service));
	memcpy(ret->heap, r->options.hello.heap, sizeof(ret->heap));
	memcpy(ret->refused, r->refused, sizeof(ret->refused));
	pthread_mutex_unlock(&r->lock);
}
