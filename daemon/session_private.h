/* SPDX-License-Identifier: MIT */
/* What the files of a session share: session.c owns it, session_receive.c reads from it. */
#ifndef RTGCD_SESSION_PRIVATE_H
#define RTGCD_SESSION_PRIVATE_H

#include "daemon/core/quota.h"
#include "daemon/session.h"

/* More than a socket holds at its default size. */
#define SESSION_RECEIVES_AT_DEATH 512

/* The connection is over. That is not death: a window may still be in use. */
void session_lost(struct session *s);
/* What to wait for, as things are now. */
void session_watch(struct session *s);
/* Sends what waits. */
void session_flush(struct session *s);

/* What an epoll entry points to: the session, and which of its descriptors it is of. */
enum session_watched {
	SESSION_SOCKET,
	SESSION_PROCESS,
};

int session_watch_new(struct session *s, int fd, uint32_t events,
		      enum session_watched which);
/* One has something to say; nothing is done for a session that is gone. */
void session_on_event(uint64_t watched, uint32_t events);

/* ---- session_receive.c ---- */

void session_on_socket(struct session *s, uint32_t events);
/* Reads what lies in the socket of a process that has died. */
void session_receive_rest(struct session *s);
/* It has rested: is read again. */
void session_resume(struct session *s);

#endif
