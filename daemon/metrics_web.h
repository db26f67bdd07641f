/* SPDX-License-Identifier: MIT */
/* /metrics and /metrics/heaps over HTTP. */
#ifndef RTGCD_METRICS_WEB_H
#define RTGCD_METRICS_WEB_H

struct http;
struct metrics;

int metrics_web(struct http *http, struct metrics *metrics);

#endif
