/* SPDX-License-Identifier: MIT */
/*
 * What a client sends, at its pace. Who sends more than is taken from one connection, or from all
 * of one user, is not read for a while, and is then read with telemetry in mind: of what only tells the
 * present state, the last word counts, and those before it are passed over and counted. So a flood costs
 * whoever sends it, and neither others nor the figures it ends with.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "daemon/hot.h"
#include "daemon/log.h"
#include "daemon/session_private.h"

#define RECEIVES_A_WAKEUP  4  /* one by one; what there is beyond that in one go */
#define BATCH		   16 /* messages taken by one call */
#define PASSED_OVER_A_TURN 8  /* cost as much as one that is handed on */
/*
 * Of a flood one batch is read, then others have the CPU, which they would share with it for a slice of the
 * scheduler's if it were read in one go. What a socket holds is read in a fiftieth of a second. Whose next batches
 * are full as well goes on for ever: it is read so seldom that of a hundred windows less than one meets a batch.
 */
#define REST	  NSEC_PER_MSEC
#define REST_LONG (10 * NSEC_PER_MSEC)
#define FULL_MANY 32

/* What only tells the present state, in the order in which it is handed on. */
enum latest_kind {
	LATEST_REPORT,
	LATEST_MARK,
	LATEST_DEADLINE,
	LATEST_HEARTBEAT, /* answered behind all that came before it */
	LATEST_KINDS
};

struct latest {
	unsigned said; /* bits of enum latest_kind */
	struct wire_frame frame[LATEST_KINDS];
};

/* Room for credentials only: descriptors that were sent along are closed by the kernel. */
#define CONTROL_SIZE CMSG_SPACE(sizeof(struct ucred))

struct batch {
	struct mmsghdr m[BATCH];
	struct iovec iov[BATCH];
	uint8_t buf[BATCH][WIRE_FRAME_MAX];
	_Alignas(struct cmsghdr) char control[BATCH][CONTROL_SIZE];
};

struct taken {		       /* in one wake-up */
	struct latest *latest; /* NULL: every frame is handed on */
	unsigned handed_on, passed_over;
};

/* ---- the last word -------------------------------------------------------------------------- */

/* LATEST_KINDS: it is more than that. */
static enum latest_kind kind_of(uint16_t type)
{
	switch (type) {
	case WIRE_REPORT:
		return LATEST_REPORT;
	case WIRE_IDLE:
	case WIRE_BUSY:
		return LATEST_MARK;
	case WIRE_DEADLINE:
		return LATEST_DEADLINE;
	case WIRE_HEARTBEAT:
		return LATEST_HEARTBEAT;
	default:
		return LATEST_KINDS;
	}
}

static void hand_on(struct session *s, const struct wire_frame *frame, struct taken *t)
{
	t->handed_on++;
	hot_frame(s->all->hot, s, frame);
}

static void hand_on_latest(struct session *s, struct taken *t)
{
	for (unsigned kind = 0; t->latest && kind < LATEST_KINDS; kind++) {
		/* (What was handed on before may have ended the connection.) */
		if (t->latest->said & 1u << kind && s->fd >= 0)
			hand_on(s, &t->latest->frame[kind], t);
	}
	if (t->latest)
		t->latest->said = 0;
}

static void take(struct session *s, const struct wire_frame *frame, struct taken *t)
{
	enum latest_kind kind = kind_of(frame->type);

	if (!t->latest || kind == LATEST_KINDS || s->state != SESSION_OPEN) {
		hand_on_latest(s, t);
		if (s->fd >= 0)
			hand_on(s, frame, t);
		return;
	}
	if (t->latest->said & 1u << kind) {
		t->passed_over++;
		s->all->coalesced++;
	}
	t->latest->said |= 1u << kind;
	t->latest->frame[kind] = *frame;
}

/* ---- one message ---------------------------------------------------------------------------- */

