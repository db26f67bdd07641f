/* SPDX-License-Identifier: MIT */
/*
 * The last decisions on a heap. The newest stands as it is; each of those before it only as what differs
 * from the one behind it, instants to the µs. There is no room before the first one; it grows twice in
 * a heap's life, then the oldest give way. Threads: one at a time.
 */
#ifndef RTGCD_CORE_HISTORY_H
#define RTGCD_CORE_HISTORY_H

#include "daemon/core/supervisor.h"

struct history { /* zeroed: none */
	struct history_block {
		struct core_decision newest;
		uint8_t older[]; /* records, the oldest first */
	} * block;
	uint16_t used, size; /* of older */
	uint8_t n;	     /* with the newest */
};

void history_deinit(struct history *h);
/* Out of memory: the oldest give way earlier. */
void history_add(struct history *h, const struct core_decision *decision);
/* Newest last; returns how many. */
unsigned history_read(const struct history *h, struct core_decision ret[CORE_DECISIONS]);

#endif
