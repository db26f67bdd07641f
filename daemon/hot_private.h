/* SPDX-License-Identifier: MIT */
/*
 * What the two halves of the hot path share: hot.c owns it, tells the core what there is to tell and
 * carries out what that decides; hot_frame.c makes events of what clients say.
 */
#ifndef RTGCD_HOT_PRIVATE_H
#define RTGCD_HOT_PRIVATE_H

#include "client/wire/list.h"
#include "daemon/hot.h"

struct hot {
	struct loop *loop;
	struct supervisor *core;
	struct sessions *sessions;
	struct hot_hooks hooks;
	const struct hot_recorder *recorder; /* NULL: nobody listens */
	void *recorder_userdata;
	struct history *history;
	struct keep *keep; /* NULL: nothing is kept over a restart */
	struct loop_timer timer;
	struct histogram latency;
	struct list todo; /* sessions */
	bool acted;	  /* since the last measurement */
};

/*
 * The event is handled, its actions are not carried out yet: hot_empty_queue() must follow.
 * 0, -errno or a positive enum core_outcome.
 */
int hot_handle(struct hot *hot, const struct event *event);
void hot_empty_queue(struct hot *hot);
/* Both. Never to be called while actions are carried out: see hot_todo(). */
int hot_tell(struct hot *hot, const struct event *event);
/* What the heap holds or what was learned of it may have changed. */
void hot_keep_heap(struct hot *hot, struct session *s);
/* Into the history. */
void hot_note_window(struct hot *hot, struct session *s);
/* Reads the heap's page (hot_frame.c). */
void hot_look(struct hot *hot, struct session *s);

#endif
