/* SPDX-License-Identifier: MIT */
/* What verbs share that go on until they are interrupted, and write JSON, one object a line. */
#ifndef RTGCCTL_STREAM_H
#define RTGCCTL_STREAM_H

#include "client/ctl/ctl.h"

/* A descriptor that is readable when the user has had enough: SIGINT, SIGTERM. */
int stream_signals(void);
/* Out at once is for stream_flush(). */
int stream_line(const json_t *object);
int stream_flush(void);
/* Whether somebody has had enough, or has within so long. */
bool stream_stopped(int signals, int within_ms);

#endif