/*
 * The kernel gives 0 both for an empty message and at the end. As long as the peer has not
 * shut down, it was a message. Afterwards the kernel tells them apart by the sender's
 * credentials, which only a message has.
 */
static bool at_end(const struct session *s, const struct msghdr *m)
{
	struct pollfd p = {.fd = s->fd, .events = POLLRDHUP};

	if (s->hung_up)
		return m->msg_controllen == 0;
	return poll(&p, 1, 0) == 1;
}

static void undecodable(struct session *s, const uint8_t *buf, size_t size,
			const char *why)
{
	uint16_t type = 0;
	uint32_t serial = 0;

	if (size >= WIRE_HEADER_SIZE) {
		type = (uint16_t)(buf[0] | buf[1] << 8);
		serial = buf[4] | (uint32_t)buf[5] << 8 | (uint32_t)buf[6] << 16 |
			 (uint32_t)buf[7] << 24;
	}
	session_error(s, WIRE_ERROR_MALFORMED, type, serial, false, "malformed frame: %s",
		      why);
}

static void take_message(struct session *s, const struct msghdr *m, size_t n,
			 struct taken *t)
{
	const uint8_t *buf = m->msg_iov->iov_base;
	struct wire_frame frame;
	const char *why = NULL;
	int r;

	if (n == 0)
		why = "empty message";
	else if (m->msg_flags & MSG_TRUNC)
		why = "longer than any frame";
	else if (m->msg_flags & MSG_CTRUNC)
		why = "descriptors are not accepted";
	else if ((r = wire_decode(buf, n, &frame)) > 0)
		why = wire_decode_strerror(r);
	if (!why) {
		take(s, &frame, t);
		return;
	}
	hand_on_latest(s, t);
	if (s->fd >= 0)
		undecodable(s, buf, n, why);
}

static struct msghdr room_for(const struct session *s, struct iovec *iov, uint8_t *buf,
			      char *control)
{
	*iov = (struct iovec){.iov_base = buf, .iov_len = WIRE_FRAME_MAX};
	return (struct msghdr){
		.msg_iov = iov,
		.msg_iovlen = 1,
		.msg_control = s->hung_up ? control : NULL,
		.msg_controllen = s->hung_up ? CONTROL_SIZE : 0,
	};
}

/* (A peer that has not read all it was told resets, once; what it had sent follows.) */
static bool passes(int error)
{
	return error == EAGAIN || error == EINTR || error == ECONNRESET;
}

static void lose(struct session *s, struct taken *t)
{
	hand_on_latest(s, t);
	session_lost(s);
}

/* The n-th of what a call has brought. */
static void take_nth(struct session *s, const struct msghdr *m, size_t size,
		     struct taken *t)
{
	if (size == 0 && at_end(s, m))
		lose(s, t);
	else
		take_message(s, m, size, t);
}

/* One message. false: nothing more to read for now, or for ever. */
static bool receive(struct session *s, struct taken *t)
{
	uint8_t buf[WIRE_FRAME_MAX];
	_Alignas(struct cmsghdr) char control[CONTROL_SIZE];
	struct iovec iov;
	struct msghdr m = room_for(s, &iov, buf, control);
	ssize_t n = recvmsg(s->fd, &m, MSG_DONTWAIT);

	if (n < 0 && passes(errno))
		return errno != EAGAIN;
	if (n < 0)
		lose(s, t);
	else
		take_nth(s, &m, (size_t)n, t);
	return s->fd >= 0;
}

/*
 * As many as there are, or a batch of them; of one that is full the last word counts, where there is room for that.
 * Returns how many there were.
 */
static int receive_batch(struct session *s, struct taken *t, struct latest *latest)
{
	struct batch b;
	int n;

	for (unsigned i = 0; i < BATCH; i++)
		b.m[i].msg_hdr = room_for(s, &b.iov[i], b.buf[i], b.control[i]);
	n = recvmmsg(s->fd, b.m, BATCH, MSG_DONTWAIT, NULL);
	if (n < 0 && !passes(errno))
		lose(s, t);
	if (n == BATCH)
		t->latest = latest;
	for (int i = 0; i < n && s->fd >= 0; i++)
		take_nth(s, &b.m[i].msg_hdr, b.m[i].msg_len, t);
	return n < 0 ? 0 : n;
}

