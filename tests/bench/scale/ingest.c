/* SPDX-License-Identifier: MIT */
/*
 * Telemetry of clients that have no page, as fast as it is taken.
 *   ingest SOCKET fill N K PID [bare]   N connections; for each line of the standard input the process PID is stopped,
 *                                       K reports are put into each socket, and a last word that is answered; then it
 *                                       goes on. "MESSAGES NS": until the last answer was here. bare: nobody greets
 *   ingest SOCKET take                  the floor: a loop that only receives, and answers the last word
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client/wire/names.h"
#include "client/wire/wire.h"
#include "tests/bench/scale/samples.h"

#define BUDGET UINT64_C(1000000000000)
#define EVENTS 64

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

static int open_socket(const char *path, bool listens)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		die("socket");
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (listens)
		r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0
			    ? -1
			    : listen(fd, SOMAXCONN);
	else
		r = connect(fd, (struct sockaddr *)&address, sizeof(address));
	if (r < 0)
		die(path);
	return fd;
}

static void watch(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll");
}

static uint16_t type_of(const uint8_t *buf)
{
	return (uint16_t)(buf[0] | buf[1] << 8);
}

/* ---- the bare loop -------------------------------------------------------------------------- */

static void take_all(int fd)
{
	uint8_t buf[WIRE_FRAME_MAX];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		if (type_of(buf) == WIRE_HEARTBEAT)
			send(fd, buf, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n == 0)
		close(fd);
}

static void take(const char *path)
{
	int listener = open_socket(path, true), epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[EVENTS];

	watch(epoll, listener);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == listener)
				watch(epoll, accept4(listener, NULL, NULL, SOCK_CLOEXEC));
			else
				take_all(events[i].data.fd);
		}
	}
}

/* ---- those that fill it --------------------------------------------------------------------- */

static void say(int fd, struct wire_frame *frame)
{
	static uint32_t serial;
	uint8_t buf[WIRE_FRAME_MAX];

	frame->serial = ++serial;
	if (send(fd, buf, wire_encode(frame, buf), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		die("send");
}

static void greet(int fd, unsigned i)
{
	struct wire_frame frame = {.type = WIRE_HELLO,
				   .hello = {.version_min = WIRE_VERSION_MIN,
					     .version_max = WIRE_VERSION_MAX,
					     .kinds = 1 << WIRE_MAJOR,
					     .budget = BUDGET,
					     .service = "ingest",
					     .runtime = "ingest"}};
	uint8_t buf[WIRE_FRAME_MAX];

	snprintf(frame.hello.heap, sizeof(frame.hello.heap), "heap-%u", i);
	say(fd, &frame);
	if (recv(fd, buf, sizeof(buf), 0) <= 0 || type_of(buf) != WIRE_WELCOME) {
		fprintf(stderr, "ingest: not welcome\n");
		exit(1);
	}
}

static void fill(int fd, unsigned k)
{
	static uint64_t allocated;
	struct wire_frame frame;

	for (unsigned i = 0; i < k; i++) {
		frame = (struct wire_frame){.type = WIRE_REPORT,
					    .report = {.at = now(),
						       .used = allocated % 1000000,
						       .allocated = allocated,
						       .live = 1,
						       .budget = BUDGET}};
		allocated++;
		say(fd, &frame);
	}
	frame = (struct wire_frame){.type = WIRE_HEARTBEAT, .heartbeat.at = now()};
	say(fd, &frame);
}

/* Until each has had its answer. */
static void hear(int epoll, unsigned n)
{
	struct epoll_event events[EVENTS];
	uint8_t buf[WIRE_FRAME_MAX];

	while (n > 0) {
		int ready = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < ready; i++) {
			ssize_t size =
				recv(events[i].data.fd, buf, sizeof(buf), MSG_DONTWAIT);

			if (size <= 0)
				die("recv");
			n -= type_of(buf) == WIRE_HEARTBEAT;
		}
	}
}

/* Returns when it stands still. */
static void stop(pid_t pid)
{
	char path[64], line[512];
	const char *state;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (kill(pid, SIGSTOP) < 0)
		die("stop");
	do {
		FILE *file = fopen(path, "re");

		if (!file || !fgets(line, sizeof(line), file))
			die(path);
		fclose(file);
		state = strrchr(line, ')');
	} while (!state || state[2] != 'T');
}

static void fill_many(const char *path, unsigned n, unsigned k, pid_t pid, bool bare)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), *fds = calloc(n, sizeof(*fds));
	char line[64];

	if (!fds || epoll < 0)
		die("memory");
	for (unsigned i = 0; i < n; i++) {
		fds[i] = open_socket(path, false);
		if (!bare)
			greet(fds[i], i);
		watch(epoll, fds[i]);
	}
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, line, sizeof(line)) > 0) {
		nsec_t begun;

		stop(pid);
		for (unsigned i = 0; i < n; i++)
			fill(fds[i], k);
		begun = now();
		if (kill(pid, SIGCONT) < 0)
			die("continue");
		hear(epoll, n);
		printf("%u %" PRIu64 "\n", n * (k + 1), now() - begun);
		fflush(stdout);
	}
	free(fds);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";

	if (strcmp(what, "take") == 0)
		take(argv[1]);
	else if (strcmp(what, "fill") == 0 && argc >= 6)
		fill_many(argv[1], (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]),
			  (pid_t)atoi(argv[5]), argc > 6);
	else
		return 2;
	return 0;
}
