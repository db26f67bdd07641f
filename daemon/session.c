/* SPDX-License-Identifier: MIT */
#include "daemon/session.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/hot.h"
#include "daemon/log.h"
#include "daemon/refused.h"
#include "daemon/session_private.h"
#include "daemon/session_queue.h"

#define LAST_WORDS 65536 /* bytes that a full socket is given more room for */

/* ---- the end of a connection ------------------------------------------------------------ */

static void release(struct session *s, enum quota_what what)
{
	quota_release(s->all->quota, &s->charge[what]);
}

static void drop_queue(struct session *s)
{
	s->queue = session_queue_free(s->queue);
	release(s, QUOTA_BYTES);
}

static void unwatch(struct session *s, int fd)
{
	if (fd >= 0)
		epoll_ctl(s->all->epoll, EPOLL_CTL_DEL, fd, NULL);
}

static void close_socket(struct session *s)
{
	char rest[WIRE_FRAME_MAX];

	if (s->fd < 0)
		return;
	unwatch(s, s->fd);
	/* What is left unread would reach the peer as a reset before our last frame does. */
	shutdown(s->fd, SHUT_RDWR);
	for (int i = 0; i < SESSION_RECEIVES_AT_DEATH; i++)
		if (recv(s->fd, rest, sizeof rest, MSG_DONTWAIT) <= 0)
			break;
	close(s->fd);
	s->fd = -1;
	drop_queue(s);
	release(s, QUOTA_UNGREETED);
	release(s, QUOTA_CONNECTIONS);
}

static void set_state(struct session *s, enum session_state state, struct list *list)
{
	s->state = state;
	list_unlink(&s->link);
	list_append(list, &s->link);
}

static void close_page_fd(struct session *s)
{
	if (s->page_fd >= 0)
		close(s->page_fd);
	s->page_fd = -1;
}

static void give_pages(struct session *s)
{
	close_page_fd(s);
	pages_give(s->all->pages, &s->place);
	heap_page_free(s->all->pages, &s->view);
}

void session_leave(struct session *s)
{
	enum session_state before = s->state;

	if (before == SESSION_GONE)
		return;
	close_socket(s);
	unwatch(s, s->peer.pidfd);
	peer_deinit(&s->peer);
	release(s, QUOTA_HEAPS);
	loop_timer_set(&s->timer, NSEC_NEVER);
	set_state(s, SESSION_GONE, &s->all->gone);
	if (before == SESSION_NEW)
		return;
	s->left = true;
	hot_todo(s->all->hot, s);
	table_remove(&s->all->by_heap, &s->by_heap);
	give_pages(s);
}

void session_lost(struct session *s)
{
	nsec_t now = loop_now(s->all->loop);

	if (s->state == SESSION_NEW ||
	    (s->state == SESSION_OPEN && peer_dead(&s->peer))) {
		session_leave(s);
		return;
	}
	if (s->state != SESSION_OPEN)
		return;
	close_socket(s);
	set_state(s, SESSION_LOST, &s->all->lost);
	/* The line is not given to another heap while this process may still look at it. */
	if (s->place.page)
		page_slot_close(page_slot(&s->place));
	loop_timer_set(&s->timer, nsec_add(nsec_max(now, s->closes), SESSION_FORGET));
	s->lost = true;
	hot_todo(s->all->hot, s);
}

static void on_timer(void *userdata, nsec_t now)
{
	struct session *s = userdata;

	if (s->state == SESSION_OPEN) {
		session_resume(s);
		return;
	}
	if (s->state == SESSION_NEW) {
		quota_count(s->all->quota, QUOTA_E_LATE);
		session_refuse(s, QUOTA_E_LATE);
	} else {
		session_leave(s);
	}
	hot_settle(s->all->hot);
}

/* ---- what is waited for -------------------------------------------------------------------- */

static uint64_t watched(struct session *s, enum session_watched which)
{
	return (uintptr_t)s | which;
}

int session_watch_new(struct session *s, int fd, uint32_t events,
		      enum session_watched which)
{
	struct epoll_event e = {.events = events, .data.u64 = watched(s, which)};