/* ---- at its pace ---------------------------------------------------------------------------- */

static void rest(struct session *s, nsec_t until)
{
	nsec_t now = loop_now(s->all->loop);
	nsec_t least = s->full < FULL_MANY ? REST : REST_LONG;

	s->flood = SESSION_RESTS;
	loop_timer_set(&s->timer, nsec_max(until, nsec_add(now, least)));
	session_watch(s);
}

static void tell_flood(struct session *s)
{
	log_seldom(loop_now(s->all->loop), &s->all->floods, "flood",
		   "heap %" PRIu64 " (pid %d, uid %u) sends more than "
		   "FramesPerSecond=: its newest figures count",
		   session_heap(s), s->peer.pid, s->peer.uid);
}

/* It pays for what was taken. */
static void pay(struct session *s, const struct taken *t)
{
	struct quota *quota = s->all->quota;
	nsec_t now = loop_now(s->all->loop), until, until_user;
	unsigned turns = t->handed_on + t->passed_over / PASSED_OVER_A_TURN;

	if (s->fd < 0 || s->state != SESSION_OPEN)
		return;
	until = quota_pace(&s->pace, quota_limits(quota)->frames_per_s, t->handed_on,
			   now);
	until_user = quota_pace_user(quota, &s->charge[QUOTA_CONNECTIONS], QUOTA_FRAMES,
				     turns, now);
	if (until > now)
		tell_flood(s);
	if (nsec_max(until, until_user) > now)
		rest(s, nsec_max(until, until_user));
}

void session_resume(struct session *s)
{
	s->flood = SESSION_FLOODS;
	session_watch(s);
}

/* What has gathered while it rested. */
static void receive_flood(struct session *s)
{
	struct latest latest = {0};
	struct taken t = {.latest = &latest};
	int n = receive_batch(s, &t, &latest);

	hand_on_latest(s, &t);
	if (s->state != SESSION_OPEN || s->flood != SESSION_FLOODS)
		return;
	if (n < BATCH)
		s->flood = SESSION_CALM;
	s->full = n < BATCH ? 0 : s->full + (s->full < FULL_MANY);
	pay(s, &t);
	if (n == BATCH && s->flood == SESSION_FLOODS)
		rest(s, 0);
}

/* Who has a full batch to say was not heard for a while: how things are now is what counts. */
static void receive_some(struct session *s)
{
	struct latest latest;
	struct taken t = {0};
	bool more = true;

	for (int i = 0; i < RECEIVES_A_WAKEUP && more && s->fd >= 0; i++)
		more = receive(s, &t);
	latest.said = 0;
	if (more && s->fd >= 0)
		receive_batch(s, &t, &latest);
	hand_on_latest(s, &t);
	if (t.handed_on > 0)
		pay(s, &t);
}

void session_receive_rest(struct session *s)
{
	struct taken t = {0};

	for (int i = 0; i < SESSION_RECEIVES_AT_DEATH && s->fd >= 0; i++)
		if (!receive(s, &t))
			break;
}

void session_on_socket(struct session *s, uint32_t events)
{
	const int one = 1;

	if (events & EPOLLOUT && s->queue)
		session_flush(s);
	if (events & (EPOLLRDHUP | EPOLLHUP) && s->fd >= 0 && !s->hung_up)
		s->hung_up =
			setsockopt(s->fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof one) == 0;
	/* Nobody rests from a peer that has gone: that would be heard of without end. */
	if (s->flood == SESSION_RESTS && events & EPOLLHUP)
		session_receive_rest(s);
	else if (s->flood == SESSION_FLOODS)
		receive_flood(s);
	else if (s->flood == SESSION_CALM)
		receive_some(s);
}
