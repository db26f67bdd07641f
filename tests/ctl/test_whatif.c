/* SPDX-License-Identifier: MIT */
/* What would have had to be different, from decisions made up here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/ctl/whatif.h"

#define MSEC 1000

/* Rate: 1000 a second, budget 10000, predicted pause 100 ms. */
static json_t *decision(const char *reason, int ago, int window, int latest_start,
			int taken, int slots, const char *holder)
{
	return json_pack("{s:i, s:s, s:o, s:i, s:i, s:i, s:i, s:i, s:i, s:s?}", "ago_us",
			 ago, "reason", reason, "window",
			 window ? json_integer(window) : json_null(), "budget", 10000,
			 "rate_per_s", 1000, "latest_start_us", latest_start,
			 "predicted_pause_us", 100 * MSEC, "slots_taken", taken, "slots",
			 slots, "holder", holder);
}

/* Steals the decisions; the first NULL ends them. */
static void says(const char *expected, const char *unit, json_t *first, ...)
{
	json_t *heap = json_pack("{s:s, s:s}", "service", "shop", "unit", unit);
	json_t *list = json_array();
	char *sentence;
	va_list ap;

	va_start(ap, first);
	for (json_t *d = first; d; d = va_arg(ap, json_t *))
		json_array_append_new(list, d);
	va_end(ap);
	sentence = whatif_sentence(heap, list);
	if (expected)
		assert_non_null(sentence);
	if (expected)
		assert_string_equal(sentence, expected);
	else
		assert_null(sentence);
	free(sentence);
	json_decref(list);
	json_decref(heap);
}

static void nothing_to_say(void **state)
{
	says(NULL, "objects", NULL);
	says(NULL, "objects", decision("due", 500 * MSEC, 1, 5 * MSEC, 1, 1, NULL),
	     decision("began", 400 * MSEC, 1, 5 * MSEC, 1, 1, NULL), NULL);
	/* It waited, and then its runtime collected on its own: it had no window. */
	says(NULL, "objects", decision("slot-busy", 500 * MSEC, 0, 5 * MSEC, 1, 1, "a"),
	     decision("uncoordinated", 400 * MSEC, 0, 5 * MSEC, 1, 1, NULL), NULL);
}

static void in_time(void **state)
{
	says("900ms ago it waited 400ms for other, and had its window in time, 30ms before "
	     "its latest start: nothing had to be different",
	     "objects", decision("slot-busy", 900 * MSEC, 0, 430 * MSEC, 1, 1, "other"),
	     decision("due", 500 * MSEC, 7, 30 * MSEC, 1, 1, NULL),
	     decision("began", 400 * MSEC, 7, 0, 1, 1, NULL), NULL);
}

/* 900 ms late at 1000 a second, and a tenth of what is added is not usable: 1000 more. */
static void late(void **state)
{
	says("2.0s ago it waited 1.0s for other: with a second slot in shop, or 1.0k objects "
	     "more budget, it would have started in time",
	     "objects", decision("slot-busy", 2000 * MSEC, 0, 100 * MSEC, 1, 1, "other"),
	     decision("due", 1000 * MSEC, 7, -900 * MSEC, 1, 1, NULL), NULL);
	says("2.0s ago it waited 1.0s for other: with a third slot on this host, or 1000B more "
	     "budget, it would have started in time",
	     "bytes", decision("host-busy", 2000 * MSEC, 0, 100 * MSEC, 2, 2, "other"),
	     decision("due", 1000 * MSEC, 7, -900 * MSEC, 1, 2, NULL), NULL);
	says("2.0s ago it waited 1.0s for other: without NeverWith between shop and the "
	     "service of other, or 1.0k objects more budget, it would have started in time",
	     "objects", decision("rival-busy", 2000 * MSEC, 0, 100 * MSEC, 0, 1, "other"),
	     decision("due", 1000 * MSEC, 7, -900 * MSEC, 1, 1, NULL), NULL);
}

/* When it began to wait counts, and what it waited for last. */
static void one_wait_for_several(void **state)
{
	says("3.0s ago it waited 2.5s for b: with a second slot on this host, or 333 objects more "
	     "budget, it would have started in time",
	     "objects", decision("due", 4000 * MSEC, 6, 0, 1, 1, NULL),
	     decision("slot-busy", 3000 * MSEC, 0, 900 * MSEC, 1, 1, "a"),
	     decision("host-busy", 2000 * MSEC, 0, 700 * MSEC, 1, 1, "b"),
	     decision("due", 500 * MSEC, 7, -300 * MSEC, 1, 1, NULL), NULL);
}

