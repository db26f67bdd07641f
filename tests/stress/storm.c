/* SPDX-License-Identifier: MIT */
/*
 * Clients of a daemon that behave as no library would; each lasts until its standard input ends.
 *   storm SOCKET crowd N NAME   N heaps at once, all kept; "welcomed N NS" when the last is in, after so long
 *   storm SOCKET murmur N       N heaps of which each reports once a second; "welcomed N"
 *   storm SOCKET silent N       N connections that never say HELLO; "opened N"
 *   storm SOCKET flood          one heap that reports as fast as it can; "sent N" at the end
 *   storm SOCKET knock N        N connections that never say HELLO, and one after the other beyond those, each of
 *                               which lasts until it is hung up on; "knocked N" at the end
 *   storm CONTROL ask           one caller that has always asked before it is answered; "answered N" at the end
 *   storm SOCKET burn           has nothing to do with the daemon but that it wants a CPU; "burnt" at the end
 *   storm SOCKET probe          one heap that is due each ms; "AT NS" for each window at the end: when, and after
 *                               how long it was open
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client/wire/names.h"
#include "client/wire/nsec.h"
#include "client/wire/wire.h"

#define BUDGET	     1000000
#define EACH	     NSEC_PER_MSEC
#define SAMPLES_MOST 1000000
#define FDS_MOST     4
#define ASKED_AHEAD  16

static const char *path;
static uint32_t serial;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static nsec_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (nsec_t)t.tv_sec * NSEC_PER_SEC + (nsec_t)t.tv_nsec;
}

static bool over(void)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

static void wait_for_end(void)
{
	char c;

	while (read(STDIN_FILENO, &c, 1) > 0)
		;
}

/* ---- frames --------------------------------------------------------------------------------- */

static int open_socket(int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("connect");
	return fd;
}

static int open_connection(void)
{
	return open_socket(SOCK_SEQPACKET);
}

/* false: there is no room, or nobody any more. */
static bool say(int fd, struct wire_frame *frame, int flags)
{
	uint8_t buf[WIRE_FRAME_MAX];

	frame->serial = ++serial;
	return send(fd, buf, wire_encode(frame, buf), flags | MSG_NOSIGNAL) >= 0;
}

/* false: the connection is over. Descriptors that come along are closed. */
static bool hear(int fd, struct wire_frame *ret)
{
	uint8_t buf[WIRE_FRAME_MAX];
	char control[CMSG_SPACE(FDS_MOST * sizeof(int))];
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);

	if (n <= 0)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int passed;

			memcpy(&passed, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			close(passed);
		}
	}
	return wire_decode(buf, (size_t)n, ret) == 0;
}

static void greet(int fd, const char *service, const char *heap, uint32_t caps)
{
	struct wire_frame frame = {
		.type = WIRE_HELLO,
		.hello =
			{
				.version_min = WIRE_VERSION_MIN,
				.version_max = WIRE_VERSION_MAX,
				.caps = caps,
				.kinds = 1 << WIRE_MAJOR,
				.budget = BUDGET,
			},
	};

	name_copy(frame.hello.service, sizeof(frame.hello.service), service);
	name_copy(frame.hello.heap, sizeof(frame.hello.heap), heap);
	name_copy(frame.hello.runtime, sizeof(frame.hello.runtime), "storm");
	if (!say(fd, &frame, 0))
		die("HELLO");
}

static void expect(int fd, uint16_t type, struct wire_frame *ret)
{
	do {
		if (!hear(fd, ret)) {
			fprintf(stderr, "storm: the daemon hung up\n");
			exit(1);
		}
		if (ret->type == WIRE_ERROR)
			fprintf(stderr, "storm: %s\n", ret->error.detail);
	} while (ret->type != type);
}

static void report(struct wire_frame *frame, uint64_t used)
{
	*frame = (struct wire_frame){
		.type = WIRE_REPORT,
		.report = {.at = now(),
			   .used = used,
			   .allocated = used,
			   .budget = BUDGET},
	};
}

/* ---- what they do --------------------------------------------------------------------------- */

static int *open_many(unsigned n)
{
	struct rlimit limit;
	int *fds = calloc(n, sizeof(*fds));

	if (!fds || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("limit");
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < n + 16)
		fprintf(stderr, "storm: RLIMIT_NOFILE is too low\n");
	return fds;
}

static void crowd(unsigned n, const char *name)
{
	int *fds = open_many(n);
	nsec_t begun = now();
	struct wire_frame frame;

	for (unsigned i = 0; i < n; i++) {
		char heap[WIRE_NAME_MAX];

		snprintf(heap, sizeof(heap), "%.32s-%u", name, i);
		fds[i] = open_connection();
		greet(fds[i], "crowd", heap, WIRE_CAP_PAGE);
	}
	for (unsigned i = 0; i < n; i++)
		expect(fds[i], WIRE_WELCOME, &frame);
	printf("welcomed %u %" PRIu64 "\n", n, now() - begun);
	fflush(stdout);
	wait_for_end();
	frame = (struct wire_frame){.type = WIRE_BYE};
	for (unsigned i = 0; i < n; i++)
		say(fds[i], &frame, 0);
	free(fds);
}

static void silent(unsigned n)
{
	int *fds = open_many(n);

	for (unsigned i = 0; i < n; i++)
		fds[i] = open_connection();
	printf("opened %u\n", n);
	fflush(stdout);
	wait_for_end();
	free(fds);
}

