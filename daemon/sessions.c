/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "daemon/hot.h"
#include "daemon/session_private.h"

#define SOCKETS_A_TURN 16
#define TURNS_TO_HEAR  8

/* Returns how many there were; there may be more. */
static int serve_some(struct sessions *all)
{
	struct epoll_event events[SOCKETS_A_TURN];
	int n = epoll_wait(all->epoll, events, SOCKETS_A_TURN, 0);

	for (int i = 0; i < n; i++) {
		session_on_event(events[i].data.u64, events[i].events);
		hot_settle(all->hot);
	}
	return n;
}

static void serve(void *userdata, unsigned loop_events)
{
	serve_some(userdata);
}

void sessions_hear(struct sessions *all)
{
	for (int i = 0; i < TURNS_TO_HEAR; i++)
		if (serve_some(all) < SOCKETS_A_TURN)
			break;
}

static void serve_between(void *userdata)
{
	serve_some(userdata);
}

static void beat(void *userdata, nsec_t now)
{
	struct sessions *all = userdata;

	if (list_empty(&all->open))
		return;
	pages_heartbeat(all->pages, now);
	loop_timer_set(&all->heartbeat, nsec_add(now, SESSION_HEARTBEAT));
}

/* false: it was refused. */
static bool charge(struct session *s, enum quota_what what)
{
	int r = quota_charge(s->all->quota, what, s->peer.uid, 1, &s->charge[what]);

	if (r < 0)
		session_lost(s);
	else if (r > 0)
		session_refuse(s, (enum quota_refusal)r);
	return r == 0;
}

void sessions_add(struct sessions *all, int fd)
{
	nsec_t by = nsec_add(loop_now(all->loop), quota_limits(all->quota)->hello);
	struct session *s;

	if (session_new(all, fd, &s) < 0) {
		close(fd);
		return;
	}
	list_append(&all->fresh, &s->link);
	if (!charge(s, QUOTA_CONNECTIONS))
		return;
	/* HELLO has mostly arrived with the connection. */
	session_on_socket(s, 0);
	hot_settle(all->hot);
	if (s->state != SESSION_NEW)
		return;
	loop_timer_set(&s->timer, by);
	charge(s, QUOTA_UNGREETED);
}

void sessions_sweep(struct sessions *all)
{
	list_for_each_safe (link, next, &all->gone) {
		session_free(list_entry(link, struct session, link));
	}
}

struct session *sessions_find(const struct sessions *all, uint64_t heap)
{
	struct table_link *link = table_find(&all->by_heap, heap);

	return link ? list_entry(link, struct session, by_heap) : NULL;
}

/* FNV-1a */
static uint64_t hash(uint64_t h, const char *text)
{
	do
		h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	while (*text++);
	return h;
}

void session_name(struct session *s, const struct wire_hello *hello)
{
	s->name = hash(hash(UINT64_C(0xcbf29ce484222325), hello->service), hello->heap);
}

struct session *sessions_find_lost(const struct sessions *all, const struct session *as,
				   const struct session *after)
{
	struct list *link = after ? after->link.next : all->lost.next;

	for (; link != &all->lost; link = link->next) {
		struct session *s = list_entry(link, struct session, link);

		if (s->name == as->name && s->peer.pid == as->peer.pid &&
		    s->peer.uid == as->peer.uid && s->peer.pidfd >= 0 &&
		    !peer_dead(&s->peer))
			return s;
	}
	return NULL;
}

int sessions_new(struct loop *loop, struct hot *hot, struct quota *quota, uint64_t epoch,
		 struct sessions **ret)
{
	struct sessions *all = calloc(1, sizeof *all);
	int r;

	if (!all)
		return -ENOMEM;
	all->loop = loop;
	all->hot = hot;
	all->quota = quota;
	all->epoch = epoch;
	list_init(&all->fresh);
	list_init(&all->open);
	list_init(&all->lost);
	list_init(&all->gone);
	all->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = all->epoll < 0 ? -errno : pages_new(epoch, &all->pages);
	if (r == 0)
		r = loop_timer_init(loop, &all->heartbeat, beat, all);
	if (r == 0)
		r = loop_io_new(loop, all->epoll, LOOP_READ, serve, all, &all->io);
	if (r < 0) {
		sessions_free(all);
		return r;
	}
	loop_urgent(loop, serve_between, all);
	*ret = all;
	return 0;
}

static void dismiss(struct list *list)
{
	list_for_each_safe (link, next, list) {
		struct session *s = list_entry(link, struct session, link);
		struct wire_frame frame = {
			.type = WIRE_ERROR,
			.error = {.code = WIRE_ERROR_SHUTDOWN,
				  .detail = "the daemon is stopping"},
		};

		session_send(s, &frame);
		session_leave(s);
	}
}

struct sessions *sessions_free(struct sessions *all)
{
	if (!all)
		return NULL;
	dismiss(&all->fresh);
	dismiss(&all->open);
	dismiss(&all->lost);
	hot_settle(all->hot);
	sessions_sweep(all);
	loop_urgent(all->loop, NULL, NULL);
	loop_io_free(all->io);
	loop_timer_deinit(&all->heartbeat);
	pages_free(all->pages);
	table_deinit(&all->by_heap);
	if (all->epoll >= 0)
		close(all->epoll);
	free(all);
	return NULL;
}
