/* SPDX-License-Identifier: MIT */
/*
 * grant rtgcd SOCKET N    what it takes to be given leave, N times: "ASK WHOLE" for each, in ns. ASK until
 * grant redis SOCKET N    it is had, WHOLE until it is given back and that is known as well.
 * grant dbus SOCKET N
 * grant flock FILE N [HOLD_NS]
 * grant raw SOCKET N      the floor: a message as long as a report there, one as long as a window back
 * grant echo SOCKET       the other end of that; says "ready"
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#include "client/wire/nsec.h"
#include "client/wire/wire.h"

#define BUDGET	  1000000
#define WARM_UP	  200
#define NAME	  "io.rtgcd.Bench"
#define DBUS	  "org.freedesktop.DBus"
#define BYTES_MAX 4096

struct turn {
	nsec_t ask, whole;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void fail(const char *what, int error)
{
	errno = -error;
	die(what);
}

static nsec_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (nsec_t)t.tv_sec * NSEC_PER_SEC + (nsec_t)t.tv_nsec;
}

static int open_socket(const char *path, int type, bool listens)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		die("socket");
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (listens)
		r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0
			    ? -1
			    : listen(fd, 1);
	else
		r = connect(fd, (struct sockaddr *)&address, sizeof(address));
	if (r < 0)
		die(path);
	return fd;
}

/* ---- rtgcd ---------------------------------------------------------------------------------- */

static void say(int fd, struct wire_frame *frame)
{
	static uint32_t serial;
	uint8_t buf[WIRE_FRAME_MAX];

	frame->serial = ++serial;
	if (send(fd, buf, wire_encode(frame, buf), MSG_NOSIGNAL) < 0)
		die("send");
}

/* Descriptors that come along are not taken. */
static void expect(int fd, uint16_t type, struct wire_frame *ret)
{
	uint8_t buf[WIRE_FRAME_MAX];

	do {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n <= 0 || wire_decode(buf, (size_t)n, ret) != 0 ||
		    ret->type == WIRE_ERROR) {
			fprintf(stderr, "grant: the daemon does not answer\n");
			exit(1);
		}
	} while (ret->type != type);
}

static void make_report(struct wire_frame *frame)
{
	*frame = (struct wire_frame){.type = WIRE_REPORT,
				     .report = {.at = now(),
						.used = BUDGET,
						.allocated = 1,
						.live = 1,
						.budget = BUDGET}};
}

static int greet(const char *path)
{
	int fd = open_socket(path, SOCK_SEQPACKET, false);
	struct wire_frame frame = {.type = WIRE_HELLO,
				   .hello = {.version_min = WIRE_VERSION_MIN,
					     .version_max = WIRE_VERSION_MAX,
					     .caps = WIRE_CAP_PAGE,
					     .kinds = 1 << WIRE_MAJOR,
					     .budget = BUDGET,
					     .service = "grant",
					     .heap = "grant",
					     .runtime = "grant"}};

	say(fd, &frame);
	expect(fd, WIRE_WELCOME, &frame);
	return fd;
}

static void give_back(int fd, uint64_t window)
{
	nsec_t begin = now();
	struct wire_frame frame = {.type = WIRE_BEGIN,
				   .begin = {.window = window,
					     .at = begin,
					     .kind = WIRE_MAJOR,
					     .cause = WIRE_IN_WINDOW}};

	say(fd, &frame);
	frame = (struct wire_frame){.type = WIRE_END,
				    .end = {.window = window,
					    .begin = begin,
					    .end = now(),
					    .freed = BUDGET,
					    .kind = WIRE_MAJOR,
					    .cause = WIRE_IN_WINDOW}};
	say(fd, &frame);
	frame = (struct wire_frame){.type = WIRE_HEARTBEAT, .heartbeat.at = begin};
	say(fd, &frame);
	expect(fd, WIRE_HEARTBEAT, &frame);
}

static void take_rtgcd(int fd, struct turn *ret)
{
	struct wire_frame frame;
	nsec_t begun;

	make_report(&frame);
	begun = now();
	say(fd, &frame);
	expect(fd, WIRE_WINDOW, &frame);
	ret->ask = now() - begun;
	give_back(fd, frame.window.window);
	ret->whole = now() - begun;
}

/* ---- the floor ------------------------------------------------------------------------------ */

static size_t size_of(uint16_t type)
{
	struct wire_frame frame = {.type = type};
	uint8_t buf[WIRE_FRAME_MAX];

	if (type == WIRE_WINDOW)
		frame.window.window = 1;
	return wire_encode(&frame, buf);
}

static void echo(const char *path)
{
	int listener = open_socket(path, SOCK_SEQPACKET, true);
	size_t size = size_of(WIRE_WINDOW);
	uint8_t buf[WIRE_FRAME_MAX] = {0};

	puts("ready");
	fflush(stdout);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			die("accept");
		while (recv(fd, buf, sizeof(buf), 0) > 0)
			if (send(fd, buf, size, MSG_NOSIGNAL) < 0)
				break;
		close(fd);
	}
}

