/* SPDX-License-Identifier: MIT */
#include "client/ctl/simulate.h"

#include <stdlib.h>

#include "client/ctl/ctl.h"

void figures_wait(struct sim_figures *f, nsec_t wait)
{
	*(nsec_t *)sim_append(&f->waits, &f->n_waits, &f->room_waits, sizeof(wait)) =
		wait;
}

void figures_pause(struct sim_figures *f, nsec_t begin, nsec_t end)
{
	struct sim_pause *p =
		sim_append(&f->pauses, &f->n_pauses, &f->room_pauses, sizeof(*p));

	*p = (struct sim_pause){.begin = begin, .end = nsec_max(begin, end)};
	f->collections++;
}

static int by_value(const void *a, const void *b)
{
	nsec_t x = *(const nsec_t *)a, y = *(const nsec_t *)b;

	return x < y ? -1 : x > y;
}

nsec_t figures_wait_quantile(const struct sim_figures *f, unsigned permille)
{
	nsec_t *sorted = ctl_alloc(f->n_waits * sizeof(*sorted)), value = 0;
	size_t rank = (f->n_waits * permille + 999) / 1000;

	for (size_t i = 0; i < f->n_waits; i++)
		sorted[i] = f->waits[i];
	qsort(sorted, f->n_waits, sizeof(*sorted), by_value);
	if (rank > 0)
		value = sorted[rank - 1];
	free(sorted);
	return value;
}

unsigned figures_most_at_once(const struct sim_figures *f)
{
	size_t n = f->n_pauses, ended = 0, most = 0;
	nsec_t *begins = ctl_alloc(n * sizeof(*begins));
	nsec_t *ends = ctl_alloc(n * sizeof(*ends));

	for (size_t i = 0; i < n; i++) {
		begins[i] = f->pauses[i].begin;
		ends[i] = f->pauses[i].end;
	}
	qsort(begins, n, sizeof(*begins), by_value);
	qsort(ends, n, sizeof(*ends), by_value);
	for (size_t begun = 0; begun < n; begun++) {
		/* One that ends when another begins is not at once with it. */
		while (ended < begun && ends[ended] <= begins[begun])
			ended++;
		if (begun + 1 - ended > most)
			most = begun + 1 - ended;
	}
	free(begins);
	free(ends);
	return (unsigned)most;
}

nsec_t figures_gc_time(const struct sim_figures *f)
{
	nsec_t sum = 0;

	for (size_t i = 0; i < f->n_pauses; i++)
		sum = nsec_add(sum, f->pauses[i].end - f->pauses[i].begin);
	return sum;
}

void figures_deinit(struct sim_figures *f)
{
	free(f->waits);
	free(f->pauses);
}
