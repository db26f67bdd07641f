/* SPDX-License-Identifier: MIT */
/* The only clocks of the daemon. Everything else is told the time. */
#ifndef RTGCD_CLOCK_H
#define RTGCD_CLOCK_H

#include "client/wire/nsec.h"

nsec_t clock_now(void); /* CLOCK_MONOTONIC */
/* A number for this run of the daemon: not 0, greater than earlier ones, fits an int64. */
uint64_t clock_epoch(void);

/* How long this machine has been suspended since it was started. */
nsec_t clock_suspended(void);

#endif
