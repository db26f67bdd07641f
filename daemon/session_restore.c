/* SPDX-License-Identifier: MIT */
/* Sessions of a former run of the daemon: lost ones, until their processes come back. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "daemon/core/memory.h"
#include "daemon/hot.h"
#include "daemon/session_private.h"

static void on_timer(void *userdata, nsec_t now)
{
	struct session *s = userdata;

	session_leave(s);
	hot_settle(s->all->hot);
}

static int make(struct sessions *all, const struct core_memory *memory, uint64_t birth,
		struct session **ret)
{
	struct session *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return -ENOMEM;
	s->all = all;
	s->fd = s->peer.pidfd = s->page_fd = -1;
	s->deadline = s->idle_until = NSEC_NEVER;
	list_init(&s->link);
	list_init(&s->todo);
	r = loop_timer_init(all->loop, &s->timer, on_timer, s);
	if (r < 0) {
		free(s);
		return r;
	}
	r = peer_find(memory->uid, memory->pid, birth, &s->peer);
	if (r == 0 && s->peer.pidfd >= 0)
		r = session_watch_new(s, s->peer.pidfd, EPOLLIN, SESSION_PROCESS);
	/* Its user may have as many: another limit does not drive away who is there. */
	if (r == 0)
		r = quota_charge_anyway(all->quota, QUOTA_HEAPS, memory->uid, 1,
					&s->charge[QUOTA_HEAPS]);
	if (r == 0)
		r = table_add(&all->by_heap, &s->by_heap, all->last_heap + 1);
	if (r < 0) {
		quota_release(all->quota, &s->charge[QUOTA_HEAPS]);
		session_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

int session_restore(struct sessions *all, const struct core_memory *memory,
		    uint64_t birth, uint32_t kept, struct session **ret)
{
	nsec_t now = loop_now(all->loop);
	struct session *s;
	int r = make(all, memory, birth, &s);

	if (r < 0)
		return r;
	all->last_heap++;
	session_name(s, &memory->hello);
	s->state = SESSION_LOST;
	s->closes = memory->held.closes;
	s->kept = kept;
	s->birth = birth;
	list_append(&all->lost, &s->link);
	loop_timer_set(&s->timer, nsec_add(nsec_max(now, s->closes), SESSION_FORGET));
	*ret = s;
	return 0;
}

void session_unrestore(struct session *s)
{
	table_remove(&s->all->by_heap, &s->by_heap);
	quota_release(s->all->quota, &s->charge[QUOTA_HEAPS]);
	session_free(s);
}
