/* SPDX-License-Identifier: MIT */
/*
 * The method Trace: the header, what the heaps are at that moment, then all that happens
 * (daemon/tell.h). Who reads too slowly hears TraceOverflow.
 */
#ifndef RTGCD_TRACE_H
#define RTGCD_TRACE_H

#include <jansson.h>
#include <stdint.h>

#include "daemon/core/supervisor.h"
#include "daemon/loop.h"

struct tell;
struct trace;
struct varlink_call;

int trace_new(struct loop *loop, struct supervisor *core, struct tell *tell,
	      uint64_t epoch, unsigned cpus, struct trace **ret);
struct trace *trace_free(struct trace *t);
/* What the core has been given; config is borrowed until the next one. */
void trace_config(struct trace *t, const struct core_config *config);
/* The method: also called for each page of the heaps. */
void trace_call(struct trace *t, struct varlink_call *call, json_t *parameters);

#endif
