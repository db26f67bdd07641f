/* SPDX-License-Identifier: MIT */
#include "client/python/heap.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/python/answer.h"
#include "client/python/changes.h"
#include "client/python/collector.h"
#include "client/python/figures.h"
#include "client/python/forked.h"
#include "client/python/freeze.h"
#include "client/python/full.h"
#include "client/python/gate.h"
#include "client/python/gcstate.h"
#include "client/python/helper.h"
#include "client/python/listen.h"
#include "client/python/pauses.h"
#include "client/python/record.h"
#include "client/python/servers.h"
#include "client/python/slack.h"
#include "client/python/snapshot.h"
#include "client/python/threshold.h"
#include "client/python/young.h"

#define PENDING_MAX 2048

struct heap heap = {.wake_fd = -1, .wake_epoll = -1};

/* ---- The daemon's words ------------------------------------------------------------ */

static void on_event(struct rtgc *r, uint32_t events, void *userdata)
{
	if (atomic_load(&heap.closed))
		return;
	if (events & (RTGC_EVENT_CONNECTED | RTGC_EVENT_ALONE | RTGC_EVENT_REFUSED)) {
		struct rtgc_status status;

		rtgc_status(r, &status);
		if (status.supervised) {
			threshold_take_over();
		} else {
			threshold_put_back();
			young_put_back();
		}
	}
	if (events & RTGC_EVENT_ASKED)
		answer_asked();
	changes_note(events);
	helper_kick();
}

/* ---- Collections somebody else runs -------------------------------------------------
 */

const char *heap_cause_name(enum rtgc_cause cause, bool supervised)
{
	static const char *const name[] = {
		[RTGC_IN_WINDOW] = "window",
		[RTGC_FORCED] = "forced",
		[RTGC_UNCOORDINATED] = "uncoordinated",
	};

	return supervised ? name[cause] : "default";
}

void heap_on_start(int generation)
{
	struct rtgc *r = heap.rtgc;

	if (!r)
		return;
	if (generation == 1)
		young_began();
	if (generation != 2)
		return;
	/* Who collects everything means everything. */
	freeze_undo();
	if (heap.mine)
		return;
	snapshot_void("a full collection overtook it");
	heap.noticed.supervised = atomic_load(&heap.taken);
	heap.noticed.cause = heap.at_ceiling ? RTGC_FORCED : RTGC_UNCOORDINATED;
	heap.noticed.begin_ns = rtgc_now();
	heap.noticed.begun = heap.noticed.supervised && heap.at_ceiling &&
			     rtgc_begin(r, RTGC_MAJOR, RTGC_FORCED, 0) == 0;
}

static void noticed_end(struct rtgc *r, uint64_t collected)
{
	struct record record = {
		.kind = "major",
		.cause = heap_cause_name(heap.noticed.cause, heap.noticed.supervised),
		.begin_ns = heap.noticed.begin_ns,
		.end_ns = rtgc_now(),
		.freed = collected,
	};
	struct rtgc_result result;

	if (heap.noticed.begin_ns == 0)
		return; /* it began before we listened */
	figures_result(collected, &result);
	if (heap.noticed.begun)
		rtgc_end(r, &result);
	else if (heap.noticed.supervised)
		rtgc_record(r, RTGC_MAJOR, RTGC_UNCOORDINATED, record.begin_ns,
			    record.end_ns, &result);
	figures_budget(r);
	heap.noticed.begin_ns = 0;
	record_add(&record);
	if (record_wanted())
		helper_kick();
}

static int wake_pending(void *unused)
{
	heap_wake();
	return 0;
}

void heap_on_stop(int generation, uint64_t collected)
{
	struct rtgc *r = heap.rtgc;

	if (!r)
		return;
	if (generation < 2)
		young_ended(generation, collected);
	if (generation == 0)
		return;
	if (generation == 2) {
		full_ended();
		if (heap.mine) {
			heap.mine_ended = true;
			heap.collected = collected;
		} else {
			noticed_end(r, collected);
		}
		threshold_ceiling_over();
	}
	if (heap.dormant) {
		if (!heap.waking && Py_AddPendingCall(wake_pending, NULL) == 0)
			heap.waking = true;
		return;
	}
	if (heap.mine && generation == 1) {
		gcstate_reset_count(); /* of the freeze that runs */
		return;
	}
	if (!atomic_load(&heap.taken))
		freeze_undo(); /* CPython's own rule counts all of it again */
	threshold_notice();
	if (figures_publish(r) == RTGC_CEILING && generation == 1) {
		if (atomic_load(&heap.taken) && !collector_at_ceiling())
			threshold_let_collect();
	} else if (atomic_load(&heap.taken)) {
		gcstate_reset_count();
	}
	if (rtgc_pending(r) && generation == 1)
		helper_kick(); /* its last moment may have come nearer */
}

