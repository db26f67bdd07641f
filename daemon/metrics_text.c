/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/metrics_private.h"

#define PREFIX	   "rtgcd_"
#define SMALLEST   4096
#define LINE_MOST  1024
#define WHOLE_MOST 9007199254740992.0 /* 2^53 */

/* Of a histogram of spans: an octave each, from 4 µs to 17 ms. */
#define OCTAVE_FIRST 2
#define OCTAVE_LAST  14

static const char *const type_names[] = {
	[METRIC_COUNTER] = "counter",
	[METRIC_GAUGE] = "gauge",
	[METRIC_HISTOGRAM] = "histogram",
	[METRIC_INFO] = "info",
};

static bool reserve(struct writer *w, size_t more)
{
	size_t allocated = w->allocated ? w->allocated : SMALLEST;
	char *data;

	while (allocated - w->n < more)
		allocated *= 2;
	if (allocated == w->allocated)
		return true;
	data = realloc(w->data, allocated);
	if (!data) {
		w->failed = true;
		return false;
	}
	w->data = data;
	w->allocated = allocated;
	return true;
}

static void add(struct writer *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A line at most. */
static void add(struct writer *w, const char *format, ...)
{
	va_list ap;

	if (w->failed || !reserve(w, LINE_MOST))
		return;
	va_start(ap, format);
	w->n += (size_t)vsnprintf(w->data + w->n, LINE_MOST, format, ap);
	va_end(ap);
}

static void add_value(struct writer *w, double value)
{
	if (value == floor(value) && fabs(value) < WHOLE_MOST)
		add(w, " %.0f\n", value);
	else
		add(w, " %.12g\n", value);
}

static const char *suffix_of(enum metric_type type)
{
	return type == METRIC_COUNTER ? "_total" : type == METRIC_INFO ? "_info" : "";
}

void writer_family(struct writer *w, enum metric_type type, const char *name,
		   const char *help)
{
	bool open = w->format == METRICS_OPENMETRICS;
	/* There the family has a name of its own; here it is that of its samples. */
	const char *suffix = open ? "" : suffix_of(type);
	/* What Prometheus' own format has no word for. */
	const char *word = type_names[!open && type == METRIC_INFO ? METRIC_GAUGE : type];

	add(w, "# HELP " PREFIX "%s%s %s\n", name, suffix, help);
	add(w, "# TYPE " PREFIX "%s%s %s\n", name, suffix, word);
}

void writer_sample(struct writer *w, enum metric_type type, const char *name,
		   const char *labels, double value)
{
	if (isnan(value))
		return;
	add(w, PREFIX "%s%s%s%s%s", name, suffix_of(type), *labels ? "{" : "", labels,
	    *labels ? "}" : "");
	add_value(w, value);
}

/* OpenMetrics wants a point in bounds; and they are to be the same whatever the format. */
static void add_bucket(struct writer *w, const char *name, const char *labels, double le,
		       uint64_t n)
{
	const char *point = le == floor(le) ? ".0" : "";

	add(w, PREFIX "%s_bucket{%s%sle=\"%.9g%s\"} %llu\n", name, labels,
	    *labels ? "," : "", le, point, (unsigned long long)n);
}

static void add_rest(struct writer *w, const char *name, const char *labels, uint64_t n,
		     uint64_t sum)
{
	const char *open = *labels ? "{" : "", *close = *labels ? "}" : "";

	add(w, PREFIX "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels,
	    *labels ? "," : "", (unsigned long long)n);
	add(w, PREFIX "%s_sum%s%s%s %.12g\n", name, open, labels, close,
	    (double)sum / NSEC_PER_SEC);
	add(w, PREFIX "%s_count%s%s%s %llu\n", name, open, labels, close,
	    (unsigned long long)n);
}

void writer_tally(struct writer *w, const char *name, const char *labels,
		  const struct tally *tally)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < TALLY_BOUNDS; i++) {
		n += tally->bucket[i];
		add_bucket(w, name, labels, (double)tally_bound(i) / NSEC_PER_SEC, n);
	}
	add_rest(w, name, labels, n + tally->bucket[TALLY_BOUNDS], tally->sum);
}

void writer_histogram(struct writer *w, const char *name, const struct histogram *h)
{
	for (unsigned octave = OCTAVE_FIRST; octave <= OCTAVE_LAST; octave++)
		add_bucket(w, name, "", (double)histogram_edge(4 * octave) / NSEC_PER_SEC,
			   histogram_below(h, 4 * octave));
	add_rest(w, name, "", h->count, h->sum);
}

void writer_end(struct writer *w)
{
	if (w->format == METRICS_OPENMETRICS)
		add(w, "# EOF\n");
}

void labels_add(char *labels, size_t size, const char *name, const char *value)
{
	size_t n = strlen(labels);

	n += (size_t)snprintf(labels + n, size - n, "%s%s=\"", n ? "," : "", name);
	for (; *value && n + 4 < size; value++) {
		if (*value == '"' || *value == '\\')
			labels[n++] = '\\';
		labels[n++] = *value;
	}
	labels[n++] = '"';
	labels[n] = '\0';
}
