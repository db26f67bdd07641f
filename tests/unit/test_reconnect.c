/* SPDX-License-Identifier: MIT */
/* When clients try again to reach a daemon that has gone: in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/reconnect.h"

#define MS	NSEC_PER_MSEC
#define CLIENTS 1000

/* The first try of a client behind an outage of that length, which begins at 0. */
static nsec_t first_try_behind(struct reconnect *rc, nsec_t outage)
{
	nsec_t at = 0;

	while (at < outage)
		at = reconnect_next(rc, at);
	return at;
}

/* A thousand heaps are back within two seconds, as far as waiting is concerned, and not all at once. */
static void all_try_soon_after_a_restart(void **state)
{
	for (nsec_t outage = MS; outage <= 650 * MS; outage += 7 * MS) {
		nsec_t first = NSEC_NEVER, last = 0;

		for (uint64_t seed = 1; seed <= CLIENTS; seed++) {
			struct reconnect rc;
			nsec_t at;

			reconnect_init(&rc, seed * UINT64_C(0x9e3779b97f4a7c15));
			at = first_try_behind(&rc, outage);
			first = nsec_min(first, at);
			last = nsec_max(last, at);
		}
		/* The last delay is no longer than twice all those before, and 20 ms. */
		assert_true(last <= 3 * outage + 20 * MS);
		assert_true(last < 2 * NSEC_PER_SEC);
		/* They come spread over a time that grows with the outage. */
		assert_true(last - first >= 5 * MS && last - first >= outage / 2);
	}
}

static void delays_double_up_to_two_seconds(void **state)
{
	struct reconnect rc;
	nsec_t most = RECONNECT_MIN;

	reconnect_init(&rc, 0);
	for (unsigned i = 0; i < 1000; i++) {
		nsec_t delay = reconnect_next(&rc, 5) - 5;

		assert_in_range(delay, most / 2, most);
		most = nsec_min(2 * most, RECONNECT_MAX);
	}
	reconnect_reset(&rc);
	assert_in_range(reconnect_next(&rc, 0), RECONNECT_MIN / 2, RECONNECT_MIN);
	reconnect_slow(&rc);
	assert_in_range(reconnect_next(&rc, 0), RECONNECT_MAX / 2, RECONNECT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_try_soon_after_a_restart),
		cmocka_unit_test(delays_double_up_to_two_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