	return epoll_ctl(s->all->epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

void session_watch(struct session *s)
{
	bool reads = s->flood != SESSION_RESTS;
	struct epoll_event e = {
		.events = (reads ? EPOLLIN | EPOLLRDHUP : 0) | (s->queue ? EPOLLOUT : 0),
		.data.u64 = watched(s, SESSION_SOCKET),
	};

	if (epoll_ctl(s->all->epoll, EPOLL_CTL_MOD, s->fd, &e) < 0)
		session_lost(s);
}

void session_on_event(uint64_t watched, uint32_t events)
{
	/* (Sessions are aligned: the lowest bit is not theirs.) */
	struct session *s =
		(struct session *)(uintptr_t)(watched & ~(uint64_t)SESSION_PROCESS);

	/* An earlier event of this turn may have ended it. */
	if (s->state == SESSION_GONE)
		return;
	if (!(watched & SESSION_PROCESS)) {
		session_on_socket(s, events);
		return;
	}
	/* Its last words may still lie in the socket. */
	session_receive_rest(s);
	session_leave(s);
}

void session_flush(struct session *s)
{
	int r = session_queue_flush(s->queue, s->fd);

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		session_lost(s);
		return;
	}
	drop_queue(s);
	session_watch(s);
}

/* Its last words: a socket that is full has room for them. */
static void send_last(struct session *s, struct wire_frame *frame)
{
	uint8_t buf[WIRE_FRAME_MAX];
	socklen_t size = sizeof(int);
	size_t n;
	int room;

	frame->serial = ++s->serial;
	n = wire_encode(frame, buf);
	if (send(s->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno != EAGAIN ||
	    getsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &room, &size) < 0)
		return;
	room += LAST_WORDS;
	setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	send(s->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void session_refuse(struct session *s, enum quota_refusal refusal)
{
	struct wire_frame frame = {.type = WIRE_ERROR,
				   .error = {.code = WIRE_ERROR_REFUSED}};

	if (s->fd < 0)
		return;
	snprintf(frame.error.detail, sizeof(frame.error.detail), "%s",
		 quota_refusal_sentence(refusal));
	refused(loop_now(s->all->loop), refusal, "client", &s->peer);
	send_last(s, &frame);
	session_lost(s);
}

/* 0, -errno, or a positive enum quota_refusal. */
static int make_queue(struct session *s)
{
	return quota_charge(s->all->quota, QUOTA_BYTES, s->peer.uid, SESSION_QUEUE_BYTES,
			    &s->charge[QUOTA_BYTES]);
}

static void queue(struct session *s, uint16_t type, const uint8_t *buf, size_t size)
{
	bool first = !s->queue;
	int r = first ? make_queue(s) : 0;

	if (r == 0)
		r = session_queue_add(&s->queue, type, buf, size);
	if (r == -ENOBUFS) {
		quota_count(s->all->quota, QUOTA_E_SLOW);
		r = QUOTA_E_SLOW;
	}
	if (r > 0)
		session_refuse(s, (enum quota_refusal)r);
	else if (r < 0)
		session_lost(s);
	else if (first)
		session_watch(s);
}

/* Then its last words may still lie in the socket, and are read before it is lost. */
static bool hung_up(const struct session *s)
{
	struct pollfd p = {.fd = s->fd};

	return poll(&p, 1, 0) == 1 && p.revents & POLLHUP;
}

void session_send(struct session *s, struct wire_frame *frame)
{
	uint8_t buf[WIRE_FRAME_MAX];
	size_t size;

	if (s->fd < 0)
		return;
	frame->serial = ++s->serial;
	size = wire_encode(frame, buf);
	if (!s->queue) {
		if (send(s->fd, buf, size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return;
		if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR) {
			if (!hung_up(s))
				session_lost(s);
			return;
		}
	}
	queue(s, frame->type, buf, size);
}

void session_error(struct session *s, uint16_t code, uint16_t type, uint32_t serial,
		   bool keep, const char *format, ...)
{
	struct wire_frame frame = {
		.type = WIRE_ERROR,
		.error = {.code = code, .type = type, .serial = serial},
	};
	uint8_t buf[WIRE_FRAME_MAX];
	va_list ap;

	if (s->fd < 0)
		return;
	va_start(ap, format);
	vsnprintf(frame.error.detail, sizeof frame.error.detail, format, ap);
	va_end(ap);
	if (keep) {
		session_send(s, &frame);
		return;
	}
	frame.serial = ++s->serial;
	if (send(s->fd, buf, wire_encode(&frame, buf), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		log_peer(loop_now(s->all->loop), "refused",
			 "pid %d, uid %u: %s: disconnected", s->peer.pid, s->peer.uid,
			 frame.error.detail);
	session_lost(s);
}

static int send_with_pages(struct session *s, const uint8_t *buf, size_t size, int page)
{
	int fds[2] = {page_fd(&s->place), page};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof fds)];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = size};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control.space,
	};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof fds);
	memcpy(CMSG_DATA(&control.header), fds, sizeof fds);
	return sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void session_welcome(struct session *s)
{
	uint8_t buf[WIRE_FRAME_MAX];
	struct wire_frame frame = {.type = WIRE_WELCOME, .serial = ++s->serial};
	size_t size;
	int r;

	frame.welcome = (struct wire_welcome){
		.version = WIRE_VERSION_MAX,
		.slot = (uint16_t)s->place.slot,
		.caps = s->caps,
		.epoch = s->all->epoch,
		.heap = session_heap(s),
		.heartbeat_every = SESSION_HEARTBEAT,
		.stale_after = SESSION_STALE,
	};
	size = wire_encode(&frame, buf);
	if (s->page_fd >= 0)
		r = send_with_pages(s, buf, size, s->page_fd);
	else
		r = send(s->fd, buf, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
	close_page_fd(s);
	/* The first frame to a new socket always has room; failing, the peer is gone. */
	if (r < 0)
		session_lost(s);
}

/* ---- life ----------------------------------------------------------------------------------- */

/* Without memory or descriptors for pages, the socket must do. */
static void take_pages(struct session *s)
{
	struct sessions *all = s->all;

	if (pages_take(all->pages, s->peer.uid, loop_now(all->loop), &s->place) < 0)
		return;
	if (heap_page_new(all->epoch, &s->page_fd, &s->view) < 0)
		pages_give(all->pages, &s->place);
}

/* One that comes back takes its own place, which is free in a moment. */
static int charge_heap(struct session *s, bool former)
{
	struct quota_charge *charge = &s->charge[QUOTA_HEAPS];

	if (former)
		return quota_charge_anyway(s->all->quota, QUOTA_HEAPS, s->peer.uid, 1,
					   charge);
	return quota_charge(s->all->quota, QUOTA_HEAPS, s->peer.uid, 1, charge);
}

int session_join(struct session *s, uint32_t caps, bool former)
{
	int r = charge_heap(s, former);

	if (r != 0)
		return r;
	r = table_add(&s->all->by_heap, &s->by_heap, s->all->last_heap + 1);
	if (r < 0) {
		release(s, QUOTA_HEAPS);
		return r;
	}
	release(s, QUOTA_UNGREETED);
	s->all->last_heap++;
	loop_timer_set(&s->timer, NSEC_NEVER);
	if (list_empty(&s->all->open))
		loop_timer_set(&s->all->heartbeat, loop_now(s->all->loop));
	set_state(s, SESSION_OPEN, &s->all->open);
	s->caps = caps & WIRE_CAPS_KNOWN;
	if (s->caps & WIRE_CAP_PAGE)
		take_pages(s);
	if (!s->view.page)
		s->caps &= ~WIRE_CAP_PAGE;
	return 0;
}

void session_part(struct session *s)
{
	table_remove(&s->all->by_heap, &s->by_heap);
	s->by_heap.key = 0;
	give_pages(s);
	release(s, QUOTA_HEAPS);
	set_state(s, SESSION_NEW, &s->all->fresh);
}

static int watch_peer(struct session *s)
{
	int r = session_watch_new(s, s->fd, EPOLLIN | EPOLLRDHUP, SESSION_SOCKET);

	if (r == 0 && s->peer.pidfd >= 0)
		r = session_watch_new(s, s->peer.pidfd, EPOLLIN, SESSION_PROCESS);
	if (r < 0)
		unwatch(s, s->fd);
	return r;
}

int session_new(struct sessions *all, int fd, struct session **ret)
{
	struct session *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return -ENOMEM;
	s->all = all;
	s->fd = fd;
	s->peer.pidfd = s->page_fd = -1;
	s->deadline = s->idle_until = NSEC_NEVER;
	list_init(&s->link);
	list_init(&s->todo);
	r = peer_init(fd, &s->peer);
	if (r == 0)
		r = loop_timer_init(all->loop, &s->timer, on_timer, s);
	if (r == 0)
		r = watch_peer(s);
	if (r < 0) {
		s->fd = -1; /* still the caller's */
		session_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct session *session_free(struct session *s)
{
	if (!s)
		return NULL;
	assert(s->fd < 0 && !s->view.page && !s->place.page);
	list_unlink(&s->link);
	list_unlink(&s->todo);
	loop_timer_deinit(&s->timer);
	peer_deinit(&s->peer);
	free(s);
	return NULL;
}
