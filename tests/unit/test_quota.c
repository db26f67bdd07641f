/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/quota.h"

#define OWN    900
#define THINGS 64
#define STEPS  200000

static const struct quota_limits limits = {
	.most =
		{
			[QUOTA_CONNECTIONS] = {10, 2, 5, false},
			[QUOTA_UNGREETED] = {10, 2, 3, true},
			[QUOTA_HEAPS] = {10, 2, 5, false},
			[QUOTA_CALLERS] = {4, 1, 2, false},
			[QUOTA_BYTES] = {1000, 100, 500, false},
		},
	.per_s = {[QUOTA_FRAMES] = 1000, [QUOTA_REQUESTS] = 10},
	.frames_per_s = 100,
	.queue = 100,
	.hello = NSEC_PER_SEC,
};

static struct quota *make(void)
{
	struct quota *q;

	assert_int_equal(quota_new(OWN, &limits, &q), 0);
	return q;
}

static void test_a_user(void **state)
{
	struct quota *q = make();
	struct quota_charge c[6] = {0};

	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(quota_charge(q, QUOTA_CONNECTIONS, 1, 1, &c[i]), 0);
	assert_int_equal(quota_charge(q, QUOTA_CONNECTIONS, 1, 1, &c[5]),
			 QUOTA_E_USER_CONNECTIONS);
	assert_null(c[5].user);
	assert_int_equal(quota_charged_to(q, QUOTA_CONNECTIONS, 1), 5);
	/* Another kind, another user: by themselves. */
	assert_int_equal(quota_charge(q, QUOTA_HEAPS, 1, 1, &c[5]), 0);
	quota_release(q, &c[5]);
	assert_int_equal(quota_charge(q, QUOTA_CONNECTIONS, 257, 1, &c[5]), 0);
	quota_release(q, &c[5]);
	quota_release(q, &c[5]);
	/* One goes, one comes. */
	quota_release(q, &c[2]);
	assert_int_equal(quota_charge(q, QUOTA_CONNECTIONS, 1, 1, &c[2]), 0);
	assert_int_equal(quota_refused(q, QUOTA_E_USER_CONNECTIONS), 1);
	assert_int_equal(quota_refused(q, QUOTA_E_CONNECTIONS), 0);
	for (unsigned i = 0; i < 5; i++)
		quota_release(q, &c[i]);
	assert_int_equal(quota_charged(q, QUOTA_CONNECTIONS), 0);
	assert_null(quota_free(q));
}

static void test_all_and_the_reserve(void **state)
{
	struct quota *q = make();
	struct quota_charge c[12] = {0};

	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(quota_charge(q, QUOTA_CONNECTIONS, i, 1, &c[i]), 0);
	assert_int_equal(quota_charge(q, QUOTA_CONNECTIONS, 8, 1, &c[8]),
			 QUOTA_E_CONNECTIONS);
	/* What is left is for these. */
	assert_int_equal(quota_charge(q, QUOTA_CONNECTIONS, 0, 1, &c[8]), 0);
	assert_int_equal(quota_charge(q, QUOTA_CONNECTIONS, OWN, 1, &c[9]), 0);
	assert_int_equal(quota_charge(q, QUOTA_CONNECTIONS, 0, 1, &c[10]),
			 QUOTA_E_CONNECTIONS);
	assert_int_equal(quota_refused(q, QUOTA_E_CONNECTIONS), 2);
	/* What is there is not driven away, and nobody comes until there is room again. */
	assert_int_equal(quota_charge_anyway(q, QUOTA_CONNECTIONS, 7, 1, &c[10]), 0);
	quota_release(q, &c[0]);
	assert_int_equal(quota_charge(q, QUOTA_CONNECTIONS, 0, 1, &c[0]),
			 QUOTA_E_CONNECTIONS);
	for (unsigned i = 0; i < 12; i++)
		quota_release(q, &c[i]);
	quota_free(q);
}

static void test_the_privileged(void **state)
{
	struct quota *q = make();
	struct quota_charge c[10] = {0};

	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(quota_charge(q, QUOTA_CONNECTIONS, OWN, 1, &c[i]), 0);
	for (unsigned i = 7; i < 10; i++)
		assert_int_equal(quota_charge(q, QUOTA_UNGREETED, 0, 1, &c[i]), 0);
	quota_release(q, &c[0]);
	assert_int_equal(quota_charge(q, QUOTA_UNGREETED, 0, 1, &c[0]),
			 QUOTA_E_UNGREETED);
	for (unsigned i = 0; i < 10; i++)
		quota_release(q, &c[i]);
	quota_free(q);
}

