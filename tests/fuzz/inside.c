/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/inside.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "daemon/loop.h"
#include "tests/fuzz/fuzz.h"

/* Accept, serve the nested sockets, answer, and what comes of that. */
#define TURNS_A_STEP 4

int __real_loop_run(struct loop *l, loop_fn turn, void *userdata);
int __wrap_loop_run(struct loop *l, loop_fn turn, void *userdata);
nsec_t __wrap_clock_now(void);
int __wrap_timerfd_create(int clock, int flags);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *spec,
			   struct itimerspec *old);

static char folder[64];
static struct {
	nsec_t now, armed;
	int timer; /* an eventfd in the place of the loop's timerfd */
	bool (*step)(void *userdata);
	void *userdata;
	struct loop *loop;
	loop_fn turn;
	void *turn_userdata;
	unsigned turns;
} inside;

/* ---- Time ------------------------------------------------------------------------------------ */

nsec_t __wrap_clock_now(void)
{
	return inside.now;
}

int __wrap_timerfd_create(int clock, int flags)
{
	inside.timer = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	inside.armed = NSEC_NEVER;
	return inside.timer;
}

static void ring(void)
{
	if (inside.armed <= inside.now)
		fuzz_check(eventfd_write(inside.timer, 1) == 0);
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *spec,
			   struct itimerspec *old)
{
	nsec_t at = (nsec_t)spec->it_value.tv_sec * NSEC_PER_SEC +
		    (nsec_t)spec->it_value.tv_nsec;
	eventfd_t rung;

	fuzz_check(fd == inside.timer && flags == TFD_TIMER_ABSTIME && !old);
	(void)eventfd_read(fd, &rung); /* as an expiration that nobody has read yet */
	inside.armed = at ? at : NSEC_NEVER;
	ring();
	return 0;
}

nsec_t inside_now(void)
{
	return inside.now;
}

void inside_pass(nsec_t span)
{
	inside.now = nsec_add(inside.now, span);
	ring();
}

/* ---- Turns ----------------------------------------------------------------------------------- */

static void on_turn(void *userdata)
{
	inside.turn(inside.turn_userdata);
	if (++inside.turns % TURNS_A_STEP == 0 && !inside.step(inside.userdata))
		loop_stop(inside.loop);
}

static void on_ready(void *userdata, unsigned events)
{
}

int __wrap_loop_run(struct loop *l, loop_fn turn, void *userdata)
{
	int ready = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK), r;
	struct loop_io *io;

	/* It is always ready, so that no turn waits. */
	fuzz_check(ready >= 0 &&
		   loop_io_new(l, ready, LOOP_READ, on_ready, NULL, &io) == 0);
	inside.loop = l;
	inside.turn = turn;
	inside.turn_userdata = userdata;
	inside.turns = 0;
	r = __real_loop_run(l, on_turn, NULL);
	loop_io_free(io);
	close(ready);
	return r;
}

/* ---- The daemon ------------------------------------------------------------------------------ */

static const char *path_of(const char *name)
{
	static char path[4][sizeof(folder) + 32];
	static unsigned n;
	char *ret = path[n++ % 4];

	snprintf(ret, sizeof(path[0]), "%s/%s", folder, name);
	return ret;
}

static void remove_folder(void)
{
	unlink(path_of("config"));
	unlink(path_of("runtime.sock"));
	unlink(path_of("control.sock"));
	unlink(path_of("http.sock"));
	rmdir(folder);
}

static void write_config(const char *config)
{
	FILE *file = fopen(path_of("config"), "we");

	fuzz_check(file);
	for (; *config; config++)
		fuzz_check(*config == '@' ? fputs(folder, file) >= 0
					  : putc(*config, file) >= 0);
	fuzz_check(fclose(file) == 0);
}

static void make_folder(const char *config)
{
	const char *tmp = getenv("TMPDIR");

	if (folder[0])
		return;
	snprintf(folder, sizeof(folder), "%s/rtgc-fuzz-XXXXXX",
		 tmp && strlen(tmp) < 32 ? tmp : "/tmp");
	fuzz_check(mkdtemp(folder));
	atexit(remove_folder);
	write_config(config);
}

static int connect_to(const char *name, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, path_of(name));
	fuzz_check(fd >= 0);
	fuzz_check(connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

int inside_connect_runtime(void)
{
	return connect_to("runtime.sock", SOCK_SEQPACKET);
}

int inside_connect_control(void)
{
	return connect_to("control.sock", SOCK_STREAM);
}

int inside_connect_http(void)
{
	return connect_to("http.sock", SOCK_STREAM);
}

static void say(int fd, const struct wire_frame *frame)
{
	uint8_t buf[WIRE_FRAME_MAX];

	fuzz_check(send(fd, buf, wire_encode(frame, buf), MSG_NOSIGNAL) > 0);
}

int inside_join(unsigned i)
{
	int fd = inside_connect_runtime();
	struct wire_frame hello = {.type = WIRE_HELLO, .serial = 1};
	struct wire_frame report = {.type = WIRE_REPORT, .serial = 2};

	hello.hello.version_min = WIRE_VERSION_MIN;
	hello.hello.version_max = WIRE_VERSION_MAX;
	hello.hello.caps = WIRE_CAP_ANSWERS;
	hello.hello.kinds = 1 << WIRE_MAJOR;
	hello.hello.budget = 1000;
	hello.hello.service[0] = i == 2 ? 'b' : 'a';
	memcpy(hello.hello.heap, i ? "h1" : "h0", 3);
	report.report.at = inside_now();
	report.report.used = i ? 10 : 1000; /* the first one is due at once */
	report.report.allocated = report.report.used;
	report.report.live = 5000;
	say(fd, &hello);
	say(fd, &report);
	return fd;
}

static int lowest_free(void)
{
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	fuzz_check(fd >= 0);
	close(fd);
	return fd;
}

void inside_run(const char *config, bool (*step)(void *userdata), void *userdata)
{
	struct daemon_options options = {0};
	struct daemon *daemon;
	int before;

	make_folder(config);
	inside.now = 1000 * NSEC_PER_SEC;
	inside.step = step;
	inside.userdata = userdata;
	options.config = path_of("config");
	options.socket = path_of("runtime.sock");
	options.control = path_of("control.sock");
	before = lowest_free();
	fuzz_check(daemon_new(&options, &daemon) == 0);
	fuzz_check(daemon_run(daemon) == 0);
	daemon_free(daemon);
	fuzz_check(lowest_free() == before);
}
