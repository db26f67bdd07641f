/* SPDX-License-Identifier: MIT */
/*
 * One of a kind, each time anew after EVERY_US. Says "begun", and then answers each line of its standard input by
 * the times since the last one, as JSON.
 *   probe SOCKET decision EVERY_US   a heap is full: from its publication until it sees its window
 *   probe SOCKET echo EVERY_US       the floor: a message to a program that sends one back
 *   probe SOCKET start EVERY_US      a window that is known in advance: how late the heap's thread is when it opens
 *   probe - sleep EVERY_US           the floor: how late a thread is that sleeps until an instant
 */
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client/rtgc.h"
#include "tests/bench/scale/samples.h"

#define BUDGET	 1000000u
#define MESSAGE	 64
#define AGAIN_MS 10		     /* a program goes on publishing */
#define SLEEPS	 (2 * NSEC_PER_MSEC) /* as long before a window of a round is told */
#define NONE	 UINT64_MAX

static struct samples took;
static struct rtgc *heap;
static int ended; /* an event: the collection of a start has */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void sleep_until(nsec_t at)
{
	struct timespec t = {.tv_sec = (time_t)(at / NSEC_PER_SEC),
			     .tv_nsec = (long)(at % NSEC_PER_SEC)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* ---- a heap --------------------------------------------------------------------------------- */

static void open_heap(const char *socket, const char *service, uint32_t flags,
		      void (*notify)(struct rtgc *r, uint32_t events, void *userdata))
{
	struct rtgc_options options = {.size = sizeof(options), .flags = flags};
	struct rtgc_status status;

	options.service = service;
	options.heap = "probe";
	options.socket = socket;
	options.unit = RTGC_OBJECTS;
	options.budget = BUDGET;
	options.notify = notify;
	if (rtgc_open(&options, &heap) < 0) {
		fprintf(stderr, "probe: no heap\n");
		exit(1);
	}
	do {
		struct pollfd p = {.fd = rtgc_fd(heap), .events = POLLIN};

		poll(&p, 1, 1);
		if (!(flags & RTGC_THREAD))
			rtgc_dispatch(heap);
		rtgc_status(heap, &status);
	} while (!status.supervised);
}

/* It allocates nothing, so that the daemon does not expect it to be due. */
static void publish(uint64_t used)
{
	rtgc_publish(heap,
		     &(struct rtgc_figures){.used = used, .allocated = 1, .live = 1});
}

static bool collect(const struct rtgc_window *w)
{
	if (rtgc_begin(heap, RTGC_MAJOR, RTGC_IN_WINDOW, w->id) != 0)
		return false;
	rtgc_end(heap, &(struct rtgc_result){.freed = BUDGET, .live = 1});
	return true;
}

static bool may(struct rtgc_window *ret)
{
	enum rtgc_verdict verdict = rtgc_check(heap, RTGC_NEVER, ret);

	return verdict == RTGC_MAY || verdict == RTGC_MUST;
}

static nsec_t decision(void)
{
	nsec_t begun = rtgc_now(), seen;
	struct rtgc_window w;

	publish(BUDGET);
	while (!may(&w)) {
		struct pollfd p = {.fd = rtgc_fd(heap), .events = POLLIN};

		if (poll(&p, 1, AGAIN_MS) == 0)
			publish(BUDGET);
		rtgc_dispatch(heap);
	}
	seen = rtgc_now();
	return collect(&w) ? seen - begun : NONE;
}

/* In the library's thread. */
static void on_open(struct rtgc *r, uint32_t events, void *userdata)
{
	nsec_t now = rtgc_now();
	struct rtgc_window w;
	uint64_t error;

	if (!(events & RTGC_EVENT_OPEN) || !may(&w) || !collect(&w))
		return;
	error = now - w.opens_ns;
	if (write(ended, &(uint64_t){error + 1}, sizeof(error)) < 0)
		die("eventfd");
}

static nsec_t start(void)
{
	struct pollfd p = {.fd = ended, .events = POLLIN};
	uint64_t error;

	do
		publish(BUDGET);
	while (poll(&p, 1, AGAIN_MS * 10) == 0);
	if (read(ended, &error, sizeof(error)) < 0)
		die("eventfd");
	return error - 1;
}

/* ---- floors --------------------------------------------------------------------------------- */

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(path);
	return fd;
}

static nsec_t echo(int fd)
{
	uint8_t buf[MESSAGE] = {0};
	nsec_t begun = rtgc_now();

	if (send(fd, buf, sizeof(buf), MSG_NOSIGNAL) < 0 ||
	    recv(fd, buf, sizeof(buf), 0) <= 0)
		die("echo");
	return rtgc_now() - begun;
}

static nsec_t sleep_once(void)
{
	nsec_t at = rtgc_now() + SLEEPS;

	sleep_until(at);
	return rtgc_now() - at;
}

/* --------------------------------------------------------------------------------------------- */

/* false: the end. */
static bool answer(void)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	char line[64];

	if (poll(&p, 1, 0) == 0)
		return true;
	if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
		return false;
	putchar('{');
	samples_print(&took, "took");
	puts("}");
	fflush(stdout);
	return true;
}

static nsec_t once(const char *what, int fd)
{
	if (strcmp(what, "decision") == 0)
		return decision();
	if (strcmp(what, "start") == 0)
		return start();
	return fd >= 0 ? echo(fd) : sleep_once();
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";
	nsec_t every, next;
	int fd = -1;

	if (argc != 4)
		return 2;
	every = strtoull(argv[3], NULL, 10) * NSEC_PER_USEC;
	prctl(PR_SET_TIMERSLACK, 1);
	ended = eventfd(0, EFD_CLOEXEC);
	if (strcmp(what, "decision") == 0)
		open_heap(argv[1], "probe", 0, NULL);
	else if (strcmp(what, "start") == 0)
		open_heap(argv[1], "round", RTGC_THREAD, on_open);
	else if (strcmp(what, "echo") == 0)
		fd = connect_to(argv[1]);
	else if (strcmp(what, "sleep") != 0)
		return 2;
	puts("begun");
	fflush(stdout);
	for (next = rtgc_now(); answer(); next = nsec_max(next + every, rtgc_now())) {
		nsec_t ns;

		sleep_until(next);
		ns = once(what, fd);
		if (ns != NONE)
			samples_add(&took, ns);
	}
	rtgc_close(heap);
	return 0;
}
