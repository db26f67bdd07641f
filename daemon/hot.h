/* SPDX-License-Identifier: MIT */
/*
 * The hot path: frame -> event -> core -> actions -> page and frame. Nothing here
 * allocates once a heap has joined.
 */
#ifndef RTGCD_HOT_H
#define RTGCD_HOT_H

#include "daemon/core/histogram.h"
#include "daemon/core/supervisor.h"
#include "daemon/loop.h"

struct hot;
struct session;
struct core_memory;
struct history;
struct keep;
struct quota;
struct sessions;

/* What the hot path needs done by others. None of these may call back at once. */
struct hot_hooks {
	/* Drain the heap at its balancer; answered by hot_drained(). lease: when it must be
	 * back at the latest, whatever happens here. */
	void (*drain)(void *userdata, uint64_t heap, uint64_t window, nsec_t lease);
	/* Its window was opened: the lease is longer now. */
	void (*renew)(void *userdata, uint64_t window, nsec_t lease);
	void (*undrain)(void *userdata, uint64_t window);
	/* May its process join a service of that name? */
	bool (*admit)(void *userdata, const struct session *s, const char *service);
	/* A row of an answer; NULL: the heap's connection is over. */
	void (*answer)(void *userdata, uint64_t heap, const struct wire_answer *answer);
	void *userdata;
};

/* Who wants to know what the core is told and what it asks for; neither may call back. */
struct hot_recorder {
	void (*event)(void *userdata, const struct event *event);
	void (*action)(void *userdata, const struct action *action);
	/* It is about to: EVENT_LEAVE is told when nothing is known of it any more. */
	void (*leaving)(void *userdata, uint64_t heap);
};

/* quota must outlive it. */
int hot_new(struct loop *loop, struct supervisor *core, struct quota *quota,
	    const struct hot_hooks *hooks, uint64_t epoch, struct hot **ret);
struct hot *hot_free(struct hot *hot);
struct sessions *hot_sessions(struct hot *hot);
/* NULL: nobody wants to know, and it costs nothing. */
void hot_record(struct hot *hot, const struct hot_recorder *recorder, void *userdata);
/* Another configuration is in force: who may no longer be here is disconnected. */
void hot_review(struct hot *hot);
/* NULL: nothing is kept over a restart. */
void hot_keep(struct hot *hot, struct keep *keep);
/* The heap of a former run that this session of session_restore() is for. -ENOMEM: neither is. */
int hot_restore(struct hot *hot, struct session *s, const struct core_memory *memory);
/* From the arrival of what led to a decision until everybody concerned was told. */
const struct histogram *hot_latency(const struct hot *hot);

/* The last pauses and windows. */
const struct history *hot_history(const struct hot *hot);

/* A decoded frame of this session. */
void hot_frame(struct hot *hot, struct session *s, const struct wire_frame *frame);
/* The session was lost or has left, or is to be looked at: done by hot_settle(). */
void hot_todo(struct hot *hot, struct session *s);
/* An operator's order, EVENT_HOLD or EVENT_COLLECT: 0, enum core_outcome. */
int hot_order(struct hot *hot, const struct event *event);
void hot_drained(struct hot *hot, uint64_t heap, uint64_t window, bool could);
/* Carries out what the core has decided, tells it what is still to be told, and arms the
 * timer. To be called at the end of whatever may have led to work. */
void hot_settle(struct hot *hot);

#endif
