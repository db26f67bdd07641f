/* SPDX-License-Identifier: MIT */
/*
 * What is left of the heaps of a process in its forked child: nothing that is the
 * parent's. Without this the child would keep the connection open, answer in the parent's
 * name and write into its page.
 *
 * All locks are taken around fork(), so the child finds every heap in order. Only fork()
 * runs these handlers: vfork() and posix_spawn() do not, and need not.
 */
#include "client/client.h"

static pthread_mutex_t heaps_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list heaps = {&heaps, &heaps};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
	pthread_mutex_lock(&heaps_lock);
	list_for_each (link, &heaps)
		pthread_mutex_lock(&list_entry(link, struct rtgc, all)->lock);
}

static void in_parent(void)
{
	list_for_each (link, &heaps)
		pthread_mutex_unlock(&list_entry(link, struct rtgc, all)->lock);
	pthread_mutex_unlock(&heaps_lock);
}

static void in_child(void)
{
	list_for_each (link, &heaps) {
		struct rtgc *r = list_entry(link, struct rtgc, all);

		client_abandon(r);
		pthread_mutex_unlock(&r->lock);
	}
	pthread_mutex_unlock(&heaps_lock);
}

static void install(void)
{
	pthread_atfork(prepare, in_parent, in_child);
}

void fork_watch(struct rtgc *r)
{
	pthread_once(&once, install);
	pthread_mutex_lock(&heaps_lock);
	list_append(&heaps, &r->all);
	pthread_mutex_unlock(&heaps_lock);
}

void fork_forget(struct rtgc *r)
{
	pthread_mutex_lock(&heaps_lock);
	list_unlink(&r->all);
	pthread_mutex_unlock(&heaps_lock);
}