static void test_sizes(void **state)
{
	struct quota *q = make();
	struct quota_charge a = {0}, b = {0};

	assert_int_equal(quota_charge(q, QUOTA_BYTES, 1, 0, &a), 0);
	assert_int_equal(quota_charge(q, QUOTA_BYTES, 1, 200, &b), 0);
	assert_int_equal(quota_resize(q, &a, 300), 0);
	assert_int_equal(quota_resize(q, &a, 301), QUOTA_E_USER_MEMORY);
	assert_int_equal(quota_charged(q, QUOTA_BYTES), 500);
	assert_int_equal(quota_resize(q, &a, UINT64_MAX), QUOTA_E_USER_MEMORY);
	quota_resize_anyway(q, &a, 900);
	assert_int_equal(quota_charged_to(q, QUOTA_BYTES, 1), 1100);
	quota_resize_anyway(q, &a, 300);
	assert_int_equal(quota_resize(q, &b, 100), 0);
	assert_int_equal(quota_resize(q, &a, 400), 0);
	assert_int_equal(quota_resize(q, &a, 0), 0);
	assert_int_equal(quota_charged_to(q, QUOTA_BYTES, 1), 100);
	quota_release(q, &a);
	quota_release(q, &b);
	assert_int_equal(quota_charge(q, QUOTA_BYTES, 0, 1001, &a), QUOTA_E_MEMORY);
	assert_int_equal(quota_charge(q, QUOTA_BYTES, 0, 1000, &a), 0);
	quota_release(q, &a);
	quota_free(q);
}

static void test_other_limits(void **state)
{
	struct quota *q = make();
	struct quota_limits less = limits;
	struct quota_charge c[4] = {0};

	less.most[QUOTA_CONNECTIONS].of_user = 2;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(quota_charge(q, QUOTA_CONNECTIONS, 1, 1, &c[i]), 0);
	quota_configure(q, &less);
	assert_int_equal(quota_limits(q)->most[QUOTA_CONNECTIONS].of_user, 2);
	assert_int_equal(quota_charged(q, QUOTA_CONNECTIONS), 3);
	quota_release(q, &c[0]);
	assert_int_equal(quota_charge(q, QUOTA_CONNECTIONS, 1, 1, &c[0]),
			 QUOTA_E_USER_CONNECTIONS);
	/* Less may always be had. */
	assert_int_equal(quota_charge_anyway(q, QUOTA_BYTES, 1, 2000, &c[3]), 0);
	assert_int_equal(quota_resize(q, &c[3], 1500), 0);
	assert_int_equal(quota_resize(q, &c[3], 1501), QUOTA_E_USER_MEMORY);
	for (unsigned i = 0; i < 4; i++)
		quota_release(q, &c[i]);
	quota_free(q);
}

/* A second's worth at once, then one after the other; who rests for long has as much again. */
static void test_a_pace(void **state)
{
	struct quota_pace pace = {0};
	nsec_t now = 1000 * NSEC_PER_SEC, until;

	for (unsigned i = 0; i < 100; i++)
		assert_true(quota_pace(&pace, 100, 1, now) <= now);
	until = quota_pace(&pace, 100, 1, now);
	assert_int_equal(until, now + NSEC_PER_SEC / 100);
	assert_true(quota_pace(&pace, 100, 1, until) > until);
	now += 10 * NSEC_PER_SEC;
	assert_true(quota_pace(&pace, 100, 100, now) <= now);
	/* Many taken at once are paid for by a long rest. */
	assert_int_equal(quota_pace(&pace, 100, 500, now), now + 5 * NSEC_PER_SEC);
}

