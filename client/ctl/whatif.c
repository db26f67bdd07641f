/* SPDX-License-Identifier: MIT */
#include "client/ctl/whatif.h"

#include <stdlib.h>
#include <string.h>

#include "client/ctl/ctl.h"
#include "client/ctl/field.h"

/* Of what a budget grows by, a tenth goes into the guard before its end. */
#define USABLE_PERCENT 90

struct wait {
	const json_t
		*first; /* when it began; NULL: let through without a wait on record */
	const json_t *last; /* what it last waited for, and who held it */
	const json_t *end;  /* what ended it; NULL: it waits still */
};

static bool is(const json_t *decision, const char *reason)
{
	return strcmp(field_text(decision, "reason"), reason) == 0;
}

static bool is_busy(const json_t *decision)
{
	return is(decision, "slot-busy") || is(decision, "rival-busy") ||
	       is(decision, "host-busy");
}

/* It collected late, whatever the figures of that instant say. */
static bool is_last_resort(const json_t *decision)
{
	return is(decision, "over-limit") || is(decision, "forced");
}

static bool find_wait(const json_t *decisions, struct wait *ret)
{
	size_t i = json_array_size(decisions), last;
	struct wait wait = {NULL};

	do {
		if (i-- == 0)
			return false;
	} while (!is_busy(json_array_get(decisions, i)) &&
		 !is(json_array_get(decisions, i), "over-limit"));
	if (is_busy(json_array_get(decisions, i))) {
		wait.end = json_array_get(decisions, i + 1);
	} else {
		wait.end = json_array_get(decisions, i);
		i--;
	}
	last = i;
	for (; i < json_array_size(decisions) && is_busy(json_array_get(decisions, i));
	     i--) {
		wait.last = json_array_get(decisions, last);
		wait.first = json_array_get(decisions, i);
	}
	*ret = wait;
	return true;
}

/* The one after n. */
static const char *next(int64_t n)
{
	static const char *const words[] = {"first", "second", "third",	  "fourth",
					    "fifth", "sixth",  "seventh", "eighth",
					    "ninth", "tenth"};

	return n >= 0 && n < 10 ? words[n] : "further";
}

/* What would have been free at once. */
static char *remedy(const json_t *heap, const struct wait *wait)
{
	const json_t *busy = wait->last != NULL ? wait->last : wait->end;
	int64_t slots = field_int(busy, "slots", 0),
		taken = field_int(busy, "slots_taken", 0);
	const char *service = field_text(heap, "service");

	if (is(busy, "rival-busy"))
		return ctl_format("without NeverWith between %s and the service of %s",
				  service, field_text(busy, "holder"));
	if (is(busy, "host-busy"))
		return ctl_format("with a %s slot on this host",
				  next(taken > slots ? taken : slots));
	if (is(busy, "slot-busy"))
		return ctl_format("with a %s slot in %s",
				  next(taken > slots ? taken : slots), service);
	return ctl_format("with one more slot");
}

/* The room in which it could have waited that much longer; "" where none can be named. */
static char *more_budget(const json_t *heap, const json_t *end)
{
	bool bytes = strcmp(field_text(heap, "unit"), "objects") != 0;
	double late = -(double)field_int(end, "latest_start_us", 0);
	double rate = (double)field_int(end, "rate_per_s", 0), amount;

	/* Let through before the slot was free: that was a pause away, if not more. */
	if (is_last_resort(end))
		late = (late > 0 ? late : 0) +
		       (double)field_int(end, "predicted_pause_us", 0);
	amount = late / 1e6 * rate * 100 / USABLE_PERCENT;
	if (field_int(end, "budget", 0) <= 0 || amount < 1 || amount > 1e18)
		return ctl_format("%s", "");
	return ctl_format(", or %s%s more budget,",
			  human_amount((uint64_t)amount, bytes).text,
			  bytes ? "" : " objects");
}

/* "4.5s ago it waited 98ms for checkout-2" */
static char *what_was(const struct wait *wait)
{
	int64_t began = field_int(wait->first, "ago_us", 0), lasted;
	const char *holder = wait->last != NULL && field_present(wait->last, "holder")
				     ? field_text(wait->last, "holder")
				     : "a slot";

	if (wait->end == NULL)
		return ctl_format("it waits for %s", holder);
	if (wait->first == NULL)
		return ctl_format("%s ago it was let through over the limit",
				  field_time(wait->end, "ago_us").text);
	if (__builtin_sub_overflow(began, field_int(wait->end, "ago_us", 0), &lasted))
		lasted = 0;
	return ctl_format("%s ago it waited %s for %s", human_time(began).text,
			  human_time(lasted).text, holder);
}

char *whatif_sentence(const json_t *heap, const json_t *decisions)
{
	char *was, *with, *budget, *sentence = NULL;
	struct wait wait;
	int64_t room;

	if (!find_wait(decisions, &wait))
		return NULL;
	if (wait.end != NULL && !is(wait.end, "forced") &&
	    field_int(wait.end, "window", 0) == 0)
		return NULL;
	was = what_was(&wait);
	with = remedy(heap, &wait);
	room = field_int(wait.end, "latest_start_us", 0);
	if (wait.end == NULL) {
		sentence = ctl_format("%s: %s it would start now", was, with);
	} else if (room >= 0 && !is_last_resort(wait.end)) {
		sentence = ctl_format("%s, and had its window in time, %s before its "
				      "latest start: nothing had to be different",
				      was, human_time(room).text);
	} else {
		budget = more_budget(heap, wait.end);
		sentence = ctl_format("%s: %s%s it would have started in time", was, with,
				      budget);
		free(budget);
	}
	free(with);
	free(was);
	return sentence;
}
