/* SPDX-License-Identifier: MIT */
/*
 * A program under test: makes the calls that it reads on its standard input, one a line,
 * and writes what they returned, one JSON object a line. What notify() is told is written
 * when it is told. Between the lines it dispatches, unless the library's thread does.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/rtgc.h"

#define WORDS 16

static struct rtgc *heap;
static bool threaded, forked, manual;

static void notify(struct rtgc *r, uint32_t events, void *userdata)
{
	printf("{\"events\": %u, \"pid\": %d}\n", events, (int)getpid());
	fflush(stdout);
}

static void answer(int64_t value)
{
	printf("{\"reply\": %" PRId64 "}\n", value);
}

static void answer_verdict(enum rtgc_verdict verdict)
{
	printf("{\"reply\": \"%s\"}\n", rtgc_verdict_name(verdict));
}

static uint64_t number(char *const *words, int n, int i)
{
	return i < n ? strtoull(words[i], NULL, 0) : 0;
}

/* open SOCKET FLAGS BUDGET UNIT KINDS [SERVICE [HEAP [RUNTIME]]] */
static void do_open(char *const *words, int n)
{
	struct rtgc_options options = {
		.size = sizeof(options),
		.socket = n > 1 ? words[1] : NULL,
		.flags = (uint32_t)number(words, n, 2),
		.budget = number(words, n, 3),
		.unit = (uint32_t)number(words, n, 4),
		.kinds = (uint32_t)number(words, n, 5),
		.service = n > 6 ? words[6] : NULL,
		.heap = n > 7 ? words[7] : NULL,
		.runtime = n > 8 ? words[8] : NULL,
		.notify = notify,
	};

	threaded = options.flags & RTGC_THREAD;
	answer(rtgc_open(&options, &heap));
}

static void do_publish(char *const *words, int n)
{
	struct rtgc_figures figures = {
		.used = number(words, n, 1),
		.allocated = number(words, n, 2),
		.live = number(words, n, 3),
		.rss_bytes = number(words, n, 4),
		.budget = number(words, n, 5),
		.step = number(words, n, 6),
	};

	answer_verdict(rtgc_publish(heap, &figures));
}

static void do_check(char *const *words, int n)
{
	struct rtgc_window w = {0};
	uint64_t until = n > 1 ? number(words, n, 1) : RTGC_NEVER;
	enum rtgc_verdict verdict = rtgc_check(heap, until, &w);

	printf("{\"reply\": \"%s\", \"id\": %" PRIu64 ", \"opens\": %" PRIu64
	       ", \"closes\": %" PRIu64 ", \"predicted\": %" PRIu64
	       ", \"kind\": %u, \"must\": %u}\n",
	       rtgc_verdict_name(verdict), w.id, w.opens_ns, w.closes_ns, w.predicted_ns,
	       w.kind, w.must);
}

static void do_end(char *const *words, int n)
{
	struct rtgc_result result = {
		.freed = number(words, n, 1),
		.used = number(words, n, 2),
		.live = number(words, n, 3),
	};

	answer(rtgc_end(heap, n > 1 ? &result : NULL));
}

static void do_record(char *const *words, int n)
{
	struct rtgc_result result = {
		.freed = number(words, n, 5),
		.used = number(words, n, 6),
		.live = number(words, n, 7),
	};

	answer(rtgc_record(heap, (enum rtgc_kind)number(words, n, 1),
			   (enum rtgc_cause)number(words, n, 2), number(words, n, 3),
			   number(words, n, 4), &result));
}

static void do_status(void)
{
	struct rtgc_status s;

	rtgc_status(heap, &s);
	printf("{\"reply\": {\"supervised\": %d, \"shared_pages\": %d, \"epoch\": %" PRIu64
	       ", \"heap_id\": %" PRIu64 ", \"used\": %" PRIu64 ", \"budget\": %" PRIu64
	       ", \"opened\": %" PRIu64 ", \"windows_used\": %" PRIu64
	       ", \"missed\": %" PRIu64 ", \"in_window\": %" PRIu64
	       ", \"forced\": %" PRIu64 ", \"uncoordinated\": %" PRIu64
	       ", \"connects\": %" PRIu64 ", \"last_pause\": %" PRIu64
	       ", \"max_pause\": %" PRIu64
	       ", \"service\": \"%s\", \"heap\": \"%s\", \"refused\": \"%s\"}}\n",
	       s.supervised, s.shared_pages, s.epoch, s.heap_id, s.used, s.budget,
	       s.windows_opened, s.windows_used, s.windows_missed,
	       s.collections_in_window, s.forced, s.uncoordinated, s.connects,
	       s.last_pause_ns, s.max_pause_ns, s.service, s.heap, s.refused);
}