static void take_raw(int fd, struct turn *ret)
{
	uint8_t buf[WIRE_FRAME_MAX] = {0};
	size_t size = size_of(WIRE_REPORT);
	nsec_t begun = now();

	if (send(fd, buf, size, MSG_NOSIGNAL) < 0 || recv(fd, buf, sizeof(buf), 0) <= 0)
		die("raw");
	ret->ask = ret->whole = now() - begun;
}

/* ---- Redis ---------------------------------------------------------------------------------- */

static void ask_redis(int fd, const char *command, const char *answer)
{
	char buf[BYTES_MAX];
	ssize_t n;

	if (send(fd, command, strlen(command), MSG_NOSIGNAL) < 0)
		die("redis");
	n = recv(fd, buf, sizeof(buf), 0);
	if (n != (ssize_t)strlen(answer) || memcmp(buf, answer, (size_t)n) != 0) {
		fprintf(stderr, "grant: redis says otherwise\n");
		exit(1);
	}
}

static void take_redis(int fd, struct turn *ret)
{
	nsec_t begun = now();

	ask_redis(fd,
		  "*6\r\n$3\r\nSET\r\n$4\r\nslot\r\n$1\r\n1\r\n$2\r\nNX\r\n$2\r\nPX\r\n"
		  "$5\r\n30000\r\n",
		  "+OK\r\n");
	ret->ask = now() - begun;
	ask_redis(fd, "*2\r\n$3\r\nDEL\r\n$4\r\nslot\r\n", ":1\r\n");
	ret->whole = now() - begun;
}

/* ---- D-Bus: a name is a lock ---------------------------------------------------------------- */

static sd_bus *open_bus(const char *path)
{
	char address[BYTES_MAX];
	sd_bus *bus = NULL;
	int r;

	snprintf(address, sizeof(address), "unix:path=%s", path);
	r = sd_bus_new(&bus);
	if (r >= 0)
		r = sd_bus_set_address(bus, address);
	if (r >= 0)
		r = sd_bus_set_bus_client(bus, 1);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r < 0)
		fail(path, r);
	return bus;
}

static void call_bus(sd_bus *bus, bool take)
{
	sd_bus_message *reply = NULL;
	uint32_t said = 0;
	int r;

	if (take)
		r = sd_bus_call_method(bus, DBUS, "/org/freedesktop/DBus", DBUS,
				       "RequestName", NULL, &reply, "su", NAME, 4u);
	else
		r = sd_bus_call_method(bus, DBUS, "/org/freedesktop/DBus", DBUS,
				       "ReleaseName", NULL, &reply, "s", NAME);
	if (r >= 0)
		r = sd_bus_message_read(reply, "u", &said);
	if (r < 0)
		fail("dbus", r);
	if (said != 1) {
		fprintf(stderr, "grant: the bus says otherwise\n");
		exit(1);
	}
	sd_bus_message_unref(reply);
	while (sd_bus_process(bus, NULL) > 0) /* the signals of it */
		;
}

static void take_dbus(sd_bus *bus, struct turn *ret)
{
	nsec_t begun = now();

	call_bus(bus, true);
	ret->ask = now() - begun;
	call_bus(bus, false);
	ret->whole = now() - begun;
}

/* ---- flock ---------------------------------------------------------------------------------- */

static void take_flock(int fd, nsec_t hold, struct turn *ret)
{
	nsec_t begun = now(), had;

	if (flock(fd, LOCK_EX) < 0)
		die("flock");
	had = now();
	while (now() - had < hold)
		;
	if (flock(fd, LOCK_UN) < 0)
		die("flock");
	ret->ask = had - begun;
	ret->whole = now() - begun;
}

/* --------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *path = argc > 2 ? argv[2] : "";
	unsigned n = argc > 3 ? (unsigned)atoi(argv[3]) : 0;
	nsec_t hold = argc > 4 ? (nsec_t)atoi(argv[4]) : 0;
	struct turn *turns = calloc(n + WARM_UP, sizeof(*turns));
	sd_bus *bus = NULL;
	int fd = -1;

	if (!turns)
		die("memory");
	if (strcmp(what, "echo") == 0)
		echo(path);
	if (strcmp(what, "rtgcd") == 0)
		fd = greet(path);
	else if (strcmp(what, "raw") == 0)
		fd = open_socket(path, SOCK_SEQPACKET, false);
	else if (strcmp(what, "redis") == 0)
		fd = open_socket(path, SOCK_STREAM, false);
	else if (strcmp(what, "dbus") == 0)
		bus = open_bus(path);
	else if (strcmp(what, "flock") == 0)
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	else
		return 2;
	for (unsigned i = 0; i < n + WARM_UP; i++) {
		if (strcmp(what, "rtgcd") == 0)
			take_rtgcd(fd, &turns[i]);
		else if (strcmp(what, "raw") == 0)
			take_raw(fd, &turns[i]);
		else if (strcmp(what, "redis") == 0)
			take_redis(fd, &turns[i]);
		else if (bus)
			take_dbus(bus, &turns[i]);
		else
			take_flock(fd, hold, &turns[i]);
	}
	for (unsigned i = WARM_UP; i < n + WARM_UP; i++)
		printf("%" PRIu64 " %" PRIu64 "\n", turns[i].ask, turns[i].whole);
	sd_bus_flush_close_unref(bus);
	free(turns);
	return 0;
}
