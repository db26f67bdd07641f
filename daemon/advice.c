/* SPDX-License-Identifier: MIT */
#include "daemon/advice.h"

#include <stdio.h>

struct words {
	char text[32];
};

static struct words span(nsec_t ns)
{
	struct words w;
	double s = (double)ns / (double)NSEC_PER_SEC;

	if (s < 0.0009995)
		snprintf(w.text, sizeof w.text, "%.0f us", s * 1e6);
	else if (s < 0.9995)
		snprintf(w.text, sizeof w.text, s < 0.00995 ? "%.1f ms" : "%.0f ms",
			 s * 1e3);
	else if (s < 99.5)
		snprintf(w.text, sizeof w.text, s < 9.95 ? "%.1f s" : "%.0f s", s);
	else
		snprintf(w.text, sizeof w.text, "%.0f min", s / 60);
	return w;
}

struct work {
	char text[2 * sizeof(struct words) + 16];
};

/* "140 ms", "140 ms and drain 200 ms" */
static struct work work(const struct core_admission *a)
{
	struct words pause = span(a->pause), drain = span(a->drain);
	struct work w;

	if (a->drain)
		snprintf(w.text, sizeof w.text, "%s and drain%s %s", pause.text,
			 a->heaps == 1 ? "s" : "", drain.text);
	else
		snprintf(w.text, sizeof w.text, "%s", pause.text);
	return w;
}

/* Rounded down: it is a promise. */
static struct words times(unsigned permille)
{
	struct words w;

	if (permille < 10000)
		snprintf(w.text, sizeof w.text, "%u.%u", permille / 1000,
			 permille / 100 % 10);
	else if (permille < 100000)
		snprintf(w.text, sizeof w.text, "%u", permille / 1000);
	else
		snprintf(w.text, sizeof w.text, "100");
	return w;
}

void advice_write(const struct core_admission *a, enum core_policy policy, unsigned slots,
		  char ret[ADVICE_MAX])
{
	const char *s = a->heaps == 1 ? "" : "s", *verb = a->heaps == 1 ? "s" : "";
	struct words period = span(a->period);
	struct work pause = work(a);

	if (a->heaps == 0 && a->snapshots)
		snprintf(ret, ADVICE_MAX,
			 "%u heap%s snapshots, which need no slot: nothing to schedule",
			 a->snapshots, a->snapshots == 1 ? " takes" : "s take");
	else if (a->heaps == 0)
		snprintf(ret, ADVICE_MAX, "no heap has a budget: nothing to schedule");
	else if (a->period == NSEC_NEVER)
		snprintf(ret, ADVICE_MAX, "nothing allocates: nothing to schedule");
	else if (policy == POLICY_TOGETHER)
		snprintf(ret, ADVICE_MAX, "%u heap%s pause%s %s every %s, all at once",
			 a->heaps, s, verb, pause.text, period.text);
	else if (!a->schedulable)
		snprintf(ret, ADVICE_MAX,
			 "MaxConcurrent=%u is too little for %u heap%s that pause%s %s "
			 "every %s: %u would do",
			 slots, a->heaps, s, verb, pause.text, period.text,
			 a->needs_concurrent);
	else if (slots >= a->heaps)
		snprintf(ret, ADVICE_MAX,
			 "%u heap%s pause%s %s every %s: MaxConcurrent=%u has a slot for "
			 "%s",
			 a->heaps, s, verb, pause.text, period.text, slots,
			 a->heaps == 1 ? "it" : "each");
	else
		snprintf(ret, ADVICE_MAX,
			 "%u heaps pause %s every %s: MaxConcurrent=%u is enough, up to "
			 "%s times the present allocation rate",
			 a->heaps, pause.text, period.text, slots,
			 times(a->rate_headroom_permille).text);
}
