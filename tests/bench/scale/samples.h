/* SPDX-License-Identifier: MIT */
/* How long something took, many times, and what is said of it. */
#ifndef RTGC_BENCH_SAMPLES_H
#define RTGC_BENCH_SAMPLES_H

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/wire/nsec.h"

#define SAMPLES_MOST (1u << 20) /* what comes after these is not kept */

struct samples {
	nsec_t *ns;
	size_t n;
};

static inline void samples_add(struct samples *s, nsec_t ns)
{
	if (!s->ns)
		s->ns = calloc(SAMPLES_MOST, sizeof(*s->ns));
	if (!s->ns)
		exit(1);
	if (s->n < SAMPLES_MOST)
		s->ns[s->n++] = ns;
}

static inline int samples_compare(const void *a, const void *b)
{
	nsec_t x = *(const nsec_t *)a, y = *(const nsec_t *)b;

	return x < y ? -1 : x > y;
}

static inline double samples_us(const struct samples *s, size_t part, size_t of)
{
	size_t at = s->n * part / of;

	return (double)s->ns[at < s->n ? at : s->n - 1] / 1e3;
}

/* As a member of a JSON object; then they begin anew. null: there were none. */
static inline void samples_print(struct samples *s, const char *name)
{
	if (s->n == 0) {
		printf("\"%s\": null", name);
		return;
	}
	qsort(s->ns, s->n, sizeof(*s->ns), samples_compare);
	printf("\"%s\": {\"n\": %zu, \"p50_us\": %.3f, \"p99_us\": %.3f, \"max_us\": %.3f}",
	       name, s->n, samples_us(s, 1, 2), samples_us(s, 99, 100),
	       samples_us(s, 1, 1));
	s->n = 0;
}

#endif
