/* SPDX-License-Identifier: MIT */
/*
 * The child of a snapshot: a copy of this process that looks at the objects and ends.
 *
 * It is made by clone() itself, so that no handler of pthread_atfork() or os.register_at_fork()
 * runs, with no signal at its end: wait(), waitpid() and waitid() of the program do not see it,
 * SIGCHLD is not sent, and only __WALL finds it. It shares the table of descriptors, because a
 * copy would keep sockets, pipes and locks alive that the program closes, and opens and closes none.
 * All signals are blocked in it; it dies with its parent's thread, or when its time is up.
 */
#ifndef RTGC_PYTHON_SNAPSHOT_CHILD_H
#define RTGC_PYTHON_SNAPSHOT_CHILD_H

#include "client/python/internal.h"

#include <stdbool.h>
#include <sys/types.h>

#include "client/python/snapshot_walk.h"

enum snapshot_end {
	SNAPSHOT_ALIVE,
	SNAPSHOT_EXITED, /* by itself; the result says how it went */
	SNAPSHOT_DIED,	 /* killed by a signal: a crash, its time was up, somebody */
	SNAPSHOT_LOST,	 /* somebody else has waited for it */
};

/*
 * Makes one that walks the list. Returns its PID, or -errno. max_s: how long it may take. With
 * the GIL. It lets whoever wakes up have its CPU at once: by its time slice, and where the system has none, and
 * *gentle was set, and still is then, by running only where a CPU would idle (SCHED_IDLE).
 */
pid_t snapshot_child_start(PyGC_Head *list, struct snapshot_result *result, size_t room,
			   unsigned max_s, bool *gentle);
/* Has it ended? Waits for that if asked to. Once it is not alive, the PID is gone. */
enum snapshot_end snapshot_child_reap(pid_t child, bool wait);
/* The same without reaping it: from any thread, without the GIL. */
bool snapshot_child_ended(pid_t child);
/* What it has had of the CPUs; UINT64_MAX: it has ended. Any thread, without the GIL. */
uint64_t snapshot_child_cpu_ns(pid_t child);
/* Ends it, and does not return before. */
void snapshot_child_kill(pid_t child);

#endif
