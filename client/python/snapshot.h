/* SPDX-License-Identifier: MIT */
/*
 * Full collections without a full pause (RTGC_SNAPSHOT).
 *
 * What nothing refers to stays so, hence it can be looked for in a copy. In its window the process makes a child
 * by copy-on-write, which takes as long as its page tables are big, and goes on. The child finds the garbage and
 * ends (snapshot_child.h, snapshot_walk.h). Then the process frees it in batches, each a stop of a millisecond or
 * so, at its safe points (snapshot_reap.h, which says why that is safe). The objects that were young at the fork
 * become old, frozen and untracked ones are left alone: all as in gc.collect(), but nobody sees a collection of generation 2.
 *
 * A snapshot that comes to nothing is void: its child failed or took too long, a full collection or gc.freeze()
 * of somebody else overtook it, or it was not worked off in time. Nothing is lost: the next one finds the same.
 *
 * Threads: with the GIL, but what says otherwise.
 */
#ifndef RTGC_PYTHON_SNAPSHOT_H
#define RTGC_PYTHON_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "client/rtgc.h"

#define SNAPSHOT_STEP_NS \
	1000000ULL /* a step stops the program for so long, or one batch */
#define SNAPSHOT_REST_NS 5000000ULL /* between two steps of a program that works */

struct snapshot_figures {
	uint64_t taken, voided;
	uint64_t freed;		       /* objects, by all of them */
	uint64_t fork_ns, fork_max_ns; /* the stop of the last fork, and the longest */
	uint64_t
		fork_usual_ns; /* the shortest of the last three: one by itself may have met a busy machine */
	uint64_t stop_ns,
		stop_max_ns;	 /* the longest stop of the last snapshot, and of all */
	uint64_t run_ns;	 /* from the fork to the end of the last child */
	uint64_t objects;	 /* the last child looked at */
	const char *refused;	 /* why none are taken in this process; NULL: they are */
	const char *void_reason; /* of the last one that was void; NULL: none was */
};

/*
 * Tries it out on known objects, once in a process: a real child, the real steps. False: it does not work here,
 * and the figures say why. Stops the process for some milliseconds.
 */
bool snapshot_usable(void);
/* Takes no more snapshots in this process. The text is static. */
void snapshot_refuse(const char *why);
/* Begins one. False: nothing was done. window: NULL unless cause is RTGC_IN_WINDOW. */
bool snapshot_start(enum rtgc_cause cause, const struct rtgc_window *window);
/* One has begun and not ended. Any thread, without the GIL. */
bool snapshot_runs(void);
/* The same, and it waits for a step: asks the system. Any thread, without the GIL. */
bool snapshot_waits(void);
/* The same, as snapshot_waits() has found it last: some loads. */
bool snapshot_due(void);
/* When it was gone on with last. Any thread, without the GIL. */
uint64_t snapshot_stepped_ns(void);
/*
 * Goes on with it, no longer than a step and little beyond until_ns. Runs finalizers. True: it
 * did, and there is more to do.
 */
bool snapshot_step(uint64_t until_ns);
/* How long the shortest step takes, as far as one can know. */
uint64_t snapshot_need_ns(void);
/* The same for a program that works: only when the last step is long enough ago. */
void snapshot_step_between(void);
/* Ends it, as void, if one runs. The text is static. */
void snapshot_void(const char *why);
void snapshot_after_fork_child(void);
void snapshot_figures(struct snapshot_figures *ret);

#endif
