/* SPDX-License-Identifier: MIT */
/*
 * What the files of the metrics share: metrics.c puts a text together piece by piece,
 * metrics_families.c knows what there is, metrics_text.c writes lines.
 */
#ifndef RTGCD_METRICS_PRIVATE_H
#define RTGCD_METRICS_PRIVATE_H

#include <stddef.h>

#include "daemon/control.h"
#include "daemon/core/histogram.h"
#include "daemon/core/supervisor.h"
#include "daemon/metrics.h"

/* ---- metrics_text.c ---- */

struct writer {
	enum metrics_format format;
	char *data;
	size_t n, allocated;
	bool failed; /* memory has run out */
};

enum metric_type {
	METRIC_COUNTER,
	METRIC_GAUGE,
	METRIC_HISTOGRAM,
	METRIC_INFO,
};

/* name: without the prefix, and without the "_total" or "_info" of its samples. */
void writer_family(struct writer *w, enum metric_type type, const char *name,
		   const char *help);
/* labels: as they stand between the braces. NaN: it is not known, and left out. */
void writer_sample(struct writer *w, enum metric_type type, const char *name,
		   const char *labels, double value);
void writer_tally(struct writer *w, const char *name, const char *labels,
		  const struct tally *tally);
void writer_histogram(struct writer *w, const char *name, const struct histogram *h);
void writer_end(struct writer *w);
/* NAME="VALUE", escaped, behind what is there, with a comma where something is. */
void labels_add(char *labels, size_t size, const char *name, const char *value);

/* ---- metrics_families.c ---- */

#define SERVICE_LABELS (2 * WIRE_NAME_MAX + 64)
#define HEAP_LABELS    (4 * WIRE_NAME_MAX + 96)

/* What was looked at. */
struct metrics_service {
	struct core_service s;
	char labels[SERVICE_LABELS];
};
struct metrics_heap {
	struct core_heap h;
	char labels[HEAP_LABELS];
};
struct metrics_host {
	const struct control *control;
	struct core_status status;
	struct core_gates gates;
	nsec_t now;
	unsigned services_omitted, heaps_omitted;
};

void metrics_look_at_service(struct metrics_service *row);
void metrics_look_at_heap(struct metrics_heap *row);
/* All of the daemon; short. */
void metrics_put_host(struct writer *w, const struct metrics_host *host);
/* The head of the index-th family of services; false: there is none. */
bool metrics_begin_service(struct writer *w, size_t index);
void metrics_put_service(struct writer *w, size_t index,
			 const struct metrics_service *row, nsec_t now);
bool metrics_begin_heap(struct writer *w, size_t index);
void metrics_put_heap(struct writer *w, size_t index, const struct metrics_heap *row,
		      nsec_t now);
void metrics_put_heaps_omitted(struct writer *w, unsigned omitted);

#endif