static void over_the_limit(void **state)
{
	/* 80 ms late, and 100 ms until the slot is free, at the most. */
	says("500ms ago it waited 400ms for other: with a second slot in shop, or 200 objects "
	     "more budget, it would have started in time",
	     "objects", decision("slot-busy", 500 * MSEC, 0, 300 * MSEC, 1, 1, "other"),
	     decision("over-limit", 100 * MSEC, 7, -80 * MSEC, 2, 1, NULL), NULL);
	says("100ms ago it was let through over the limit: with one more slot, or 200 objects "
	     "more budget, it would have started in time",
	     "objects", decision("ended", 500 * MSEC, 6, 300 * MSEC, 1, 1, NULL),
	     decision("over-limit", 100 * MSEC, 7, -80 * MSEC, 2, 1, NULL), NULL);
	/* Only the last one is told. */
	says("100ms ago it was let through over the limit: with one more slot, or 200 objects "
	     "more budget, it would have started in time",
	     "objects", decision("slot-busy", 900 * MSEC, 0, 300 * MSEC, 1, 1, "other"),
	     decision("due", 500 * MSEC, 6, 300 * MSEC, 1, 1, NULL),
	     decision("over-limit", 100 * MSEC, 7, -80 * MSEC, 2, 1, NULL), NULL);
}

static void forced(void **state)
{
	says("500ms ago it waited 400ms for other: with a second slot in shop, or 111 objects "
	     "more budget, it would have started in time",
	     "objects", decision("slot-busy", 500 * MSEC, 0, 300 * MSEC, 1, 1, "other"),
	     decision("forced", 100 * MSEC, 0, 0, 1, 1, NULL), NULL);
}

static void it_waits_still(void **state)
{
	says("it waits for other: with a second slot in shop it would start now",
	     "objects", decision("due", 900 * MSEC, 6, 300 * MSEC, 1, 1, NULL),
	     decision("slot-busy", 500 * MSEC, 0, 300 * MSEC, 1, 1, "other"), NULL);
	says("it waits for a slot: with a further slot on this host it would start now",
	     "objects", decision("host-busy", 500 * MSEC, 0, 300 * MSEC, 10, 10, NULL),
	     NULL);
}

/* From a daemon that is older, newer or mad. */
static void odd_replies(void **state)
{
	says("- ago it was let through over the limit: with one more slot it would have started "
	     "in time",
	     "objects", json_pack("{s:s, s:i}", "reason", "over-limit", "window", 1),
	     NULL);
	says("it waits for a slot: with a first slot in shop it would start now",
	     "objects", json_pack("{s:s}", "reason", "slot-busy"), NULL);
	says(NULL, "objects", json_string("slot-busy"), json_null(), json_integer(3),
	     NULL);
	says(NULL, "objects", json_pack("{s:s}", "reason", "host-busy"), json_null(),
	     NULL);
	says("it waits for a slot: with a further slot in shop it would start now",
	     "objects",
	     json_pack("{s:s, s:I, s:I}", "reason", "slot-busy", "slots",
		       (json_int_t)INT64_MAX, "slots_taken", (json_int_t)INT64_MIN),
	     NULL);
	says("0us ago it waited 0us for a slot: with a first slot in shop it would have started "
	     "in time",
	     "objects", json_pack("{s:s, s:i}", "reason", "slot-busy", "ago_us", 0),
	     json_pack("{s:s, s:i, s:I, s:I, s:I}", "reason", "over-limit", "window", 1,
		       "latest_start_us", (json_int_t)INT64_MIN, "rate_per_s",
		       (json_int_t)INT64_MAX, "budget", (json_int_t)1),
	     NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_to_say), cmocka_unit_test(in_time),
		cmocka_unit_test(late),		  cmocka_unit_test(one_wait_for_several),
		cmocka_unit_test(over_the_limit), cmocka_unit_test(forced),
		cmocka_unit_test(it_waits_still), cmocka_unit_test(odd_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
