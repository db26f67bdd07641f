/* SPDX-License-Identifier: MIT */
/*
 * swarm SERVICE HEAPS BUDGET RATE PAUSE_US: that many heaps in one process, each filling its
 * budget of objects at that rate a second and collecting when it may, in pauses that only pass
 * the time. Writes "pause HEAP CAUSE BEGIN END WINDOW OPENS" for each, and answers each line of its
 * standard input by "status N", so many are supervised:
 *   record   each heap has had a collection of PAUSE_US of its own
 *   hold     pauses in windows last until their window closes …
 *   release  … or until now, however short they were
 *   rest     nobody allocates …
 *   work     … any longer
 *   status   nothing else
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "client/rtgc.h"

#define EVENTS 64
/* A process that is not let run allocates nothing either. */
#define LONGEST_TURN 0.02

struct heap {
	struct rtgc *r;
	double used, allocated;
	enum rtgc_cause cause;
	struct rtgc_window window; /* if it collects in one */
	uint64_t begun;		   /* 0: it does not collect */
};

static struct heap *heaps;
static unsigned n_heaps;
static uint64_t budget, pause_ns;
static double rate;
static bool hold, rest;
static uint64_t released;

static void end(unsigned i, uint64_t now)
{
	struct heap *h = &heaps[i];
	struct rtgc_result result = {.freed = (uint64_t)h->used, .live = budget / 10};

	printf("pause %u %d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", i,
	       (int)h->cause, h->begun, now, h->window.id, h->window.opens_ns);
	rtgc_end(h->r, &result);
	h->used = 0;
	h->begun = 0;
}

static void begin(struct heap *h, enum rtgc_cause cause, const struct rtgc_window *window)
{
	/* Its pause, as it sees it itself, lies within what it has said. */
	if (rtgc_begin(h->r, RTGC_MAJOR, cause, window->id) != 0)
		return;
	h->cause = cause;
	h->window = *window;
	h->begun = rtgc_now();
}

static bool is_over(const struct heap *h, uint64_t now)
{
	if (h->cause == RTGC_IN_WINDOW && h->begun < released)
		return true;
	if (now - h->begun < pause_ns)
		return false;
	return !hold || h->cause != RTGC_IN_WINDOW || now >= h->window.closes_ns;
}

static void live(unsigned i, uint64_t now, double seconds)
{
	struct heap *h = &heaps[i];
	enum rtgc_verdict verdict;
	struct rtgc_window w = {0};

	if (h->begun && is_over(h, now))
		end(i, now);
	if (h->begun)
		return;
	/* At its own rate: heaps in step would all be due at once. */
	h->used += rate * seconds * (1 + i % 7 / 7.0);
	h->allocated += rate * seconds * (1 + i % 7 / 7.0);
	rtgc_publish(h->r, &(struct rtgc_figures){.used = (uint64_t)h->used,
						  .allocated = (uint64_t)h->allocated,
						  .live = budget / 10});
	if (!rtgc_pending(h->r))
		return;
	verdict = rtgc_check(h->r, RTGC_NEVER, &w);
	if (verdict == RTGC_MAY || verdict == RTGC_MUST)
		begin(h, RTGC_IN_WINDOW, &w);
	else if (verdict == RTGC_CEILING)
		begin(h, RTGC_FORCED, &(struct rtgc_window){0});
}

static void record(void)
{
	for (unsigned i = 0; i < n_heaps; i++) {
		uint64_t now = rtgc_now();
		struct rtgc_result result = {.freed = 1, .live = budget / 10};

		rtgc_record(heaps[i].r, RTGC_MAJOR, RTGC_UNCOORDINATED, now - pause_ns,
			    now, &result);
	}
}

static unsigned supervised(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_heaps; i++) {
		struct rtgc_status s;

		rtgc_status(heaps[i].r, &s);
		n += s.supervised;
	}
	return n;
}

/* false: the end. */
static bool answer(void)
{
	char line[64];
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (n <= 0)
		return false;
	line[n] = '\0';
	if (strcmp(line, "record\n") == 0)
		record();
	else if (strcmp(line, "hold\n") == 0)
		hold = true;
	else if (strcmp(line, "rest\n") == 0)
		rest = true;
	else if (strcmp(line, "work\n") == 0)
		rest = false;
	else if (strcmp(line, "release\n") == 0) {
		hold = false;
		released = rtgc_now();
	}
	printf("status %u\n", supervised());
	fflush(stdout);
	return true;
}

static int open_heaps(int epoll, const char *service)
{
	for (unsigned i = 0; i < n_heaps; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
		struct rtgc_options options = {.size = sizeof(options)};
		char name[32];

		snprintf(name, sizeof(name), "heap-%u", i);
		options.service = service;
		options.heap = name;
		options.unit = RTGC_OBJECTS;
		options.budget = budget;
		heaps[i].used = (double)budget * (i % 10) / 10; /* not in step */
		/* Half of them have everything by frames. */
		options.flags = i % 2 ? RTGC_SOCKET_ONLY : 0;
		if (rtgc_open(&options, &heaps[i].r) < 0)
			return -1;
		epoll_ctl(epoll, EPOLL_CTL_ADD, rtgc_fd(heaps[i].r), &event);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS],
		input = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
	int epoll = epoll_create1(EPOLL_CLOEXEC), n;
	uint64_t before = rtgc_now();
	double seconds;
	bool more = true;

	if (argc != 6)
		return 2;
	n_heaps = (unsigned)atoi(argv[2]);
	budget = strtoull(argv[3], NULL, 10);
	rate = atof(argv[4]);
	pause_ns = strtoull(argv[5], NULL, 10) * 1000;
	heaps = calloc(n_heaps, sizeof(*heaps));
	if (!heaps || open_heaps(epoll, argv[1]) < 0)
		return 1;
	epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input);
	while (more) {
		uint64_t now;

		n = epoll_wait(epoll, events, EVENTS, 1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.u32 == UINT32_MAX)
				more = answer();
			else
				rtgc_dispatch(heaps[events[i].data.u32].r);
		}
		now = rtgc_now();
		seconds = rest ? 0 : fmin((double)(now - before) / 1e9, LONGEST_TURN);
		for (unsigned i = 0; rate > 0 && i < n_heaps; i++)
			live(i, now, seconds);
		before = now;
	}
	for (unsigned i = 0; i < n_heaps; i++)
		rtgc_close(heaps[i].r);
	free(heaps);
	return 0;
}
