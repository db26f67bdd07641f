/* SPDX-License-Identifier: MIT */
/*
 * One connection of a client, from accept() until nothing of it is left:
 *
 *	NEW ──HELLO──▶ OPEN ──BYE, or the process died──▶ GONE
 *	                 └───connection over──▶ LOST ──the process died, or 30 s──▶ GONE
 *
 * and all of them together (struct sessions): the telemetry sockets lie in an epoll of
 * their own, nested in the loop as one descriptor and served in bounded turns, so that a
 * flood of figures never delays a window.
 *
 * Threads: one. A session is freed at the end of the turn in which it became GONE.
 */
#ifndef RTGCD_SESSION_H
#define RTGCD_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "client/wire/list.h"
#include "client/wire/wire.h"
#include "daemon/core/quota.h"
#include "daemon/history.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/page.h"
#include "daemon/peer.h"
#include "daemon/table.h"

struct core_memory;
struct hot;
struct session;

enum session_state {
	SESSION_NEW,
	SESSION_OPEN,
	SESSION_LOST,
	SESSION_GONE,
};

enum session_flood { /* how it is read: session_receive.c */
	SESSION_CALM,
	SESSION_RESTS,	/* not at all, for a while */
	SESSION_FLOODS, /* for the last word of what has gathered meanwhile */
};

struct session_queue; /* frames that the socket had no room for */

struct session {
	struct sessions *all;
	struct list link; /* of sessions: fresh, open, lost or gone */
	struct table_link by_heap;
	struct list todo; /* of the hot path: something is to be told to the core */
	enum session_state state : 8;
	enum session_flood flood : 8;
	uint8_t full; /* batches in a row of its flood */
	bool look, lost, left;
	bool hung_up; /* the peer has shut down its side */
	int fd;	      /* -1 once the connection is over */
	int page_fd;  /* of the heap page, until WELCOME has gone */
	struct peer peer;
	struct loop_timer
		timer; /* HELLO is late; it has rested; what is lost is forgotten */
	struct quota_pace pace;
	/* Each is released when what it is for is over. */
	struct quota_charge charge[QUOTAS_OF_CLIENTS];
	uint32_t caps, serial;
	uint32_t kept; /* its record in what is kept over a restart; 0: none */
	uint32_t
		mark; /* enum page_mark and what belongs to it, as last told to the core */
	uint64_t birth; /* of its process: peer_birth() */
	uint64_t name;	/* a hash of what HELLO called the service and the heap */
	nsec_t idle_until, deadline;
	/* Of the last window that was announced and of the last that was opened. */
	nsec_t opens_by, closes;
	uint64_t budget; /* as last told */
	struct page_place place;
	struct heap_view view;	   /* no page: everything goes over the socket */
	struct wire_report report; /* the last one read from the page */
	struct history_marks past; /* of the hot path */
	struct session_queue *queue;
};

struct sessions {
	struct loop *loop;
	struct hot *hot;
	struct quota *quota;
	struct pages *pages;
	int epoll;
	struct loop_io *io;
	struct loop_timer heartbeat;
	struct list fresh, open, lost, gone;
	struct table by_heap;
	uint64_t epoch, last_heap;
	uint64_t coalesced; /* frames that a newer one of their kind made pointless */
	struct log_again floods;
};

#define SESSION_HEARTBEAT (200 * NSEC_PER_MSEC)
#define SESSION_STALE	  (800 * NSEC_PER_MSEC)
#define SESSION_FORGET	  (30 * NSEC_PER_SEC) /* so long a lost one may come back */

int sessions_new(struct loop *loop, struct hot *hot, struct quota *quota, uint64_t epoch,
		 struct sessions **ret);
/* Tells all clients that the daemon is going, and forgets them. */
struct sessions *sessions_free(struct sessions *all);
/* A connection was accepted. */
void sessions_add(struct sessions *all, int fd);
/* Takes what lies in the sockets now, of so many as can be without keeping others waiting for long. */
void sessions_hear(struct sessions *all);
/* To be called at the end of each turn: frees what is gone. */
void sessions_sweep(struct sessions *all);
struct session *sessions_find(const struct sessions *all, uint64_t heap);
/*
 * The next one, behind after, that the same living process has lost and that had such a
 * name; NULL: there is none.
 */
struct session *sessions_find_lost(const struct sessions *all, const struct session *as,
				   const struct session *after);

static inline uint64_t session_heap(const struct session *s)
{
	return s->by_heap.key; /* 0 until HELLO */
}

/* fd is the session's from here on, unless this fails. -ESRCH: its process is dead. */
int session_new(struct sessions *all, int fd, struct session **ret);
/* Only of one that is GONE, or never got anywhere. */
struct session *session_free(struct session *s);
/* What HELLO calls it. */
void session_name(struct session *s, const struct wire_hello *hello);
/*
 * It has said HELLO: gets its heap id, and pages where the client can use them (s->caps).
 * former: it takes the place of a lost one. -ENOMEM, or a positive enum quota_refusal.
 */
int session_join(struct session *s, uint32_t caps, bool former);
/*
 * One that a former run had, as a lost one. It is the session of a living process, or -ESRCH. What
 * has not come back after 30 s is forgotten.
 */
int session_restore(struct sessions *all, const struct core_memory *memory,
		    uint64_t birth, uint32_t kept, struct session **ret);
void session_unrestore(struct session *s);
/* Undoes session_join(): the core has no room for it. */
void session_part(struct session *s);
/* Numbers the frame and sends it, or queues it. May lose the session. */
void session_send(struct session *s, struct wire_frame *frame);
/* What the core has decided of its window: session_window.c. */
void session_direct(struct session *s, const struct wire_directive *directive);
void session_announce(struct session *s, const struct wire_announce *announce);
void session_open(struct session *s, const struct wire_window *window);
/* tell: it did not know yet. */
void session_close(struct session *s, const struct wire_revoke *revoke, bool tell);
/* The answer to HELLO, with the pages. */
void session_welcome(struct session *s);
/* Answers with ERROR. The connection is closed unless keep. */
void session_error(struct session *s, uint16_t code, uint16_t type, uint32_t serial,
		   bool keep, const char *format, ...)
	__attribute__((format(printf, 6, 7)));
/* Answers with ERROR and closes the connection. */
void session_refuse(struct session *s, enum quota_refusal refusal);
/* It is no more: goodbye was said or its process has died. */
void session_leave(struct session *s);

#endif
