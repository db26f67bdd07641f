/* SPDX-License-Identifier: MIT */
/* What rtgcctl trace can write, besides the events as they come. */
#ifndef RTGCCTL_TRACE_H
#define RTGCCTL_TRACE_H

#include "client/ctl/ctl.h"

/*
 * What has happened in the last so many seconds, 0: as far as the daemon knows, of ctl->service or of all. *ret: an
 * array of the pages of ListPauses; what is in each is relative to its own now_us.
 */
int trace_pages(const struct ctl *ctl, long seconds, json_t **ret);
/*
 * The same in one. *ret: its pauses, whose instants (begin_us, …) are made absolute, of CLOCK_MONOTONIC, and the last
 * page's other keys.
 */
int trace_past(const struct ctl *ctl, long seconds, json_t **ret);

/* That, in the trace-event format that Perfetto and chrome://tracing open. */
int trace_chrome(const struct ctl *ctl, long seconds);
/* That, or event logs, one or two to compare, as a timeline in one file for a browser. */
int trace_html(const struct ctl *ctl, long seconds);

#endif
