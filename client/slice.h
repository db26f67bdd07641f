/* SPDX-License-Identifier: MIT */
/*
 * The time slice of a thread: how long it keeps its CPU when others have just woken up.
 *
 * A collection computes for long, and nobody waits for its next millisecond; who wakes up on its CPU does wait, until
 * the slice of the one that computes is over (1 to 3 ms). The scheduler lets a thread with a short slice go before one with a
 * long slice at once, and each has its share of the CPU as before: only in larger pieces. No privilege is needed.
 *
 * Linux before 6.12 knows of no slices, some sandboxes forbid the call: then nothing happens. Nor does it to a
 * thread that is not scheduled as usual (a real-time policy).
 */
#ifndef RTGC_SLICE_H
#define RTGC_SLICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct slice {
	pid_t thread; /* whose it is; 0: nobody's, nothing was changed */
	uint64_t was_ns;
};

/* The calling thread's, until slice_restore(), which any thread of the process may call. true: it is long now. */
bool slice_lengthen(struct slice *ret);
void slice_restore(struct slice *slice);
/* In a forked child, whose only thread has inherited it. */
void slice_forked(struct slice *slice);

#endif
