/* SPDX-License-Identifier: MIT */
/*
 * Measures how late the loop is, and how long the host stands still (Linux's pressure stall
 * information), and tells the core, which opens its gates (daemon/core/canary.h). Threads: one.
 */
#ifndef RTGCD_PRESSURE_H
#define RTGCD_PRESSURE_H

#include "daemon/loop.h"

struct hot;
struct pressure;
struct supervisor;

/* From then on SIGCONT is watched for: who was stopped was not late. */
int pressure_new(struct loop *loop, struct supervisor *core, struct hot *hot,
		 struct pressure **ret);
struct pressure *pressure_free(struct pressure *p);
/* The file to look at, every two seconds while there are heaps. Borrowed. */
void pressure_look_at(struct pressure *p, const char *file);
/* To be called at the end of each turn. */
void pressure_turn(struct pressure *p, unsigned heaps);
/* Of the time, in the last two seconds; -1: the file cannot be read, or was not yet. */
int pressure_permille(const struct pressure *p);

#endif
