/* SPDX-License-Identifier: MIT */
/* The formats of rtgcctl trace that are written at once. All return the exit status. */
#ifndef RTGCCTL_TRACE_H
#define RTGCCTL_TRACE_H

#include "client/ctl/ctl.h"

/* seconds: only what was not over so long ago; 0: all that the daemon has kept. */
int trace_html(struct ctl *ctl, long seconds);

#endif
