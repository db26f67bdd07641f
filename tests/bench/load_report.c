/* SPDX-License-Identifier: MIT */
#include "tests/bench/load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const failure_names[FAILURES] = {
	"ok", "status", "connect", "reset", "protocol", "timeout",
};

int load_write_series(const struct load *l, const char *file)
{
	FILE *f = fopen(file, "we");

	if (!f)
		return -errno;
	fputs("intended_ns,latency_ns,status\n", f);
	for (uint64_t i = l->skip; i < l->total; i++)
		fprintf(f, "%" PRIu64 ",%" PRIu64 ",%d\n", load_intended(l, i),
			l->requests[i].latency, l->requests[i].status);
	return fclose(f) == 0 ? 0 : -errno;
}

static int compare(const void *a, const void *b)
{
	nsec_t x = *(const nsec_t *)a, y = *(const nsec_t *)b;

	return (x > y) - (x < y);
}

/* The nearest-rank quantile of sorted values, in ms: exact, nothing is interpolated. */
static double quantile_ms(const nsec_t *sorted, uint64_t n, unsigned permille)
{
	uint64_t rank = (n * permille + 999) / 1000;

	return (double)sorted[rank - 1] / 1e6;
}

/* Requests a second as they were really taken up. */
static double achieved_rate(const struct load *l)
{
	uint64_t first = l->skip, last = l->total - 1;
	nsec_t begin = load_intended(l, first) + l->requests[first].lag;
	nsec_t end = load_intended(l, last) + l->requests[last].lag;

	return (double)(l->total - l->skip) / ((double)(end - begin) / 1e9 + 1 / l->rate);
}

static void print_counts(const struct load *l)
{
	uint64_t n = l->total - l->skip, count[FAILURES] = {};

	for (uint64_t i = l->skip; i < l->total; i++)
		count[l->requests[i].failure]++;
	printf("{\"sent\": %" PRIu64 ", \"ok\": %" PRIu64 ", \"errors\": %" PRIu64, n,
	       count[OK], n - count[OK]);
	for (int i = OK + 1; i < FAILURES; i++)
		printf(", \"errors_%s\": %" PRIu64, failure_names[i], count[i]);
}

int load_print(const struct load *l)
{
	uint64_t n = l->total - l->skip;
	nsec_t *latency = malloc(n * sizeof(*latency)), *lag = malloc(n * sizeof(*lag));
	nsec_t end = l->start;

	if (!latency || !lag) {
		free(latency);
		free(lag);
		return -ENOMEM;
	}
	for (uint64_t i = 0; i < n; i++) {
		const struct request *r = &l->requests[l->skip + i];

		latency[i] = r->latency;
		lag[i] = r->lag;
		end = nsec_max(end, load_intended(l, l->skip + i) + r->latency);
	}
	qsort(latency, n, sizeof(*latency), compare);
	qsort(lag, n, sizeof(*lag), compare);
	print_counts(l);
	printf(", \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"p999_ms\": %.3f, \"max_ms\": %.3f",
	       quantile_ms(latency, n, 500), quantile_ms(latency, n, 990),
	       quantile_ms(latency, n, 999), quantile_ms(latency, n, 1000));
	printf(", \"rate\": %.3f, \"seconds\": %.3f", achieved_rate(l), l->seconds);
	printf(", \"send_lag_p999_ms\": %.3f, \"send_lag_max_ms\": %.3f",
	       quantile_ms(lag, n, 999), quantile_ms(lag, n, 1000));
	printf(", \"connections\": %u, \"begin_ns\": %" PRIu64 ", \"end_ns\": %" PRIu64
	       "}\n",
	       l->conns_peak, load_intended(l, l->skip), end);
	free(latency);
	free(lag);
	return 0;
}
