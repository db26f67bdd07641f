/* SPDX-License-Identifier: MIT */
/*
 * The whole daemon under sequences of frames: connections come, say what the bytes make them say,
 * valid or not, write into their shared page, and go. Whatever they do, each is told what the protocol
 * allows, and when all are gone nothing of them is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/wire/page.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/inside.h"

#define CONNECTIONS 8
#define STEPS	    200
#define LAST_STEPS  4
#define LONG_SPAN   (400 * 24 * 3600 * NSEC_PER_SEC)

static const char config[] = "[Daemon]\nMaxConcurrent=2\nMemoryBudget=64M\n"
			     "[Service:a]\nDrain=client\nLead=50ms\nMaxConcurrent=2\n"
			     "[Service:b]\nPolicy=together\nMaxDefer=2s\n"
			     "[Service:c]\nPolicy=idle\nNeverWith=a\nBudget=1M\n"
			     "[Service:d]\nPolicy=observe\nMinYield=0%\n";
static const char *const services[] = {"a", "b", "c", "d"};

struct connection {
	int fd; /* -1: none */
	bool hello, welcomed, refused, shut;
	uint64_t window; /* the last it was told of */
	struct heap_page *page;
};

struct run {
	struct fuzz_bytes in;
	struct connection connection[CONNECTIONS];
	unsigned steps, last;
	int control; /* at the end: is anything left? */
};

/* ---- What it is told ------------------------------------------------------------------------- */

static void take_pages(struct connection *c, const struct msghdr *m)
{
	const struct cmsghdr *header = CMSG_FIRSTHDR(m);
	int fds[2];
	void *page;

	if (!header)
		return;
	fuzz_check(header->cmsg_type == SCM_RIGHTS &&
		   header->cmsg_len == CMSG_LEN(sizeof(fds)));
	memcpy(fds, CMSG_DATA(header), sizeof(fds));
	/* Neither can be made shorter under the daemon's feet, nor the first one written. */
	fuzz_check(ftruncate(fds[0], 0) < 0 && ftruncate(fds[1], 0) < 0);
	fuzz_check(mmap(NULL, PAGE_SIZE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0],
			0) == MAP_FAILED);
	page = mmap(NULL, PAGE_SIZE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0);
	fuzz_check(page != MAP_FAILED);
	c->page = page;
	close(fds[0]);
	close(fds[1]);
}

static void told(struct connection *c, const struct wire_frame *f)
{
	fuzz_check(!c->refused);
	fuzz_check(c->welcomed || f->type == WIRE_WELCOME || f->type == WIRE_ERROR);
	switch (f->type) {
	case WIRE_WELCOME:
		fuzz_check(!c->welcomed && c->hello && f->welcome.heap &&
			   f->welcome.epoch);
		c->welcomed = true;
		break;
	case WIRE_ERROR:
		/* It is the last word, but for a window that was not its own. */
		c->refused = f->error.code != WIRE_ERROR_WINDOW;
		break;
	case WIRE_ANNOUNCE:
		fuzz_check(f->announce.window && f->announce.kind < WIRE_KINDS);
		c->window = f->announce.window;
		break;
	case WIRE_WINDOW:
		fuzz_check(f->window.window && f->window.closes > f->window.opens);
		fuzz_check(f->window.closes > inside_now());
		c->window = f->window.window;
		break;
	case WIRE_DIRECTIVE:
	case WIRE_REVOKE:
	case WIRE_HEARTBEAT:
	case WIRE_ASK:
		break;
	default:
		fuzz_fail(__FILE__, __LINE__, "told %s", wire_type_name(f->type));
	}
}

static void drop(struct connection *c)
{
	if (c->page)
		munmap(c->page, PAGE_SIZE_BYTES);
	if (c->fd >= 0)
		close(c->fd);
	*c = (struct connection){.fd = -1};
}

/* One frame. false: there is none. */
static bool hear(struct connection *c)
{
	uint8_t buf[WIRE_FRAME_MAX + 1];
	char control[CMSG_SPACE(4 * sizeof(int))];
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct wire_frame frame;

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		drop(c);
		return false;
	}
	take_pages(c, &m);
	fuzz_check(wire_decode(buf, (size_t)n, &frame) == 0);
	told(c, &frame);
	return true;
}

/* ---- What it does ---------------------------------------------------------------------------- */

