/* SPDX-License-Identifier: MIT */
/* What is put down while the lock is taken, in the order in which it was. By one thread, which takes everybody's part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/client.h"

static struct rtgc *heap(void)
{
	struct rtgc_options options = {
		.size = sizeof(options),
		.service = "late",
		.socket = "/nonexistent/runtime.sock",
	};
	struct rtgc *r;

	assert_int_equal(rtgc_open(&options, &r), 0);
	return r;
}

static uint64_t forced(struct rtgc *r)
{
	struct rtgc_status status;

	rtgc_status(r, &status);
	return status.forced;
}

static void begin_late(struct rtgc *r)
{
	pthread_mutex_lock(&r->lock); /* the dispatcher */
	assert_int_equal(rtgc_begin(r, RTGC_MAJOR, RTGC_FORCED, 0), 0);
	pthread_mutex_unlock(&r->lock);
	assert_false(r->running.active);
}

/* Else a collection would never end, and no other one could begin. */
static void test_one_who_puts_down_hides_nothing(void **state)
{
	struct rtgc *r = heap();

	(void)state;
	begin_late(r);
	atomic_store(&r->late.busy, true); /* a third thread, kept from running */
	assert_int_equal(rtgc_end(r, NULL), 0);
	assert_int_equal(forced(r), 1);
	assert_int_equal(rtgc_begin(r, RTGC_MAJOR, RTGC_FORCED, 0), 0);
	assert_int_equal(rtgc_end(r, NULL), 0);
	assert_int_equal(forced(r), 2);
	atomic_store(&r->late.busy, false);
	rtgc_close(r);
}

/* More often than there are places, and over the end of the ring. */
static void test_places_are_used_again(void **state)
{
	struct rtgc *r = heap();

	(void)state;
	for (unsigned i = 1; i <= 3 * LATE_MOST; i++) {
		begin_late(r);
		assert_int_equal(rtgc_end(r, NULL), 0);
		assert_int_equal(forced(r), i);
	}
	pthread_mutex_lock(&r->lock);
	for (unsigned i = 0; i < LATE_MOST / 2; i++) {
		assert_int_equal(rtgc_begin(r, RTGC_MAJOR, RTGC_FORCED, 0), 0);
		assert_int_equal(rtgc_end(r, NULL), 0);
	}
	pthread_mutex_unlock(&r->lock);
	assert_int_equal(forced(r), 3 * LATE_MOST + LATE_MOST / 2);
	rtgc_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_who_puts_down_hides_nothing),
		cmocka_unit_test(test_places_are_used_again),
	};

	return cmocka_run_group_tests_name("late", tests, NULL, NULL);
}
