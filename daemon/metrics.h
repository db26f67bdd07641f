/* SPDX-License-Identifier: MIT */
/*
 * Metrics as text, in Prometheus' format or OpenMetrics': rtgcd-metrics(7). A text is put together in
 * pieces, each in a turn of its own, so that no window waits for it; of those who ask for the same
 * thing meanwhile all get the same text.
 *
 * Threads: one.
 */
#ifndef RTGCD_METRICS_H
#define RTGCD_METRICS_H

#include <stdbool.h>

#include "client/wire/list.h"
#include "client/wire/wire.h"

struct control;
struct metrics;

/* Of so many services, and heaps, at most there are lines; of the others it is told how many they are. */
#define METRICS_SERVICES_MOST 200
#define METRICS_HEAPS_MOST    1000

enum metrics_format {
	METRICS_PROMETHEUS,
	METRICS_OPENMETRICS,
};

struct metrics_want {
	enum metrics_format format;
	bool heaps; /* of single heaps; else of the daemon and of services */
	char service[WIRE_NAME_MAX]; /* of that service's heaps only; "": of all */
};

/* Shared by all that have asked for it. */
struct metrics_text {
	unsigned refs;
	const char *type; /* the Content-Type */
	char *data;
	size_t size;
};

/* Who waits for a text. */
struct metrics_waiter {
	struct list link;
	struct metrics_want want;
	/* Once, later. text: borrowed; NULL: memory has run out. */
	void (*done)(struct metrics_waiter *w, struct metrics_text *text);
};

int metrics_new(struct control *control, struct metrics **ret);
/* Nobody may wait any more. */
struct metrics *metrics_free(struct metrics *m);
void metrics_ask(struct metrics *m, struct metrics_waiter *w);
/* It does not wait any longer. */
void metrics_forget(struct metrics_waiter *w);

struct metrics_text *metrics_text_ref(struct metrics_text *t);
/* Takes any pointer to one, or NULL; returns NULL. */
void metrics_text_unref(void *text);

#endif