/* No more descriptors than are open now, or as many as before. */
static void do_descriptors(bool limit)
{
	struct rlimit l;
	int next = dup(0);

	getrlimit(RLIMIT_NOFILE, &l);
	l.rlim_cur = limit ? (rlim_t)next : l.rlim_max;
	close(next);
	answer(setrlimit(RLIMIT_NOFILE, &l));
}

/* Of this thread, in ns; 0: the kernel knows of no such thing. */
static void do_slice(void)
{
	uint64_t attr[6] = {0}; /* struct sched_attr; [3] is its sched_runtime */

	answer(syscall(SYS_sched_getattr, 0, attr, sizeof attr, 0) == 0 ? (int64_t)attr[3]
									: -errno);
}

/* fork: the child answers from now on, until its input ends or it is told to exit. */
static void do_fork(void)
{
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0)
		exit(3);
	if (child == 0) {
		forked = true;
		answer(getpid());
		return;
	}
	waitpid(child, &status, 0);
	printf("{\"child\": %d}\n", status);
}

static bool call(char *const *words, int n)
{
	const char *what = words[0];

	if (!strcmp(what, "open"))
		do_open(words, n);
	else if (!strcmp(what, "publish"))
		do_publish(words, n);
	else if (!strcmp(what, "check"))
		do_check(words, n);
	else if (!strcmp(what, "pending"))
		answer(rtgc_pending(heap));
	else if (!strcmp(what, "idle"))
		rtgc_idle(heap, number(words, n, 1)), answer(0);
	else if (!strcmp(what, "busy"))
		rtgc_busy(heap), answer(0);
	else if (!strcmp(what, "deadline"))
		rtgc_deadline(heap, number(words, n, 1)), answer(0);
	else if (!strcmp(what, "quiet"))
		answer(rtgc_quiet(heap));
	else if (!strcmp(what, "decline"))
		answer(rtgc_decline(heap));
	else if (!strcmp(what, "begin"))
		answer(rtgc_begin(heap, (enum rtgc_kind)number(words, n, 1),
				  (enum rtgc_cause)number(words, n, 2),
				  number(words, n, 3)));
	else if (!strcmp(what, "end"))
		do_end(words, n);
	else if (!strcmp(what, "record"))
		do_record(words, n);
	else if (!strcmp(what, "status"))
		do_status();
	else if (!strcmp(what, "now"))
		answer((int64_t)rtgc_now());
	else if (!strcmp(what, "dispatch"))
		answer(rtgc_dispatch(heap));
	else if (!strcmp(what, "manual")) /* 1: only dispatches when it is told to */
		manual = number(words, n, 1), answer(0);
	else if (!strcmp(what, "fd"))
		answer(rtgc_fd(heap));
	else if (!strcmp(what, "reopen"))
		answer(rtgc_reopen(heap, n > 1 ? words[1] : NULL));
	else if (!strcmp(what, "close"))
		heap = rtgc_close(heap), answer(heap != NULL);
	else if (!strcmp(what, "descriptors"))
		do_descriptors(number(words, n, 1) == 0);
	else if (!strcmp(what, "closefrom"))
		closefrom((int)number(words, n, 1)), answer(0);
	else if (!strcmp(what, "slice"))
		do_slice();
	else if (!strcmp(what, "fork"))
		do_fork();
	else if (!strcmp(what, "exit"))
		return false;
	else
		printf("{\"error\": \"no such call: %s\"}\n", what);
	return true;
}

/* "-" stands for a NULL string, in the middle of a line. */
static int split(char *line, char **words)
{
	int n = 0;

	for (char *w = strtok(line, " \n"); w && n < WORDS; w = strtok(NULL, " \n"))
		words[n++] = strcmp(w, "-") ? w : NULL;
	return n;
}

/* Byte by byte: what is buffered in a parent would be read again in its child. */
static bool read_line(char *line, size_t size)
{
	size_t n = 0;

	while (n + 1 < size && read(STDIN_FILENO, &line[n], 1) == 1)
		if (line[n++] == '\n') {
			line[n] = 0;
			return true;
		}
	return false;
}

int main(void)
{
	char line[1024], *words[WORDS];
	bool more = true;
	int n;

	while (more) {
		struct pollfd fds[] = {
			{.fd = STDIN_FILENO, .events = POLLIN},
			{.fd = heap && !threaded && !manual ? rtgc_fd(heap) : -1,
			 .events = POLLIN},
		};

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return 3;
		if (fds[1].revents && rtgc_dispatch(heap) < 0)
			return 4;
		if (!fds[0].revents)
			continue;
		if (!read_line(line, sizeof(line)))
			break;
		n = split(line, words);
		more = n == 0 || call(words, n);
		fflush(stdout);
	}
	rtgc_close(heap);
	fflush(stdout);
	if (forked) /* a leak check would look for the parent's threads here */
		_exit(0);
	return 0;
}