/* ---- Collections of ours ---- */

bool heap_collect(enum rtgc_cause cause, const struct rtgc_window *window)
{
	struct rtgc *r = heap.rtgc;
	struct rtgc_result result;
	struct record record;

	if (!r || heap.mine || gcstate_collecting() || !gcstate_enabled())
		return false;
	if (heap.critical && cause != RTGC_FORCED)
		return false;
	if (window && window->kind == RTGC_SNAPSHOT)
		return collector_snapshot(cause, window);
	if (cause == RTGC_FORCED)
		snapshot_void("the heap outgrew its budget");
	if (rtgc_begin(r, RTGC_MAJOR, cause, window ? window->id : 0) != 0)
		return false;
	heap.mine = true;
	heap.mine_ended = false;
	figures_begin();
	record = (struct record){.kind = "major",
				 .cause = heap_cause_name(cause, true),
				 .begin_ns = rtgc_now()};
	full_collect();
	record.end_ns = rtgc_now();
	record.freed = heap.mine_ended ? heap.collected : 0;
	heap.mine = false;
	figures_result(record.freed, &result);
	rtgc_end(r, &result);
	gate_open();
	if (heap.rtgc != r)
		return true; /* a finalizer ended the supervision */
	record_add(&record);
	figures_publish(r);
	helper_kick();
	return true;
}

bool heap_checkpoint(uint64_t until_ns)
{
	struct rtgc *r = heap.rtgc;
	struct rtgc_window window;

	if (!r || heap.critical)
		return false;
	snapshot_step_between();
	switch (rtgc_check(r, until_ns, &window)) {
	case RTGC_PREPARE:
		rtgc_quiet(r);
		return false;
	case RTGC_MAY:
	case RTGC_MUST:
		return window.kind == RTGC_FREEZE ? freeze_run(&window)
						  : heap_collect(RTGC_IN_WINDOW, &window);
	default:
		return false;
	}
}

uint64_t heap_latest(const struct rtgc_window *window)
{
	uint64_t used = heap.used, budget = heap.budget, need = 2 * window->predicted_ns;
	uint64_t latest = window->closes_ns > need ? window->closes_ns - need : 0;
	uint64_t urgent = heap.looked_ns + heap.grown_ns / 2;

	if (budget > used && (budget - used) / 2 >= heap.grown)
		return latest;
	return urgent < latest ? urgent : latest;
}

/*
 * CPython 3.11 takes a traced program no further while there are pending calls: one that
 * adds itself again and again would never end. So a helper does after some times.
 */
static void collect_after(void)
{
	static unsigned times;

	if (++times % PENDING_MAX)
		heap_collect_soon();
	else
		helper_ask_again();
}

static int collect_pending(void *unused)
{
	atomic_store(&heap.soon, false);
	if (!heap.rtgc)
		return 0;
	/* Inside a finalizer or a gc callback, which a younger collection runs: after it. */
	if (gcstate_collecting()) {
		if (heap.at_ceiling || heap.snapshot_soon ||
		    rtgc_check(heap.rtgc, RTGC_NEVER, NULL) >= RTGC_MAY)
			collect_after();
	} else if (heap.at_ceiling) {
		heap_collect(RTGC_FORCED, NULL);
	} else if (heap.snapshot_soon && !slack_comes()) {
		collector_begin_promised();
	} else if (snapshot_due()) {
		snapshot_step(RTGC_NEVER);
	} else {
		heap_checkpoint(atomic_load(&heap.rest) == HEAP_RESTS_UNTIL
					? atomic_load(&heap.rest_until)
					: RTGC_NEVER);
	}
	return 0;
}

void heap_collect_soon(void)
{
	if (!atomic_exchange(&heap.soon, true) &&
	    Py_AddPendingCall(collect_pending, NULL) < 0)
		atomic_store(&heap.soon, false);
}

/* ---- Life ---- */

static int library_error(int error)
{
	if (error == -EINVAL)
		PyErr_SetString(
			PyExc_ValueError,
			"names have up to 63 bytes of UTF-8 and no control characters");
	else if (error == -ENOMEM)
		PyErr_NoMemory();
	else {
		errno = -error;
		PyErr_SetFromErrno(PyExc_OSError);
	}
	return -1;
}

