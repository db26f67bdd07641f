/* SPDX-License-Identifier: MIT */
#include "client/slice.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/wire/nsec.h"

#define LONG_SLICE (100 * NSEC_PER_MSEC) /* the longest there is */

/* struct sched_attr of the kernel, as it was first. With an ordinary policy, runtime is the slice. */
struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static bool get(pid_t thread, struct attr *ret)
{
	return syscall(SYS_sched_getattr, thread, ret, sizeof *ret, 0) == 0 &&
	       (ret->policy == SCHED_OTHER || ret->policy == SCHED_BATCH);
}

static bool set(pid_t thread, struct attr *attr, uint64_t slice_ns)
{
	attr->size = sizeof *attr;
	attr->runtime = slice_ns;
	return syscall(SYS_sched_setattr, thread, attr, 0) == 0;
}

bool slice_lengthen(struct slice *ret)
{
	struct attr attr = {0};

	*ret = (struct slice){0};
	/* (0: there are no slices.) */
	if (!get(0, &attr) || attr.runtime == 0)
		return false;
	if (attr.runtime >= LONG_SLICE)
		return true;
	ret->was_ns = attr.runtime;
	if (!set(0, &attr, LONG_SLICE))
		return false;
	ret->thread = (pid_t)syscall(SYS_gettid);
	return true;
}

/* What else was changed meanwhile (its nice value) stays as it is. */
void slice_restore(struct slice *slice)
{
	struct attr attr = {0};

	if (slice->thread && get(slice->thread, &attr))
		set(slice->thread, &attr, slice->was_ns);
	slice->thread = 0;
}

void slice_forked(struct slice *slice)
{
	if (slice->thread)
		slice->thread = (pid_t)syscall(SYS_gettid);
	slice_restore(slice);
}