static void test_the_pace_of_a_user(void **state)
{
	struct quota *q = make();
	struct quota_charge a = {0}, b = {0}, other = {0};
	nsec_t now = 1000 * NSEC_PER_SEC;

	assert_int_equal(quota_charge(q, QUOTA_CALLERS, 1, 1, &a), 0);
	assert_int_equal(quota_charge(q, QUOTA_CALLERS, 1, 1, &b), 0);
	assert_int_equal(quota_charge(q, QUOTA_CALLERS, 2, 1, &other), 0);
	assert_true(quota_pace_user(q, &a, QUOTA_REQUESTS, 10, now) <= now);
	assert_int_equal(quota_pace_user(q, &b, QUOTA_REQUESTS, 1, now),
			 now + NSEC_PER_SEC / 10);
	assert_true(quota_pace_user(q, &b, QUOTA_FRAMES, 1, now) <= now);
	assert_true(quota_pace_user(q, &other, QUOTA_REQUESTS, 10, now) <= now);
	quota_release(q, &a);
	quota_release(q, &b);
	quota_release(q, &other);
	quota_free(q);
}

static void test_reasons(void **state)
{
	struct quota *q = make();

	for (unsigned i = 0; i < QUOTA_E_COUNT; i++) {
		assert_true(strlen(quota_refusal_key((enum quota_refusal)i)) > 0);
		assert_true(strlen(quota_refusal_sentence((enum quota_refusal)i)) > 0);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(quota_refusal_key((enum quota_refusal)i),
						quota_refusal_key((enum quota_refusal)k));
	}
	quota_count(q, QUOTA_E_LATE);
	assert_int_equal(quota_refused(q, QUOTA_E_LATE), 1);
	quota_free(q);
}

/* Against sums that are made anew each time, whatever comes and goes. */
struct world {
	struct quota *q;
	struct quota_charge charge[THINGS];
	uint32_t uid[THINGS];
	uint64_t seed;
};

static unsigned below(struct world *w, unsigned n)
{
	w->seed = w->seed * UINT64_C(6364136223846793005) + 1;
	return (unsigned)(w->seed >> 33) % n;
}

static uint64_t sum(const struct world *w, enum quota_what what, uint32_t uid)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < THINGS; i++)
		if (w->charge[i].user && w->charge[i].what == what &&
		    (uid == UINT32_MAX || w->uid[i] == uid))
			total += w->charge[i].amount;
	return total;
}

static void step(struct world *w)
{
	unsigned i = below(w, THINGS), size = below(w, 400);
	enum quota_what what = (enum quota_what)below(w, QUOTAS);
	uint64_t amount = what == QUOTA_BYTES ? size : 1;

	if (!w->charge[i].user) {
		const struct quota_limit *most = &limits.most[what];
		uint32_t uid = below(w, 6) * 256;
		uint64_t of_user = sum(w, what, uid) + amount;
		uint64_t total = sum(w, what, UINT32_MAX) + amount;
		bool fits = (of_user <= most->of_user || (uid == 0 && !most->for_all)) &&
			    total <= most->total - (uid ? most->reserve : 0);

		w->uid[i] = uid;
		assert_int_equal(
			quota_charge(w->q, what, uid, amount, &w->charge[i]) == 0, fits);
	} else if (w->charge[i].what == QUOTA_BYTES && below(w, 2)) {
		uint64_t before = w->charge[i].amount;

		if (quota_resize(w->q, &w->charge[i], size) != 0)
			assert_true(w->charge[i].amount == before && size > before);
	} else {
		quota_release(w->q, &w->charge[i]);
	}
}

static void test_sums(void **state)
{
	struct world w = {.q = make(), .seed = 1};

	for (unsigned n = 0; n < STEPS; n++) {
		enum quota_what what = (enum quota_what)(n % QUOTAS);
		uint32_t uid = n / QUOTAS % 6 * 256;

		step(&w);
		assert_int_equal(quota_charged(w.q, what), sum(&w, what, UINT32_MAX));
		assert_int_equal(quota_charged_to(w.q, what, uid), sum(&w, what, uid));
	}
	for (unsigned i = 0; i < THINGS; i++)
		quota_release(w.q, &w.charge[i]);
	for (unsigned what = 0; what < QUOTAS; what++)
		assert_int_equal(quota_charged(w.q, (enum quota_what)what), 0);
	quota_free(w.q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_user),
		cmocka_unit_test(test_all_and_the_reserve),
		cmocka_unit_test(test_the_privileged),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_other_limits),
		cmocka_unit_test(test_a_pace),
		cmocka_unit_test(test_the_pace_of_a_user),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_sums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
