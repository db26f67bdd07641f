/* SPDX-License-Identifier: MIT */
#include "client/python/changes.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

static struct {
	pthread_mutex_t lock; /* never held for long */
	pthread_cond_t changed;
	uint64_t changes;
	uint32_t events; /* enum rtgc_event, all since the heap was opened */
} words;

void changes_init(void)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(&words.lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&words.changed, &attributes);
	pthread_condattr_destroy(&attributes);
}

void changes_reset(void)
{
	words.changes = words.events = 0;
}

void changes_note(uint32_t events)
{
	pthread_mutex_lock(&words.lock);
	words.changes++;
	words.events |= events;
	pthread_cond_broadcast(&words.changed);
	pthread_mutex_unlock(&words.lock);
}

uint64_t changes_count(uint32_t *ret_events)
{
	uint64_t changes;

	pthread_mutex_lock(&words.lock);
	changes = words.changes;
	if (ret_events)
		*ret_events = words.events;
	pthread_mutex_unlock(&words.lock);
	return changes;
}

void changes_wait(uint64_t changes, uint64_t until_ns)
{
	struct timespec until = {
		.tv_sec = (time_t)(until_ns / 1000000000),
		.tv_nsec = (long)(until_ns % 1000000000),
	};

	pthread_mutex_lock(&words.lock);
	while (words.changes == changes)
		if (pthread_cond_timedwait(&words.changed, &words.lock, &until) ==
		    ETIMEDOUT)
			break;
	pthread_mutex_unlock(&words.lock);
}
