/* SPDX-License-Identifier: MIT */
/*
 * The few frames that a slow client is owed. A newer frame of a kind that only tells the
 * present state takes the older one's place; the page carries the state anyway.
 */
#ifndef RTGCD_SESSION_QUEUE_H
#define RTGCD_SESSION_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#define SESSION_QUEUE_FRAMES 16
#define SESSION_QUEUE_BYTES  4608 /* that one takes, and a few to spare */

struct session_queue;

/* *queue is made when it is NULL. -ENOBUFS: it is full. -ENOMEM. */
int session_queue_add(struct session_queue **queue, uint16_t type, const uint8_t *buf,
		      size_t size);
/* 0: all was sent; -EAGAIN: not yet; else the connection is over. */
int session_queue_flush(struct session_queue *queue, int fd);
struct session_queue *session_queue_free(struct session_queue *queue);

#endif
