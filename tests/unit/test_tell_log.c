/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/tell_log.h"

/* Entries that bear their place. */
static void add(struct tell_log *log, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		uint64_t place = log->end;
		struct tell_entry *e = tell_log_add(log);

		assert_non_null(e);
		*e = (struct tell_entry){.who.heap = place, .line = json_array()};
	}
}

static void check(const struct tell_log *log, uint64_t first, uint64_t end)
{
	assert_int_equal(log->first, first);
	assert_int_equal(log->end, end);
	for (uint64_t i = first; i < end; i++)
		assert_int_equal(tell_log_at(log, i)->who.heap, i);
}

static void test_a_ring_that_grows(void **state)
{
	struct tell_log log = {0};

	(void)state;
	add(&log, 50);
	tell_log_drop(&log, 40);
	add(&log, 1000); /* over its end, and beyond its room */
	check(&log, 40, 1050);
	tell_log_drop(&log, 30);
	check(&log, 40, 1050);
	tell_log_drop(&log, 1050);
	check(&log, 1050, 1050);
	tell_log_deinit(&log);
}

static void test_the_oldest_give_way(void **state)
{
	struct tell_log log = {0};

	(void)state;
	add(&log, TELL_LOG_MOST);
	check(&log, 0, TELL_LOG_MOST);
	add(&log, 10);
	check(&log, 10, TELL_LOG_MOST + 10);
	assert_int_equal(log.room, TELL_LOG_MOST);
	tell_log_deinit(&log);
	check(&log, TELL_LOG_MOST + 10, TELL_LOG_MOST + 10);
	add(&log, 1);
	check(&log, TELL_LOG_MOST + 10, TELL_LOG_MOST + 11);
	tell_log_deinit(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_ring_that_grows),
		cmocka_unit_test(test_the_oldest_give_way),
	};

	return cmocka_run_group_tests_name("tell_log", tests, NULL, NULL);
}
