/* SPDX-License-Identifier: MIT */
/* The sentence that says whether the slots are enough. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/advice.h"

#define MSEC NSEC_PER_MSEC
#define SEC  NSEC_PER_SEC

static const char *advice(struct core_admission a, enum core_policy policy,
			  unsigned slots)
{
	static char text[ADVICE_MAX];

	memset(text, '?', sizeof text);
	advice_write(&a, policy, slots, text);
	return text;
}

#define SAYS(policy, slots, words, ...)                                                  \
	assert_string_equal(advice((struct core_admission){__VA_ARGS__}, policy, slots), \
			    words)

static void test_enough(void **state)
{
	SAYS(POLICY_STAGGER, 1,
	     "3 heaps pause 140 ms every 2.1 s: MaxConcurrent=1 is enough, up to 1.8 "
	     "times the present allocation rate",
	     .heaps = 3, .schedulable = true, .needs_concurrent = 1, .pause = 140 * MSEC,
	     .period = 2100 * MSEC, .rate_headroom_permille = 1899);
	SAYS(POLICY_IDLE, 2,
	     "5 heaps pause 1.5 ms every 12 s: MaxConcurrent=2 is enough, up to 34 times "
	     "the present allocation rate",
	     .heaps = 5, .schedulable = true, .needs_concurrent = 1,
	     .pause = 1500 * NSEC_PER_USEC, .period = 12 * SEC,
	     .rate_headroom_permille = 34999);
	SAYS(POLICY_OBSERVE, 1,
	     "2 heaps pause 850 us every 10 min: MaxConcurrent=1 is enough, up to 100 "
	     "times the present allocation rate",
	     .heaps = 2, .schedulable = true, .needs_concurrent = 1,
	     .pause = 850 * NSEC_PER_USEC, .period = 600 * SEC,
	     .rate_headroom_permille = 1000000);
}

static void test_a_slot_for_each(void **state)
{
	SAYS(POLICY_STAGGER, 1,
	     "1 heap pauses 2.0 s every 3.0 s: MaxConcurrent=1 has a slot for it",
	     .heaps = 1, .schedulable = true, .needs_concurrent = 1, .pause = 2 * SEC,
	     .period = 3 * SEC, .rate_headroom_permille = 3000);
	SAYS(POLICY_STAGGER, 4,
	     "2 heaps pause 30 ms every 40 ms: MaxConcurrent=4 has a slot for each",
	     .heaps = 2, .schedulable = true, .needs_concurrent = 2, .pause = 30 * MSEC,
	     .period = 40 * MSEC, .rate_headroom_permille = 2600);
}

static void test_too_little(void **state)
{
	SAYS(POLICY_STAGGER, 1,
	     "MaxConcurrent=1 is too little for 5 heaps that pause 300 ms every 1.2 s: 2 "
	     "would do",
	     .heaps = 5, .needs_concurrent = 2, .pause = 300 * MSEC,
	     .period = 1200 * MSEC, .rate_headroom_permille = 400);
}

static void test_drained(void **state)
{
	SAYS(POLICY_STAGGER, 1,
	     "MaxConcurrent=1 is too little for 3 heaps that pause 166 ms and drain 200 ms every "
	     "1.1 s: 3 would do",
	     .heaps = 3, .needs_concurrent = 3, .pause = 166 * MSEC, .drain = 200 * MSEC,
	     .period = 1100 * MSEC);
	SAYS(POLICY_STAGGER, 1,
	     "1 heap pauses 20 ms and drains 5.0 ms every 9.0 s: MaxConcurrent=1 has a slot for it",
	     .heaps = 1, .schedulable = true, .needs_concurrent = 1, .pause = 20 * MSEC,
	     .drain = 5 * MSEC, .period = 9 * SEC);
}

static void test_together(void **state)
{
	SAYS(POLICY_TOGETHER, 1, "4 heaps pause 9.9 ms every 1.0 s, all at once",
	     .heaps = 4, .schedulable = true, .needs_concurrent = 1,
	     .pause = 9900 * NSEC_PER_USEC, .period = 999600 * NSEC_PER_USEC);
}

static void test_nothing(void **state)
{
	SAYS(POLICY_STAGGER, 1,
	     "1 heap takes snapshots, which need no slot: nothing to schedule",
	     .snapshots = 1, .period = NSEC_NEVER);
	SAYS(POLICY_STAGGER, 1,
	     "3 heaps take snapshots, which need no slot: nothing to schedule",
	     .snapshots = 3, .period = NSEC_NEVER);
	SAYS(POLICY_STAGGER, 1, "no heap has a budget: nothing to schedule",
	     .schedulable = true, .needs_concurrent = 1, .period = NSEC_NEVER);
	SAYS(POLICY_TOGETHER, 1, "nothing allocates: nothing to schedule", .heaps = 2,
	     .schedulable = true, .needs_concurrent = 1, .period = NSEC_NEVER);
}

/* The largest numbers there are: nothing is cut off. */
static void test_fits(void **state)
{
	const char *text = advice((struct core_admission){.heaps = UINT32_MAX,
							  .needs_concurrent = UINT32_MAX,
							  .pause = NSEC_NEVER - 1,
							  .period = NSEC_NEVER - 1},
				  POLICY_STAGGER, UINT32_MAX);

	assert_true(strlen(text) > 9);
	assert_string_equal(text + strlen(text) - 9, " would do");
	text = advice((struct core_admission){.heaps = UINT32_MAX,
					      .schedulable = true,
					      .pause = NSEC_NEVER - 1,
					      .period = NSEC_NEVER - 1,
					      .rate_headroom_permille = 99999},
		      POLICY_STAGGER, UINT32_MAX - 1);
	assert_string_equal(text + strlen(text) - 5, " rate");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_enough),	   cmocka_unit_test(test_a_slot_for_each),
		cmocka_unit_test(test_too_little), cmocka_unit_test(test_together),
		cmocka_unit_test(test_drained),	   cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
