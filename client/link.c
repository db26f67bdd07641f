/* SPDX-License-Identifier: MIT */
#include "client/link.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

void link_init(struct link *l, int epoll)
{
	*l = (struct link){.fd = -1, .epoll = epoll};
}

static void break_link(struct link *l)
{
	l->broken = true;
	l->queued = 0;
	shutdown(l->fd, SHUT_RDWR);
}

static void watch_output(struct link *l, bool on)
{
	struct epoll_event event = {.events = EPOLLIN | (on ? EPOLLOUT : 0),
				    .data.fd = l->fd};

	if (l->watching_output == on)
		return;
	l->watching_output = on;
	if (epoll_ctl(l->epoll, EPOLL_CTL_MOD, l->fd, &event) < 0)
		break_link(l);
}

/* false: no room in the socket. A socket that failed for good is broken, and true. */
static bool transmit(struct link *l, const struct wire_frame *frame)
{
	uint8_t buf[WIRE_FRAME_MAX];
	size_t size = wire_encode(frame, buf);
	ssize_t n;

	do {
		n = send(l->fd, buf, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return true;
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
		return false;
	break_link(l);
	return true;
}

int link_open(struct link *l, int fd, const struct wire_hello *hello)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	struct wire_frame frame = {.type = WIRE_HELLO, .serial = 1, .hello = *hello};
	int epoll = l->epoll;

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	*l = (struct link){.fd = fd, .epoll = epoll, .serial = 1, .held = true};
	/* A fresh socket has room for one frame; if it has not, nothing works. */
	if (!transmit(l, &frame))
		break_link(l);
	return 0;
}

void link_close(struct link *l)
{
	if (l->fd >= 0)
		close(l->fd);
	link_init(l, l->epoll);
}

static void unqueue(struct link *l, unsigned i)
{
	l->queued--;
	memmove(&l->queue[i], &l->queue[i + 1], (l->queued - i) * sizeof(l->queue[0]));
}

/* Frames that say how things are now: an older one of the same class is worth nothing. */
static int freshness_class(uint16_t type)
{
	switch (type) {
	case WIRE_REPORT:
		return 1;
	case WIRE_IDLE:
	case WIRE_BUSY:
		return 2;
	case WIRE_DEADLINE:
		return 3;
	case WIRE_HEARTBEAT:
		return 4;
	default:
		return 0;
	}
}

static void enqueue(struct link *l, const struct wire_frame *frame)
{
	int class = freshness_class(frame->type);

	for (unsigned i = 0; class && i < l->queued; i++) {
		if (freshness_class(l->queue[i].type) == class) {
			unqueue(l, i);
			break;
		}
	}
	for (unsigned i = 0; l->queued == LINK_QUEUE && i < l->queued; i++) {
		if (freshness_class(l->queue[i].type))
			unqueue(l, i);
	}
	if (l->queued == LINK_QUEUE && class)
		return;
	if (l->queued == LINK_QUEUE) {
		break_link(l);
		return;
	}
	l->queue[l->queued++] = *frame;
}

void link_send(struct link *l, struct wire_frame *frame)
{
	if (l->fd < 0 || l->broken)
		return;
	frame->serial = ++l->serial;
	if (!l->held && l->queued == 0 && transmit(l, frame))
		return;
	enqueue(l, frame);
	if (!l->held && !l->broken)
		watch_output(l, true);
}

void link_flush(struct link *l)
{
	while (!l->broken && l->queued && transmit(l, &l->queue[0]))
		if (!l->broken)
			unqueue(l, 0);
	if (!l->broken)
		watch_output(l, l->queued > 0);
}

void link_release(struct link *l)
{
	l->held = false;
	link_flush(l);
}

static void take_fds(struct msghdr *message, int fds[LINK_FDS])
{
	unsigned n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t size = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i + sizeof(int) <= size; i += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i, sizeof(fd));
			if (n < LINK_FDS)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
}

int link_receive(struct link *l, struct wire_frame *ret, int fds[LINK_FDS])
{
	uint8_t buf[WIRE_FRAME_MAX];
	union {
		char bytes[CMSG_SPACE(LINK_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	ssize_t n;

	for (unsigned i = 0; i < LINK_FDS; i++)
		fds[i] = -1;
	do {
		n = recvmsg(l->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? LINK_E_EMPTY : -errno;
	take_fds(&message, fds);
	/* An empty message is legal and no end of file, but no frame either. */
	if (n == 0)
		return LINK_E_CLOSED;
	if ((message.msg_flags & MSG_TRUNC) || wire_decode(buf, (size_t)n, ret) != 0)
		return LINK_E_BAD;
	return 0;
}
