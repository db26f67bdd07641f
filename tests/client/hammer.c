/* SPDX-License-Identifier: MIT */
/*
 * Many threads on one heap, while the library's own connects, loses and finds its daemon:
 * for the thread sanitizer. Ends when its input does; says how much it did, and fails when
 * an answer cannot be true.
 */
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/rtgc.h"

#define BUDGET 10000u

static struct rtgc *heap;
static atomic_bool over;
static atomic_ulong events, windows, wrong, wrong_line;

static void notify(struct rtgc *r, uint32_t bits, void *userdata)
{
	struct rtgc_status status;

	rtgc_status(r, &status); /* notify() may call */
	atomic_fetch_add(&events, 1);
}

static void note(bool bad, unsigned long line)
{
	if (bad) {
		atomic_fetch_add(&wrong, 1);
		atomic_store(&wrong_line, line);
	}
}

#define fail_if(bad) note(bad, __LINE__)

static void *publish(void *userdata)
{
	for (uint64_t n = 0; !atomic_load(&over); n++) {
		struct rtgc_figures figures = {.used = n % (BUDGET + 1), .allocated = n};
		enum rtgc_verdict verdict = rtgc_publish(heap, &figures);

		fail_if(verdict != (figures.used >= BUDGET ? RTGC_CEILING : RTGC_RUN));
	}
	return NULL;
}

static void *mark(void *userdata)
{
	for (uint64_t n = 0; !atomic_load(&over); n++) {
		rtgc_idle(heap, n);
		rtgc_deadline(heap, n);
		rtgc_busy(heap);
	}
	return NULL;
}

static void *collect(void *userdata)
{
	struct rtgc_result result = {.freed = 1, .used = 1, .live = 1};

	while (!atomic_load(&over)) {
		struct rtgc_window w = {0};
		enum rtgc_verdict verdict;

		if (!rtgc_pending(heap))
			continue;
		verdict = rtgc_check(heap, RTGC_NEVER, &w);
		fail_if((verdict == RTGC_MAY || verdict == RTGC_MUST) &&
			(w.id == 0 || w.opens_ns > w.closes_ns || w.kind != RTGC_MAJOR));
		if (verdict == RTGC_PREPARE)
			rtgc_quiet(heap);
		if ((verdict == RTGC_MAY || verdict == RTGC_MUST) &&
		    rtgc_begin(heap, RTGC_MAJOR, RTGC_IN_WINDOW, w.id) == 0) {
			atomic_fetch_add(&windows, 1);
			fail_if(rtgc_end(heap, &result) != 0);
		}
	}
	return NULL;
}

static void *decline(void *userdata)
{
	struct rtgc_status status;

	while (!atomic_load(&over)) {
		rtgc_status(heap, &status);
		fail_if(status.windows_used > status.windows_opened + 1);
		if (status.windows_used % 16 == 15)
			rtgc_decline(heap);
		rtgc_record(heap, RTGC_MINOR, RTGC_UNCOORDINATED, 1, 2, NULL);
		usleep(1000);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	void *(*const bodies[])(void *) = {publish, mark, collect, collect, decline};
	enum {
		THREADS = sizeof(bodies) / sizeof(*bodies)
	};
	struct rtgc_options options = {
		.size = sizeof(options),
		.flags = RTGC_THREAD | RTGC_QUIETS | RTGC_MARKS |
			 (argc > 1 ? (uint32_t)atoi(argv[1]) : 0),
		.budget = BUDGET,
		.unit = RTGC_OBJECTS,
		.notify = notify,
	};
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	pthread_t threads[THREADS];

	if (rtgc_open(&options, &heap) < 0)
		return 1;
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, bodies[i], NULL))
			return 1;
	while (poll(&input, 1, -1) < 0)
		;
	atomic_store(&over, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	heap = rtgc_close(heap);
	printf("{\"events\": %lu, \"windows\": %lu, \"wrong\": %lu, \"line\": %lu}\n",
	       atomic_load(&events), atomic_load(&windows), atomic_load(&wrong),
	       atomic_load(&wrong_line));
	return atomic_load(&wrong) != 0;
}