static void say(struct connection *c, const uint8_t *bytes, size_t n)
{
	/* (The daemon may have hung up, or the socket may be full.) */
	(void)!send(c->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void say_frame(struct run *run, struct connection *c)
{
	uint8_t buf[WIRE_FRAME_MAX];
	struct wire_frame frame;

	fuzz_frame(&run->in, inside_now(), c->window, services, 4, &frame);
	c->hello |= frame.type == WIRE_HELLO;
	say(c, buf, wire_encode(&frame, buf));
}

/* What a client says first, so that most of what follows is heard. */
static void say_hello(struct run *run, struct connection *c)
{
	uint8_t buf[WIRE_FRAME_MAX];
	struct wire_frame frame = {.type = WIRE_HELLO, .serial = 1};

	frame.hello = (struct wire_hello){
		.version_min = WIRE_VERSION_MIN,
		.version_max = WIRE_VERSION_MAX,
		.caps = fuzz_byte(&run->in) % (WIRE_CAPS_KNOWN + 1),
		.unit = (uint8_t)fuzz_below(&run->in, WIRE_UNITS),
		.kinds = (uint8_t)(1 << WIRE_MAJOR | fuzz_below(&run->in, 16)),
		.budget = 1000 * fuzz_byte(&run->in),
	};
	frame.hello.service[0] = services[fuzz_below(&run->in, 4)][0];
	frame.hello.heap[0] = 'h';
	c->hello = true;
	say(c, buf, wire_encode(&frame, buf));
}

static void say_bytes(struct run *run, struct connection *c)
{
	uint8_t buf[WIRE_FRAME_MAX + 8];
	size_t n =
		fuzz_take(&run->in, buf, fuzz_byte(&run->in) + fuzz_below(&run->in, 8));

	c->hello |= n > 0 && buf[0] == WIRE_HELLO;
	say(c, buf, n);
}

static void scribble(struct run *run, struct connection *c)
{
	uint8_t *page = (uint8_t *)c->page;
	size_t at = fuzz_below(&run->in, 4 * PAGE_LINE);

	if (page)
		fuzz_take(&run->in, page + at, fuzz_below(&run->in, PAGE_LINE));
}

/* As libruntime does it. */
static void publish(struct run *run, struct connection *c)
{
	struct wire_report report = {
		.at = inside_now(),
		.used = fuzz_number(&run->in),
		.allocated = fuzz_number(&run->in),
		.live = fuzz_number(&run->in),
		.rss_bytes = 1,
	};

	if (!c->page)
		return;
	page_telemetry_write(&c->page->telemetry, &report);
	atomic_store(&c->page->app.mark, fuzz_below(&run->in, 4));
	atomic_store(&c->page->app.idle_until, fuzz_instant(&run->in, inside_now()));
	atomic_store(&c->page->app.deadline, fuzz_instant(&run->in, inside_now()));
}

static void act(struct run *run)
{
	unsigned what = fuzz_below(&run->in, 16);
	struct connection *c = &run->connection[fuzz_below(&run->in, CONNECTIONS)];

	if (what < 2) {
		inside_pass(nsec_min(fuzz_span(&run->in), 60 * NSEC_PER_SEC));
	} else if (c->fd < 0) {
		c->fd = inside_connect_runtime();
		if (what > 2)
			say_hello(run, c);
	} else if (what == 2) {
		drop(c);
	} else if (what == 3) {
		shutdown(c->fd, SHUT_WR);
	} else if (what == 4) {
		say_bytes(run, c);
	} else if (what == 5) {
		scribble(run, c);
	} else if (what < 8) {
		publish(run, c);
	} else {
		say_frame(run, c);
	}
}

/* ---- The end --------------------------------------------------------------------------------- */

static bool says(const char *reply, const char *key)
{
	return strstr(reply, key) != NULL;
}

static bool check_empty(struct run *run)
{
	static const char call[] = "{\"method\":\"io.rtgcd.Supervisor.GetStatus\"}";
	char reply[16384];
	ssize_t n;

	if (run->control < 0) {
		run->control = inside_connect_control();
		fuzz_check(send(run->control, call, sizeof(call), MSG_NOSIGNAL) ==
			   sizeof(call));
		return true;
	}
	n = recv(run->control, reply, sizeof(reply), MSG_DONTWAIT);
	close(run->control);
	fuzz_check(n > 0 && reply[n - 1] == '\0');
	fuzz_check(says(reply, "\"heaps\":0,") && says(reply, "\"services\":0,"));
	fuzz_check(says(reply, "\"windows_open\":0,") &&
		   says(reply, "\"paused_now\":0,"));
	fuzz_check(says(reply, "\"connections\":0,") && says(reply, "\"ungreeted\":0,") &&
		   says(reply, "\"callers\":1,"));
	return false;
}

static bool step(void *userdata)
{
	struct run *run = userdata;

	for (unsigned i = 0; i < CONNECTIONS; i++)
		while (run->connection[i].fd >= 0 && hear(&run->connection[i]))
			;
	if (run->in.left > 0 && run->steps++ < STEPS) {
		act(run);
		return true;
	}
	if (run->last++ >= LAST_STEPS)
		return check_empty(run);
	for (unsigned i = 0; i < CONNECTIONS; i++)
		drop(&run->connection[i]);
	inside_pass(LONG_SPAN); /* so long nobody is waited for */
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run run = {.in = {data, size}, .control = -1};

	for (unsigned i = 0; i < CONNECTIONS; i++)
		run.connection[i].fd = -1;
	inside_run(config, step, &run);
	return 0;
}
