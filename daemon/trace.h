/* SPDX-License-Identifier: MIT */
/*
 * Recording for those that listen (method Trace): the header, what the heaps are at that
 * moment, then every event and what clients are told. While nobody listens the hot path
 * does not know of it.
 *
 * Each listener has as much room as a Varlink connection has; who reads too slowly for it
 * hears TraceOverflow, and is disconnected.
 */
#ifndef RTGCD_TRACE_H
#define RTGCD_TRACE_H

#include <jansson.h>
#include <stdint.h>

#include "daemon/core/supervisor.h"
#include "daemon/loop.h"

struct hot;
struct trace;
struct varlink_call;

int trace_new(struct loop *loop, struct supervisor *core, struct hot *hot, uint64_t epoch,
	      unsigned cpus, struct trace **ret);
/* After the Varlink server and before the hot path. */
struct trace *trace_free(struct trace *t);
/* What the core has been given; config is borrowed until the next one. */
void trace_config(struct trace *t, const struct core_config *config);
/* The method: also called for each page of the heaps. */
void trace_call(struct trace *t, struct varlink_call *call, json_t *parameters);
/* Sends what was recorded. To be called at the end of each turn. */
void trace_flush(struct trace *t);

#endif
