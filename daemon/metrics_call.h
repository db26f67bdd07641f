/* SPDX-License-Identifier: MIT */
/* Metrics() of the control socket: the texts of /metrics, for who writes them into a file. */
#ifndef RTGCD_METRICS_CALL_H
#define RTGCD_METRICS_CALL_H

#include <jansson.h>

struct metrics;
struct varlink_call;

void metrics_call(struct metrics *m, struct varlink_call *call, json_t *parameters);

#endif