static void flood(void)
{
	int fd = open_connection();
	struct wire_frame frame;
	uint64_t sent = 0;

	greet(fd, "flood", "flood", 0);
	expect(fd, WIRE_WELCOME, &frame);
	printf("begun\n");
	fflush(stdout);
	while (!over()) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};

		for (unsigned i = 0; i < 64; i++) {
			report(&frame, sent % BUDGET / 100);
			if (!say(fd, &frame, MSG_DONTWAIT))
				break;
			sent++;
		}
		if (errno == EPIPE)
			die("disconnected");
		poll(&p, 1, 100);
	}
	printf("sent %" PRIu64 "\n", sent);
}

static void sleep_until(nsec_t at)
{
	struct timespec t = {.tv_sec = (time_t)(at / NSEC_PER_SEC),
			     .tv_nsec = (long)(at % NSEC_PER_SEC)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void pass_over(int fd)
{
	uint8_t buf[WIRE_FRAME_MAX];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

static void murmur(unsigned n)
{
	int *fds = open_many(n);
	nsec_t begun = 0;
	struct wire_frame frame;

	for (unsigned i = 0; i < n; i++) {
		char heap[WIRE_NAME_MAX];

		snprintf(heap, sizeof(heap), "murmur-%u", i);
		fds[i] = open_connection();
		greet(fds[i], "murmur", heap, 0);
		expect(fds[i], WIRE_WELCOME, &frame);
	}
	printf("welcomed %u\n", n);
	fflush(stdout);
	begun = now();
	for (uint64_t i = 0; !over(); i++) {
		sleep_until(begun + i * NSEC_PER_SEC / n);
		report(&frame, i / n);
		if (!say(fds[i % n], &frame, MSG_DONTWAIT))
			die("report");
		pass_over(fds[i % n]);
	}
	free(fds);
}

static void knock(unsigned n)
{
	int *fds = open_many(n);
	uint64_t knocked = 0;

	for (unsigned i = 0; i < n; i++)
		fds[i] = open_connection();
	printf("begun\n");
	fflush(stdout);
	for (; !over(); knocked++) {
		struct wire_frame frame;
		int fd = open_connection();

		while (hear(fd, &frame))
			;
		close(fd);
	}
	printf("knocked %" PRIu64 "\n", knocked);
	free(fds);
}

static void ask(void)
{
	static const char request[] = "{\"method\":\"io.rtgcd.Supervisor.GetStatus\"}";
	int fd = open_socket(SOCK_STREAM);
	uint64_t answered = 0;
	char buf[65536];

	for (unsigned i = 0; i < ASKED_AHEAD; i++)
		if (send(fd, request, sizeof(request), MSG_NOSIGNAL) < 0)
			die("ask");
	printf("begun\n");
	fflush(stdout);
	while (!over()) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n <= 0)
			die("answer");
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] != '\0')
				continue;
			answered++;
			if (send(fd, request, sizeof(request), MSG_NOSIGNAL) < 0)
				die("ask");
		}
	}
	printf("answered %" PRIu64 "\n", answered);
}

static void burn(void)
{
	printf("begun\n");
	fflush(stdout);
	while (!over())
		;
	printf("burnt\n");
}

static void collect(int fd, uint64_t window)
{
	struct wire_frame frame = {
		.type = WIRE_BEGIN,
		.begin = {.window = window,
			  .at = now(),
			  .kind = WIRE_MAJOR,
			  .cause = WIRE_IN_WINDOW},
	};
	nsec_t begun = frame.begin.at;

	say(fd, &frame, 0);
	frame = (struct wire_frame){
		.type = WIRE_END,
		.end = {.window = window,
			.begin = begun,
			.end = now(),
			.freed = BUDGET,
			.kind = WIRE_MAJOR,
			.cause = WIRE_IN_WINDOW},
	};
	say(fd, &frame, 0);
}

static void probe(void)
{
	static struct {
		nsec_t at, took;
	} sample[SAMPLES_MOST];
	int fd = open_connection();
	unsigned n = 0;
	struct wire_frame frame;

	greet(fd, "probe", "probe", 0);
	expect(fd, WIRE_WELCOME, &frame);
	printf("begun\n");
	fflush(stdout);
	for (nsec_t next = now(); n < SAMPLES_MOST && !over();
	     next = nsec_max(next + EACH, now())) {
		sleep_until(next);
		report(&frame, BUDGET);
		sample[n].at = now();
		say(fd, &frame, 0);
		expect(fd, WIRE_WINDOW, &frame);
		sample[n].took = now() - sample[n].at;
		n++;
		collect(fd, frame.window.window);
	}
	for (unsigned i = 0; i < n; i++)
		printf("%" PRIu64 " %" PRIu64 "\n", sample[i].at, sample[i].took);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";
	unsigned n = argc > 3 ? (unsigned)atoi(argv[3]) : 0;

	if (argc > 1)
		path = argv[1];
	if (strcmp(what, "crowd") == 0 && argc == 5)
		crowd(n, argv[4]);
	else if (strcmp(what, "murmur") == 0 && argc == 4)
		murmur(n);
	else if (strcmp(what, "silent") == 0 && argc == 4)
		silent(n);
	else if (strcmp(what, "flood") == 0 && argc == 3)
		flood();
	else if (strcmp(what, "knock") == 0 && argc == 4)
		knock(n);
	else if (strcmp(what, "ask") == 0 && argc == 3)
		ask();
	else if (strcmp(what, "burn") == 0 && argc == 3)
		burn();
	else if (strcmp(what, "probe") == 0 && argc == 3)
		probe();
	else
		return 2;
	return 0;
}