static void name_with_pid(char ret[HEAP_NAME_SIZE])
{
	char end[16];
	int keep = HEAP_NAME_SIZE - 1 - snprintf(end, sizeof(end), "-%d", (int)getpid());

	if ((int)strlen(heap.name) < keep)
		keep = (int)strlen(heap.name);
	while (keep > 0 && (heap.name[keep] & 0xc0) == 0x80)
		keep--; /* not in the middle of a character */
	snprintf(ret, HEAP_NAME_SIZE, "%.*s%s", keep, heap.name, end);
}

static void learn_name(void)
{
	struct rtgc_status status;

	rtgc_status(heap.rtgc, &status);
	record_name(status.heap);
}

int heap_init(void)
{
	changes_init();
	helper_init();
	full_init();
	return forked_init();
}

int heap_open(const struct heap_options *options)
{
	char runtime[32], name[HEAP_NAME_SIZE];
	struct rtgc_options o = {
		.size = sizeof(o),
		.flags = RTGC_THREAD | RTGC_QUIETS | RTGC_MARKS | RTGC_ANSWERS,
		.service = options->service,
		.heap = options->name ? options->name : name,
		.runtime = runtime,
		.unit = options->byte_budget ? RTGC_BYTES : RTGC_OBJECTS,
		.budget = options->byte_budget,
		.notify = on_event,
	};
	struct rtgc *r = NULL;
	int error;

	/* The Python side was loaded anew, and does not know of it. */
	heap_close();
	heap.collector = options->collector;
	heap.fork_limit_ns = options->fork_limit_ns;
	heap.memory_limit = options->memory_limit;
	o.kinds = heap.kinds = collector_kinds();
	snprintf(runtime, sizeof(runtime), "cpython %.20s", PY_VERSION);
	snprintf(heap.name, sizeof(heap.name), "%s",
		 options->name ? options->name : options->program);
	name_with_pid(name);
	heap.byte_budget = options->byte_budget;
	heap.snapshot_soon = false;
	changes_reset();
	heap.dormant = heap.waking = heap.at_ceiling = false;
	atomic_store(&heap.own, gcstate_threshold());
	atomic_store(&heap.closed, false);
	figures_init();
	pauses_reset();
	error = record_init();
	if (error == 0)
		error = rtgc_open(&o, &r);
	if (error < 0)
		return library_error(error);
	heap.rtgc = r;
	learn_name();
	error = helper_start();
	if (error < 0) {
		heap_close();
		return library_error(error);
	}
	if (listen_begin(heap.callback) < 0) {
		heap_close();
		return -1;
	}
	figures_publish(r);
	return 0;
}

void heap_close(void)
{
	struct rtgc *r = heap.rtgc;
	PyObject *type, *value, *traceback;

	if (!r)
		return;
	PyErr_Fetch(&type, &value, &traceback);
	helper_stop();
	snapshot_void("the supervision ended");
	gate_open();
	if (heap.rtgc == r) {
		listen_end(heap.callback);
		heap.rtgc = NULL;
		freeze_undo();
		atomic_store(&heap.closed, true);
		/* A daemon thread inside a collection still holds it: leave it to the
		 * end. */
		if (!heap.mine)
			rtgc_close(r);
		threshold_put_back();
		young_put_back();
		record_flush();
	}
	PyErr_Restore(type, value, traceback);
}

void heap_after_fork_child(void)
{
	if (!heap.rtgc)
		return;
	changes_init();
	helper_after_fork_child();
	snapshot_after_fork_child();
	full_after_fork_child();
	heap.snapshot_soon = false;
	record_after_fork_child();
	if (heap.main_thread != PyThread_get_thread_ident())
		forked_by_thread();
	servers_after_fork_child();
	heap.main_thread = PyThread_get_thread_ident();
	/* The parent's: closed here, it stays in the selector that both share. */
	if (heap.wake_fd >= 0)
		close(heap.wake_fd);
	heap.wake_fd = heap.wake_epoll = -1;
	heap.selector = NULL;
	threshold_put_back();
	young_put_back();
	/* By a thread that is not here: CPython would never collect again in this process. */
	if (gcstate_collecting() && heap.began_by != PyThread_get_thread_ident())
		gcstate_end_collecting();
	heap.mine = heap.at_ceiling = heap.waking = false;
	atomic_store(&heap.soon, false);
	atomic_store(&heap.rest, HEAP_WORKS);
	heap.dormant = true;
}

void heap_wake(void)
{
	char name[HEAP_NAME_SIZE];

	if (!heap.rtgc || !heap.dormant)
		return;
	heap.dormant = false;
	name_with_pid(name);
	/* Without a connection the child stays with CPython's own policy: nothing is lost. */
	rtgc_reopen(heap.rtgc, name);
	learn_name();
	helper_start();
	figures_publish(heap.rtgc);
}
