/* SPDX-License-Identifier: MIT */
#include "daemon/clock.h"

#include <time.h>

static nsec_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (nsec_t)ts.tv_sec * NSEC_PER_SEC + (nsec_t)ts.tv_nsec;
}

nsec_t clock_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

nsec_t clock_suspended(void)
{
	nsec_t now = read_clock(CLOCK_MONOTONIC);

	return nsec_sub(read_clock(CLOCK_BOOTTIME), now);
}

uint64_t clock_epoch(void)
{
	uint64_t epoch = read_clock(CLOCK_REALTIME) & INT64_MAX;

	return epoch ? epoch : 1;
}
