/* SPDX-License-Identifier: MIT */
#include "daemon/session_queue.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client/wire/wire.h"

struct session_queue {
	unsigned n;
	struct queued {
		uint16_t type;
		uint16_t size;
		uint8_t buf[WIRE_FRAME_MAX];
	} frames[SESSION_QUEUE_FRAMES];
};

_Static_assert(sizeof(struct session_queue) <= SESSION_QUEUE_BYTES,
	       "is charged for what it takes");

static bool replaces(uint16_t type)
{
	return type == WIRE_DIRECTIVE || type == WIRE_HEARTBEAT;
}

int session_queue_add(struct session_queue **queue, uint16_t type, const uint8_t *buf,
		      size_t size)
{
	struct session_queue *q = *queue;
	struct queued *at;

	if (!q) {
		q = malloc(sizeof *q);
		if (!q)
			return -ENOMEM;
		q->n = 0;
		*queue = q;
	}
	for (unsigned i = 0; replaces(type) && i < q->n; i++) {
		if (q->frames[i].type == type) {
			memmove(&q->frames[i], &q->frames[i + 1],
				(q->n - i - 1) * sizeof *q->frames);
			q->n--;
		}
	}
	if (q->n == SESSION_QUEUE_FRAMES)
		return -ENOBUFS;
	at = &q->frames[q->n++];
	at->type = type;
	at->size = (uint16_t)size;
	memcpy(at->buf, buf, size);
	return 0;
}

int session_queue_flush(struct session_queue *q, int fd)
{
	unsigned i = 0;
	int r = 0;

	while (i < q->n && r == 0) {
		if (send(fd, q->frames[i].buf, q->frames[i].size,
			 MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			i++;
		else
			r = errno == ENOBUFS || errno == EINTR ? -EAGAIN : -errno;
	}
	q->n -= i;
	memmove(q->frames, q->frames + i, q->n * sizeof *q->frames);
	return r;
}

struct session_queue *session_queue_free(struct session_queue *q)
{
	free(q);
	return NULL;
}
