/* SPDX-License-Identifier: MIT */
#include "daemon/core/placement.h"

#include <stdlib.h>

static int by_falling_deadline(const void *a, const void *b)
{
	const struct placement_job *x = a, *y = b;
	nsec_t dx = nsec_add(x->latest, x->span), dy = nsec_add(y->latest, y->span);

	return dx < dy ? 1 : dx > dy ? -1 : 0;
}

void placement_backward(struct placement_job *jobs, size_t n, nsec_t *busy,
			unsigned slots)
{
	/* busy[i]: slot i is promised from that instant on. */
	for (unsigned i = 0; i < slots; i++)
		busy[i] = NSEC_NEVER;
	qsort(jobs, n, sizeof(*jobs), by_falling_deadline);

	for (size_t j = 0; j < n; j++) {
		unsigned best = 0;
		nsec_t end;

		for (unsigned i = 1; i < slots; i++)
			if (busy[i] > busy[best])
				best = i;
		end = nsec_min(nsec_add(jobs[j].latest, jobs[j].span), busy[best]);
		jobs[j].start = end > jobs[j].span ? end - jobs[j].span : 0;
		busy[best] = jobs[j].start;
	}
}
