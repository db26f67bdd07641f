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

static void test_a_ring_of_chunks(void **state)
{
	struct tell_log log = {0};

	(void)state;
	add(&log, 50);
	tell_log_drop(&log, 40);
	add(&log, 1000); /* over chunks' ends */
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
	uint64_t end;

	(void)state;
	add(&log, TELL_LOG_MOST);
	check(&log, 0, TELL_LOG_MOST);
	add(&log, 10);
	check(&log, TELL_LOG_CHUNK, TELL_LOG_MOST + 10);
	add(&log, TELL_LOG_CHUNK);
	check(&log, 2 * TELL_LOG_CHUNK, TELL_LOG_MOST + 10 + TELL_LOG_CHUNK);
	tell_log_deinit(&log);
	end = TELL_LOG_MOST + 10 + TELL_LOG_CHUNK;
	check(&log, end, end);
	add(&log, 1);
	check(&log, end, end + 1);
	tell_log_deinit(&log);
}

/* Copying five megabytes into larger room takes some milliseconds, in which heaps wait. */
static void test_nothing_moves(void **state)
{
	struct tell_log log = {0};
	struct tell_entry *first;

	(void)state;
	add(&log, 1);
	first = tell_log_at(&log, 0);
	add(&log, TELL_LOG_MOST - 1);
	assert_ptr_equal(tell_log_at(&log, 0), first);
	tell_log_deinit(&log);
}

/* What was told is not kept: nor is the memory of more than a chunk. */
static void test_what_was_told_gives_its_memory_back(void **state)
{
	struct tell_log log = {0};
	size_t kept = 0;

	(void)state;
	add(&log, TELL_LOG_MOST);
	tell_log_drop(&log, TELL_LOG_MOST - 1);
	for (size_t i = 0; i < TELL_LOG_CHUNKS; i++)
		kept += log.chunk[i] != NULL;
	assert_int_equal(kept, 1);
	check(&log, TELL_LOG_MOST - 1, TELL_LOG_MOST);
	tell_log_deinit(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_ring_of_chunks),
		cmocka_unit_test(test_the_oldest_give_way),
		cmocka_unit_test(test_nothing_moves),
		cmocka_unit_test(test_what_was_told_gives_its_memory_back),
	};

	return cmocka_run_group_tests_name("tell_log", tests, NULL, NULL);
}
