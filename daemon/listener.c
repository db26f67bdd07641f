/* SPDX-License-Identifier: MIT */
#include "daemon/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/core/quota.h"
#include "daemon/log.h"

#define ACCEPTS_A_TURN 2 /* a client takes a tenth of a millisecond, and heaps wait */
#define REST	       (100 * NSEC_PER_MSEC)
/* After so many of a crowd others have the CPU, which the daemon would keep for a slice of the scheduler's. */
#define CROWD  8
#define BREATH (500 * NSEC_PER_USEC)

struct listener {
	struct loop *loop;
	int fd, reserve;
	const char *name;
	struct loop_io *io;
	struct loop_timer rested;
	struct quota *quota;
	struct log_again exhausted;
	unsigned in_a_row; /* without a turn in which nobody wanted in */
	listener_fn fn;
	void *userdata;
};

static int open_reserve(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void rest(struct listener *l, nsec_t span)
{
	l->in_a_row = 0;
	loop_io_want(l->io, 0);
	loop_timer_set(&l->rested, nsec_add(loop_now(l->loop), span));
}

/* Whoever waits is told by a hang-up that there is no room, rather than left waiting. */
static void out_of_descriptors(struct listener *l, int error)
{
	nsec_t now = loop_now(l->loop);

	quota_count(l->quota, QUOTA_E_DESCRIPTORS);
	log_seldom(now, &l->exhausted, "no-descriptors", "%s: accept: %s", l->name,
		   strerror(error));
	if (l->reserve >= 0) {
		int fd;

		close(l->reserve);
		fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			close(fd);
		l->reserve = open_reserve();
	}
	rest(l, REST);
}

static void take(void *userdata, unsigned events)
{
	struct listener *l = userdata;

	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			l->in_a_row++;
			l->fn(l->userdata, fd);
			continue;
		}
		if (errno == EAGAIN)
			l->in_a_row = 0;
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
		    errno == ENOBUFS)
			out_of_descriptors(l, errno);
		else if (errno == EINTR || errno == ECONNABORTED)
			continue;
		return;
	}
	if (l->in_a_row >= CROWD)
		rest(l, BREATH);
}

static void rearm(void *userdata, nsec_t now)
{
	struct listener *l = userdata;

	if (l->reserve < 0)
		l->reserve = open_reserve();
	if (loop_io_want(l->io, LOOP_READ) < 0)
		loop_timer_set(&l->rested, nsec_add(now, REST));
}

int listener_new(struct loop *loop, struct quota *quota, int fd, const char *name,
		 listener_fn fn, void *userdata, struct listener **ret)
{
	struct listener *l = calloc(1, sizeof *l);
	int r;

	if (!l) {
		close(fd);
		return -ENOMEM;
	}
	l->loop = loop;
	l->quota = quota;
	l->fd = fd;
	l->name = name;
	l->fn = fn;
	l->userdata = userdata;
	l->reserve = open_reserve();
	r = loop_timer_init(loop, &l->rested, rearm, l);
	if (r == 0)
		r = loop_io_new(loop, fd, LOOP_READ, take, l, &l->io);
	if (r < 0) {
		listener_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

struct listener *listener_free(struct listener *l)
{
	if (!l)
		return NULL;
	loop_io_free(l->io);
	loop_timer_deinit(&l->rested);
	if (l->reserve >= 0)
		close(l->reserve);
	close(l->fd);
	free(l);
	return NULL;
}
